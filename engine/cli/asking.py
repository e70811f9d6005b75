"""Asks the running daemon over its control socket; without one, opens the journal itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from engine.errors import RulewaveError, UserError
from engine.settings import Places, read_places

_TIMEOUT = 60.0


class NoJournal(UserError):
    """Neither a daemon nor a journal can be asked here."""


def ask(
    noun: str,
    verb: str,
    params: Mapping[str, Any],
    database: str | None = None,
    *,
    alone: str = "",
) -> Any:
    """The answer to one question; UserError where it can't be had.

    `alone` tells why only a running daemon can be asked.
    """
    places = read_places({"database": database})
    given = {name: str(value) for name, value in params.items() if value is not None}
    from engine.daemon.paths import find_control

    try:
        return _ask_daemon(find_control(places.database), noun, verb, given)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        if alone:
            raise NoJournal(f"no daemon runs on {places.database}: {alone}") from None
        return asyncio.run(_ask_journal(places, noun, verb, given))
    except PermissionError as error:
        message = "the daemon's control socket is open to root and the daemon's own user only"
        raise NoJournal(message) from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"the daemon does not answer: {str(error) or 'no answer'}") from error


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def _ask_daemon(path: Path, noun: str, verb: str, params: Mapping[str, str]) -> Any:
    connection = _Connection(path)
    try:
        body = json.dumps(params)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/{noun}/{verb}", body, headers)
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if "error" in answer:
        message = answer["error"]["message"]
        if answer["error"]["code"] == "bug":
            raise RulewaveError(message)
        raise UserError(message)
    return answer["answer"]


async def _ask_journal(places: Places, noun: str, verb: str, params: Mapping[str, str]) -> Any:
    from engine.addresses import sqlite_path
    from engine.cli.check import rules_at_hand
    from engine.clock import SystemClock
    from engine.console.desk import Desk
    from engine.daemon.assembly import open_journal
    from engine.daemon.supply import recompiler

    path = sqlite_path(places.database)
    if not path.exists():
        message = f"there is no journal at {path}; RULEWAVE_DATABASE or --database names another"
        raise NoJournal(message)
    if path.stat().st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
        raise NoJournal(f"{path} belongs to another user; run this as its owner")
    from engine.library import Library

    loaded, actions, secrets = rules_at_hand()
    ruleset, clock = loaded.ruleset, SystemClock()
    async with AsyncExitStack() as stack:
        try:
            journal = await stack.enter_async_context(open_journal(places.database))
        except UserError as error:
            raise NoJournal(str(error)) from error
        library = Library(journal, ruleset, recompiler(actions, secrets), clock)
        return await Desk(journal, library, clock, actions).ask(noun, verb, params)
