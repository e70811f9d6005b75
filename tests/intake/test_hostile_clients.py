"""Clients that frame wrongly, write slowly, write too much, or go away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import select
import socket
import threading

import pytest
from wire import (
    BODY,
    PATIENCE,
    SECRET,
    Listener,
    Store,
    ask,
    chunked,
    good,
    head,
    one_reply,
    read_all,
    replies,
    signed,
    talk,
)

from engine.daemon import listeners
from engine.daemon.listeners import raise_descriptor_limit
from engine.intake.bodies import Limits
from engine.model import Answer, Delivery

SMALL = head(*signed(), length=len(BODY))


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (head(*signed(), "Transfer-Encoding: chunked", length=4) + chunked(BODY), 400),
        (head(*signed(), "Content-Length: 5", length=len(BODY)) + BODY, 400),
        (head(*signed(), f"content-length: {len(BODY)}", length=len(BODY)) + BODY, 400),
        (head(*signed(), length=f"{len(BODY)}, {len(BODY)}") + BODY, 400),
        (head(*signed(), length=-1), 400),
        (head(*signed(), length="+5") + BODY, 400),
        (head(*signed(), length="0x10") + BODY, 400),
        (head(*signed(), length="9" * 30), 400),
        (head(*signed(), "Transfer-Encoding: gzip, chunked") + chunked(BODY), 501),
        (head(*signed(), "Transfer-Encoding : chunked") + chunked(BODY), 400),
        (head("X: 1", "Transfer-Encoding: chunked") + b"zz\r\n", 400),
        (good().replace(b"\r\n", b"\n", 1), 400),
        (head(*signed(), length=len(BODY)).replace(b"\r\n", b"\n") + BODY, 400),
        (head("X-Folded: a\r\n b", *signed(), length=len(BODY)) + BODY, 400),
        (head("X-Bad : 1", length=0), 400),
        (head("X-Zero: a\0b", length=0), 400),
        (head(length=0).replace(b"Host: 127.0.0.1\r\n", b""), 400),
        (head("Host: other", length=0), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", 400),
        (b"POST /webhook HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", 505),
        (head("X-Big: " + "x" * 32768, *signed(), length=len(BODY)) + BODY, 431),
        (head(*[f"X-{i}: {'1' * 40}" for i in range(500)], length=0), 431),
    ],
)
def test_what_two_readers_could_frame_differently_is_refused(raw: bytes, status: int) -> None:
    store = Store()
    with Listener(store.intake()) as listener:
        first, *more = talk(listener, raw)
        assert ask(listener, good()).status == 202
    assert (first.status, more) == (status, [])
    assert first.code
    assert first.headers["connection"] == "close"
    assert len(store.deliveries) == 1


def test_an_upgrade_to_http2_is_ignored() -> None:
    lines = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]
    with Listener(Store().intake()) as listener:
        reply = ask(listener, head(*lines, method="GET", path="/healthz"))
    assert reply.status == 200


def test_a_chunked_body_arrives_whole() -> None:
    store = Store()
    raw = head(*signed(), "Transfer-Encoding: chunked") + chunked(BODY)
    with Listener(store.intake()) as listener:
        assert ask(listener, raw).status == 202
    assert store.deliveries[0].body == BODY


def test_two_requests_in_one_packet_get_two_answers() -> None:
    raw = good() + good(b"{}") + head(method="GET")
    with Listener(Store().intake()) as listener:
        assert [reply.status for reply in talk(listener, raw)] == [202, 202, 405]


def test_nothing_behind_a_refused_request_is_read_as_another() -> None:
    store = Store()
    smuggled = head(*signed(), "Transfer-Encoding: chunked", length=4) + b"0\r\n\r\n" + good()
    with Listener(store.intake()) as listener:
        assert [reply.status for reply in talk(listener, smuggled)] == [400]
        refused = head(signed()[0], length=2) + b"{}"
        assert [reply.status for reply in talk(listener, refused + good())] == [401]
    assert store.deliveries == []


def test_a_request_sent_byte_by_byte_is_taken() -> None:
    with Listener(Store().intake()) as listener, listener.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in good():
            client.sendall(bytes([byte]))
        assert one_reply(client).status == 202


def test_an_endless_body_is_refused_and_its_connection_ends() -> None:
    store = Store()
    with Listener(store.intake(max_body=65536)) as listener, listener.connect() as client:
        client.sendall(head(*signed(), "Transfer-Encoding: chunked"))
        pouring = threading.Thread(target=_pour, args=(client,))
        pouring.start()
        (reply,) = replies(read_all(client))
        pouring.join(PATIENCE)
        assert not pouring.is_alive()
        assert ask(listener, good()).status == 202
    assert (reply.status, reply.code) == (413, "too_large")


def _pour(client: socket.socket) -> None:
    try:
        while True:
            client.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    except OSError:
        pass  # closed by the listener, as it should be


@pytest.mark.parametrize("path", ["/webhook", "/other", "/healthz"])
def test_an_endless_body_is_not_read_on_any_path_or_method(path: str) -> None:
    with Listener(Store().intake()) as listener, listener.connect() as client:
        client.sendall(head("Transfer-Encoding: chunked", path=path, method="PUT"))
        pouring = threading.Thread(target=_pour, args=(client,))
        pouring.start()
        (reply,) = replies(read_all(client))
        pouring.join(PATIENCE)
        assert not pouring.is_alive()
    assert reply.status in {404, 405}


def test_a_body_that_stays_away_gets_408_at_the_deadline() -> None:
    store = Store()
    limits = Limits(body_seconds=0.2, linger_seconds=0.1)
    with Listener(store.intake(limits)) as listener:
        (nothing,) = talk(listener, SMALL)
        (half,) = talk(listener, SMALL + BODY[:-1])
        assert ask(listener, good()).status == 202
    assert [nothing.status, half.status] == [408, 408]
    assert nothing.code == "too_slow"
    assert nothing.headers["connection"] == "close"
    assert store.counted == ["too_slow", "too_slow", "accepted"]


def test_a_client_that_says_nothing_or_no_whole_head_is_closed_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners._Config, "keep_alive_timeout", 0.2)
    with Listener(Store().intake()) as listener:
        assert talk(listener, b"") == []
        assert talk(listener, b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Slow: ") == []
        assert [reply.status for reply in talk(listener, good())] == [202]


def test_a_body_cut_short_is_dropped() -> None:
    store = Store()
    with Listener(store.intake()) as listener:
        answers = talk(listener, SMALL + BODY[:-3], end=True)
        assert ask(listener, good()).status == 202
    assert [reply.status for reply in answers] in ([], [400])
    assert store.counted == ["client_gone", "accepted"]


@pytest.mark.parametrize("sent", [0, 10, len(SMALL), len(SMALL) + 10, len(SMALL) + len(BODY)])
def test_a_client_that_resets_at_any_stage_leaves_nothing_behind(sent: int) -> None:
    store = Store()
    with Listener(store.intake()) as listener:
        with listener.connect() as client:
            client.sendall(good()[:sent])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert ask(listener, good(b'{"event":"other"}')).status == 202
    assert store.counted[-1] == "accepted"
    assert len(store.deliveries) <= 2


def test_a_client_that_leaves_while_we_store_does_not_undo_it() -> None:
    store, entered, released = Store(), threading.Event(), asyncio.Event()

    async def slow(delivery: Delivery) -> Answer:
        entered.set()
        await released.wait()
        return await Store.accept(store, delivery)

    store.accept = slow  # type: ignore[method-assign]
    with Listener(store.intake()) as listener:
        with listener.connect() as client:
            client.sendall(good())
            assert entered.wait(PATIENCE)
        listener.loop.call_soon_threadsafe(released.set)
        assert ask(listener, good(b"{}")).status == 202
    assert [delivery.body for delivery in store.deliveries] == [BODY, b"{}"]


def test_a_good_request_is_answered_before_any_of_1000_slow_clients_gives_up() -> None:
    raise_descriptor_limit()
    beginnings = [b"", SMALL[:40], SMALL, SMALL + BODY[:-1]]
    held = []
    with Listener(Store().intake(Limits(body_seconds=PATIENCE))) as listener:
        try:
            for number in range(1000):
                held.append(listener.connect())
                held[-1].sendall(beginnings[number % 4])
            with listener.connect() as client:
                client.sendall(good())
                assert one_reply(client).status == 202
            # Nobody had to make room: those with an unfinished body were not told anything yet.
            waiting = select.poll()
            for slow in held[3::4]:
                waiting.register(slow, select.POLLIN)
            assert not waiting.poll(0)
        finally:
            for client in held:
                client.close()


def test_of_too_many_unfinished_bodies_the_oldest_gives_way() -> None:
    limits = Limits(body_seconds=PATIENCE, bodies=3, linger_seconds=0.1)
    with Listener(Store().intake(limits)) as listener:
        held = [listener.connect() for _ in range(3)]
        waiting = []
        for client in held:
            client.sendall(SMALL + BODY[:-1])
        for _ in range(2):
            waiting.append(listener.connect())
            waiting[-1].sendall(SMALL + BODY[:-1])
        assert [one_reply(client).status for client in held[:2]] == [408, 408]
        for client in (held[2], *waiting):
            client.sendall(BODY[-1:])
            assert one_reply(client).status in {200, 202}
        for client in (*held, *waiting):
            client.close()


def test_a_client_that_reads_no_answers_does_not_stop_the_others() -> None:
    with Listener(Store().intake()) as listener, listener.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(200):
                deaf.send(good() * 20)
        assert ask(listener, good()).status in {200, 202}
        listener.stop()
        listener.join()


def test_of_too_many_connections_the_oldest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "connections_allowed", lambda: 2)
    # Else an idle one closes of its own accord, and nobody sees whether the limit holds.
    monkeypatch.setattr(listeners._Config, "keep_alive_timeout", 600.0)
    with Listener(Store().intake()) as listener:
        first, second = listener.connect(), listener.connect()
        second.sendall(good())
        assert one_reply(second).status == 202
        assert ask(listener, good()).status == 200
        assert read_all(first) == b""
        first.close()
        second.close()


def test_random_bytes_get_4xx_or_a_close_and_harm_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners._Config, "keep_alive_timeout", 0.1)
    chance = random.Random(7)
    with Listener(Store().intake(Limits(body_seconds=0.05, linger_seconds=0.05))) as listener:
        for _ in range(300):
            answers = talk(listener, _damaged(chance), end=True)
            assert all(reply.status in {202, 200} or 400 <= reply.status < 600 for reply in answers)
        assert ask(listener, good(b"{}")).status in {200, 202}


def _damaged(chance: random.Random) -> bytes:
    """A good request with some of its bytes changed, doubled or taken out."""
    raw = bytearray(good(BODY))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(raw))
        piece = chance.choice([b"", chance.randbytes(3), bytes(raw[at : at + 20]) * 2, b"\r\n"])
        raw[at : at + chance.randint(0, 4)] = piece
    return bytes(raw)


def test_a_secret_of_another_panel_does_not_fit() -> None:
    raw = head(*signed(BODY, SECRET[::-1]), length=len(BODY)) + BODY
    with Listener(Store().intake()) as listener:
        assert [reply.code for reply in talk(listener, raw)] == ["signature_wrong"]
