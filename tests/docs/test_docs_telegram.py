"""docs/how-to/telegram.md: its rules, against a server that answers as the Bot API does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docs.fenced import ROOT
from docs.targets import AGAIN, DEAD, DONE, Case, cases, outcome, rules_of
from http_servers import HttpServer, Reply, http_server, reply
from running.bench import Bench, open_bench
from smtp_servers import mail_server

pytestmark = pytest.mark.anyio
_PAGE = ROOT / "docs" / "how-to" / "telegram.md"
_TOKEN = "123456789:AAEtokenOfATelegramBot"
_SECRET = {"RULEWAVE_SECRET_TELEGRAM_TOKEN": _TOKEN}
_RULE = "node-lost"
_WAIT = 7


def _bot_api(status: int, words: str = "") -> Reply:
    """What Telegram answers, as its API describes it."""
    if status == 200:
        return reply(200, b'{"ok": true, "result": {"message_id": 1}}')
    told = {"ok": False, "error_code": status, "description": words}
    headers = []
    if status == 429:
        told["parameters"] = {"retry_after": _WAIT}
        headers.append(f"Retry-After: {_WAIT}")
    return reply(status, json.dumps(told).encode(), *headers)


def _rules(server: HttpServer, **changes: str) -> str:
    kind = "kind: telegram"
    return rules_of(_PAGE, {kind: f'{kind}\n    api: "{server.url}"', **changes})


async def _lose_node(bench: Bench, name: str = "fra-1") -> None:
    await bench.event("node.connection_lost", name=name)


async def test_a_message_goes_to_the_chat_with_the_token_in_the_url(tmp_path: Path) -> None:
    async with (
        http_server(_bot_api(200)) as server,
        open_bench(tmp_path, _rules(server), environ=_SECRET, real=True) as bench,
    ):
        await _lose_node(bench)
        told, run = await outcome(bench, _RULE)
        shown = await bench.desk.ask("runs", "show", {"id": run.id})
    assert told == DONE, run.message
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", f"/bot{_TOKEN}/sendMessage")
    assert json.loads(request.body) == {
        "chat_id": -1001234567890, "parse_mode": "HTML",
        "text": "<b>fra-1</b> is not connected any more.",
    }  # fmt: skip
    assert _TOKEN not in json.dumps(shown)


async def test_a_name_with_a_tag_in_it_is_escaped(tmp_path: Path) -> None:
    async with (
        http_server(_bot_api(200)) as server,
        open_bench(tmp_path, _rules(server), environ=_SECRET, real=True) as bench,
    ):
        await _lose_node(bench, "fra<1 & co")
        assert (await outcome(bench, _RULE))[0] == DONE
    told = json.loads(server.requests[0].body)["text"]
    assert told == "<b>fra&lt;1 &amp; co</b> is not connected any more."


@pytest.mark.parametrize("case", cases(_PAGE, "What Telegram answers"), ids=lambda case: case.first)
async def test_an_answer_of_telegram_means_what_the_page_says(tmp_path: Path, case: Case) -> None:
    async with (
        http_server(_bot_api(int(case.first), case.second)) as server,
        open_bench(tmp_path, _rules(server), environ=_SECRET, real=True) as bench,
    ):
        await _lose_node(bench)
        told, run = await outcome(bench, _RULE)
    assert told == case.outcome
    assert (run.message or "").replace("127.0.0.1", "api.telegram.org") == case.message
    if int(case.first) == 429:
        assert run.due - bench.clock.now() >= _WAIT * 1_000_000


async def test_what_telegram_does_not_take_is_told_by_mail(tmp_path: Path) -> None:
    async with mail_server() as mailbox, http_server(_bot_api(403, "Forbidden")) as server:
        place = f"127.0.0.1\n    port: {mailbox.port}\n    tls: none"
        rules = _rules(server, **{"smtp.example.org": place})
        async with open_bench(tmp_path, rules, environ=_SECRET, real=True) as bench:
            await _lose_node(bench)
            told, _ = await outcome(bench, _RULE)
    assert told == DEAD
    (mail,) = mailbox.messages
    assert mail["To"] == "admin@example.org"
    assert mail.get_content().strip() == (
        "node-lost: 127.0.0.1 answered 403: Forbidden; the bot may not write there"
    )


async def test_no_more_than_the_rate_goes_out_in_a_minute(tmp_path: Path) -> None:
    async with (
        http_server(_bot_api(200)) as server,
        open_bench(tmp_path, _rules(server), environ=_SECRET, real=True) as bench,
    ):
        began = bench.clock.now()
        for number in range(5):
            await _lose_node(bench, f"fra-{number}")
        assert (await outcome(bench, _RULE))[0] != AGAIN
        assert len(server.requests) == 5
        assert bench.clock.now() - began >= 4 * 3_000_000
