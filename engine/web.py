"""HTTP for actions: clients that all runs share, one exchange, and what its failures mean."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from engine.action import OUTPUT_LIMIT, Call, is_public, printable
from engine.errors import ActionFailed
from engine.model import Reason

if TYPE_CHECKING:
    import httpx2

PASSING = (408, 425, 429)
"""Statuses below 500 that may be another one next time."""
_CONNECT_SECONDS = 10.0
_LONGEST_WAIT = 86_400.0
_MOST_ADDRESSES = 4


@dataclass(slots=True)
class Attempt:
    """One try under way: knows whether the request has begun to leave."""

    host: str
    call: Call
    sent: bool = False

    async def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """The client tells what it does; connected and about to write is the last way back."""
        del info
        if event == "http11.send_request_headers.started":
            await self.call.irrevocable()
            self.sent = True

    @contextmanager
    def judging_errors(self) -> Iterator[None]:
        """What a failed request means."""
        import httpx2

        try:
            yield
        except httpx2.TimeoutException as error:
            raise self._failed("no answer in time", Reason.TIMEOUT) from error
        except (httpx2.HTTPError, OSError) as error:
            raise self._failed(
                printable(str(error) or type(error).__name__), Reason.CONNECTION
            ) from error

    def _failed(self, what: str, reason: Reason) -> ActionFailed:
        where = f"{self.host} broke off" if self.sent else f"no connection to {self.host}"
        return ActionFailed(f"{where}: {what}", retry=True, unknown=self.sent, reason=reason)

    def judge(self, response: httpx2.Response, expected: frozenset[int]) -> None:
        """Raise, unless the status is one of the expected."""
        status = response.status_code
        if status in expected:
            return
        retry = status >= 500 or status in PASSING  # noqa: PLR2004 - the protocol's own number
        raise ActionFailed(
            f"{self.host} answered {status}",
            retry=retry,
            reason=Reason.HTTP_STATUS,
            after=asked_wait(response.headers) if retry else None,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A request before anybody was asked to send it."""

    method: str
    url: httpx2.URL
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes | None


@contextmanager
def as_bad_parameters() -> Iterator[None]:
    """What cannot be made into a request will not be better next time."""
    import httpx2

    try:
        yield
    except (httpx2.InvalidURL, ValueError, TypeError, RecursionError) as error:
        raise ActionFailed(
            f"no request can be made of this: {printable(str(error))}",
            reason=Reason.BAD_PARAMETERS,
        ) from error


class Clients:
    """Clients by how they verify, made at first use and shared by all runs.

    `public` judges which addresses may be called where private ones may not.
    """

    def __init__(self, public: Callable[[str], bool] = is_public) -> None:
        self._public = public
        self._clients: dict[tuple[bool | str, bool], httpx2.AsyncClient] = {}

    @asynccontextmanager
    async def exchange(
        self, message: Message, attempt: Attempt, verify: bool | str
    ) -> AsyncIterator[httpx2.Response]:
        """Send the message once; its answer, whose body is not read yet. Raises `ActionFailed`."""
        allow_private = attempt.call.allow_private
        client = await self._client(verify, allow_private)
        addresses = await self._addresses(message.url, allow_private)
        requests = [request_to(client, message, attempt, address) for address in addresses]
        with attempt.judging_errors():
            response = await send(client, requests)
            async with aclosing(response):
                yield response

    async def close(self) -> None:
        """Close them all."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

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


def request_to(
    client: httpx2.AsyncClient, message: Message, attempt: Attempt, address: str | None
) -> httpx2.Request:
    """The request for the client; with an address, to that one and no other."""
    import httpx2

    url, headers = message.url, list(message.headers)
    extensions: dict[str, Any] = {"trace": attempt.watch}
    if address is not None:
        headers.append((b"host", url.netloc))
        extensions["sni_hostname"] = url.raw_host.decode("ascii")
        url = url.copy_with(host=address)
    seconds = attempt.call.timeout
    limits = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
    return client.build_request(
        message.method,
        url,
        headers=headers,
        content=message.content,
        timeout=limits,
        extensions=extensions,
    )


async def send(client: httpx2.AsyncClient, requests: list[httpx2.Request]) -> httpx2.Response:
    """The first answer; the next address is asked only where nobody was there to listen."""
    import httpx2

    for request in requests[:-1]:
        with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            return await client.send(request, stream=True)
    return await client.send(requests[-1], stream=True)


async def text_of(response: httpx2.Response) -> tuple[str, bool]:
    """The body as text, and whether it was cut: reading ends at `OUTPUT_LIMIT`."""
    kept = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            kept += piece[: OUTPUT_LIMIT + 1 - len(kept)]
            if len(kept) > OUTPUT_LIMIT:
                break
    return _text(bytes(kept[:OUTPUT_LIMIT]), response.charset_encoding), len(kept) > OUTPUT_LIMIT


def _text(data: bytes, charset: str | None) -> str:
    """The body as text, whatever nonsense the far side says about its charset."""
    try:
        text = data.decode(charset or "utf-8-sig", "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, a day at most; its date is read by their clock."""
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked):
        return min(float(asked), _LONGEST_WAIT)
    until, now = _moment(asked), _moment(headers.get("date", ""))
    if until is None:
        return None
    return min(max(until - (time.time() if now is None else now), 0.0), _LONGEST_WAIT)


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
