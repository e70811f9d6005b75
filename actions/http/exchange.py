"""One exchange: the request made of the parameters, and what is kept of its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from actions.http.parameters import ABSOLUTE, HttpConnection, HttpParams, Pairs, Scalar
from engine.action import Call, json_or_none
from engine.web import Message, text_of

if TYPE_CHECKING:
    import httpx2

_HIDDEN = ("authorization", "proxy-authorization", "set-cookie", "set-cookie2")


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


async def result_of(response: httpx2.Response) -> dict[str, Any]:
    """What later steps may use of the answer."""
    text, truncated = await text_of(response)
    return {
        "status": response.status_code,
        "headers": {n.lower(): v for n, v in response.headers.items() if n.lower() not in _HIDDEN},
        "json": None if truncated else json_or_none(text),
        "text": text,
        "truncated": truncated,
    }
