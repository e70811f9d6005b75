"""The intake as one ASGI application: the front for the webhook, Quart for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from engine.intake.asgi import Asgi, error_body
from engine.intake.bodies import Limits
from engine.intake.front import Accept, Front


def _not_counted(code: str) -> None:
    del code


def build_intake(
    accept: Accept,
    *,
    path: str = "/webhook",
    max_body: int = 1_048_576,
    on_answer: Callable[[str], None] = _not_counted,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Asgi:
    """An ASGI application that answers `POST path`, `GET /healthz`, and nothing else.

    `accept` verifies and stores; `max_body` is in bytes; `on_answer` is called with the code of
    every answer to the webhook, for metrics.
    """
    return Front(
        cast("Asgi", _rest().asgi_app),
        accept,
        path=path,
        max_body=max_body,
        on_answer=on_answer,
        limits=limits,
    )


def _rest() -> Quart:
    app = Quart(__name__, static_folder=None)
    app.add_url_rule("/healthz", view_func=_healthz)
    app.register_error_handler(HTTPException, _refusal)
    return app


async def _healthz() -> Response:
    """The process turns; whether it is ready is the console's to say."""
    return Response("ok", mimetype="text/plain")


async def _refusal(error: HTTPException) -> Response:
    """Every refusal looks alike, and says no more than its code."""
    status = error.code or 500
    code = "not_found" if status == 404 else "refused"  # noqa: PLR2004
    body = error_body(code, error.name)
    return Response(body, status, {"connection": "close"}, mimetype="application/json")
