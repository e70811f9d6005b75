"""Short ways to try the email action, and to say how a try failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from smtp_servers import Script, Transcript, scripted_server

from actions.email import Email, EmailParams, SmtpConnection
from engine.action import Call
from engine.errors import ActionFailed


@asynccontextmanager
async def started(idle: float = 30.0) -> AsyncIterator[Email]:
    """An action that is started, and stopped at the end."""
    async with AsyncExitStack() as stack:
        action = Email(idle)
        await action.start(stack)
        yield action


def params(**values: Any) -> EmailParams:
    """A small mail, and what a test wants otherwise."""
    return EmailParams(**({"to": "anna@example.org", "subject": "Hi", "text": "Hello"} | values))


def server_at(port: int, **values: Any) -> SmtpConnection:
    """A connection to a server on this port, in the clear."""
    settings = {"host": "localhost", "tls": "none", "from": "bot@example.org"}
    return SmtpConnection(port=port, **(settings | values))


def call_to(port: int, **values: Any) -> Call:
    """A call by such a connection."""
    return Call("key1", connection=server_at(port, **values), timeout=20)


async def refusal(action: Email, call: Call, **values: Any) -> ActionFailed:
    """How one try fails."""
    with pytest.raises(ActionFailed) as caught:
        await action.run(params(**values), call)
    return caught.value


def scripted(script: Script, **values: Any) -> tuple[ActionFailed, Transcript, list[str]]:
    """How a try fails where the server says this; and what it was told before and after."""

    async def scenario() -> tuple[ActionFailed, Transcript, list[str]]:
        async with scripted_server(script) as told, started() as action:
            before: list[str] = []

            async def irrevocable() -> None:
                before.extend(told.lines)

            seconds = values.pop("seconds", 20)
            settings = {
                name: values.pop(name) for name in ("username", "password") if name in values
            }
            connection = server_at(told.port, **settings)
            call = Call("key1", connection=connection, timeout=seconds, irrevocable=irrevocable)
            return await refusal(action, call, **values), told, before

    return asyncio.run(scenario())


def verdict(error: ActionFailed) -> tuple[str, bool, bool]:
    """Why it failed, whether to try again, and whether it may have happened all the same."""
    return str(error.reason), error.retry, error.unknown
