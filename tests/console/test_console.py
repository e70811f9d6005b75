"""The console's health, readiness and metrics over a real socket."""

from __future__ import annotations

import pytest
from wire import Listener, Reply, ask

from engine.console.app import Readiness, build_console, is_loopback
from engine.console.metrics import Metrics, Numbers

READY = Readiness(ok=True)


async def _numbers() -> Numbers:
    return Numbers(backlog=3, runs={"pending": 2})


async def _metrics() -> bytes:
    return await Metrics().render(_numbers)


def _get(
    path: str,
    *,
    host: str = "127.0.0.1:8788",
    ready: Readiness = READY,
    password: str | None = None,
    method: str = "GET",
) -> Reply:
    app = build_console(ready=lambda: ready, metrics=_metrics, password=password)
    line = f"Host: {host}\r\n" if host else ""
    version = "1.1" if host else "1.0"
    with Listener(app) as listener:
        return ask(listener, f"{method} {path} HTTP/{version}\r\n{line}\r\n".encode())


def test_health_says_that_the_process_turns() -> None:
    reply = _get("/healthz")
    assert (reply.status, reply.body) == (200, b"ok")


def test_a_ready_daemon_says_so() -> None:
    reply = _get("/readyz")
    assert (reply.status, reply.json) == (200, {"ready": True, "problems": [], "notes": []})


def test_a_daemon_that_is_not_ready_says_why() -> None:
    reply = _get("/readyz", ready=Readiness(ok=False, problems=("the journal is full",)))
    assert reply.status == 503
    assert reply.json == {"ready": False, "problems": ["the journal is full"], "notes": []}


def test_metrics_are_text_for_prometheus() -> None:
    reply = _get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"rulewave_backlog 3.0\n" in reply.body


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nothing", "not_found"), ("POST", "/healthz", "method_not_allowed")])  # fmt: skip
def test_what_is_not_there_is_a_refusal_in_json(method: str, path: str, code: str) -> None:
    reply = _get(path, method=method)
    assert reply.status in {404, 405}
    assert reply.code == code


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8788", "10.0.0.1", ""])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
def test_without_a_password_a_foreign_host_is_refused(host: str, path: str) -> None:
    reply = _get(path, host=host)
    assert (reply.status, reply.code) == (421, "misdirected_request")


def test_with_a_password_any_host_may_be_used() -> None:
    assert _get("/healthz", host="console.example", password="p").status == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:8788", True),
        ("localhost.", True),
        ("console.localhost:1", True),
        ("127.0.0.1", True),
        ("127.8.9.1:80", True),
        ("[::1]:8788", True),
        ("::1", False),
        ("[::1", False),
        ("[::2]", False),
        ("[1]", False),
        ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("notlocalhost", False),
        ("127.0.0.1@evil.example", False),
        ("localhost:80:80", False),
    ],
)
def test_only_names_of_the_loopback_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
