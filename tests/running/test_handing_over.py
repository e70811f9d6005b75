"""Handing over: what is due goes into the queue, what was forgotten is found, nobody is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ledgers import Ledger, event, ledger, run, watched

from engine.clock import DAY, HOUR, MINUTE, SECOND, ManualClock, SystemClock
from engine.errors import JournalUnavailable
from engine.journal import events, listing, runs
from engine.journal.operations import ask
from engine.model import Decided, Run, State
from engine.queue.sqlite import enqueue, has_job, lanes
from engine.running.alarm import Alarm
from engine.running.handing import MOST, HandOver
from engine.running.retries import MOST_STARTS

# Far enough in the future that the alarm does not ring by itself.
NOW = SystemClock().now() + 365 * DAY


@dataclass
class Office:
    """A hand-over on a real journal, and what it told the worker."""

    opened: Ledger
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    in_hand: set[str] = field(default_factory=set)
    rings: int = 0
    lanes: set[str] = field(default_factory=set)
    kept: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.alarm = Alarm(self.clock)
        self.handing = HandOver(
            self.opened.journal, self.alarm, self.clock, enqueue, has_job, lanes,
            ring=self._ring, open_lanes=self._open, in_hand=self.in_hand,
        )  # fmt: skip

    async def _ring(self) -> None:
        self.rings += 1

    def _open(self, names: Iterable[str]) -> None:
        self.lanes |= set(names)

    def tell(self, *steps: Callable[[], Awaitable[None]]) -> None:
        """Take the steps on one loop, with the alarm started."""

        async def story() -> None:
            self.alarm.start()
            try:
                for step in steps:
                    await step()
                self.kept = self.alarm._scheduler.get_jobs()
            finally:
                self.alarm.stop()

        asyncio.run(story())

    @property
    def wakes(self) -> int | None:
        """When the alarm will ring for what is due."""
        return self.alarm._moments.get("due")

    @property
    def queued(self) -> list[str]:
        """The runs in the queue, in order."""
        return [row[0] for row in self.opened.rows("select run from queue order by id")]


@pytest.fixture
def office(tmp_path: Path) -> Iterable[Office]:
    with ledger(tmp_path) as opened:
        yield Office(opened)


def test_all_that_is_due_is_queued_and_the_alarm_set_for_the_next(office: Office) -> None:
    office.opened.add(
        run("b", due=NOW), run("a", due=NOW - DAY, lane="http"), run("next", due=NOW + HOUR),
    )  # fmt: skip
    office.tell(office.handing.hand_over)
    assert office.queued == ["a", "b"]
    assert office.wakes == NOW + HOUR
    assert office.rings == 1
    assert office.lanes == {"mail", "http"}


def test_more_than_one_commit_can_hold_is_handed_over_in_several(office: Office) -> None:
    office.opened.add(*(run(f"r{n}", due=NOW - 1) for n in range(MOST + 1)))
    before = office.opened.commits()
    office.tell(office.handing.hand_over)
    assert len(office.queued) == MOST + 1
    assert office.opened.commits() - before == 2
    assert office.wakes is None


def test_what_waits_for_the_decider_is_looked_at_again_soon(office: Office) -> None:
    office.opened.store(event("e1", stored=NOW - 5))
    office.opened.add(watched("w", due=NOW - 1))
    office.tell(office.handing.hand_over)
    assert office.queued == []
    assert office.wakes == NOW + SECOND // 5
    office.opened.write(events.mark_decided([Decided(1, (), {})], NOW))
    office.tell(office.handing.hand_over)
    assert office.queued == ["w"]


def test_new_runs_wake_the_worker_or_the_alarm(office: Office) -> None:
    async def notice() -> None:
        office.handing.notice(
            [run("q", state=State.QUEUED, lane="sms"), run("p", due=NOW + MINUTE),
             run("l", due=NOW + HOUR, lane="late")]
        )  # fmt: skip
        await asyncio.gather(*office.handing._tasks)

    office.tell(notice)
    assert (office.rings, office.wakes) == (1, NOW + MINUTE)
    assert office.lanes == {"sms", "mail", "late"}


def test_runs_that_ended_wake_nobody(office: Office) -> None:
    async def notice() -> None:
        office.handing.notice([run("d", state=State.DEAD, ended=NOW)])
        office.handing.notice([run("r", state=State.RUNNING)])

    office.tell(notice)
    assert (office.rings, office.wakes, office.lanes) == (0, None, {"mail"})


def test_a_poke_asks_at_once(office: Office) -> None:
    async def poke() -> None:
        office.handing.notice([run("p", due=NOW + MINUTE)])
        office.handing.poke()

    office.tell(poke)
    assert office.wakes == NOW


def test_a_queued_run_without_a_job_is_queued_again_at_start(office: Office) -> None:
    office.opened.add(
        run("lost", state=State.QUEUED, lane="gone"), run("safe", state=State.QUEUED),
    )  # fmt: skip
    office.opened.write(enqueue([_due("safe")]))
    office.tell(office.handing.start)
    assert office.queued == ["safe", "lost"]
    assert office.lanes == {"gone", "mail"}
    assert office.rings == 1


def test_a_run_that_is_in_hand_is_not_taken_for_lost(office: Office) -> None:
    office.opened.add(run("a", state=State.QUEUED), run("b", state=State.RUNNING, attempt=1))
    office.in_hand |= {"a", "b"}
    office.tell(office.handing.reconcile)
    assert office.queued == []
    assert office.opened.run("b").state is State.RUNNING


def test_a_run_taken_in_hand_while_the_others_are_looked_through_is_left_alone(
    office: Office,
) -> None:
    office.opened.add(run("a", state=State.QUEUED))
    op = office.handing._recover("a")
    office.in_hand.add("a")
    office.opened.write(op)
    assert office.queued == []
    office.opened.write(office.handing._recover("nobody"))


def test_what_is_due_and_what_is_lost_is_looked_for_again_and_again(office: Office) -> None:
    office.tell(office.handing.start)
    assert {job.id for job in office.kept} == {"reread", "reconcile"}


def test_what_is_lost_is_found_without_a_commit_for_each(office: Office) -> None:
    office.opened.add(*(run(f"lost{n}", state=State.QUEUED) for n in range(30)))
    before = office.opened.commits()
    office.tell(office.handing.reconcile)
    assert office.opened.commits() == before + 1
    assert len(office.queued) == 30
    office.tell(office.handing.reconcile)
    assert office.opened.commits() == before + 1
    assert len(office.queued) == 30


def _begun(office: Office, **changes: object) -> Run:
    started = run("r", state=State.QUEUED, **changes)
    office.opened.add(started)
    assert office.opened.write(runs.begin_try(started, "do.0", NOW - 9))
    return office.opened.run("r")


def _due(id: str) -> runs.DueRun:
    return runs.DueRun(id, "mail", 0, 0, 0)


def test_a_try_that_a_crash_cut_off_is_repeated(office: Office) -> None:
    _begun(office)
    office.tell(office.handing.start)
    again = office.opened.run("r")
    assert (again.state, again.attempt, again.delayed) == (State.QUEUED, 1, True)
    assert office.queued == ["r"]
    (told,) = office.opened.read(listing.attempts_of("r"))
    assert (told["outcome"], told["ended"]) == ("unknown", NOW)


def test_a_try_past_the_point_of_no_return_is_a_dead_letter(office: Office) -> None:
    _begun(office)
    office.opened.write(runs.mark_irrevocable("r", "do.0", 1))
    office.tell(office.handing.start)
    dead = office.opened.run("r")
    assert (dead.state, dead.reason) == (State.DEAD, "outcome_unknown")
    assert office.queued == []


@pytest.mark.parametrize(
    ("starts", "state"), [(MOST_STARTS - 2, State.QUEUED), (MOST_STARTS - 1, State.DEAD)]
)
def test_a_run_that_was_started_ten_times_and_never_ended_kills_its_worker(
    office: Office, starts: int, state: State
) -> None:
    _begun(office, starts=starts)
    office.tell(office.handing.start)
    stands = office.opened.run("r")
    assert stands.state is state
    assert (stands.reason == "kills_its_worker") is (state is State.DEAD)


def test_a_run_that_was_cancelled_before_the_crash_is_not_repeated(office: Office) -> None:
    _begun(office)
    office.opened.write(runs.cancel("r", by=None, reason="x", message="y", now=NOW))
    office.tell(office.handing.start)
    assert office.opened.run("r").state is State.CANCELLED


def test_while_the_journal_is_away_nothing_is_lost_and_nothing_raised(tmp_path: Path) -> None:
    extra = {"away": "alter table runs rename to gone", "back": "alter table gone rename to runs"}
    with ledger(tmp_path, extra) as opened:
        office = Office(opened)
        opened.add(run("a", due=NOW))
        opened.write(ask("away"))
        with pytest.raises(JournalUnavailable):
            opened.read(runs.next_due())
        office.tell(office.handing.hand_over, office.handing.reconcile)
        opened.write(ask("back"))
        office.tell(office.handing.hand_over)
        assert office.queued == ["a"]


def test_the_alarm_hands_over_by_itself_when_a_run_is_due(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        now = SystemClock().now()
        office = Office(opened, ManualClock(now))
        opened.add(run("a", due=now))
        rang = asyncio.Event()

        async def story() -> None:
            office.handing.ring = _set(rang)
            office.handing.poke()
            async with asyncio.timeout(20):
                await rang.wait()

        office.tell(story)
        assert office.queued == ["a"]


def _set(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def ring() -> None:
        event.set()

    return ring
