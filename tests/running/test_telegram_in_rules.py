"""Rules that write to Telegram: whose lane, what is escaped, when it is tried again, what stays secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bot_api import TOKEN, bot_api, visible
from running.bench import open_bench

from engine.model import State

pytestmark = pytest.mark.anyio
ENVIRON = {"RULEWAVE_SECRET_TOKEN": TOKEN}
EVIL = "<b>*[x](https://evil.example)_`&~|"


def _rules(step: str, url: str, more: str = "") -> str:
    return f"""version: 1
connections:
  ops: {{kind: telegram, token: "secret('token')", chat: -100, api: "{url}"}}
  {more}
rules:
  - id: r
    on: user.expired
    do:
      - telegram: {step}
"""


async def _written(
    tmp_path: Path, step: str, more: str = "", **fields: Any
) -> list[dict[str, Any]]:
    """What the Bot API was asked for one event."""
    async with bot_api() as api:
        rules = _rules(step, api.server.url, more.replace("API", api.server.url))
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            await bench.event("user.expired", username="anna", **fields)
            await bench.until("1h")
        return api.messages


async def test_what_a_subject_writes_is_never_markup_in_html(tmp_path: Path) -> None:
    step = '{to: ops, text: "<b>{{ user.description }}</b>"}'
    (message,) = await _written(tmp_path, step, description=EVIL)
    assert message["text"].startswith("<b>&lt;b&gt;")
    assert visible(message["text"]) == EVIL


async def test_what_a_subject_writes_is_never_markup_in_markdown(tmp_path: Path) -> None:
    text = "*{{ user.description }}* {{ user.description | e }} `{{ user.description | tojson }}`"
    step = f"{{to: ops, format: markdown, text: {text!r}}}"
    (message,) = await _written(tmp_path, step, description="_*[]()~`>#+-=|{}.!\\")
    escaped = "".join(f"\\{mark}" for mark in "_*[]()~`>#+-=|{}.!\\")
    assert message["text"].startswith(f"*{escaped}* ")
    ours = message["text"].replace("\\\\", "")
    for mark in "*_`[":
        free = [at for at, one in enumerate(ours) if one == mark and ours[at - 1 : at] != "\\"]
        assert len(free) == {"*": 2, "`": 2}.get(mark, 0), (mark, ours)


async def test_plain_text_is_sent_as_it_is(tmp_path: Path) -> None:
    step = '{to: ops, format: plain, text: "{{ user.description }}"}'
    (message,) = await _written(tmp_path, step, description=EVIL)
    assert message["text"] == EVIL


async def test_the_only_bot_writes_to_its_own_chat(tmp_path: Path) -> None:
    (message,) = await _written(tmp_path, '{text: "hi"}')
    assert message["chat_id"] == -100


async def test_of_several_bots_each_writes_where_it_is_told(tmp_path: Path) -> None:
    other = 'shop: {kind: telegram, token: "secret(\'token\')", chat: 5, api: "API"}'
    (one,) = await _written(tmp_path, '{to: shop, text: "hi"}', other)
    assert one["chat_id"] == 5


async def test_a_chat_may_be_computed_and_an_empty_one_is_nobody(tmp_path: Path) -> None:
    step = '{to: "{{ user.telegramId }}", text: "hi"}'
    (message,) = await _written(tmp_path / "", step, telegramId=4711)
    assert message["chat_id"] == 4711


async def test_nobody_to_write_to_is_skipped(tmp_path: Path) -> None:
    async with bot_api() as api:
        rules = _rules('{to: "{{ user.telegramId }}", text: "hi"}', api.server.url)
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            await bench.event("user.expired", username="anna", telegramId=None)
            await bench.settle()
            assert await bench.attempts(await bench.run()) == [(0, "skipped", "no_recipient")]
        assert api.messages == []


async def test_telegram_says_how_long_to_wait(tmp_path: Path) -> None:
    async with bot_api() as api:
        said = {"description": "Too Many Requests", "parameters": {"retry_after": 600}}
        api.refusals.append((429, said))
        rules = _rules('{to: ops, text: "hi"}', api.server.url)
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            await bench.event("user.expired", username="anna")
            await bench.until("599s")
            assert api.messages == []
            await bench.until("20m")
            assert api.texts == ["hi"]


async def test_a_bot_without_a_rate_keeps_to_what_a_group_allows(tmp_path: Path) -> None:
    async with bot_api() as api:
        rules = _rules('{to: ops, text: "hi"}', api.server.url)
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            begin = bench.clock.now()
            for name in "abcd":
                await bench.event("user.expired", username=name * 3)
            await bench.settle()
            assert (bench.clock.now() - begin) / 1e6 == 9.0
            assert len(api.messages) == 4


async def test_each_message_of_a_long_text_takes_a_slot(tmp_path: Path) -> None:
    async with bot_api() as api:
        rules = _rules("{to: ops, text: \"{{ 'x' * 9000 }}\"}", api.server.url)
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            begin = bench.clock.now()
            await bench.event("user.expired")
            await bench.settle()
            assert len(api.messages) == 3
            assert (bench.clock.now() - begin) / 1e6 == 6.0


async def test_the_token_is_stored_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with bot_api() as api:
        api.refusals = [(401, {"description": f"Unauthorized: {TOKEN}"})]
        rules = _rules('{to: ops, text: "hi"}', api.server.url)
        async with open_bench(tmp_path, rules, real=True, environ=ENVIRON) as bench:
            await bench.event("user.expired", username="anna")
            await bench.settle()
            run = await bench.run()
            assert run.state is State.DEAD
            assert "the bot's token is wrong" in str(run.message)
    stored = b"".join(
        path.read_bytes()
        for path in sorted(tmp_path.glob("bench.db*"))  # noqa: ASYNC240 - a test may wait
    )
    assert TOKEN[10:].encode() not in stored
    assert TOKEN[10:] not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("step", "more", "problem"),
    [
        ('{to: opps, text: "x"}', "", 'R026 there is no connection "opps"; did you mean'),
        ('{to: -5, text: "x"}', 'b: {kind: telegram, token: "1:a"}', "R026 telegram needs to know"),
        ('{connection: b, text: "x"}', 'b: {kind: telegram, token: "1:a"}', "which chat"),
        ('{to: "5 6", text: "x"}', "", "R014 telegram: to: a chat is a number"),
        ("{to: ops, text: \"{{ secret('token') }}\"}", "", "R023"),
        ('{to: ops, text: "x", format: md}', "", "R014 telegram: format"),
        ('{to: ops, text: "x", parse_mode: HTML}', "", "R012"),
        ('{to: ops, connection: b, text: "x"}', 'b: {kind: telegram, token: "1:a"}', "R014"),
    ],
)
async def test_mistakes_are_told_with_a_way_out(
    tmp_path: Path, step: str, more: str, problem: str
) -> None:
    async with open_bench(tmp_path, _rules("{text: hi}", "http://h"), real=True) as bench:
        report = await bench.reload(_rules(step, "http://h", more))
    told = [str(one) for one in report.standing.problems if one.severity == "error"]
    assert len(told) == 1
    assert problem in told[0]


async def test_a_button_may_hold_what_the_event_says_as_long_as_it_is_a_link(
    tmp_path: Path,
) -> None:
    button = '{text: "{{ user.username }}", url: "{{ user.subscriptionUrl }}"}'
    step = f"{{to: ops, text: x, buttons: [{button}, [{button}, {button}]]}}"
    link = "https://sub.example.org/x"
    (message,) = await _written(tmp_path, step, subscriptionUrl=link)
    one = {"text": "anna", "url": link}
    assert message["reply_markup"] == {"inline_keyboard": [[one], [one, one]]}
