"""The telegram action against a Bot API: what is written, what a refusal means, what never leaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from bot_api import TOKEN, BotApi, bot_api
from http_servers import free_port, http_server, reply

from actions.telegram import Telegram, TelegramConnection, TelegramParams
from engine.action import Call
from engine.errors import ActionFailed

CHAT = -1001234567890
Story = Callable[[BotApi, Callable[..., Awaitable[dict[str, Any]]]], Awaitable[None]]


def _play(story: Story, **settings: Any) -> None:
    """A story with a Bot API and one action: `say(text, …)` is one try."""

    async def scenario() -> None:
        async with bot_api() as api, AsyncExitStack() as stack:
            action = Telegram()
            await action.start(stack)
            given = {"token": TOKEN, "chat": CHAT, "api": api.server.url, **settings}

            async def say(
                text: str, call: Call | None = None, key: str = "key-1", **params: Any
            ) -> dict[str, Any]:
                connection = TelegramConnection(**given)
                step = TelegramParams(connection="ops", text=text, **params)
                return await action.run(step, call or Call(key, connection=connection))

            await story(api, say)

    asyncio.run(scenario())


def _refusal(status: int, **said: Any) -> ActionFailed:
    """How a try fails that is answered so."""
    caught = []

    async def story(api: BotApi, say: Any) -> None:
        api.refusals.append((status, said))
        with pytest.raises(ActionFailed) as error:
            await say("hello")
        caught.append(error.value)

    _play(story)
    return caught[0]


def test_a_message_arrives_with_its_buttons_in_its_topic() -> None:
    async def story(api: BotApi, say: Any) -> None:
        site, help = (
            {"text": "Site", "url": "https://example.org/a"},
            {"text": "Help", "url": "tg://resolve?domain=help"},
        )
        result = await say("<b>hi</b>", buttons=[site, [site, help]], topic=7)
        assert result == {"message_id": 1, "message_ids": [1], "chat": CHAT}
        assert api.messages == [
            {
                "chat_id": CHAT,
                "text": "<b>hi</b>",
                "parse_mode": "HTML",
                "message_thread_id": 7,
                "reply_markup": {"inline_keyboard": [[site], [site, help]]},
            }
        ]

    _play(story)


@pytest.mark.parametrize(
    ("to", "chat"), [(42, 42), ("-42", -42), ("@channel", "@channel"), ("ops", CHAT), (None, CHAT)]
)
def test_a_chat_is_named_by_its_number_its_name_or_its_connection(to: Any, chat: Any) -> None:
    async def story(api: BotApi, say: Any) -> None:
        await say("hi", to=to)
        assert [message["chat_id"] for message in api.messages] == [chat]

    _play(story)


@pytest.mark.parametrize(
    ("format", "mode"), [("html", "HTML"), ("markdown", "MarkdownV2"), ("plain", None)]
)
def test_each_format_is_named_as_telegram_names_it(format: str, mode: str | None) -> None:
    async def story(api: BotApi, say: Any) -> None:
        await say("hi", format=format)
        assert api.messages[0].get("parse_mode") == mode

    _play(story)


def test_a_long_text_becomes_several_messages_with_a_slot_each() -> None:
    async def story(api: BotApi, say: Any) -> None:
        slots = []

        async def slot() -> None:
            slots.append(len(api.messages))

        connection = TelegramConnection(token=TOKEN, chat=CHAT, api=api.server.url)
        button = {"text": "x", "url": "https://example.org"}
        result = await say(
            "x" * 10_000, Call("k", connection=connection, slot=slot), buttons=[button]
        )
        assert result["message_ids"] == [1, 2, 3]
        assert slots == [1, 2]
        assert "".join(api.texts) == "x" * 10_000
        assert ["reply_markup" in message for message in api.messages] == [False, False, True]

    _play(story)


def test_the_next_try_goes_on_with_the_message_that_failed() -> None:
    async def story(api: BotApi, say: Any) -> None:
        text = "a" * 4096 + "b" * 4096 + "c"
        ok: dict[str, Any] = {"result": {"message_id": 77}}
        api.refusals = [(200, ok), (502, {"description": "Bad Gateway"})]
        with pytest.raises(ActionFailed):
            await say(text)
        result = await say(text)
        assert api.texts == ["b" * 4096, "c"]
        assert result["message_ids"] == [77, 1, 2]
        await say(text)  # it was sent whole; another replay begins anew
        assert len(api.messages) == 5

    _play(story)


def test_a_text_that_changed_between_the_tries_is_sent_from_where_it_changed() -> None:
    async def story(api: BotApi, say: Any) -> None:
        api.refusals = [(200, {"result": {"message_id": 77}}), (502, {})]
        with pytest.raises(ActionFailed):
            await say("a" * 4096 + "b")
        await say("z" * 4096 + "b")
        assert api.texts == ["z" * 4096, "b"]

    _play(story)


def test_a_chat_that_became_a_supergroup_is_written_to_at_its_new_number() -> None:
    async def story(api: BotApi, say: Any) -> None:
        api.moved = {CHAT: -100777}
        result = await say("one")
        assert result == {
            "message_id": 1, "message_ids": [1], "chat": -100777, "moved_to": -100777,
        }  # fmt: skip
        await say("two", key="key-2")
        assert [message["chat_id"] for message in api.messages] == [-100777, -100777]
        assert len(api.server.requests) == 3

    _play(story)


@pytest.mark.parametrize(
    ("status", "said", "after"),
    [
        (429, {"description": "Too Many Requests", "parameters": {"retry_after": 7}}, 7.0),
        (429, {"description": "Too Many Requests"}, None),
        (500, {"description": "Internal Server Error"}, None),
        (502, {}, None),
    ],
)
def test_what_passes_is_tried_again_when_telegram_says(
    status: int, said: dict[str, Any], after: float | None
) -> None:
    error = _refusal(status, **said)
    assert (error.retry, error.unknown, error.after) == (True, False, after)


@pytest.mark.parametrize(
    ("status", "description", "words"),
    [
        (400, "Bad Request: chat not found", "is the chat's number right"),
        (400, "Bad Request: can't parse entities: x", "is a tag not closed"),
        (400, "Bad Request: message thread not found", "is there such a topic"),
        (401, "Unauthorized", "the bot's token is wrong"),
        (404, "Not Found", "the bot's token is wrong"),
        (403, "Forbidden: bot was blocked by the user", "the bot may not write there"),
    ],
)
def test_what_stays_wrong_is_a_dead_letter_that_says_why(
    status: int, description: str, words: str
) -> None:
    error = _refusal(status, description=description)
    assert (error.retry, error.reason) == (False, "http_status")
    assert description in error.message
    assert words in error.message


def test_a_user_who_blocked_the_bot_is_a_dead_letter() -> None:
    async def story(api: BotApi, say: Any) -> None:
        api.blocked.add(5)
        with pytest.raises(ActionFailed, match="blocked by the user") as error:
            await say("hi", to=5)
        assert not error.value.retry

    _play(story)


def test_a_server_that_is_no_bot_api_is_told_apart() -> None:
    async def scenario() -> None:
        async with http_server(reply(200, b"<html>")) as server, AsyncExitStack() as stack:
            action = Telegram()
            await action.start(stack)
            connection = TelegramConnection(token=TOKEN, chat=1, api=server.url)
            with pytest.raises(ActionFailed, match="is `api` right"):
                await action.run(TelegramParams(text="hi"), Call("k", connection=connection))

    asyncio.run(scenario())


def test_the_token_is_in_no_message_and_in_no_description() -> None:
    async def story(api: BotApi, say: Any) -> None:
        connection = TelegramConnection(token=TOKEN, chat=1, api=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(ActionFailed) as nobody:
            await say("hi", Call("k", connection=connection))
        assert (nobody.value.retry, nobody.value.unknown) == (True, False)
        api.refusals = [(401, {"description": "Unauthorized"}), (200, {})]
        with pytest.raises(ActionFailed) as refused:
            await say("hi")
        with pytest.raises(ActionFailed) as strange:
            await say("hi")
        told = [str(error.value) for error in (nobody, refused, strange)]
        shown = [Telegram().describe(TelegramParams(connection="ops", text="hi")), repr(connection)]
        assert all(TOKEN not in text and TOKEN[10:] not in text for text in (*told, *shown))

    _play(story)


@pytest.mark.parametrize("text", ["", " \n", "x" * 300_000, "<b>" + "word " * 20_000 + "</b>"])
def test_an_empty_text_and_one_without_end_are_refused(text: str) -> None:
    async def story(api: BotApi, say: Any) -> None:
        with pytest.raises(ActionFailed) as error:
            await say(text)
        assert (error.value.reason, error.value.retry) == ("bad_parameters", False)
        assert not api.server.requests

    _play(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "nobody"},
        {"to": "1 2"},
        {"buttons": [{"text": "x", "url": "javascript:alert(1)"}]},
        {"buttons": [{"text": "", "url": "https://example.org"}]},
        {"buttons": [[{"text": "x", "url": "https://example.org"}] * 101]},
        {"format": "latex"},
        {"topic": "general"},
    ],
)
def test_parameters_that_telegram_would_refuse_are_refused_before(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TelegramParams(**{"connection": "ops", "text": "x", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "123:a/b"},
        {"token": "secret"},
        {"chat": "nobody"},
        {"api": "ftp://example.org"},
        {"api": "https://u:p@example.org"},
    ],
)
def test_settings_that_can_not_work_are_refused_without_being_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as error:
        TelegramConnection(**{"token": TOKEN, **wrong})
    assert str(next(iter(wrong.values()))) not in str(error.value)


@pytest.mark.parametrize("to", [None, [], {}, ["ops"], 5, "", "@x", True])
@pytest.mark.parametrize("connection", [None, "ops", [], {}])
def test_whatever_is_written_nothing_falls_over(to: Any, connection: Any) -> None:
    written = {"to": to, "connection": connection, "format": [], "text": 5}
    assert TelegramParams.marks(written) == {}
    assert len(list(Telegram().flaws(written, {"chat": 1}))) == 0
    assert len(list(Telegram().flaws(written, {"kind": "telegram"}))) <= 1
