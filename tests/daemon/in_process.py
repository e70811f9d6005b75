"""A daemon in this process, on real sockets and a real journal, and how to talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from http_servers import free_port
from ledgers import PATIENCE
from wire import SECRET, head, replies, signed

from engine.clock import Clock, SystemClock
from engine.daemon.assembly import Engine
from engine.daemon.service import run_service
from engine.settings import Settings, read_settings

RULES = """
version: 1
rules:
  - id: greet
    on: user.created
    do:
      - log: {text: "hello {{ user.username }}"}
"""


@dataclass
class Site:
    """A folder with rules and a database."""

    folder: Path
    rules: str | None = RULES
    options: dict[str, Any] = field(default_factory=dict)
    clock: Clock | None = None

    @property
    def settings(self) -> Settings:
        """Its settings; the ports are whichever are free."""
        rules = self.folder / "rules.yaml"
        if self.rules is not None:
            rules.write_text(self.rules)
        given = {
            "rules": str(rules), "database": f"sqlite:///{self.folder}/rulewave.db",
            "listen": "127.0.0.1:0", "console_listen": "127.0.0.1:0", "webhook_secret": SECRET,
            "secrets_dir": str(self.folder / "secrets"), "max_age": "off",
        }  # fmt: skip
        return read_settings({}, {**given, **self.options})

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.folder / "control.sock"


@dataclass
class Running:
    """A daemon that is ready, and how to talk to it."""

    engine: Engine
    intake: int
    console: int
    serving: asyncio.Task[None]
    stop: asyncio.Event

    async def post(self, body: bytes) -> int:
        """Deliver a signed body; the status."""
        raw = head("Connection: close", *signed(body), length=len(body)) + body
        (reply,) = replies(await _talk(self.intake, raw))
        return reply.status

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the console; status and text."""
        raw = head("Connection: close", method="GET", path=path)
        (reply,) = replies(await _talk(self.console, raw))
        return reply.status, reply.body.decode()

    async def until(self, path: str, text: str) -> None:
        """Ask until the answer holds the text."""
        async with asyncio.timeout(PATIENCE):
            while text not in (await self.get(path))[1]:
                await asyncio.wait([asyncio.ensure_future(self.stop.wait())], timeout=0.02)


async def _talk(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(PATIENCE):
        got = await reader.read()
    writer.close()
    return got


@asynccontextmanager
async def daemon(site: Site) -> AsyncIterator[Running]:
    """A daemon, ready, until the block ends."""
    ready: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    ports = [free_port(), free_port()]
    settings = site.settings.model_copy(
        update={"listen": f"127.0.0.1:{ports[0]}", "console_listen": f"127.0.0.1:{ports[1]}"}
    )
    service = run_service(settings, stop=stop, on_ready=ready.set_result, clock=site.clock)
    serving = asyncio.create_task(service)
    await asyncio.wait([ready, serving], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    if serving.done():
        await serving
    running = Running(ready.result(), *ports, serving, stop)
    try:
        yield running
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([serving])
    await serving


@dataclass
class Ahead(SystemClock):
    """The machine's clock, so much later."""

    by: int = 0

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return super().now() + self.by

    async def pass_by(self, running: Running, span: int) -> None:
        """Let time go by in an instant, and be woken."""
        self.by += span
        await running.engine.handing.hand_over()


def tell(site: Site, story: Callable[[Running], Awaitable[None]]) -> None:
    """Run a story with a daemon."""

    async def told() -> None:
        async with daemon(site) as running:
            await story(running)

    asyncio.run(told())


def body(username: str, type: str = "user.created") -> bytes:
    """The body of an event of a user."""
    data = {"username": username}
    made = {"scope": "user", "event": type, "timestamp": "2026-01-05T09:00:00.000Z", "data": data}
    return json.dumps(made).encode()
