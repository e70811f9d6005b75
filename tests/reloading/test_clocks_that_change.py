"""Clock rules that come, go and change: what they would have rung before is no tick."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from running.bench import Bench, open_bench

from engine.clock import HOUR
from engine.running.clocks import Clocks

pytestmark = pytest.mark.anyio

NINE = '  - {id: daily, on: {cron: "0 9 * * *"}, do: [{tell: {text: morning}}]}\n'
ELEVEN = NINE.replace("0 9", "0 11")
OTHER = "  - {id: other, on: user.created, do: [{tell: {text: hi}}]}\n"


async def tick(bench: Bench) -> list[str]:
    """Look at the clocks, as the alarm has the daemon do; all that was told so far."""
    handing = bench.handing
    clocks = Clocks(
        bench.journal, bench.library, handing.alarm, bench.clock, bench.pipeline.raise_own
    )
    handing.alarm.start()
    await clocks.tick()
    handing.alarm.stop()
    await bench.settle()
    return bench.texts


async def begin(bench: Bench) -> None:
    """The clock is known since nine o'clock; it is twelve now."""
    assert await tick(bench) == []
    bench.clock.move(3 * HOUR)


async def test_a_clock_that_is_set_to_an_earlier_hour_does_not_ring_for_today(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, NINE) as bench:
        await begin(bench)
        await bench.reload(ELEVEN)
        assert await tick(bench) == []
        bench.clock.move(23 * HOUR)
        assert await tick(bench) == ["morning"]


async def test_a_clock_that_is_set_while_the_daemon_is_down_does_not_ring_for_the_past(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, NINE) as bench:
        await begin(bench)
        clock = bench.clock
    async with open_bench(tmp_path, ELEVEN, clock=clock) as bench:
        assert await tick(bench) == []


async def test_a_rule_that_comes_back_does_not_make_up_for_the_days_it_was_gone(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ELEVEN) as bench:
        assert await tick(bench) == []
        await bench.reload(OTHER)
        bench.clock.move(50 * HOUR)
        await bench.reload(ELEVEN + OTHER)
        assert await tick(bench) == []


async def test_a_change_of_other_words_lets_a_missed_tick_ring_all_the_same(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, ELEVEN) as bench:
        await begin(bench)
        await bench.reload(ELEVEN.replace("morning", "noon"))
        assert await tick(bench) == ["noon"]


async def test_a_renamed_clock_rule_goes_on_counting(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ELEVEN) as bench:
        await begin(bench)
        await bench.reload(ELEVEN.replace("id: daily", "id: eleven, was: [daily]"))
        assert await tick(bench) == ["morning"]


async def test_where_nothing_was_ever_in_force_a_clock_is_not_forgotten(tmp_path: Path) -> None:
    async with open_bench(tmp_path, ELEVEN) as bench:
        await begin(bench)
        clock = bench.clock
    # As a journal is that was made before this version.
    with closing(sqlite3.connect(tmp_path / "bench.db", isolation_level=None)) as database:
        database.execute("delete from in_force")
    async with open_bench(tmp_path, ELEVEN.replace("tell", "tlel"), broken=True, clock=clock):
        pass
    async with open_bench(tmp_path, ELEVEN, clock=clock) as bench:
        assert await tick(bench) == ["morning"]
