"""How a try of the http action fails: known or unknown, for good or for now."""

from __future__ import annotations

import asyncio

import pytest
from http_servers import Reply, Request, free_port, http_server, reply
from http_tries import failure, started, tried

from actions.http import HttpParams
from engine.action import Call
from engine.errors import ActionFailed


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
