"""The `http` action: one request, judged by the status of its answer; nothing is followed."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from actions.http.exchange import (
    Attempt,
    as_bad_parameters,
    message_of,
    request_to,
    result_of,
    send,
)
from actions.http.parameters import ABSOLUTE, Auth, HttpConnection, HttpParams, statuses
from engine.action import Action, Call, Connection, is_public, printable
from engine.errors import ActionFailed
from engine.model import Reason

if TYPE_CHECKING:
    import httpx2

__all__ = ["Auth", "Http", "HttpConnection", "HttpParams"]

_MOST_ADDRESSES = 4


class Http(Action[HttpParams]):
    """Sends one request. Clients are made at first use and shared by all runs.

    `public` judges which addresses may be called where private ones may not.
    """

    name = "http"
    params = HttpParams
    kinds: ClassVar[Mapping[str, type[Connection]]] = {"http": HttpConnection}

    def __init__(self, public: Callable[[str], bool] = is_public) -> None:
        self._public = public
        self._clients: dict[tuple[bool | str, bool], httpx2.AsyncClient] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        """Promise to close the clients."""
        stack.push_async_callback(self._close)

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
        client = await self._client(verify, call.allow_private)
        with as_bad_parameters():
            message = message_of(params, connection, call)
        attempt = Attempt(message.url.host, call)
        addresses = await self._addresses(message.url, call.allow_private)
        requests = [request_to(client, message, attempt, address) for address in addresses]
        with attempt.judging_errors():
            response = await send(client, requests)
            async with aclosing(response):
                attempt.judge(response, statuses(params.expect))
                return await result_of(response)

    async def _addresses(self, url: httpx2.URL, allow_private: bool) -> list[str | None]:
        """The judged addresses to connect to; None leaves the choice to the client."""
        if allow_private:
            return [None]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ActionFailed(
                f"no address of {url.host} is known", retry=True, reason=Reason.CONNECTION
            ) from error
        public = [a for a in dict.fromkeys(str(entry[4][0]) for entry in found) if self._public(a)]
        if not public:
            raise ActionFailed(
                f"{url.host} is at a private address, which the settings forbid to call",
                reason=Reason.REFUSED,
            )
        return [*public[:_MOST_ADDRESSES]]

    async def _client(self, verify: bool | str, keep: bool) -> httpx2.AsyncClient:
        """The shared client; library and certificates are loaded beside the event loop."""
        if (verify, keep) not in self._clients:
            try:
                made = await asyncio.to_thread(_make_client, verify, keep=keep)
            except OSError as error:
                raise ActionFailed(
                    f"the authorities in {verify} cannot be read: {error}",
                    reason=Reason.BAD_PARAMETERS,
                ) from error
            # Where two first tries made one each, the second is dropped unused.
            self._clients.setdefault((verify, keep), made)
        return self._clients[verify, keep]

    async def _close(self) -> None:
        while self._clients:
            await self._clients.popitem()[1].aclose()


def _make_client(verify: bool | str, *, keep: bool) -> httpx2.AsyncClient:
    """A client that knows nothing of the environment and remembers nothing between requests.

    Without `keep` a connection serves one request: pinned to an address, it must not be taken
    for another host of the same address.
    """
    # Imported here, beside the event loop: it takes a tenth of a second.
    import httpx2

    # These log whole URLs, and a token may stand in one.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx2.AsyncClient(
        verify=ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={
            "user-agent": f"rulewave/{version('rulewave')}",
            "accept-encoding": "gzip, deflate",
        },
        limits=httpx2.Limits(max_keepalive_connections=20 if keep else 0, keepalive_expiry=30.0),
    )
