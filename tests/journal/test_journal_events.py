"""Operations on events: stored once, ordered by their own time, decided once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledgers import NOW, Ledger, event, ledger

from engine.journal import events, listing
from engine.journal.events import KEPT_REJECTED, Bounds
from engine.model import Decided, Event


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path) as made:
        yield made


def _ids(found: tuple[Event, ...]) -> list[str]:
    return [item.id for item in found]


def test_an_event_comes_back_as_it_was_stored(opened: Ledger) -> None:
    body = {"event": "user.modified", "data": {"username": "Анна 🚀", "n": 2**60, "x": None}}
    sent = event("e1", body=body)
    assert opened.write(events.store(sent, b"digest")) == ("e1", True)
    assert opened.read(events.by_seq(1)) == replace(sent, seq=1)
    assert opened.read(events.by_seq(2)) is None


def test_the_same_body_is_stored_once_and_answers_to_its_first_id(opened: Ledger) -> None:
    opened.write(events.store(event("e1"), b"digest"))
    assert opened.write(events.store(event("e2"), b"digest")) == ("e1", False)
    assert opened.write(events.store(event("e3", source="clock"), b"digest")) == ("e3", True)
    assert opened.read(events.is_known("remnawave", b"digest"))
    assert not opened.read(events.is_known("remnawave", b"other"))
    assert opened.rows("select count(*) from events") == [(2,)]


def test_previous_is_the_last_state_before_by_own_time_that_arrived_before(opened: Ledger) -> None:
    opened.store(
        event("old", raised=NOW - 9), event("newer", raised=NOW - 3), event("other", subject="x"),
        event("late", raised=NOW - 5), event("asks", raised=NOW - 4), event("after", raised=NOW - 8),
    )  # fmt: skip
    asks = opened.read(events.by_seq(5))
    assert asks is not None
    around = opened.read(events.around(asks))
    assert around.previous is not None
    assert around.latest is not None
    assert (around.previous.id, around.latest.id) == ("late", "newer")
    assert _ids(around.later) == ["newer"]


def test_a_subjects_first_event_has_nothing_before_it(opened: Ledger) -> None:
    opened.store(event("e1"))
    first = opened.read(events.by_seq(1))
    assert first is not None
    around = opened.read(events.around(first))
    assert (around.previous, around.latest, around.later) == (None, first, ())


def test_an_event_about_nobody_has_no_state_around_it(opened: Ledger) -> None:
    opened.store(event("e1", subject=None), event("e2", subject=None))
    second = opened.read(events.by_seq(2))
    assert second is not None
    around = opened.read(events.around(second))
    assert (around.previous, around.latest, around.later) == (None, None, ())
    assert opened.read(events.latest(None)) is None
    assert opened.read(events.latest("user:nobody")) is None


def test_arrival_breaks_the_tie_of_two_states_of_one_time(opened: Ledger) -> None:
    opened.store(event("first"), event("second"))
    newest = opened.read(events.latest("user:anna"))
    assert newest is not None
    assert newest.id == "second"


def test_later_events_are_those_raised_after_or_stored_after_at_the_same_time(
    opened: Ledger,
) -> None:
    opened.store(
        event("twin before"), event("origin"), event("twin after"), event("same, other", subject="x"),
        event("later, other", subject="y", raised=NOW + 2), event("later", raised=NOW + 1),
        event("earlier", raised=NOW - 1), event("too late to count", raised=NOW + 3),
    )  # fmt: skip
    origin = opened.read(events.by_seq(2))
    assert origin is not None
    of_subject = opened.read(events.later_of_subject(origin, before=8))
    of_all = opened.read(events.later_of_all(origin, before=8))
    assert _ids(of_subject) == ["twin after", "later"]
    assert _ids(of_all) == ["twin after", "same, other", "later", "later, other"]


def test_undecided_events_come_in_the_order_of_arrival(opened: Ledger) -> None:
    opened.store(event("e1", raised=NOW + 9), event("e2"), event("e3"))
    assert opened.read(events.backlog()) == 3
    assert [facts.event.id for facts in opened.read(events.undecided(2))] == ["e1", "e2"]
    assert opened.read(events.first_undecided()) == 1
    opened.write(events.mark_decided([Decided(1, ("a",), {}), Decided(2, ("b",), {})], NOW))
    assert [facts.event.id for facts in opened.read(events.undecided(9))] == ["e3"]
    assert opened.read(events.backlog()) == 1
    opened.write(events.mark_decided([Decided(3, ("c",), {})], NOW))
    assert opened.read(events.first_undecided()) is None
    assert opened.read(events.undecided(9)) == []


def test_a_decision_is_written_once(opened: Ledger) -> None:
    opened.store(event("e1"))
    opened.write(events.mark_decided([Decided(1, ("x", "y"), {"rules": "h1"})], NOW))
    opened.write(events.mark_decided([Decided(1, ("z",), {"rules": "h2"})], NOW + 1))
    stored = opened.read(listing.event("e1"))
    assert stored is not None
    assert (stored.names, stored.decided, stored.record) == (["x", "y"], NOW, {"rules": "h1"})
    assert stored.event.names == ("x", "y")


def test_the_bounds_of_what_is_being_decided_are_one_row(opened: Ledger) -> None:
    assert opened.read(events.read_bounds()) is None
    opened.write(events.write_bounds(Bounds(5, 256, 1)))
    opened.write(events.write_bounds(Bounds(5, 128, 2)))
    assert opened.read(events.read_bounds()) == Bounds(5, 128, 2)
    assert opened.rows("select count(*) from decider") == [(1,)]


def test_only_the_last_thousand_rejected_deliveries_are_kept(opened: Ledger) -> None:
    def many(first: int, last: int) -> events.Op[None]:
        for number in range(first, last):
            yield from events.reject("remnawave", "not_json", f"body {number}", NOW + number)

    opened.write(many(0, KEPT_REJECTED))
    assert opened.rows("select count(*) from rejected") == [(KEPT_REJECTED,)]
    opened.write(many(KEPT_REJECTED, KEPT_REJECTED + 7))
    assert opened.rows("select count(*), min(body) from rejected where body = 'body 7'") == [
        (1, "body 7")
    ]
    assert opened.rows("select count(*) from rejected") == [(KEPT_REJECTED,)]
    newest = opened.read(listing.rejected(2))
    assert [row["body"] for row in newest] == ["body 1006", "body 1005"]
    assert (newest[0]["code"], newest[0]["stored"]) == ("not_json", NOW + 1006)


def test_a_list_of_events_holds_what_was_wished_for_newest_first(opened: Ledger) -> None:
    opened.store(
        event("e1"), event("e2", type="node.created", subject="node:anna"),
        event("e3", stored=NOW + 5), event("e4", subject="user:ben"),
    )  # fmt: skip

    def listed(**wish: object) -> list[str]:
        found = opened.read(listing.events(listing.Wish(**wish)))  # type: ignore[arg-type]
        return [stored.event.id for stored in found]

    assert listed() == ["e4", "e3", "e2", "e1"]
    assert listed(key="anna") == ["e3", "e2", "e1"]
    assert listed(key="anna", most=2) == ["e3", "e2"]
    assert listed(type="node.created") == ["e2"]
    assert listed(since=NOW + 5) == ["e3"]
    assert listed(before=3, most=1) == ["e2"]
    assert listed(key="nobody") == []


def test_an_event_that_is_not_decided_has_no_record(opened: Ledger) -> None:
    opened.store(event("e1"))
    stored = opened.read(listing.event("e1"))
    assert stored is not None
    assert (stored.names, stored.decided, stored.record) == (["user.modified"], None, None)
    assert opened.read(listing.event("e2")) is None
