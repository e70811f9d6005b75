"""Clock rules: a tick is one event, however many were missed and however many machines count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ledgers import Ledger, ledger

from engine.clock import DAY, HOUR, MINUTE, ManualClock, from_iso, to_iso
from engine.journal import events, rules
from engine.journal.operations import load_statements
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Event
from engine.rules.model import ClockOn, IfLate, Per, Rule, RuleSet
from engine.running.alarm import Alarm
from engine.running.clocks import Clocks, clock_event, due_tick, next_tick

START = from_iso("2036-03-01T08:00:30Z") or 0


def _rule(id: str, *clocks: ClockOn, mode: str = "live") -> Rule:
    return Rule(
        id=id, version=f"v-{id}", source={}, on=(), clocks=clocks, when=None, per=Per(), do=(),
        mode=mode, description="", tags=(), empty_ok=False, timezone="UTC",  # type: ignore[arg-type]
        place=("rules.yaml", 1),
    )  # fmt: skip


def _cron(line: str, timezone: str = "UTC") -> ClockOn:
    return ClockOn(line, None, timezone)


def _every(period: int) -> ClockOn:
    return ClockOn(None, period, "UTC")


@dataclass
class Machine:
    """One machine that counts the ticks of rules into a journal."""

    journal: SqliteJournal
    clock: ManualClock
    rules: tuple[Rule, ...]
    raised: list[Event] = field(default_factory=list)

    def tick(self) -> int | None:
        """Tick once; when the alarm will ring again."""

        async def raise_own(event: Event, digest: bytes) -> bool:
            _, new = await self.journal.write(events.store(event, digest))
            self.raised += [event] if new else []
            return new

        async def story() -> int | None:
            alarm = Alarm(self.clock)
            library = Library(self.journal, RuleSet(self.rules), lambda *_, **__: None, self.clock)
            await Clocks(self.journal, library, alarm, self.clock, raise_own).tick()
            return alarm._moments.get("clock")

        return asyncio.run(story())

    @property
    def ticks(self) -> list[str]:
        """The scheduled times of what it raised."""
        return [event.body["data"]["scheduled"] for event in self.raised]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path) as made:
        yield made


def _machine(opened: Ledger, *rules: Rule) -> Machine:
    return Machine(opened.journal, ManualClock(START), rules)


def test_a_rule_that_is_new_begins_with_its_next_tick(opened: Ledger) -> None:
    machine = _machine(opened, _rule("daily", _cron("0 9 * * *")))
    assert machine.tick() == from_iso("2036-03-01T09:00:00Z")
    assert machine.ticks == []
    machine.clock.move(HOUR)
    assert machine.tick() == from_iso("2036-03-02T09:00:00Z")
    assert machine.ticks == ["2036-03-01T09:00:00.000Z"]


def test_many_missed_ticks_make_one_event_the_newest(opened: Ledger) -> None:
    machine = _machine(opened, _rule("often", _every(15 * MINUTE)), _rule("m", _cron("* * * * *")))
    machine.tick()
    machine.clock.move(30 * DAY + 20 * MINUTE)
    machine.tick()
    assert machine.ticks == ["2036-03-31T08:15:00.000Z", "2036-03-31T08:20:00.000Z"]
    machine.tick()
    assert len(machine.raised) == 2


def test_the_tick_of_ten_machines_is_one_event(tmp_path: Path, opened: Ledger) -> None:
    rule = _rule("daily", _cron("0 9 * * *"))
    first = _machine(opened, rule)
    first.tick()
    machines = [_machine(opened, rule) for _ in range(10)]
    for number, machine in enumerate(machines):
        opened.write(rules.set_clock("daily", START))  # each has read it before the others wrote
        machine.clock.move(HOUR + number)
        machine.tick()
    assert [len(machine.raised) for machine in machines] == [1, *[0] * 9]
    assert opened.rows("select count(*) from events") == [(1,)]


def test_a_crash_between_the_event_and_its_note_raises_no_second_one(opened: Ledger) -> None:
    machine = _machine(opened, _rule("daily", _cron("0 9 * * *")))
    machine.tick()
    machine.clock.move(HOUR)
    machine.tick()
    opened.write(rules.set_clock("daily", START))
    machine.tick()
    assert len(machine.raised) == 1
    assert opened.read(rules.clocks()) == {"daily": from_iso("2036-03-01T09:00:00Z")}


@pytest.mark.parametrize(
    ("within", "late", "raised"),
    [(None, 30 * DAY, 1), (10 * MINUTE, 10 * MINUTE, 1), (10 * MINUTE, 10 * MINUTE + 1, 0)],
)
def test_a_tick_that_is_too_late_passes_for_raised(
    opened: Ledger, within: int | None, late: int, raised: int
) -> None:
    yearly = ClockOn("0 9 1 3 *", None, "UTC", IfLate(within))
    machine = _machine(opened, _rule("yearly", yearly))
    nine = machine.tick()
    assert nine == from_iso("2036-03-01T09:00:00Z")
    machine.clock.move(nine - START + late)
    assert machine.tick() == from_iso("2037-03-01T09:00:00Z")
    assert len(machine.raised) == raised
    assert opened.read(rules.clocks()) == {"yearly": nine}


def test_of_many_missed_ticks_the_newest_is_the_one_that_may_be_late(opened: Ledger) -> None:
    machine = _machine(opened, _rule("often", replace(_every(HOUR), if_late=IfLate(MINUTE))))
    machine.tick()
    machine.clock.move(30 * DAY)  # half a minute after a full hour
    machine.tick()
    assert machine.ticks == ["2036-03-31T08:00:00.000Z"]
    machine.clock.move(DAY + MINUTE)
    machine.tick()
    assert len(machine.raised) == 1


def test_each_clock_of_a_rule_may_be_late_by_its_own(opened: Ledger) -> None:
    strict = replace(_every(HOUR), if_late=IfLate(MINUTE))
    machine = _machine(opened, _rule("both", strict, _cron("15 8 * * *")))
    machine.tick()
    machine.clock.move(2 * HOUR)  # ten o'clock and half a minute, and the strict one is in time
    machine.tick()
    machine.clock.move(DAY - HOUR + 20 * MINUTE)  # twenty past nine: only the other may be so late
    machine.tick()
    assert machine.ticks == ["2036-03-01T10:00:00.000Z", "2036-03-02T08:15:00.000Z"]
    machine.tick()
    assert len(machine.raised) == 2
    assert opened.read(rules.clocks()) == {"both": from_iso("2036-03-02T09:00:00Z")}


def test_a_rule_that_is_switched_off_or_has_no_clock_does_not_tick(opened: Ledger) -> None:
    machine = _machine(opened, _rule("off", _cron("* * * * *"), mode="off"), _rule("events"))
    assert machine.tick() is None
    assert machine.raised == []


def test_what_a_rule_let_pass_while_it_was_off_is_not_made_up_for(opened: Ledger) -> None:
    _machine(opened, _rule("daily", _cron("0 9 * * *"))).tick()
    away = _machine(opened, _rule("daily", _cron("0 9 * * *"), mode="off"))
    away.clock.move(DAY + 2 * HOUR)
    away.tick()
    back = _machine(opened, _rule("daily", _cron("0 9 * * *")))
    back.clock.move(DAY + 3 * HOUR)
    assert back.tick() == from_iso("2036-03-03T09:00:00Z")
    assert back.raised == []


def test_several_clocks_of_a_rule_are_one_clock_that_ticks_more_often(opened: Ledger) -> None:
    machine = _machine(opened, _rule("both", _cron("0 9 * * *"), _every(6 * HOUR)))
    assert machine.tick() == from_iso("2036-03-01T09:00:00Z")
    machine.clock.move(5 * HOUR)
    assert machine.tick() == from_iso("2036-03-01T18:00:00Z")
    assert machine.ticks == ["2036-03-01T12:00:00.000Z"]


def test_a_cron_line_ticks_by_the_clock_on_the_wall(opened: Ledger) -> None:
    machine = _machine(opened, _rule("daily", _cron("0 9 * * *", "Europe/Berlin")))
    machine.clock.move(28 * DAY - HOUR)  # in the night before the clocks are changed
    assert machine.tick() == from_iso("2036-03-29T08:00:00Z")
    machine.clock.move(DAY - HOUR)
    assert machine.tick() == from_iso("2036-03-30T07:00:00Z")


def test_a_clock_that_never_ticks_sets_no_alarm(opened: Ledger) -> None:
    nothing = ClockOn(None, None, "UTC")
    machine = _machine(opened, _rule("never", _cron("0 0 31 2 *"), nothing))
    assert machine.tick() is None
    machine.clock.move(400 * DAY)
    assert machine.tick() is None
    assert machine.ticks == []
    assert next_tick(nothing, START) is None


def test_a_tick_is_due_once_its_time_has_come() -> None:
    rule = _rule("hourly", _every(HOUR))
    nine = START // HOUR * HOUR + HOUR
    assert due_tick(rule, START, nine - 1) is None
    assert due_tick(rule, START, nine) == nine
    assert due_tick(rule, nine, nine + 1) is None


def test_the_event_of_a_tick_tells_its_rule_and_its_time() -> None:
    event = clock_event("daily", START, START + 7)
    assert event.body == {
        "event": "rulewave.clock",
        "timestamp": to_iso(START),
        "data": {"rule": "daily", "scheduled": to_iso(START)},
    }
    assert (event.source, event.raised, event.stored) == ("clock", START, START + 7)
    assert event.id == clock_event("daily", START, START + 9).id
    assert event.id != clock_event("daily", START + 1, START).id


def test_a_journal_of_another_thread_sees_the_same_clocks(opened: Ledger) -> None:
    other = SqliteJournal(opened.path, load_statements("sqlite"), opened.fatal.append)
    opened.write(rules.set_clock("daily", 5))
    assert asyncio.run(other.read(rules.clocks())) == {"daily": 5}
    other.close()
