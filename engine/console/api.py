"""`/api/v1` on the control socket: what commands ask of the running daemon."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from quart import Quart, request
from werkzeug.exceptions import HTTPException

from engine.console.desk import Desk
from engine.errors import JournalUnavailable, UserError

PREFIX = "/api/v1"


def build_control(desk: Desk) -> Quart:
    """The application behind the control socket; whoever may open the socket may ask."""
    app = Quart(__name__, static_folder=None)
    # People read this: in the order in which it is told.
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.post(f"{PREFIX}/<noun>/<verb>")
    async def answer(noun: str, verb: str) -> dict[str, Any]:
        params = await request.get_json()
        return {"answer": await desk.ask(noun, verb, params or {})}

    app.register_error_handler(UserError, _users)
    app.register_error_handler(JournalUnavailable, _away)
    app.register_error_handler(HTTPException, _refused)
    return app


async def _users(error: UserError) -> tuple[dict[str, Any], int]:
    return {"error": {"code": "refused", "message": str(error)}}, HTTPStatus.BAD_REQUEST


async def _away(error: JournalUnavailable) -> tuple[dict[str, Any], int]:
    body = {"error": {"code": "journal_away", "message": str(error)}}
    return body, HTTPStatus.SERVICE_UNAVAILABLE


async def _refused(error: HTTPException) -> tuple[dict[str, Any], int]:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return {"error": {"code": "refused", "message": error.name}}, status
    message = "the daemon failed to answer; its log has the traceback"
    return {"error": {"code": "bug", "message": message}}, status
