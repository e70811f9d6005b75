"""Retention: what is older is forgotten, unless something still stands on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import NOW, Ledger, event, ledger, run

from engine.clock import DAY, ManualClock
from engine.deciding.own import STARTED, own_event
from engine.journal import events, listing
from engine.journal.operations import ask
from engine.journal.retention import BITE
from engine.model import Decided, State
from engine.running.retention import Retention

OLD = NOW - 40 * DAY


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path) as made:
        yield made


def _sweep(opened: Ledger, keep: int | None = 30 * DAY, max_age: int | None = 30 * DAY) -> None:
    asyncio.run(Retention(opened.journal, ManualClock(NOW), keep, max_age).sweep())


def _events(opened: Ledger) -> list[str]:
    return [row[0] for row in opened.rows("select id from events order by seq")]


def _decide(opened: Ledger, *seqs: int) -> None:
    opened.write(events.mark_decided([Decided(seq, (), {}) for seq in seqs], NOW))


def test_an_old_event_goes_and_the_last_state_of_its_subject_stays(opened: Ledger) -> None:
    opened.store(
        event("older", stored=OLD, raised=OLD - 1), event("old", stored=OLD, raised=OLD),
        event("about nobody", stored=OLD, raised=OLD - 1, subject=None),
        event("young", subject="user:ben"),
    )  # fmt: skip
    _decide(opened, 1, 2, 3, 4)
    _sweep(opened)
    assert _events(opened) == ["old", "young"]


def test_an_event_that_is_undecided_or_that_a_run_stands_on_stays(opened: Ledger) -> None:
    opened.store(*(event(f"e{n}", stored=OLD, raised=OLD + n) for n in range(5)))
    _decide(opened, 1, 3, 4, 5)
    opened.add(run("r", origin="e0", origin_seq=1, arrived=3))
    _sweep(opened)
    assert _events(opened) == ["e0", "e1", "e2", "e4"]


def test_old_runs_that_ended_go_with_their_tries(opened: Ledger) -> None:
    opened.add(
        run("gone", state=State.SUCCEEDED, ended=OLD), run("open", created=OLD, due=OLD),
        run("young", state=State.SUCCEEDED, ended=NOW - DAY),
    )  # fmt: skip
    _sweep(opened)
    assert [found.id for found in opened.read(listing.runs(listing.Wish()))] == ["young", "open"]


def test_more_than_one_bite_is_forgotten_in_one_sweep(opened: Ledger) -> None:
    opened.add(*(run(f"r{n}", state=State.DEAD, ended=OLD) for n in range(BITE + 5)))
    many = [event(f"e{n}", stored=OLD, raised=OLD - 1, subject=None) for n in range(BITE + 5)]
    opened.store(*many)
    _decide(opened, *range(1, BITE + 6))
    _sweep(opened)
    assert opened.rows("select count(*) from runs") == [(0,)]
    assert _events(opened) == []


def test_without_a_retention_nothing_is_forgotten(opened: Ledger) -> None:
    opened.store(event("e", stored=OLD, raised=OLD, subject=None))
    _decide(opened, 1)
    _sweep(opened, keep=None)
    assert _events(opened) == ["e"]


def test_where_no_event_is_too_old_its_digest_is_kept_for_ever(opened: Ledger) -> None:
    opened.store(event("e", stored=OLD, raised=OLD, subject=None))
    _decide(opened, 1)
    _sweep(opened, max_age=None)
    assert opened.read(events.is_known("remnawave", b"e"))
    ((body,),) = opened.rows("select body from events")
    assert "anna" not in body


def test_an_event_of_the_daemon_itself_is_never_sent_again_and_goes_as_a_whole(
    opened: Ledger,
) -> None:
    own, digest = own_event(STARTED, {}, once=1, now=OLD)
    opened.write(events.store(own, digest))
    _decide(opened, 1)
    _sweep(opened, max_age=None)
    assert _events(opened) == []


def test_a_digest_outlives_the_age_at_which_an_event_is_refused(opened: Ledger) -> None:
    opened.store(event("e", stored=OLD, raised=OLD, subject=None))
    _decide(opened, 1)
    _sweep(opened, max_age=40 * DAY)
    assert opened.read(events.is_known("remnawave", b"e"))


@pytest.mark.parametrize("raised", [NOW + DAY, OLD], ids=["in the future", "no time of its own"])
def test_a_digest_stays_where_the_same_body_would_not_be_too_old(
    opened: Ledger, raised: int
) -> None:
    opened.store(event("e", stored=OLD, raised=raised, subject=None))
    _decide(opened, 1)
    _sweep(opened)
    assert opened.read(events.is_known("remnawave", b"e"))
    ((body,),) = opened.rows("select body from events")
    assert "anna" not in body


def test_what_is_forgotten_already_is_not_written_again(opened: Ledger) -> None:
    opened.store(event("e", stored=OLD, raised=OLD, subject=None))
    _decide(opened, 1)
    _sweep(opened, max_age=None)
    before = opened.commits()
    _sweep(opened, max_age=None)
    assert opened.commits() == before


def test_while_the_journal_is_away_nothing_is_raised(tmp_path: Path) -> None:
    with ledger(tmp_path, {"away": "alter table runs rename to gone"}) as opened:
        opened.write(ask("away"))
        _sweep(opened)


def test_the_tries_of_a_run_are_counted_over_all_its_steps(opened: Ledger) -> None:
    opened.add(run("a"), run("b"))
    for path in ("do.0", "do.1"):
        opened.write(ask("add_attempt", run="a", path=path, number=1, started=NOW))
    assert opened.read(listing.count_tries(["a", "b"])) == {"a": 2, "b": 0}
