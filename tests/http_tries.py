"""Short ways to try the http action against a server that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from http_servers import HttpServer, Reply, http_server

from actions.http import Http, HttpParams
from engine.action import Call
from engine.errors import ActionFailed

Public = Callable[[str], bool]


@asynccontextmanager
async def started(public: Public | None = None) -> AsyncIterator[Http]:
    """An action that is started, and stopped at the end."""
    async with AsyncExitStack() as stack:
        action = Http(public) if public else Http()
        await action.start(stack)
        yield action


def tried(
    answer: Reply | None = None, call: Call | None = None, **params: Any
) -> tuple[dict[str, Any], HttpServer]:
    """The result of one try against a server that answers so, and what the server saw.

    A `{url}` in a parameter becomes the server's address.
    """

    async def once() -> tuple[dict[str, Any], HttpServer]:
        async with http_server(answer) as server, started() as action:
            filled = {
                name: value.replace("{url}", server.url) if isinstance(value, str) else value
                for name, value in params.items()
            }
            return await action.run(HttpParams(**filled), call or Call("key-1")), server

    return asyncio.run(once())


def failure(answer: Reply | None = None, call: Call | None = None, **params: Any) -> ActionFailed:
    """How a try against a server that answers so fails."""
    with pytest.raises(ActionFailed) as caught:
        tried(answer, call, **({"get": "{url}/"} | params))
    return caught.value
