"""The http action against a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from http_servers import HttpServer, Reply, Request, http_server, reply

from actions.http import Http, HttpConnection, HttpParams
from actions.http.exchange import send
from engine.action import OUTPUT_LIMIT, Call
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


def raw(*pieces: bytes) -> Reply:
    """Send these bytes, whatever they are, and hang up."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    return answer


async def never(request: Request, writer: asyncio.StreamWriter) -> None:
    """Do not answer."""


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


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


@pytest.mark.parametrize("path", ["//evil.example/x", "@evil.example/", "evil.example", "\\\\evil"])
def test_a_path_never_leaves_the_host_of_its_connection(path: str) -> None:
    async def scenario() -> Request:
        async with http_server() as server, started() as action:
            call = Call("k", connection=HttpConnection(url=server.url))
            await action.run(HttpParams(get=path, connection="panel"), call)
            return server.requests[0]

    assert asyncio.run(scenario()).headers["host"].startswith("127.0.0.1:")


def test_the_credentials_of_a_connection_go_to_no_other_host() -> None:
    async def scenario() -> None:
        async with http_server() as server, http_server() as other, started() as action:
            call = Call("k", connection=HttpConnection(url=server.url, auth={"bearer": "token"}))
            await action.run(HttpParams(get=f"{server.url}/own", connection="panel"), call)
            with pytest.raises(ActionFailed, match="not the host of its connection"):
                await action.run(HttpParams(get=f"{other.url}/", connection="panel"), call)
            assert not other.requests

    asyncio.run(scenario())


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


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert tried(get="{url}/")[0]["status"] == 200


def test_a_redirect_is_not_followed() -> None:
    error = failure(reply(302, b"", "Location: http://127.0.0.1:1/evil"))
    assert "answered 302" in error.message
    assert (error.reason, error.retry, error.unknown) == ("http_status", False, False)


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        *((status, False) for status in (400, 401, 403, 404, 409, 410, 422)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
    ],
)
def test_the_status_decides_about_another_try(status: int, retry: bool) -> None:
    error = failure(reply(status, b"secret body"), get="{url}/p?token=secret")
    assert error.message == f"127.0.0.1 answered {status}"
    assert (error.reason, error.retry, error.unknown) == ("http_status", retry, False)


def test_an_expected_status_is_well() -> None:
    assert tried(reply(404), get="{url}/", expect="2xx,404")[0]["status"] == 404
    assert not failure(reply(200), expect=204).retry


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        (["Retry-After: 7"], 7),
        (["Retry-After: 999999999"], 86_400),
        (["Date: Mon, 05 Jan 2026 09:00:00 GMT", "Retry-After: Mon, 05 Jan 2026 09:01:30 GMT"], 90),
        (["Date: Mon, 05 Jan 2026 09:00:00 GMT", "Retry-After: Mon Jan  5 09:00:10 2026"], 10),
        (["Retry-After: Mon, 05 Jan 2015 09:00:00 GMT"], 0),
        (["Retry-After: -5"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: 99999999999999999999"], None),
        ([], None),
    ],
)
def test_retry_after_is_heard(headers: list[str], after: float | None) -> None:
    assert failure(reply(503, b"", *headers)).after == after


def test_retry_after_means_nothing_where_no_retry_follows() -> None:
    assert failure(reply(404, b"", "Retry-After: 5")).after is None


def counting(calls: list[str]) -> Call:
    """A call that notes when it became irrevocable."""

    async def irrevocable() -> None:
        calls.append("irrevocable")

    return Call("k", timeout=0.2, irrevocable=irrevocable)


def test_nobody_listening_is_a_known_failure() -> None:
    calls: list[str] = []
    error = failure(call=counting(calls), get=f"http://127.0.0.1:{free_port()}/?token=secret")
    assert (error.reason, error.retry, error.unknown) == ("connection", True, False)
    assert "no connection to 127.0.0.1" in error.message
    assert "secret" not in error.message
    assert not calls


def test_a_name_without_address_is_a_known_failure() -> None:
    for call in (Call("k"), Call("k", allow_private=False)):
        error = failure(call=call, get="http://no-such-host.invalid/")
        assert (error.reason, error.retry, error.unknown) == ("connection", True, False)


def test_a_handshake_that_never_ends_is_a_known_failure() -> None:
    async def scenario() -> None:
        calls: list[str] = []
        async with http_server(never) as server, started() as action:
            url = server.url.replace("http:", "https:")
            with pytest.raises(ActionFailed) as caught:
                await action.run(HttpParams(get=url), counting(calls))
            assert (caught.value.reason, caught.value.unknown) == ("timeout", False)
            assert not calls

    asyncio.run(scenario())


