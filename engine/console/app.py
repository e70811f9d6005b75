"""The console's Quart application: health, readiness and metrics."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::\d{1,5})?", re.ASCII)

Refusal = tuple[dict[str, Any], int]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon can do its work, and what is in the way; `notes` are not."""

    ok: bool
    problems: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def build_console(
    *,
    ready: Callable[[], Readiness],
    metrics: Callable[[], Awaitable[bytes]],
    password: str | None,
) -> Quart:
    """A Quart application with `/healthz`, `/readyz` and `/metrics`.

    `metrics` gives Prometheus' text format. Without a `password` only this machine is answered,
    by its loopback names; with one, everybody who gives it (HTTP Basic, whatever the user name).
    `/healthz` is for everyone who may ask at all.
    """
    app = Quart(__name__, static_folder=None)
    app.before_request(_refuse_foreign if password is None else _asker(password))
    app.register_error_handler(HTTPException, _refusal)

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok", mimetype="text/plain")

    @app.get("/readyz")
    async def readyz() -> tuple[dict[str, Any], int]:
        now = ready()
        status = HTTPStatus.OK if now.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return {
            "ready": now.ok,
            "problems": list(now.problems),
            "notes": list(now.notes),
        }, status

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(await metrics(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return app


def is_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names this machine's loopback."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _refuse_foreign() -> Refusal | None:
    """Keep other machines out, and web pages that point a name of their own at the loopback."""
    local = request.remote_addr in {None, "<local>"} or is_loopback(_bracketed(request.remote_addr))
    if local and is_loopback(request.headers.get("Host", "")):
        return None
    return _error(HTTPStatus.MISDIRECTED_REQUEST, "the console answers on loopback names only")


def _asker(password: str) -> Callable[[], Awaitable[Response | None]]:
    expected = password.encode()

    async def ask() -> Response | None:
        given = request.authorization
        word = (given.password or "") if given is not None else ""
        if request.path == "/healthz" or hmac.compare_digest(word.encode(), expected):
            return None
        headers = {"WWW-Authenticate": 'Basic realm="Rulewave"'}
        return Response("password needed", HTTPStatus.UNAUTHORIZED, headers, mimetype="text/plain")

    return ask


def _bracketed(address: str | None) -> str:
    return f"[{address}]" if address and ":" in address else address or ""


async def _refusal(error: HTTPException) -> Refusal:
    return _error(HTTPStatus(error.code or 500), error.name)


def _error(status: HTTPStatus, message: str) -> Refusal:
    return {"error": {"code": status.name.lower(), "message": message}}, status
