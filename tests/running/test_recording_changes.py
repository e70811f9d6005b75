"""Recording: how a step ended and what comes next are one commit, or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledgers import NOW, Ledger, ledger, run, watched

from engine.clock import HOUR
from engine.journal import listing, runs
from engine.model import PlannedRun, Run, State
from engine.queue.sqlite import enqueue
from engine.running.recording import Change, Ended, record


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path) as made:
        yield made


def _begun(opened: Ledger) -> Run:
    opened.add(run("r", state=State.QUEUED))
    opened.write(runs.begin_try(opened.run("r"), "do.0", NOW - 5))
    return opened.run("r")


def _record(opened: Ledger, change: Change) -> list[Run]:
    return opened.write(record(change, enqueue, NOW))


def _next(before: Run) -> Run:
    return replace(before, state=State.PENDING, cursor=1, attempt=0, due=NOW, results={"a": {}})


def _jobs(opened: Ledger) -> list[tuple[str, bytes]]:
    return [(row[0], row[1]) for row in opened.rows("select run, payload from queue order by id")]


DONE = Ended("do.0", 1, "succeeded")


def test_a_result_and_the_job_of_the_next_step_are_one_commit(opened: Ledger) -> None:
    before = _begun(opened)
    commits = opened.commits()
    (stands,) = _record(opened, Change(before, _next(before), DONE))
    assert opened.commits() - commits == 1
    assert (stands.state, stands.cursor) == (State.QUEUED, 1)
    assert opened.run("r") == stands
    assert _jobs(opened) == [("r", b'["r", 1, 0]')]
    (told,) = opened.read(listing.attempts_of("r"))
    assert (told["outcome"], told["ended"]) == ("succeeded", NOW)


def test_a_run_that_is_due_later_stays_pending(opened: Ledger) -> None:
    before = _begun(opened)
    later = replace(_next(before), due=NOW + HOUR)
    assert _record(opened, Change(before, later, DONE)) == [later]
    assert _jobs(opened) == []


def test_a_change_of_what_no_longer_stands_so_changes_nothing_but_notes_the_late_end(
    opened: Ledger,
) -> None:
    before = _begun(opened)
    opened.write(runs.save(before, replace(before, state=State.DEAD, ended=NOW - 1)))
    assert _record(opened, Change(before, _next(before), DONE, [watched("child")])) == []
    assert opened.run("r").state is State.DEAD
    assert opened.read(runs.by_id("child")) is None
    assert _jobs(opened) == []
    (told,) = opened.read(listing.attempts_of("r"))
    assert told["outcome"] == "succeeded"


def test_a_step_that_was_passed_over_is_told_with_its_reason(opened: Ledger) -> None:
    before = _begun(opened)
    skipped = Ended("do.1", 0, "skipped", "no_recipient", "to is empty")
    _record(opened, Change(before, _next(before), skipped))
    told = {row["path"]: row for row in opened.read(listing.attempts_of("r"))}
    assert (told["do.1"]["outcome"], told["do.1"]["reason"]) == ("skipped", "no_recipient")


def test_follow_ups_are_made_with_it_and_queued_where_nothing_may_cancel_them(
    opened: Ledger,
) -> None:
    before = _begun(opened)
    ended = replace(before, state=State.SUCCEEDED, ended=NOW)
    children = [
        PlannedRun(run("now", path="do.1")), PlannedRun(run("later", path="do.2", due=NOW + 1)),
        watched("watched"),
    ]  # fmt: skip
    stand = _record(opened, Change(before, ended, DONE, children))
    assert {made.id: made.state for made in stand} == {
        "r": State.SUCCEEDED, "now": State.QUEUED, "later": State.PENDING,
        "watched": State.PENDING,
    }  # fmt: skip
    assert [id for id, _ in _jobs(opened)] == ["now"]


def test_a_person_cancels_what_would_come_after_the_try_under_way(opened: Ledger) -> None:
    before = _begun(opened)
    opened.write(runs.cancel("r", by=None, reason="x", message="y", now=NOW))
    stand = _record(opened, Change(before, _next(before), DONE, [watched("child")]))
    assert [(made.id, made.state, made.reason) for made in stand] == [
        ("r", State.CANCELLED, "cancelled_by_person")
    ]
    assert _jobs(opened) == []


def test_a_person_who_cancels_the_last_step_changes_nothing(opened: Ledger) -> None:
    before = _begun(opened)
    opened.write(runs.cancel("r", by=None, reason="x", message="y", now=NOW))
    ended = replace(before, state=State.SUCCEEDED, cursor=1, ended=NOW)
    assert _record(opened, Change(before, ended, DONE)) == [ended]


@pytest.mark.parametrize("by", ["e7", None])
def test_a_dead_letter_stays_one_though_it_was_cancelled_in_mid_try(
    opened: Ledger, by: str | None
) -> None:
    before = _begun(opened)
    opened.write(runs.cancel("r", by=by, reason="x", message="y", now=NOW))
    dead = replace(before, state=State.DEAD, reason="outcome_unknown", ended=NOW)
    assert _record(opened, Change(before, dead, Ended("do.0", 1, "unknown"))) == [dead]


@pytest.mark.parametrize(
    ("cursor", "state"), [(0, State.CANCELLED), (1, State.QUEUED)]
)  # fmt: skip
def test_an_event_cancels_another_try_but_not_the_steps_after_a_try_that_did_it(
    opened: Ledger, cursor: int, state: State
) -> None:
    before = _begun(opened)
    opened.write(runs.cancel("r", by="e7", reason="x", message="y", now=NOW))
    again = replace(before, path="do.0", state=State.PENDING, cursor=cursor, due=NOW)
    (stands,) = _record(opened, Change(before, again, Ended("do.0", 1, "failed")))
    assert stands.state is state
    if state is State.CANCELLED:
        assert (stands.reason, stands.message) == (
            "cancelled_by_event", "cancelled by event e7",
        )  # fmt: skip