def test_silence_after_the_request_leaves_the_outcome_unknown() -> None:
    calls: list[str] = []
    error = failure(never, counting(calls))
    assert (error.reason, error.retry, error.unknown) == ("timeout", True, True)
    assert calls == ["irrevocable"]


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,),
    ],
)
def test_a_connection_lost_after_the_request_leaves_the_outcome_unknown(
    pieces: tuple[bytes, ...],
) -> None:
    error = failure(raw(*pieces))
    assert (error.reason, error.retry, error.unknown) == ("connection", True, True)


def test_the_point_of_no_return_lies_between_connecting_and_the_first_byte() -> None:
    async def scenario() -> None:
        connected, may_go = asyncio.Event(), asyncio.Event()

        async def irrevocable() -> None:
            connected.set()
            await may_go.wait()

        async with http_server() as server, started() as action:
            call = Call("k", irrevocable=irrevocable)
            attempt = asyncio.create_task(action.run(HttpParams(get=server.url), call))
            await connected.wait()
            assert not server.requests
            may_go.set()
            await attempt
            assert len(server.requests) == 1

    asyncio.run(scenario())


def test_a_try_whose_point_of_no_return_cannot_be_recorded_is_not_sent() -> None:
    async def refuse() -> None:
        raise LookupError

    async def scenario() -> None:
        async with http_server() as server, started() as action:
            with pytest.raises(LookupError):
                await action.run(HttpParams(get=server.url), Call("k", irrevocable=refuse))
            assert not server.requests

    asyncio.run(scenario())


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


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_a_certificate_is_verified_as_the_step_or_its_connection_says(
    tls: ssl.SSLContext, trusted: str
) -> None:
    async def scenario() -> None:
        async with http_server(tls=tls) as server, started() as action:
            url = f"https://localhost:{server.port}"
            with pytest.raises(ActionFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
                await action.run(HttpParams(get=url), Call("k"))
            assert (caught.value.retry, caught.value.unknown) == (True, False)
            with pytest.raises(ActionFailed, match="mismatch"):
                other = url.replace("localhost", "127.0.0.1")
                await action.run(HttpParams(get=other, verify=trusted), Call("k"))
            assert not server.requests
            await action.run(HttpParams(get=url, verify=trusted), Call("k"))
            await action.run(HttpParams(get=url, verify=False), Call("k"))
            call = Call("k", connection=HttpConnection(url=url, verify=trusted))
            await action.run(HttpParams(get="/", connection="panel"), call)
            assert len(server.requests) == 3

    asyncio.run(scenario())


def test_authorities_that_cannot_be_read_are_a_bad_parameter() -> None:
    error = failure(verify="/no/such/file.pem")
    assert (error.reason, error.retry) == ("bad_parameters", False)
    assert "/no/such/file.pem" in error.message


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_a_private_address_is_not_even_connected_to(host: str) -> None:
    async def scenario() -> None:
        async with http_server() as server, started() as action:
            params = HttpParams(get=f"http://{host}:{server.port}/")
            with pytest.raises(ActionFailed) as caught:
                await action.run(params, Call("k", allow_private=False))
            assert caught.value.reason in {"refused", "bad_parameters"}
            assert not caught.value.retry
            assert server.connections == 0

    asyncio.run(scenario())


def test_a_judged_address_is_called_under_the_right_name(tls: ssl.SSLContext, trusted: str) -> None:
    async def scenario() -> None:
        judged: list[str] = []

        def only_this(address: str) -> bool:
            judged.append(address)
            return address == "127.0.0.1"

        async with http_server(tls=tls) as server, started(only_this) as action:
            params = HttpParams(get=f"https://localhost:{server.port}/x", verify=trusted)
            for _ in range(2):
                await action.run(params, Call("k", allow_private=False))
            assert "127.0.0.1" in judged
            assert [r.headers["host"] for r in server.requests] == [f"localhost:{server.port}"] * 2
            assert server.connections == 2, "a pinned connection serves one request"

    asyncio.run(scenario())


def test_the_next_address_is_asked_where_nobody_listened() -> None:
    async def scenario() -> None:
        async with http_server() as server, httpx2.AsyncClient(trust_env=False) as client:
            ports = (free_port(), free_port(), server.port)
            requests = [client.build_request("GET", f"http://127.0.0.1:{p}/") for p in ports]
            assert (await send(client, requests)).status_code == 200

    asyncio.run(scenario())


def test_two_first_tries_at_once_share_one_client() -> None:
    async def scenario() -> None:
        async with http_server() as server, started() as action:
            params = HttpParams(get=server.url)
            tries: list[Awaitable[dict[str, Any]]] = [
                action.run(params, Call(f"k{n}")) for n in range(5)
            ]
            await asyncio.gather(*tries)
            assert len(action._clients) == 1
            assert len(server.requests) == 5

    asyncio.run(scenario())
