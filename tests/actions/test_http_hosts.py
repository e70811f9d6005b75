"""Whom the http action talks to: the right host, a public address, a certificate that holds."""

from __future__ import annotations

import asyncio
import ssl

import httpx2
import pytest
from http_servers import Request, free_port, http_server
from http_tries import failure, started, tried

from actions.http import HttpConnection, HttpParams
from engine.action import Call
from engine.errors import ActionFailed
from engine.web import send


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


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert tried(get="{url}/")[0]["status"] == 200


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
