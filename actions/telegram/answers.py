"""What Telegram's answer means: sent, moved, later, or never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.action import json_or_none, printable
from engine.errors import ActionFailed
from engine.model import Reason
from engine.web import PASSING, asked_wait

if TYPE_CHECKING:
    import httpx2

_LONGEST_WAIT = 86_400.0
_BAD_TOKEN = (401, 404)
_FORBIDDEN = 403
_SERVER = 500
_HINTS = {
    "chat not found": "is the chat's number right, and has the bot been added or written to?",
    "can't parse entities": "is a tag not closed, or a character not escaped?",
    "thread not found": "is there such a topic?",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """The number of the message that was sent; or the number that its chat has now."""

    message: int = 0
    moved_to: int | None = None


def judged(host: str, response: httpx2.Response, text: str) -> Answered:
    """What became of the request; `ActionFailed` where nothing did."""
    status = response.status_code
    found = json_or_none(text)
    said: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if said.get("ok") is True and isinstance(said.get("result"), dict):
        number = said["result"].get("message_id")
        return Answered(number if isinstance(number, int) else 0)
    parameters = said.get("parameters")
    more: Mapping[str, Any] = parameters if isinstance(parameters, dict) else {}
    moved = more.get("migrate_to_chat_id")
    if isinstance(moved, int) and not isinstance(moved, bool):
        return Answered(moved_to=moved)
    retry = status >= _SERVER or status in PASSING
    raise ActionFailed(
        f"{host} answered {status}{_words(status, said)}",
        retry=retry,
        reason=Reason.HTTP_STATUS,
        after=_wait(more, response) if retry else None,
    )


def _words(status: int, said: Mapping[str, Any]) -> str:
    """Telegram's own words, and what to do about them."""
    told = said.get("description")
    if not isinstance(told, str):
        return (
            ", and not as Telegram does: is `api` right?" if status not in range(500, 600) else ""
        )
    hint = next((hint for words, hint in _HINTS.items() if words in told), "")
    if status in _BAD_TOKEN:
        hint = "the bot's token is wrong, or was taken back"
    elif status == _FORBIDDEN:
        hint = "the bot may not write there"
    return f": {printable(told)}" + (f"; {hint}" if hint else "")


def _wait(more: Mapping[str, Any], response: httpx2.Response) -> float | None:
    """Seconds that it asks for."""
    asked = more.get("retry_after")
    if isinstance(asked, int | float) and not isinstance(asked, bool) and asked >= 0:
        return min(float(asked), _LONGEST_WAIT)
    return asked_wait(response.headers)
