"""However events are batched, the same runs come of them; and a poison event stops nobody."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running.bench import Bench, ended, open_bench, undecided

from engine.clock import MINUTE
from engine.deciding.batch import Batch
from engine.errors import JournalUnavailable
from engine.journal import events
from engine.model import Run, State

RULES = """
  - {id: plain, on: "user.*", when: "user.tag != 'C'", do: [{tell: {text: x}}]}
  - id: cancelled
    on: [user.expired, user.modified]
    do:
      - after: 1h
        cancel_on: [user.renewed, {on: user.enabled, when: user.tag != origin.user.tag}]
        tell: {text: later}
  - id: by-tag
    on: user.expired
    per: user.tag
    do:
      - {after: 2h, cancel_on: {on: "user.*", when: "previous.user.tag == 'A'"}, tell: {text: x}}
  - id: for-all
    on: user.disabled
    per: none
    do:
      - {after: 30m, cancel_on: user.deleted, do: [{after: 1h, cancel_on: user.enabled, tell: {}}]}
  - id: waits
    on: [user.expired, user.disabled]
    do:
      - await: [{on: user.enabled, when: user.tag != origin.user.tag}, user.renewed]
        within: 8m
        cancel_on: [user.deleted, {on: user.enabled, when: user.tag == 'A'}]
        do: [{tell: {}}]
        else: [{after: 1h, tell: {}}]
  - {id: waits-for-all, on: user.expired, per: none, do: [{await: "user.*", within: 1h, tell: {}}]}
"""
TYPES = ("user.expired", "user.modified", "user.enabled", "user.disabled", "user.deleted")
ENDS = ("2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z")
EVENT = st.fixed_dictionaries({
    "type": st.sampled_from(TYPES),
    "raised": st.integers(0, 6).map(lambda n: f"{n}m"),
    "username": st.sampled_from(("anna", "boris")),
    "tag": st.sampled_from(("A", "B", "C", None)),
    "expireAt": st.sampled_from(ENDS),
})  # fmt: skip


def told(run: Run) -> tuple[Any, ...]:
    """A run as far as batching may not change it (`ended` and `now` are the same moment here)."""
    return (
        run.id, run.rule, run.path, run.key, run.state, run.due, run.message, run.cancelled_by,
        run.met, run.arrived, run.lane, run.late,
    )  # fmt: skip


async def runs_of(stream: list[dict[str, Any]], sizes: list[int], folder: str) -> list[Any]:
    async with open_bench(Path(folder), RULES) as bench:
        bench.clock.move(10 * MINUTE)
        for number, event in enumerate(stream):
            await bench.event(**event, description=str(number))
        while await undecided(bench):
            bench.pipeline._limit = sizes.pop(0) if sizes else 256
            await bench.pipeline.decide()
        return sorted(told(run) for run in await bench.runs())


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=10), st.lists(st.integers(1, 5), max_size=10))
def test_a_batch_decides_as_one_event_after_the_other(
    stream: list[dict[str, Any]], sizes: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        single = asyncio.run(runs_of(stream, [1] * len(stream), one))
        batched = asyncio.run(runs_of(stream, list(sizes), other))
    assert single == batched


@pytest.mark.anyio
async def test_what_is_decided_is_not_decided_again(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        assert await bench.pipeline.decide() == 1
        assert await bench.pipeline.decide() == 0
        assert len(await bench.runs()) == 1


@pytest.mark.anyio
async def test_a_crash_before_the_commit_plans_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await dies_deciding(bench, monkeypatch)
        assert await bench.runs() == []
    async with open_bench(tmp_path, rules, clock=bench.clock) as bench:
        await bench.settle()
        assert [run.path for run in await bench.runs()] == ["", "do.0"]


async def dies_deciding(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, poison: str | None = None
) -> bool:
    """Decide as a process that dies on the poison event (or at once), after the bounds were written."""
    with monkeypatch.context() as patch:
        decide = Batch.decide

        def fatal(self: Batch, prepared: Any, waiting: Any) -> Any:
            if poison in {None, prepared.facts.event.id}:
                raise SystemExit(137)
            return decide(self, prepared, waiting)

        patch.setattr(Batch, "decide", fatal)
        try:
            await bench.decide()
        except SystemExit:
            return True
    return False


@pytest.mark.anyio
async def test_a_poison_event_is_found_by_halving_and_buried_after_three_tries_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: '{{ user.key }}'}}]}"
    sizes: list[int] = []
    names = [f"user{number}" for number in range(9)]
    poison = ""
    lives, alive, clock = 0, False, None
    while not alive:
        lives += 1
        assert lives < 30
        async with open_bench(tmp_path, rules, clock=clock) as bench:
            clock = bench.clock
            if lives == 1:
                ids = [await bench.event("user.expired", username=name) for name in names]
                poison = ids[5]
            alive = not await dies_deciding(bench, monkeypatch, poison)
            bounds = await bench.journal.read(events.read_bounds())
            assert bounds is not None
            sizes.append(bounds.size)
            if alive:
                await bench.settle()
                assert sorted(bench.texts) == [name for name in names if name != "user5"]
                (dead,) = await bench.runs(state="dead")
                assert ended(dead) == (State.DEAD, "could_not_decide")
                assert dead.origin == poison
                assert dead.message == "deciding it ended the process 3 times"
                assert (await bench.record(poison))["error"] == dead.message
    assert sizes[0] == 9
    assert sizes.count(1) >= 3
    assert lives < 10


@pytest.mark.anyio
@pytest.mark.parametrize("station", ["prepare", "decide"])
async def test_an_event_that_cannot_be_decided_is_a_dead_letter_and_the_next_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, station: str
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: '{{ user.key }}'}}]}"
    async with open_bench(tmp_path, rules) as bench:
        bad = await bench.event("user.expired", username="anna")
        await bench.event("user.expired", username="boris")
        real = getattr(Batch, station)

        def buggy(self: Batch, given: Any, other: Any) -> Any:
            facts = given if station == "prepare" else given.facts
            if facts.event.id == bad:
                raise ZeroDivisionError("ours")
            return real(self, given, other)

        monkeypatch.setattr(Batch, station, buggy)
        await bench.settle()
        assert bench.texts == ["boris"]
        (dead,) = await bench.runs(state="dead")
        assert (dead.reason, dead.message) == ("could_not_decide", "ZeroDivisionError: ours")


@pytest.mark.anyio
async def test_a_journal_that_is_away_leaves_events_undecided_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        write = bench.journal.write

        async def full(op: Any) -> Any:
            if op.__name__ == "_commit":
                op.close()
                raise JournalUnavailable("disk full")
            return await write(op)

        with monkeypatch.context() as patch:
            patch.setattr(bench.journal, "write", full)
            for _ in range(5):
                with pytest.raises(JournalUnavailable):
                    await bench.pipeline.decide()
        assert bench.pipeline.backlog == 1
        await bench.settle()
        assert bench.texts == ["x"]
        assert bench.pipeline.backlog == 0


@pytest.mark.anyio
async def test_a_run_is_unique_by_event_rule_path_and_generation(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.decide()
        before = await bench.runs()
    with closing(sqlite3.connect(tmp_path / "bench.db", isolation_level=None)) as database:
        database.execute("update events set decided = null")
    async with open_bench(tmp_path, rules, clock=bench.clock) as bench:
        assert await bench.decide() == 1
        assert await bench.runs() == before
