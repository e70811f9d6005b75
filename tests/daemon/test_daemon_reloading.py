"""A live daemon takes other rules while events come in: nothing is refused, lost, or held up."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon.in_process import RULES, Running, Site, body, tell
from ledgers import PATIENCE

from engine.daemon import supply
from engine.daemon.reloads import Reloads
from engine.errors import JournalUnavailable
from engine.rules.loading import Loaded, load

SHOUT = RULES.replace("hello", "HELLO")
BROKEN = RULES.replace("log:", "lgo:")


async def until(condition: Callable[[], object]) -> None:
    """Look until something holds."""
    never = asyncio.ensure_future(asyncio.Event().wait())
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.wait([never], timeout=0.01)
    never.cancel()


def texts(running: Running) -> list[str]:
    """The text of each rule's first step in force."""
    rules = running.engine.desk.library.book.ruleset.rules
    return [str(rule.source["do"][0]["log"]["text"])[:5] for rule in rules]


def test_a_file_that_is_saved_is_in_force_soon(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        for rules, text in ((SHOUT, "HELLO"), (RULES, "hello")):
            beside = tmp_path / "rules.yaml~"
            beside.write_text(rules)
            beside.rename(tmp_path / "rules.yaml")
            await until(lambda text=text: texts(running) == [text])  # type: ignore[misc]

    tell(Site(tmp_path), story)


def test_a_plan_keeps_nothing_from_being_in_force_soon(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        (tmp_path / "rules.yaml").write_text(SHOUT)
        await running.engine.reloader.plan()
        await until(lambda: texts(running) == ["HELLO"])

    tell(Site(tmp_path), story)


def test_sighup_reloads(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await running.until("/metrics", 'rulewave_reloads_total{outcome="well"} 1.0')
        assert 'rulewave_rules{state="live"} 1.0' in (await running.get("/metrics"))[1]

    tell(Site(tmp_path), story)


def test_a_broken_file_leaves_the_daemon_ready_and_says_so(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        (tmp_path / "rules.yaml").write_text(BROKEN)
        await running.until("/readyz", "the rule greet has an error; what was in force before")
        assert (await running.get("/readyz"))[0] == 200
        await running.until("/metrics", 'rulewave_reloads_total{outcome="with_errors"} 1.0')
        assert 'rulewave_rules{state="broken"} 1.0' in (await running.get("/metrics"))[1]
        assert await running.post(body("anna")) == 202
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')

    tell(Site(tmp_path), story)
    tell(Site(tmp_path, rules=BROKEN), _still_works)


async def _still_works(running: Running) -> None:
    assert await running.post(body("ben")) == 202
    await running.until("/metrics", 'rulewave_runs{state="succeeded"} 2.0')


def test_rules_that_come_later_decide_what_was_kept_undecided(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        assert await running.post(body("anna")) == 202
        assert (await running.get("/readyz"))[0] == 503
        (tmp_path / "rules.yaml").write_text(RULES)
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        assert (await running.get("/readyz"))[0] == 200

    tell(Site(tmp_path, rules=None), story)


def test_while_rules_are_read_events_are_taken_and_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(*args: object, **kwargs: object) -> Loaded:
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            assert go_on.wait(PATIENCE)
        return load(*args, **kwargs)  # type: ignore[arg-type]

    async def story(running: Running) -> None:
        monkeypatch.setattr(supply, "load", slow)
        (tmp_path / "rules.yaml").write_text(SHOUT)
        await until(reading.is_set)
        assert await running.post(body("anna")) == 202
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        assert texts(running) == ["hello"]
        go_on.set()
        await until(lambda: texts(running) == ["HELLO"])

    tell(Site(tmp_path), story)


def test_no_event_is_refused_or_lost_while_rules_are_replaced(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        reloading = asyncio.create_task(_reload_often(running, tmp_path, 12))
        statuses: list[int] = []
        number = 0
        while not reloading.done() or number < 40:
            names = [f"user{number + place}" for place in range(8)]
            statuses += await asyncio.gather(*(running.post(body(name)) for name in names))
            number += len(names)
        await reloading
        assert set(statuses) == {202}
        await running.until("/metrics", f'rulewave_runs{{state="succeeded"}} {number}.0')
        found = await running.engine.desk.ask("runs", "list", {"most": "10000"})
        assert len({run["event"] for run in found}) == len(found) == number

    tell(Site(tmp_path), story)


async def _reload_often(running: Running, folder: Path, times: int) -> None:
    for turn in range(times):
        await asyncio.to_thread(
            (folder / "rules.yaml").write_text, (SHOUT, BROKEN, RULES)[turn % 3]
        )
        await running.engine.reloader.reload()


def test_without_its_journal_a_reload_leaves_the_rules_and_tries_again(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        engine = running.engine
        stopping = asyncio.Event()
        wishes = Reloads(engine.reloader, stopping)
        write, tries = engine.journal.write, 0

        async def away(op: object) -> None:
            nonlocal tries
            tries += 1
            raise JournalUnavailable("disk full")

        engine.journal.write = away  # type: ignore[method-assign, assignment]
        (tmp_path / "rules.yaml").write_text(SHOUT)
        wishes.wish()
        running_wishes = asyncio.create_task(wishes.run())
        await until(lambda: tries)
        assert texts(running) == ["hello"]
        engine.journal.write = write  # type: ignore[method-assign]
        await until(lambda: texts(running) == ["HELLO"])
        stopping.set()
        await running_wishes

    tell(Site(tmp_path), story)


def test_a_stop_does_not_wait_for_a_reload_that_takes_long(tmp_path: Path) -> None:
    begun: list[object] = []

    async def story(running: Running) -> None:
        engine = running.engine

        async def slow(op: object) -> object:  # as with a million follow-ups to look through
            begun.append(op)
            op.close()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
            return None

        engine.journal.list = slow  # type: ignore[method-assign, assignment]
        (tmp_path / "rules.yaml").write_text(SHOUT)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: begun)

    tell(Site(tmp_path), story)
    assert begun
