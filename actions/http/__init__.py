"""The `http` action: one request, judged by the status of its answer; nothing is followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, ClassVar
from urllib.parse import urlsplit

from actions.http.exchange import message_of, result_of
from actions.http.parameters import ABSOLUTE, Auth, HttpConnection, HttpParams, statuses
from engine.action import Action, Call, Connection, is_public, printable
from engine.web import Attempt, Clients, as_bad_parameters

__all__ = ["Auth", "Http", "HttpConnection", "HttpParams"]


class Http(Action[HttpParams]):
    """Sends one request. Clients are made at first use and shared by all runs.

    `public` judges which addresses may be called where private ones may not.
    """

    name = "http"
    params = HttpParams
    kinds: ClassVar[Mapping[str, type[Connection]]] = {"http": HttpConnection}

    def __init__(self, public: Callable[[str], bool] = is_public) -> None:
        self._clients = Clients(public)

    async def start(self, stack: AsyncExitStack) -> None:
        """Promise to close the clients."""
        stack.push_async_callback(self._clients.close)

    def describe(self, params: HttpParams) -> str:
        """Verb and host, or the path on a connection: a token may stand anywhere else."""
        shown = re.split(r"[?#]", params.url, maxsplit=1)[0]
        if ABSOLUTE.match(shown):
            parts = urlsplit(shown)
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        words = (params.verb.upper(), params.connection, shown)
        return printable(" ".join(word for word in words if word))

    async def run(self, params: HttpParams, call: Call) -> dict[str, Any]:
        """Send the request once, and judge the answer by its status."""
        connection = call.connection if isinstance(call.connection, HttpConnection) else None
        verify = params.verify
        if verify is None:
            verify = connection.verify if connection else True
        with as_bad_parameters():
            message = message_of(params, connection, call)
        attempt = Attempt(message.url.host, call)
        async with self._clients.exchange(message, attempt, verify) as response:
            attempt.judge(response, statuses(params.expect))
            return await result_of(response)
