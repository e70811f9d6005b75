"""What the http action sends to a real server, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable
from typing import Any

import pytest
from http_servers import Reply, Request, http_server, reply
from http_tries import failure, started, tried

from actions.http import HttpConnection, HttpParams
from engine.action import OUTPUT_LIMIT, Call


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete", "head"])
def test_each_verb_is_sent_with_the_idempotency_key_and_our_name(verb: str) -> None:
    result, server = tried(**{verb: "{url}/a%20b?x=1"})
    assert result["status"] == 200
    (request,) = server.requests
    assert (request.method, request.target) == (verb.upper(), "/a%20b?x=1")
    assert request.headers["idempotency-key"] == "key-1"
    assert request.headers["user-agent"].startswith("rulewave/0.")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


def test_query_fields_join_those_of_the_url() -> None:
    query = {"name": "a&b=ü c", "on": True, "n": 3, "tag": ["x", "y"]}
    _, server = tried(get="{url}/?first=1", query=query)
    assert server.requests[0].target == "/?first=1&name=a%26b%3D%C3%BC+c&on=true&n=3&tag=x&tag=y"


@pytest.mark.parametrize(
    ("params", "kind", "body"),
    [
        ({"json": {"a": [1, "ü", None]}}, "application/json", '{"a":[1,"ü",null]}'),
        ({"json": None}, "application/json", "null"),
        ({"json": []}, "application/json", "[]"),
        ({"form": {"a": "1 2", "b": [True]}}, "application/x-www-form-urlencoded", "a=1+2&b=true"),
        ({"body": "Grüße"}, "text/plain; charset=utf-8", "Grüße"),
        ({"body": "<a/>", "headers": {"content-type": "text/xml"}}, "text/xml", "<a/>"),
    ],
)
def test_a_body_goes_out_with_its_type(params: dict[str, Any], kind: str, body: str) -> None:
    _, server = tried(post="{url}/", **params)
    assert server.requests[0].headers["content-type"] == kind
    assert server.requests[0].body.decode() == body


def test_a_null_expression_is_not_sent_by_get() -> None:
    _, server = tried(get="{url}/", json=None)
    assert "content-type" not in server.requests[0].headers


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}])
def test_what_json_cannot_say_is_a_bad_parameter(value: object) -> None:
    error = failure(get=None, post="{url}/", json=value)
    assert (error.reason, error.retry, error.unknown) == ("bad_parameters", False, False)


def test_a_step_adds_to_its_connection_and_overrides_it() -> None:
    async def scenario() -> Request:
        async with http_server() as server, started() as action:
            connection = HttpConnection(
                url=f"{server.url}/base/",
                auth={"bearer": "token"},
                headers={"X-One": "connection", "X-Two": "connection", "X-Int": 5},
            )
            params = HttpParams(get="/users", connection="panel", headers={"x-two": "  step "})
            await action.run(params, Call("k", connection=connection))
            return server.requests[0]

    request = asyncio.run(scenario())
    assert request.target == "/base/users"
    assert request.headers["authorization"] == "Bearer token"
    assert (request.headers["x-one"], request.headers["x-two"]) == ("connection", "step")
    assert request.headers["x-int"] == "5"


def test_a_user_and_a_password_are_sent_as_basic() -> None:
    _, server = tried(get="{url}/", auth={"basic": ["me", "pä:ss"]})
    assert server.requests[0].headers["authorization"] == "Basic bWU6cMOkOnNz"


def test_the_result_holds_status_headers_json_and_text() -> None:
    body = json.dumps({"ok": True, "name": "ü"}).encode()
    headers = ("Content-Type: application/json", "X-Trace: 7", "Set-Cookie: s=1")
    result, _ = tried(reply(201, body, *headers), get="{url}/")
    assert result["status"] == 201
    assert result["json"] == {"ok": True, "name": "ü"}
    assert result["text"] == body.decode()
    assert result["headers"]["x-trace"] == "7"
    assert "set-cookie" not in result["headers"]
    assert result["truncated"] is False


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[" * 100_000, b"NaN", b"9" * 5000, b'"\\ud800"', b'{"a": Infinity}'],
)
def test_a_body_that_is_no_storable_json_is_text_alone(body: bytes) -> None:
    result, _ = tried(reply(200, body), get="{url}/")
    assert result["json"] is None
    assert result["text"] == body.decode()


@pytest.mark.parametrize("charset", ["utf-8", "no-such-thing", "zlib", "idna", "undefined"])
def test_a_nonsense_charset_does_no_harm(charset: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}"
    result, _ = tried(reply(200, "grün".encode(), header), get="{url}/")
    assert result["text"] == "grün"


def test_a_charset_is_followed() -> None:
    header = "Content-Type: text/plain; charset=latin-1"
    result, _ = tried(reply(200, b"gr\xfcn", header), get="{url}/")
    assert result["text"] == "grün"


def test_cookies_are_neither_kept_nor_sent() -> None:
    async def scenario() -> list[Request]:
        answer = reply(200, b"", "Set-Cookie: session=1; Path=/")
        async with http_server(answer) as server, started() as action:
            for _ in range(2):
                await action.run(HttpParams(get=server.url), Call("k"))
            assert server.connections == 1
            return server.requests

    assert all("cookie" not in request.headers for request in asyncio.run(scenario()))


def endless(pieces: list[bytes], *headers: str) -> Reply:
    """Answer without end, until the client has enough."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        while True:
            for piece in pieces:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()

    return answer


def test_a_flood_is_cut_off_at_the_limit() -> None:
    async def scenario() -> dict[str, Any]:
        async with http_server(endless([b"x" * 7000])) as server, started() as action:
            result = await action.run(HttpParams(get=server.url), Call("k"))
            await server.gone.wait()
            return result

    result = asyncio.run(scenario())
    assert result["text"] == "x" * OUTPUT_LIMIT
    assert result["truncated"] is True
    assert result["json"] is None


def test_a_drip_grows_no_memory_and_ends_with_the_try() -> None:
    async def scenario() -> None:
        sent = asyncio.Event()

        async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nx")
            await writer.drain()
            sent.set()

        async with http_server(drip) as server, started() as action:
            attempt = asyncio.create_task(action.run(HttpParams(get=server.url), Call("k")))
            await sent.wait()
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            await server.gone.wait()

    asyncio.run(scenario())


def test_a_compressed_bomb_is_cut_off_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    result, _ = tried(reply(200, bomb, "Content-Encoding: gzip"), get="{url}/")
    assert len(result["text"]) == OUTPUT_LIMIT
    assert result["truncated"] is True


def test_a_body_of_just_the_limit_is_whole() -> None:
    body = json.dumps("x" * (OUTPUT_LIMIT - 2)).encode()
    result, _ = tried(reply(200, body), get="{url}/")
    assert result["truncated"] is False
    assert len(result["json"]) == OUTPUT_LIMIT - 2


def test_no_url_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tried(get="{url}/path-token?key=query-token")
    assert "token" not in caplog.text


def test_two_first_tries_at_once_share_one_client() -> None:
    async def scenario() -> None:
        async with http_server() as server, started() as action:
            params = HttpParams(get=server.url)
            tries: list[Awaitable[dict[str, Any]]] = [
                action.run(params, Call(f"k{n}")) for n in range(5)
            ]
            await asyncio.gather(*tries)
            assert len(action._clients._clients) == 1
            assert len(server.requests) == 5

    asyncio.run(scenario())
