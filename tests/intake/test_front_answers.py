"""What the webhook answers, over a real socket."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs
from wire import ACCEPTED, BODY, Listener, Reply, Store, ask, chunked, good, head, signed, talk

from engine.model import Answer, Delivery

JSON = "Content-Type: application/json"


def test_a_genuine_delivery_gets_202_and_its_event_id() -> None:
    store = Store()
    with Listener(store.intake()) as listener:
        reply = ask(listener, good())
    assert (reply.status, reply.json) == (202, {"event_id": "e1", "status": "accepted"})
    assert "connection" not in reply.headers
    assert [delivery.body for delivery in store.deliveries] == [BODY]
    assert store.counted == ["accepted"]


def test_a_redelivery_gets_200_duplicate() -> None:
    with Listener(Store().intake()) as listener:
        ask(listener, good())
        reply = ask(listener, good())
    assert (reply.status, reply.json) == (200, {"event_id": "e1", "status": "duplicate"})


def test_an_answer_names_neither_server_nor_time() -> None:
    with Listener(Store().intake()) as listener:
        reply = ask(listener, good())
    assert set(reply.headers) == {"content-type", "content-length"}


def test_what_could_not_be_stored_gets_503_with_retry_after_and_a_close() -> None:
    store = Store(Answer(503, "not_stored", "the journal cannot store"))
    with Listener(store.intake()) as listener:
        (reply,) = talk(listener, good())
    assert (reply.status, reply.code) == (503, "not_stored")
    assert reply.headers["retry-after"] == "5"
    assert reply.headers["connection"] == "close"


def test_a_fault_of_ours_gets_500_is_logged_once_and_tells_the_client_nothing() -> None:
    store = Store(RuntimeError("the disk is at /secret/place"))
    with capture_logs() as logs, Listener(store.intake()) as listener:
        (reply,) = talk(listener, good())
    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"secret" not in reply.body
    assert reply.headers["connection"] == "close"
    assert [entry["event"] for entry in logs] == ["intake.failed"]
    assert store.counted == ["internal_error"]


def test_an_accept_that_ends_itself_gets_500() -> None:
    async def gives_up(delivery: Delivery) -> Answer:
        raise asyncio.CancelledError(delivery.source)

    store = Store()
    store.accept = gives_up  # type: ignore[method-assign]
    with Listener(store.intake()) as listener:
        (reply,) = talk(listener, good())
    assert reply.status == 500


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (head(JSON, length=2) + b"{}", 401, "signature_missing"),
        (head(*signed(b"other"), length=len(BODY)) + BODY, 401, "signature_wrong"),
        (
            head(JSON, "X-Remnawave-Signature: \xff\xfe", length=2) + b"{}",
            401,
            "signature_malformed",
        ),
        (
            head(JSON, "X-Remnawave-Signature: " + "0" * 63, length=2) + b"{}",
            401,
            "signature_malformed",
        ),
        (
            head(*signed(), signed()[1], length=len(BODY)) + BODY,
            400,
            "signature_doubled",
        ),
        (
            head(*signed(), "x-remnawave-SIGNATURE: " + "0" * 64, length=len(BODY)) + BODY,
            400,
            "signature_doubled",
        ),
        (head(signed()[1], length=len(BODY)) + BODY, 415, "not_json"),
        (head("Content-Type: text/plain", length=2) + b"{}", 415, "not_json"),
        (head("Content-Type: application/jsonx", length=2) + b"{}", 415, "not_json"),
        (head("Content-Type:", length=2) + b"{}", 415, "not_json"),
        (head(JSON, JSON, length=2) + b"{}", 415, "not_json"),
        (head(JSON, length=1 << 30), 413, "too_large"),
        (head(*signed(), length=1025) + b"x" * 1025, 413, "too_large"),
        (
            head(*signed(), "Transfer-Encoding: chunked") + chunked(b"x" * 1025, 100),
            413,
            "too_large",
        ),
    ],
)
def test_a_refusal_has_its_status_its_code_and_a_close(raw: bytes, status: int, code: str) -> None:
    store = Store()
    with Listener(store.intake(max_body=1024)) as listener:
        (reply,) = talk(listener, raw)
        assert ask(listener, good()).status == 202
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["connection"] == "close"
    assert store.counted == [code, "accepted"]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;charset=utf-8",
        "application/vnd.panel+json",
    ],
)
def test_every_way_to_say_json_is_taken(kind: str) -> None:
    raw = head(f"Content-Type: {kind}", signed()[1], length=len(BODY)) + BODY
    with Listener(Store().intake()) as listener:
        assert ask(listener, raw).status == 202


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    with Listener(Store().intake(max_body=len(BODY))) as listener:
        assert ask(listener, good()).status == 202


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_any_other_method_on_the_webhook_gets_405(method: str) -> None:
    with Listener(Store().intake()) as listener:
        with listener.connect() as client:
            client.sendall(head(method=method))
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nallow: POST\r\n" in answer
        assert b"\r\nconnection: close\r\n" in answer


def test_health_is_answered_beside_the_webhook() -> None:
    with Listener(Store().intake()) as listener:
        reply = ask(listener, head(method="GET", path="/healthz"))
    assert (reply.status, reply.body) == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthz/"),
        ("GET", "/healthz//"),
        ("GET", "/a//healthz"),
        ("GET", "/metrics"),
        ("GET", "/webhook/"),
        ("POST", "/webhook/"),
        ("POST", "/healthz"),
        ("POST", "http://elsewhere.example/webhook"),
        ("OPTIONS", "*"),
    ],
)
def test_everything_else_is_404_and_never_a_redirect(method: str, path: str) -> None:
    with Listener(Store().intake()) as listener:
        (reply,) = talk(listener, head(method=method, path=path))
    assert (reply.status, reply.code) == (404, "not_found")
    assert "location" not in reply.headers


def test_a_strange_host_is_no_fault_of_ours() -> None:
    raw = b"GET /healthz HTTP/1.1\r\nHost: a b\xff<>\r\n\r\n"
    with Listener(Store().intake()) as listener, listener.connect() as client:
        client.sendall(raw)
        assert client.recv(65536)[9:12] in {b"200", b"400"}


def test_the_webhook_may_live_on_another_path() -> None:
    raw = head(*signed(), path="/panel-two?x=1", length=len(BODY)) + BODY
    with Listener(Store().intake(path="/panel-two")) as listener:
        assert ask(listener, raw).status == 202
        assert [reply.status for reply in talk(listener, good())] == [404]


def test_a_websocket_finds_nothing() -> None:
    lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    raw = head(*lines, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", method="GET")
    with Listener(Store().intake()) as listener, listener.connect() as client:
        client.sendall(raw)
        assert client.recv(65536)[9:10] == b"4"


def test_an_intake_needs_no_metrics() -> None:
    from engine.intake.app import build_intake

    with Listener(build_intake(Store().accept)) as listener:
        reply: Reply = ask(listener, good())
    assert json.loads(reply.body)["status"] == ACCEPTED.code
