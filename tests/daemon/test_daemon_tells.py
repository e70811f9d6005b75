"""A daemon tells of itself: that it has started, and what it could not do."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from daemon.in_process import RULES, Running, Site, body, daemon, tell
from docs.fenced import ROOT, blocks
from http_servers import HttpServer, http_server, reply
from ledgers import PATIENCE
from smtp_servers import scripted_server

from engine.daemon.started import tell_started
from engine.deciding.own import EVENTS, STARTED
from engine.journal import listing

_PAGE = ROOT / "docs" / "how-to" / "when-something-fails.md"
_HEAD = """
version: 1
connections:
  mail: {{kind: smtp, host: 127.0.0.1, port: {port}, tls: none, from: bot@example.org}}
rules:
  - id: welcome
    on: user.created
    do: [{{email: {{to: "{{{{ user.username }}}}@example.org", subject: Hello, text: Hello}}}}]
"""


def _started(folder: Path) -> list[dict[str, Any]]:
    """What each start told, oldest first."""
    with closing(sqlite3.connect(folder / "rulewave.db")) as database:
        rows = database.execute(f"select body from events where type = '{STARTED}' order by seq")
        return [json.loads(row[0])["data"] for row in rows]


async def _nothing(_running: Running) -> None:
    """Only start and stop."""


def test_each_start_is_told_with_what_the_daemon_found(tmp_path: Path) -> None:
    broken = RULES + "  - id: broken\n    on: user.created\n    do:\n      - nothing: {}\n"
    tell(Site(tmp_path), _nothing)
    tell(Site(tmp_path, rules=broken), _nothing)
    first, second = _started(tmp_path)
    assert first.keys() == EVENTS[STARTED].fields.keys()
    assert {**first, "version": ""} == {"version": "", "rules": 1, "broken": 0, "backlog": 0}
    assert (second["rules"], second["broken"]) == (1, 1)


def test_a_daemon_that_cannot_decide_does_not_say_that_it_does(tmp_path: Path) -> None:
    tell(Site(tmp_path, rules=None), _nothing)
    assert _started(tmp_path) == []


def test_a_start_does_not_fail_for_a_journal_that_cannot_keep_its_event(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        statements = running.engine.journal._writer._statements
        statements["add_event"] = "insert into no_such_table values (:id)"  # type: ignore[index]
        await tell_started(running.engine)

    tell(Site(tmp_path), story)
    assert len(_started(tmp_path)) == 1


@asynccontextmanager
async def _alarmed(folder: Path, id: str) -> AsyncIterator[tuple[Running, HttpServer]]:
    """A daemon whose mails are refused, with a rule of the page that calls a real server."""
    (rule,) = (block.text for block in blocks(_PAGE) if block.text.startswith(f"- id: {id}\n"))
    async with (
        scripted_server({"RCPT": "550 no such user"}) as mail,
        http_server(reply(200)) as alarm,
    ):
        told = rule.replace("https://hooks.example.org", alarm.url)
        rules = _HEAD.format(port=mail.port) + told.replace("\n", "\n  ").replace(
            "- id", "  - id", 1
        )
        site = Site(folder, rules=rules, options={"allow_private_targets": True})
        async with daemon(site) as running:
            assert running.engine.reloader.standing.problems == ()
            yield running, alarm


async def _texts(alarm: HttpServer, most: int) -> list[str]:
    """The alarms, once so many have come."""
    async with asyncio.timeout(PATIENCE):
        while len(alarm.requests) < most:
            await asyncio.wait([asyncio.ensure_future(alarm.gone.wait())], timeout=0.02)
    return [json.loads(request.body)["text"] for request in alarm.requests]


async def _dead(running: Running) -> str:
    (run,) = await running.engine.journal.list(listing.runs(listing.Wish(rule="welcome")))
    return run.id


def test_somebody_is_told_of_a_mail_that_was_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with _alarmed(tmp_path, "tell-of-dead-letters") as (running, alarm):
            await running.post(body("anna"))
            (text,) = await _texts(alarm, 1)
            assert text.startswith("welcome, do.0 for anna: ")
            assert "550" in text
            assert text.endswith(f"(rulewave dead show {await _dead(running)})")
            await running.until("/metrics", "rulewave_backlog 0.0")

    asyncio.run(story())


def test_somebody_is_told_of_everything(tmp_path: Path) -> None:
    async def story() -> None:
        async with _alarmed(tmp_path, "tell-of-everything") as (running, alarm):
            (start,) = await _texts(alarm, 1)
            assert start.startswith('rulewave.started: {"version": "')
            await running.post(body("anna"))
            _, dead = await _texts(alarm, 2)
            assert dead.startswith('rulewave.dead_letter: {"rule": "welcome", ')

    asyncio.run(story())
