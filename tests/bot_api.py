"""A Bot API on loopback: it keeps chats, counts as Telegram counts, and refuses as Telegram does."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from http_servers import HttpServer, Request, http_server, reply

TOKEN = "123456789:AAE-fake_token_of_a_test"
_TAGS = re.compile(r"</?[a-z][^<>]*>")
_ALLOWED = re.compile(r"</?(b|i|u|s|code|pre|a|blockquote|tg-spoiler)( [a-z-]+=\"[^\"]*\")?>")


@dataclass
class BotApi:
    """What the bot wrote (as asked), and what it will be answered."""

    server: HttpServer = field(default_factory=HttpServer)
    messages: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Given out first, one a request: status and what is said beside `ok` and `error_code`."""
    moved: dict[int, int] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    gate: Callable[[str], Awaitable[None]] | None = None
    """Asked with each text before it is answered."""

    @property
    def texts(self) -> list[str]:
        """What was written, raw."""
        return [message["text"] for message in self.messages]

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """As api.telegram.org would."""
        if self.gate is not None:
            await self.gate(json.loads(request.body)["text"])
        status, said = self._judge(request)
        whole = {"ok": status == 200, **({} if status == 200 else {"error_code": status}), **said}
        await reply(status, json.dumps(whole).encode(), "Content-Type: application/json")(
            request, writer
        )

    def _judge(self, request: Request) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911 - its refusals
        if self.refusals:
            return self.refusals.pop(0)
        if request.target != f"/bot{TOKEN}/sendMessage":
            return 401, {"description": "Unauthorized"}
        asked = json.loads(request.body)
        chat = asked["chat_id"]
        if chat in self.moved:
            what = "Bad Request: group chat was upgraded to a supergroup chat"
            to = {"migrate_to_chat_id": self.moved[chat]}
            return 400, {"description": what, "parameters": to}
        if chat in self.blocked:
            return 403, {"description": "Forbidden: bot was blocked by the user"}
        if chat == 404:
            return 400, {"description": "Bad Request: chat not found"}
        text = asked["text"]
        if asked.get("parse_mode") == "HTML":
            if not well_formed(text):
                what = "Bad Request: can't parse entities: Unsupported start tag"
                return 400, {"description": what}
            text = visible(text)
        if not text.strip():
            return 400, {"description": "Bad Request: message text is empty"}
        if units(text) > 4096:
            return 400, {"description": "Bad Request: message is too long"}
        self.messages.append(asked)
        return 200, {"result": {"message_id": len(self.messages), "chat": {"id": chat}}}


def visible(text: str) -> str:
    """What is seen of HTML."""
    return html.unescape(_TAGS.sub("", text))


def units(text: str) -> int:
    """Its length as Telegram counts."""
    return len(text.encode("utf-16-le")) // 2


def well_formed(text: str) -> bool:
    """Whether all tags are Telegram's, and closed in order."""
    stack: list[str] = []
    for tag in re.findall(r"<[^>]*>?", text):
        found = _ALLOWED.fullmatch(tag)
        if not found:
            return False
        if not tag.startswith("</"):
            stack.append(found[1])
        elif not stack or stack.pop() != found[1]:
            return False
    return not stack


@asynccontextmanager
async def bot_api() -> AsyncIterator[BotApi]:
    """A Bot API until the block ends."""
    api = BotApi()
    async with http_server(api.answer) as server:
        api.server = server
        yield api
