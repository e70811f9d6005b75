"""One exchange: the request made of the parameters, and the answer judged."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from actions.http.parameters import ABSOLUTE, HttpConnection, HttpParams, Pairs, Scalar
from engine.action import OUTPUT_LIMIT, Call, json_or_none, printable
from engine.errors import ActionFailed
from engine.model import Reason

if TYPE_CHECKING:
    import httpx2

_PASSING = (408, 425, 429)
_CONNECT_SECONDS = 10.0
_LONGEST_WAIT = 86_400.0
_HIDDEN = ("authorization", "proxy-authorization", "set-cookie", "set-cookie2")


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
        retry = status >= 500 or status in _PASSING  # noqa: PLR2004 - the protocol's own number
        raise ActionFailed(
            f"{self.host} answered {status}",
            retry=retry,
            reason=Reason.HTTP_STATUS,
            after=_wait(response.headers) if retry else None,
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


def message_of(params: HttpParams, connection: HttpConnection | None, call: Call) -> Message:
    """The request that the parameters ask for; what a step says overrides its connection."""
    kind, content = _content(params)
    headers = {"idempotency-key": call.key} | ({"content-type": kind} if kind else {})
    for source in (connection, params):
        if source:
            headers |= {name.lower(): _plain(value) for name, value in source.headers.items()}
            headers |= {"authorization": source.auth.header} if source.auth else {}
    return Message(
        params.verb.upper(),
        _full_url(params, connection),
        tuple((name.encode(), value.strip().encode()) for name, value in headers.items()),
        content,
    )


def _full_url(params: HttpParams, connection: HttpConnection | None) -> httpx2.URL:
    """The URL with its query. What a connection authorises never leaves the connection's host."""
    import httpx2

    url = params.url
    if connection and not ABSOLUTE.match(url):
        url = f"{connection.url.rstrip('/')}/{url.lstrip('/')}"
    whole = httpx2.URL(url)
    if connection and _origin(whole) != _origin(httpx2.URL(connection.url)):
        raise ValueError(f"{whole.host} is not the host of its connection")
    query = b"&".join(part for part in (whole.query, _encoded(params.query)) if part)
    return whole.copy_with(query=query or None, fragment=None)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _plain(value: Scalar) -> str:
    """A scalar as the far side expects it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encoded(pairs: Pairs) -> bytes:
    """Fields of a query or a form; a list makes a field appear several times."""
    listed = {name: value if isinstance(value, list) else [value] for name, value in pairs.items()}
    return urlencode([(n, _plain(v)) for n, values in listed.items() for v in values]).encode()


def _content(params: HttpParams) -> tuple[str | None, bytes | None]:
    """The body's type and bytes."""
    if params.form is not None:
        return "application/x-www-form-urlencoded", _encoded(params.form)
    if params.body is not None:
        return "text/plain; charset=utf-8", params.body.encode()
    # An expression that comes out null is sent as `null`, where a body is usual.
    if params.json_ is not None or (
        "json_" in params.model_fields_set and params.verb in {"post", "put", "patch"}
    ):
        text = json.dumps(params.json_, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return "application/json", text.encode()
    return None, None


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


async def result_of(response: httpx2.Response) -> dict[str, Any]:
    """What later steps may use of the answer; reading ends at the limit."""
    kept = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            kept += piece[: OUTPUT_LIMIT + 1 - len(kept)]
            if len(kept) > OUTPUT_LIMIT:
                break
    truncated = len(kept) > OUTPUT_LIMIT
    text = _text(bytes(kept[:OUTPUT_LIMIT]), response.charset_encoding)
    return {
        "status": response.status_code,
        "headers": {n.lower(): v for n, v in response.headers.items() if n.lower() not in _HIDDEN},
        "json": None if truncated else json_or_none(text),
        "text": text,
        "truncated": truncated,
    }


def _text(data: bytes, charset: str | None) -> str:
    """The body as text, whatever nonsense the far side says about its charset."""
    try:
        text = data.decode(charset or "utf-8-sig", "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def _wait(headers: Mapping[str, str]) -> float | None:
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
