"""A VPN business in virtual time: `rules.example.yaml` on the bench, with servers behind its targets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from http_servers import HttpServer, Request, http_server, reply
from running.bench import Bench, open_bench
from smtp_servers import Mailbox, mail_server

from engine.cli.demonstration.rulesfolder import with_connections
from engine.model import Run, State

EXAMPLE = Path(__file__).parents[2] / "rules.example.yaml"
PANELS = ("1.5", "1.6", "2.4", "2.8", "3.3")
"""One version of each generation of payloads."""
SINCE_2_4 = PANELS[2:]


@dataclass
class Business:
    """The bench, and what arrived at the far side of the rules' actions.

    Attributes:
        devices: how many devices the panel says that a user has.
        broken: whose calls are answered with which status, by the connection's name.
    """

    bench: Bench
    mailbox: Mailbox
    server: HttpServer
    devices: int = 0
    broken: dict[str, int] = field(default_factory=dict)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Answer a call, as the panel does or as any other service."""
        name = request.target.split("/")[1]
        status = self.broken.get(name, 200)
        body: dict[str, Any] = {}
        if name == "panel":
            body = {"response": {"total": self.devices, "devices": []}}
        elif name == "ops":
            said = {"result": {"message_id": 1}} if status == 200 else {"error_code": status}
            body = {"ok": status == 200, "description": "Bad Request: no", **said}
        await reply(status, json.dumps(body).encode())(request, writer)

    @property
    def mails(self) -> list[tuple[str, str]]:
        """To whom, and about what, oldest first."""
        return [(str(mail["To"]), str(mail["Subject"])) for mail in self.mailbox.messages]

    @property
    def subjects(self) -> list[str]:
        """What the mails are about, oldest first."""
        return [subject for _, subject in self.mails]

    @property
    def text(self) -> str:
        """What the newest mail says."""
        body = self.mailbox.messages[-1].get_body(("plain",))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def alerts(self) -> list[str]:
        """What the chat was told, oldest first."""
        return [json.loads(call.body)["text"] for call in self.calls("/ops/bot")]

    def calls(self, path: str) -> list[Request]:
        """The calls of a path, oldest first."""
        return [call for call in self.server.requests if call.target.startswith(path)]

    async def at(self, moment: str, type: str, **fields: Any) -> str:
        """Let time go by until then, and have an event come in; its id."""
        await self.bench.until(moment)
        return await self.bench.event(type, **fields)

    async def ends(self, rule: str) -> list[tuple[State, str | None]]:
        """How the runs and follow-ups of a rule ended, oldest first."""
        return [(run.state, run.reason) for run in await self.runs(rule)]

    async def runs(self, rule: str) -> list[Run]:
        """The runs and follow-ups of a rule, oldest first."""
        return await self.bench.runs(rule=rule)


@asynccontextmanager
async def open_business(folder: Path, **how: Any) -> AsyncIterator[Business]:
    """The example rules as they are shipped; only their connections lead to loopback."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await business.answer(request, writer)

    async with mail_server() as mailbox, http_server(answer) as server:
        rules = with_connections(EXAMPLE.read_text("utf-8"), _connections(mailbox, server))
        async with open_bench(folder, rules, real=True, **how) as bench:
            business = Business(bench, mailbox, server)
            yield business


def _connections(mailbox: Mailbox, server: HttpServer) -> dict[str, Any]:
    mail = {"kind": "smtp", "host": "127.0.0.1", "port": mailbox.port, "tls": "none",
            "from": "Example VPN <bot@example.org>", "rate": "10/s"}  # fmt: skip
    ops = {"kind": "telegram", "token": "123456789:AAE-a_token_of_a_test", "chat": -1001234567890,
           "api": f"{server.url}/ops", "rate": "20/min"}  # fmt: skip
    others = {n: {"kind": "http", "url": f"{server.url}/{n}"} for n in ("watch", "crm", "panel")}
    return {"mail": mail, "ops": ops, **others}
