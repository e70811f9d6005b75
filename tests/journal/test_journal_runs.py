"""Operations on runs: planned once, begun once, changed only from where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledgers import NOW, Ledger, event, ledger, run, watched

from engine.clock import SECOND
from engine.journal import events, listing, rules, runs
from engine.journal.operations import load_statements
from engine.model import Decided, State, Watcher


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path) as made:
        yield made


def test_a_run_comes_back_as_it_was_added(opened: Ledger) -> None:
    sent = run(
        "r1", results={"a": {"x": [1, "ю"]}}, delayed=True, priority=5, parent="r0",
        reason="timeout", message="m", first_try=7, cancelled_by="e9", ended=9,
    )  # fmt: skip
    assert opened.add(sent) == [sent]
    assert opened.run("r1") == sent
    assert opened.read(runs.by_id("r2")) is None


def test_a_run_is_planned_only_once(opened: Ledger) -> None:
    assert opened.add(watched("r1")) == [watched("r1").run]
    again = replace(watched("r1"), run=replace(watched("r1").run, id="r2", key="ben"))
    assert opened.add(watched("r1"), again) == []
    assert opened.add(replace(again, run=replace(again.run, generation=1))) != []
    assert opened.rows("select run from watches order by run") == [("r1",), ("r2",)]


def test_what_is_due_is_taken_in_order_and_once(opened: Ledger) -> None:
    opened.add(
        run("late", due=NOW - 1), run("later", due=NOW - 9), run("future", due=NOW + 1),
        run("held", state=State.ON_HOLD), run("now", due=NOW, lane="http", priority=5),
    )  # fmt: skip
    taken = opened.write(runs.take_due(NOW, 10))
    assert [due.id for due in taken] == ["later", "late", "now"]
    assert (taken[2].lane, taken[2].priority) == ("http", 5)
    assert opened.run("now").state is State.QUEUED
    assert opened.write(runs.take_due(NOW, 10)) == []
    assert opened.read(runs.next_due()) == NOW + 1


def test_no_more_is_taken_at_once_than_was_asked_for(opened: Ledger) -> None:
    opened.add(*(run(f"r{n}", due=NOW - 600 + n) for n in range(600)))
    assert len(opened.write(runs.take_due(NOW, 500))) == 500
    assert len(opened.write(runs.take_due(NOW, 500))) == 100
    assert opened.read(runs.next_due()) is None


def test_a_watched_run_waits_until_all_that_was_stored_before_its_time_is_decided(
    opened: Ledger,
) -> None:
    opened.store(event("e1", stored=NOW), event("e2", stored=NOW + 1))
    opened.add(watched("w", due=NOW), run("plain", due=NOW))
    assert [due.id for due in opened.write(runs.take_due(NOW + 9, 10))] == ["plain"]
    opened.write(events.mark_decided([Decided(1, (), {})], NOW))
    assert [due.id for due in opened.write(runs.take_due(NOW + 9, 10))] == ["w"]


def test_a_try_begins_once_and_is_counted(opened: Ledger) -> None:
    queued = run("r1", state=State.QUEUED)
    opened.add(queued)
    assert opened.write(runs.begin_try(queued, "do.0", NOW))
    assert not opened.write(runs.begin_try(queued, "do.0", NOW))
    begun = opened.run("r1")
    assert (begun.state, begun.attempt, begun.starts, begun.first_try) == (
        State.RUNNING, 1, 1, NOW,
    )  # fmt: skip
    assert opened.read(runs.open_attempts("r1")) == [("do.0", 1, False)]
    opened.write(runs.mark_irrevocable("r1", "do.0", 1))
    assert opened.read(runs.open_attempts("r1")) == [("do.0", 1, True)]
    opened.write(
        runs.end_attempt(
            "r1", "do.0", 1, now=NOW + 2, outcome="failed", reason="timeout", message="slow"
        )
    )
    assert opened.read(runs.open_attempts("r1")) == []


def test_a_second_try_keeps_the_time_of_the_first(opened: Ledger) -> None:
    queued = run("r1", state=State.QUEUED, attempt=3, first_try=NOW - 7)
    opened.add(queued)
    assert not opened.write(runs.begin_try(replace(queued, attempt=2), "do.0", NOW))
    assert not opened.write(runs.begin_try(replace(queued, cursor=1), "do.0", NOW))
    assert opened.write(runs.begin_try(queued, "do.0", NOW))
    assert (opened.run("r1").attempt, opened.run("r1").first_try) == (4, NOW - 7)


def test_all_tries_of_a_run_are_told_oldest_first(opened: Ledger) -> None:
    queued = run("r1", state=State.QUEUED)
    opened.add(queued)
    opened.write(
        runs.note_untried(
            "r1", "do.0", now=NOW - 5, outcome="skipped", reason="no_recipient", message="nobody"
        )
    )
    opened.write(runs.begin_try(queued, "do.1", NOW))
    told = opened.read(listing.attempts_of("r1"))
    assert [(row["path"], row["number"], row["outcome"]) for row in told] == [
        ("do.0", 0, "skipped"), ("do.1", 1, None),
    ]  # fmt: skip


def test_a_change_is_written_only_from_where_the_run_stands(opened: Ledger) -> None:
    before = run("r1", state=State.RUNNING, attempt=1)
    opened.add(before)
    after = replace(before, state=State.PENDING, due=NOW + 9, results={"a": 1}, lane="http")
    for elsewhere in ({"state": State.QUEUED}, {"cursor": 1}, {"attempt": 2}):
        assert not opened.write(runs.save(replace(before, **elsewhere), after))
    assert opened.write(runs.save(before, after))
    assert opened.run("r1") == after
    assert not opened.write(runs.save(before, after))


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_that_ended_or_went_on_is_watched_no_more(opened: Ledger, ended: bool) -> None:
    before = watched("r1").run
    opened.add(watched("r1"), watched("other", origin="e2"))
    after = replace(before, watched=False)
    if ended:
        after = replace(before, state=State.DEAD, ended=NOW)
    assert opened.write(runs.save(before, after))
    assert opened.rows("select run from watches") == [("other",)]


def test_a_run_that_still_waits_stays_watched(opened: Ledger) -> None:
    before = watched("r1").run
    opened.add(watched("r1"))
    assert opened.write(runs.save(before, replace(before, due=NOW + 5)))
    assert opened.rows("select run from watches") == [("r1",)]


@pytest.mark.parametrize("state", [State.PENDING, State.QUEUED, State.ON_HOLD])
def test_a_run_that_waits_is_cancelled_at_once(opened: Ledger, state: State) -> None:
    opened.add(watched("r1", state=state))
    assert opened.write(
        runs.cancel("r1", by="e7", reason="cancelled_by_event", message="because", now=NOW)
    )
    stands = opened.run("r1")
    assert (stands.state, stands.ended, stands.reason, stands.message, stands.cancelled_by) == (
        State.CANCELLED, NOW, "cancelled_by_event", "because", "e7",
    )  # fmt: skip
    assert opened.rows("select count(*) from watches") == [(0,)]


@pytest.mark.parametrize(("by", "noted"), [("e7", "e7"), (None, "person")])
def test_a_run_under_way_is_marked_and_goes_on(opened: Ledger, by: str | None, noted: str) -> None:
    opened.add(run("r1", state=State.RUNNING))
    assert not opened.write(runs.cancel("r1", by=by, reason="x", message="y", now=NOW))
    assert (opened.run("r1").state, opened.run("r1").cancelled_by) == (State.RUNNING, noted)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED, State.EXPIRED])
def test_a_run_that_ended_stays_as_it_is(opened: Ledger, state: State) -> None:
    opened.add(run("r1", state=state, ended=NOW))
    assert not opened.write(runs.cancel("r1", by="e7", reason="x", message="y", now=NOW + 1))
    assert opened.run("r1") == run("r1", state=state, ended=NOW)
    assert not opened.write(runs.cancel("none", by="e7", reason="x", message="y", now=NOW))


def _meet(opened: Ledger, id: str, by: int = 7) -> bool:
    return opened.write(runs.meet(id, by=by, moment=NOW + 5, lane="http", message="it came"))


@pytest.mark.parametrize(
    ("state", "after", "message"),
    [(State.PENDING, State.QUEUED, "it came"), (State.ON_HOLD, State.ON_HOLD, None)],
)
def test_a_run_that_waits_is_met_once(
    opened: Ledger, state: State, after: State, message: str | None
) -> None:
    opened.add(watched("r1", state=state, late=3))
    assert _meet(opened, "r1")
    assert not _meet(opened, "r1", by=8)
    assert opened.run("r1") == run(
        "r1", path="do.0", delayed=True, state=after, met=True, arrived=7, due=NOW + 5,
        lane="http", message=message,
    )  # fmt: skip
    assert opened.rows("select count(*) from watches") == [(0,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": State.QUEUED},
        {"state": State.RUNNING},
        {"state": State.CANCELLED},
        {"attempt": 1},
        {"cursor": 1},
        {"reason": "target_paused"},
    ],
)
def test_a_run_that_began_or_ended_is_not_met(opened: Ledger, changes: dict[str, Any]) -> None:
    opened.add(watched("r1", **changes))
    assert not _meet(opened, "r1")
    assert opened.run("r1") == watched("r1", **changes).run
    assert opened.rows("select run from watches") == [("r1",)]


def test_the_watchers_of_a_pattern_are_those_with_its_key(opened: Ledger) -> None:
    opened.add(watched("r1"), watched("r2", origin="e2"))
    found = opened.read(runs.watchers("user.renewed", "", "anna"))
    assert found == [
        Watcher(id, 0, "greet", "v1", "do.0", 1, NOW, NOW) for id in ("r1", "r2")
    ]  # fmt: skip
    assert opened.read(runs.watchers("user.renewed", "", "ben")) == []
    assert opened.read(runs.watch_kinds()) == [("user.renewed", "")]


def test_a_backlog_is_looked_at_once_however_many_runs_are_due(opened: Ledger) -> None:
    due = opened.rows("explain query plan " + _text("due_runs", now=NOW, most=500))
    assert [step[3] for step in due if "CORRELATED" in step[3]] == []
    assert [step[3] for step in due if "events_waiting" in step[3]] != []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("next_due", "runs_due"),
        ("due_runs", "runs_due (due<?)"),
        ("next_rule_with_later", "runs_later (rule>?)"),
        ("count_later", "runs_later (rule=?)"),
        ("hold_later", "runs_later (rule=? AND seq>?)"),
        ("later_of_version", "runs_later (rule=? AND seq>?)"),
        ("resume_later", "runs_state (state=? AND seq>?)"),
        ("mark_overdue", "runs_state (state=? AND seq>?)"),
        ("rename_runs", "runs_rule (rule=?)"),
        ("may_go", "runs_arrived (arrived=?)"),
        ("next_type", "events_type (type>?)"),
        ("newest_of_type", "events_type (type=?)"),
        ("last_run_of_rule", "runs_rule (rule=?)"),
        ("open_of_story", "runs_origin (origin_seq=?)"),
        ("drop_given_back", "runs_origin (origin_seq=?)"),
        ("open_of_key", "runs_open (rule=? AND key=?)"),
        ("due_windows", "runs_due (due<?)"),
    ],
)
def test_what_waits_for_later_is_found_whatever_else_waits(
    opened: Ledger, name: str, index: str
) -> None:
    text = re.sub(r":\w+", "0", load_statements("sqlite")[name])
    steps = [step[3] for step in opened.rows(f"explain query plan {text}")]
    assert any(step.endswith(f" INDEX {index}") for step in steps), steps


def _text(name: str, **values: int) -> str:
    text = load_statements("sqlite")[name]
    for parameter, value in values.items():
        text = text.replace(f":{parameter}", str(value))
    return text


def test_what_is_under_way_and_how_many_stand_where(opened: Ledger) -> None:
    opened.add(
        run("a", state=State.QUEUED), run("b", state=State.RUNNING), run("c"), run("d"),
        run("e", state=State.SUCCEEDED, ended=NOW),
    )  # fmt: skip
    assert opened.read(runs.under_way()) == [("a", State.QUEUED), ("b", State.RUNNING)]
    assert opened.read(runs.states()) == {"queued": 1, "running": 1, "pending": 2, "succeeded": 1}


def test_the_slots_of_a_target_lie_apart(opened: Ledger) -> None:
    starts = [opened.write(runs.take_slot("mail", now=NOW, step=SECOND)) for _ in range(3)]
    assert starts == [NOW, NOW + SECOND, NOW + 2 * SECOND]
    assert opened.write(runs.take_slot("other", now=NOW, step=SECOND)) == NOW
    later = NOW + 60 * SECOND
    assert opened.write(runs.take_slot("mail", now=later, step=SECOND)) == later
    assert opened.write(runs.take_slot("mail", now=later, step=SECOND)) == later + SECOND


def test_a_list_of_runs_holds_what_was_wished_for_newest_first(opened: Ledger) -> None:
    opened.add(
        run("a", rule="one"), run("b", key="ben"), run("c", state=State.DEAD, ended=NOW),
        run("d", created=NOW + 5), watched("f"), watched("g", origin="e", state=State.CANCELLED),
    )  # fmt: skip

    def listed(**wish: object) -> list[str]:
        return [run.id for run in opened.read(listing.runs(listing.Wish(**wish)))]  # type: ignore[arg-type]

    def followups(**wish: object) -> list[str]:
        wished = listing.Wish(**wish)  # type: ignore[arg-type]
        return [run.id for run in opened.read(listing.followups(wished))]

    assert listed() == ["g", "f", "d", "c", "b", "a"]
    assert listed(rule="one") == ["a"]
    assert listed(key="ben") == ["b"]
    assert listed(state="dead") == ["c"]
    assert listed(since=NOW + 1) == ["d"]
    assert listed(before=3) == ["b", "a"]
    assert listed(most=2) == ["g", "f"]
    assert followups() == ["f"]
    assert followups(state="cancelled") == ["g"]
    assert followups(key="ben") == []
    assert [run.id for run in opened.read(listing.runs_of_event(1))] == list("abcdfg")


def test_a_version_of_a_rule_is_kept_as_it_was_first_given(opened: Ledger) -> None:
    opened.write(rules.keep_version("h1", "greet", {"on": "user.*"}, NOW))
    opened.write(rules.keep_version("h1", "greet", {"on": "other"}, NOW + 1))
    assert opened.read(rules.version("h1")) == {"on": "user.*"}
    assert opened.read(rules.version("h2")) is None


def test_a_rule_set_is_kept_as_it_was_given_last(opened: Ledger) -> None:
    opened.write(rules.keep_ruleset("h1", {"rules": ["a"]}, NOW))
    opened.write(rules.keep_ruleset("h1", {"rules": ["b"]}, NOW))
    assert opened.read(rules.ruleset("h1")) == {"rules": ["b"]}
    assert opened.read(rules.ruleset("h2")) is None


def test_the_last_tick_of_a_clock_is_the_one_noted_last(opened: Ledger) -> None:
    opened.write(rules.set_clock("daily", NOW))
    opened.write(rules.set_clock("daily", NOW + 5))
    opened.write(rules.set_clock("weekly", 1))
    assert opened.read(rules.clocks()) == {"daily": NOW + 5, "weekly": 1}
