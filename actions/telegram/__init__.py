"""The `telegram` action: a message to a chat by Telegram's Bot API."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from actions.telegram.answers import Answered, judged
from actions.telegram.markup import wrong_html
from actions.telegram.parameters import Button, TelegramConnection, TelegramParams
from actions.telegram.splitting import split
from engine.action import Action, Call, Connection, Flaw, is_public, printable
from engine.errors import ActionFailed
from engine.model import Reason
from engine.web import Attempt, Clients, Message, as_bad_parameters, text_of

__all__ = ["Button", "Telegram", "TelegramConnection", "TelegramParams"]

_MODES = {"html": {"parse_mode": "HTML"}, "markdown": {"parse_mode": "MarkdownV2"}, "plain": {}}
_MOST_MESSAGES = 20
_LONGEST = 50 * 4096
_REQUEST_SECONDS = 30.0
_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class _Bot:
    """Who writes, whereto, and in which call."""

    connection: TelegramConnection
    chat: int | str
    call: Call


@dataclass(slots=True)
class _Sent:
    """The messages of one step that Telegram has taken: what was in them, and their numbers."""

    texts: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    def count(self, texts: list[str]) -> int:
        """How many of these are there already, in order."""
        same = 0
        while same < min(len(self.texts), len(texts)) and self.texts[same] == texts[same]:
            same += 1
        return same


class Telegram(Action[TelegramParams]):
    """Writes to a chat. Clients are made at first use and shared by all runs.

    A text that needs several messages is sent one after the other. Where one of them fails, the
    next try goes on with that one, as long as the process lives; after a restart it begins anew.
    """

    name = "telegram"
    params = TelegramParams
    kinds: ClassVar[Mapping[str, type[Connection]]] = {"telegram": TelegramConnection}
    needs_connection: ClassVar[bool] = True
    connection_words: ClassVar[tuple[str, ...]] = ("connection", "to")
    timeout: ClassVar[timedelta] = timedelta(minutes=2)

    def __init__(self, public: Callable[[str], bool] = is_public) -> None:
        self._clients = Clients(public)
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._moved: dict[tuple[str, int | str], int] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        """Promise to close the clients."""
        stack.push_async_callback(self._clients.close)

    def flaws(
        self, written: Mapping[str, Any], connection: Mapping[str, Any] | None
    ) -> Iterator[Flaw]:
        """A bot without a chat does not know where to write; and not all HTML is taken."""
        text = written.get("text")
        if isinstance(text, str) and written.get("format", "html") == "html":
            wrong = wrong_html(text)
            if wrong is not None:
                yield Flaw(*wrong, key="text")
        named = written.get("to") not in (None, written.get("connection"))
        if connection is not None and not named and connection.get("chat") is None:
            hint = "write to: and a chat's number, or chat: in the connection"
            if "to" not in written or written["to"] is not None:
                yield Flaw("telegram does not know which chat to write to", hint)

    def describe(self, params: TelegramParams) -> str:
        """Whereto, and what."""
        return printable(f"telegram to {params.to or params.connection}: {params.text}")

    async def run(self, params: TelegramParams, call: Call) -> dict[str, Any]:
        """Send what is still to be sent of the text."""
        bot = self._bot(params, call)
        messages = await _messages(params)
        sent = self._remembered(call.key)
        begin = sent.count(messages)
        del sent.texts[begin:], sent.ids[begin:]
        moved = None
        for number in range(begin, len(messages)):
            if number > begin:
                await call.slot()
            answered = await self._send(bot, _body(params, messages, number))
            if answered.moved_to is not None:
                moved = self._moved[bot.connection.token, bot.chat] = answered.moved_to
                bot = replace(bot, chat=moved)
                await call.slot()
                answered = await self._send(bot, _body(params, messages, number))
            sent.texts.append(messages[number])
            sent.ids.append(answered.message)
        self._sent.pop(call.key, None)
        result = {"message_id": sent.ids[0], "message_ids": sent.ids, "chat": bot.chat}
        return result if moved is None else {**result, "moved_to": moved}

    def _bot(self, params: TelegramParams, call: Call) -> _Bot:
        connection = call.connection
        if not isinstance(connection, TelegramConnection):
            raise ActionFailed(
                "a message needs a telegram connection", reason=Reason.BAD_PARAMETERS
            )
        chat = connection.chat if params.chat is None else params.chat
        if chat is None:
            raise ActionFailed("there is no chat to write to", reason=Reason.BAD_PARAMETERS)
        chat = self._moved.get((connection.token, chat), chat)
        return _Bot(connection, chat, replace(call, timeout=min(call.timeout, _REQUEST_SECONDS)))

    def _remembered(self, key: str) -> _Sent:
        """What was sent of a step before this try."""
        sent = self._sent.setdefault(key, _Sent())
        self._sent.move_to_end(key)
        while len(self._sent) > _MOST_KEPT:
            self._sent.popitem(last=False)
        return sent

    async def _send(self, bot: _Bot, body: Mapping[str, Any]) -> Answered:
        """One message; where the chat has moved, nothing was sent."""
        with as_bad_parameters():
            message = _request(bot, body)
        attempt = Attempt(message.url.host, bot.call)
        async with self._clients.exchange(message, attempt, bot.connection.verify) as response:
            text, cut = await text_of(response)
            return judged(message.url.host, response, "" if cut else text)


async def _messages(params: TelegramParams) -> list[str]:
    """The text in as many messages as it needs."""
    if len(params.text) > _LONGEST:
        raise ActionFailed("the text is far too long", reason=Reason.BAD_PARAMETERS)
    try:
        messages = await asyncio.to_thread(split, params.text, params.format)
    except ValueError as error:
        raise ActionFailed(str(error), reason=Reason.BAD_PARAMETERS) from error
    if not messages:
        raise ActionFailed("the text is empty", reason=Reason.BAD_PARAMETERS)
    if len(messages) > _MOST_MESSAGES:
        raise ActionFailed(
            f"the text needs {len(messages)} messages; the most is {_MOST_MESSAGES}",
            reason=Reason.BAD_PARAMETERS,
        )
    return messages


def _body(params: TelegramParams, messages: list[str], number: int) -> dict[str, Any]:
    """What the API is asked for one of the messages, but for the chat."""
    body: dict[str, Any] = {"text": messages[number], **_MODES[params.format]}
    if params.topic is not None:
        body["message_thread_id"] = params.topic
    if params.buttons and number == len(messages) - 1:
        keyboard = [[{"text": one.text, "url": one.url} for one in row] for row in params.buttons]
        body["reply_markup"] = {"inline_keyboard": keyboard}
    return body


def _request(bot: _Bot, body: Mapping[str, Any]) -> Message:
    import httpx2

    settings = bot.connection
    text = json.dumps({"chat_id": bot.chat, **body}, ensure_ascii=False)
    return Message(
        "POST",
        httpx2.URL(f"{settings.api}/bot{settings.token}/sendMessage"),
        ((b"content-type", b"application/json"),),
        text.encode(),
    )
