"""The end of a listener: in time, whatever its clients do, and with the application's own shutdown."""

from __future__ import annotations

import asyncio
import socket
import threading
from asyncio.base_events import Server
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from wire import BODY, PATIENCE, Listener, Store, good, head, one_reply, read_all, signed

from engine.daemon.listeners import bind, parse_listen, serve
from engine.model import Answer, Delivery

UNFINISHED = head(*signed(), length=len(BODY)) + BODY[:-1]


class Watched:
    """An application that notes its own start and shutdown."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def noting(message: dict[str, Any]) -> None:
            self.seen.append(message["type"])
            await send(message)

        await self._app(scope, receive, noting)


@pytest.fixture(params=["this Python", "as since Python 3.12"])
def _patience_of_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 3.12.1 a closed server waits until its last connection has ended."""

    async def wait_closed(server: Any) -> None:
        if server._waiters is not None:
            waiter = server.get_loop().create_future()
            server._waiters.append(waiter)
            await waiter

    if request.param != "this Python":
        monkeypatch.setattr(Server, "wait_closed", wait_closed)


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /webhook HT", UNFINISHED, good(), good() + good()[:30]],
    ids=["nothing", "half a head", "half a body", "a request", "a request and a half"],
)
@pytest.mark.usefixtures("_patience_of_server")
def test_a_client_that_stays_does_not_hold_up_the_stop(sent: bytes) -> None:
    app = Watched(Store().intake())
    with capture_logs() as logs, Listener(app) as listener, listener.connect() as client:
        client.sendall(sent)
        if sent.startswith(good()):
            assert one_reply(client).status == 202
        listener.stop()
        read_all(client)
        listener.join()
    assert app.seen == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert logs == []


def test_a_connection_that_was_just_taken_is_heard_before_the_end() -> None:
    with Listener(Store().intake()) as listener, listener.connect() as taken:
        with listener.connect() as later:
            later.sendall(good())
            assert one_reply(later).status == 202  # so the one before it is taken, too

        def stop_and_then_hear() -> None:
            listener._stop.set()
            listener.loop.call_later(0.05, taken.sendall, good())

        listener.loop.call_soon_threadsafe(stop_and_then_hear)
        assert one_reply(taken).status in {200, 202}
        listener.join()


def test_a_door_is_served_when_its_event_loop_listens_and_not_before() -> None:
    served = threading.Event()

    async def life() -> None:
        stop = asyncio.Event()
        sockets = bind(parse_listen("127.0.0.1:0")) + bind(parse_listen("127.0.0.1:0"))
        listener = serve(Store().intake(), sockets, stop=stop, grace=0.2, on_serving=served.set)
        serving = asyncio.create_task(listener)
        assert not served.is_set()
        assert await asyncio.to_thread(served.wait, PATIENCE)
        stop.set()
        await serving

    asyncio.run(life())
    assert served.is_set()


@pytest.mark.usefixtures("_patience_of_server")
def test_a_commit_under_way_is_answered_before_the_end() -> None:
    store, entered, released = Store(), threading.Event(), asyncio.Event()

    async def slow(delivery: Delivery) -> Answer:
        entered.set()
        await released.wait()
        return await Store.accept(store, delivery)

    store.accept = slow  # type: ignore[method-assign]
    with Listener(store.intake(), grace=PATIENCE) as listener, listener.connect() as client:
        client.sendall(good())
        assert entered.wait(PATIENCE)
        listener.stop()
        listener.loop.call_soon_threadsafe(released.set)
        assert one_reply(client).status == 202
        assert read_all(client) == b""


@pytest.mark.usefixtures("_patience_of_server")
def test_a_commit_that_outlasts_the_grace_is_waited_for_after_its_client_was_sent_away() -> None:
    store, entered, released = Store(), threading.Event(), asyncio.Event()

    async def slow(delivery: Delivery) -> Answer:
        entered.set()
        await released.wait()
        return await Store.accept(store, delivery)

    store.accept = slow  # type: ignore[method-assign]
    app = Watched(store.intake())
    with capture_logs() as logs, Listener(app, grace=0.05) as listener:
        with listener.connect() as client:
            client.sendall(good())
            assert entered.wait(PATIENCE)
            listener.stop()
            assert read_all(client) == b""
        listener.loop.call_soon_threadsafe(released.set)
    assert [delivery.body for delivery in store.deliveries] == [BODY]
    assert app.seen[-1] == "lifespan.shutdown.complete"
    assert logs == []


def test_a_commit_that_never_ends_cannot_hold_up_the_stop_for_ever() -> None:
    entered = threading.Event()

    async def hangs(_: Delivery) -> Answer:
        entered.set()
        return await asyncio.get_running_loop().create_future()

    store = Store()
    store.accept = hangs  # type: ignore[method-assign]
    listening = Listener(store.intake(), grace=0.05)
    with capture_logs() as logs, listening as listener, listener.connect() as client:
        client.sendall(good())
        assert entered.wait(PATIENCE)
        listener.stop()
        listener.join()
    assert [entry["event"] for entry in logs] == ["listener.stop_forced"]


def test_after_the_stop_nobody_listens() -> None:
    with Listener(Store().intake()) as listener:
        listener.stop()
        listener.join()
        with pytest.raises(ConnectionRefusedError):
            listener.connect()


def test_a_cancelled_serve_ends_as_a_stopped_one_does() -> None:
    async def scenario() -> list[str]:
        app = Watched(Store().intake())
        sockets = bind(parse_listen("127.0.0.1:0"))
        address = sockets[0].getsockname()
        task = asyncio.create_task(serve(app, sockets, stop=asyncio.Event(), grace=0.05))
        reader, writer = await asyncio.open_connection(*address)
        writer.write(UNFINISHED)
        await writer.drain()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await reader.read()
        writer.close()
        return app.seen

    assert asyncio.run(scenario())[-1] == "lifespan.shutdown.complete"


def test_an_application_that_cannot_start_is_an_error_of_serve() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no journal"})

    async def scenario() -> None:
        sockets = bind(parse_listen("127.0.0.1:0"))
        await serve(broken, sockets, stop=asyncio.Event(), grace=0.05)

    with capture_logs(), pytest.raises(Exception, match="no journal"):
        asyncio.run(scenario())


def test_an_application_that_fails_in_its_shutdown_is_logged_and_the_stop_goes_on() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "no journal"})

    with capture_logs() as logs, Listener(broken) as listener:
        listener.connect().close()
    assert [entry["event"] for entry in logs] == ["listener.stop_failed"]


def test_two_applications_are_served_side_by_side_and_stop_together() -> None:
    async def scenario() -> list[bytes]:
        stop = asyncio.Event()
        one, two = (bind(parse_listen("127.0.0.1:0")) for _ in range(2))
        addresses = [one[0].getsockname(), two[0].getsockname()]
        async with asyncio.TaskGroup() as group:
            for sockets in (one, two):
                group.create_task(serve(Store().intake(), sockets, stop=stop, grace=0.05))
            answers = [await _health(address) for address in addresses]
            stop.set()
        return answers

    assert asyncio.run(scenario()) == [b"HTTP/1.1 200"] * 2


async def _health(address: Any) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(head(method="GET", path="/healthz"))
    answer = await reader.readexactly(12)
    writer.close()
    return answer


def test_a_unix_socket_is_served_like_any_other(tmp_path: Any) -> None:
    with Listener(Store().intake(), listen=f"unix:{tmp_path}/intake.sock") as listener:
        assert listener.family == socket.AF_UNIX
        with listener.connect() as client:
            client.sendall(good())
            assert one_reply(client).status == 202
