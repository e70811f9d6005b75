"""The stage of the demo: a real daemon in this process, its far side, and one temporary folder."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cli.demonstration.farside import FarSide, open_far_side
from engine.cli.demonstration.logtap import LogTap
from engine.cli.demonstration.rulesfolder import write_rules
from engine.daemon.assembly import Engine
from engine.daemon.logging import configure_logging
from engine.daemon.service import run_service
from engine.settings import Settings, read_settings

_BOT = "1:a-bot-that-is-not"
_ANY_PORT = "127.0.0.1:0"
_FOREIGN = ("RULEWAVE_", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "LISTEN_")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays. `over` ends when the daemon does."""

    folder: Path
    engine: Engine
    far: FarSide
    tap: LogTap
    secret: str
    over: asyncio.Task[None]

    @property
    def intake(self) -> str:
        """Host and port that the panel posts to."""
        return self.tap.ready["intake"]

    @property
    def console(self) -> str:
        """Host and port of the console."""
        return self.tap.ready["console"]

    @property
    def environment(self) -> Path:
        """A file for `source`, which leads commands to this daemon."""
        return self.folder / "env"


def forget_surroundings(environ: MutableMapping[str, str]) -> None:
    """Keep settings and secrets of a real installation out of the demo."""
    for name in [name for name in environ if name.startswith(_FOREIGN)]:
        del environ[name]


@asynccontextmanager
async def open_stage(stop: asyncio.Event) -> AsyncIterator[Stage]:
    """Start everything; `stop` ends the daemon, and so does the end of the block."""
    forget_surroundings(os.environ)
    with tempfile.TemporaryDirectory(prefix="rulewave-demo-", ignore_cleanup_errors=True) as name:
        async with open_far_side() as far:
            tap, folder = LogTap(sys.stderr), Path(name)
            configure_logging("json", "info", stream=tap)
            secret = secrets.token_hex(32)
            settings = _settings(folder, far, secret)
            daemon, engine = await _start(settings, stop)
            stage = Stage(folder, engine, far, tap, secret, daemon)
            _write_environment(stage, settings)
            try:
                yield stage
            finally:
                stop.set()
                await daemon


def _settings(folder: Path, far: FarSide, secret: str) -> Settings:
    rules = folder / "rules"
    rules.mkdir()
    write_rules(rules, smtp_port=far.smtp_port, http_port=far.http_port)
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "telegram_token").write_text(_BOT, encoding="utf-8")
    given = {
        "rules": rules,
        "database": f"sqlite:///{folder / 'rulewave.db'}",
        "listen": _ANY_PORT,
        "console_listen": _ANY_PORT,
        "webhook_secret": secret,
        "secrets_dir": folder / "secrets",
    }
    return read_settings(os.environ, given)


async def _start(settings: Settings, stop: asyncio.Event) -> tuple[asyncio.Task[None], Engine]:
    ready: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
    daemon = asyncio.create_task(run_service(settings, stop=stop, on_ready=ready.set_result))
    either: set[asyncio.Future[Any]] = {daemon, ready}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        with suppress(asyncio.CancelledError):
            ready.cancel()
        await daemon
    return daemon, await ready


def _write_environment(stage: Stage, settings: Settings) -> None:
    """The secret goes into a file that is ours alone, never onto the screen."""
    variables = {
        "RULEWAVE_DATABASE": settings.database,
        "RULEWAVE_RULES": str(settings.rules),
        "RULEWAVE_LISTEN": stage.intake,
        "RULEWAVE_WEBHOOK_SECRET": stage.secret,
        "RULEWAVE_SECRETS_DIR": str(settings.secrets_dir),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    program = shlex.quote(str(Path(sys.argv[0]).absolute().parent))
    stage.environment.touch(mode=0o600)
    stage.environment.write_text(
        "\n".join([*lines, f'export PATH={program}:"$PATH"', ""]), encoding="utf-8"
    )
