"""The alarm: rings at its moments, also late, once for each wish, and never drops a ring."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from ledgers import PATIENCE

from engine.clock import DAY, HOUR, SECOND, ManualClock, SystemClock
from engine.running.alarm import Alarm


def _tell(story: Callable[[Alarm, int], Awaitable[None]]) -> None:
    async def tell() -> None:
        alarm = Alarm(SystemClock())
        alarm.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await story(alarm, SystemClock().now())
        finally:
            alarm.stop()

    asyncio.run(tell())


def test_a_moment_that_is_past_rings_at_once() -> None:
    async def story(alarm: Alarm, now: int) -> None:
        rang = asyncio.Event()

        async def ring() -> None:
            rang.set()

        alarm.at("due", now - HOUR, ring)
        await rang.wait()

    _tell(story)


def test_a_ring_that_is_late_by_weeks_is_not_dropped() -> None:
    async def tell() -> None:
        alarm = Alarm(ManualClock(SystemClock().now() - 30 * DAY))
        rang = asyncio.Event()

        async def ring() -> None:
            rang.set()

        alarm.start()
        try:
            alarm.at("due", 0, ring)
            async with asyncio.timeout(PATIENCE):
                await rang.wait()
        finally:
            alarm.stop()

    asyncio.run(tell())


def test_a_moment_to_come_rings_not_before_it() -> None:
    async def story(alarm: Alarm, now: int) -> None:
        rang: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def ring() -> None:
            rang.set_result(SystemClock().now())

        alarm.at("due", now + SECOND // 20, ring)
        assert await rang >= now + SECOND // 20

    _tell(story)


def test_an_earlier_wish_of_the_same_name_comes_first_and_a_later_one_changes_nothing() -> None:
    async def story(alarm: Alarm, now: int) -> None:
        rings: asyncio.Queue[str] = asyncio.Queue()

        def ring(name: str) -> Callable[[], Awaitable[None]]:
            return lambda: rings.put(name)

        alarm.at("due", now + HOUR, ring("first"))
        alarm.at("due", now + 2 * HOUR, ring("later"))
        alarm.at("other", now + HOUR, ring("other"))
        alarm.at("due", now, ring("earlier"))
        assert await rings.get() == "earlier"
        alarm.at("due", now + SECOND // 50, ring("after that"))
        assert await rings.get() == "after that"
        assert rings.empty()

    _tell(story)


def test_a_ring_in_the_middle_of_an_answer_is_answered_after_it() -> None:
    async def story(alarm: Alarm, now: int) -> None:
        entered, free, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        again, answers = asyncio.Event(), []

        async def ring() -> None:
            answers.append(len(answers))
            entered.set()
            if len(answers) == 1:
                await free.wait()
            else:
                answered.set()

        async def other() -> None:
            again.set()

        alarm.at("due", now, ring)
        await entered.wait()
        alarm.at("due", now, ring)
        alarm.at("other", now + SECOND // 50, other)
        await again.wait()
        assert answers == [0]
        free.set()
        await answered.wait()
        assert answers == [0, 1]

    _tell(story)


def test_an_answer_that_fails_does_not_silence_the_next_ring() -> None:
    async def story(alarm: Alarm, now: int) -> None:
        failed, rang = asyncio.Event(), asyncio.Event()

        async def fail() -> None:
            failed.set()
            raise ValueError("the answer failed")

        async def ring() -> None:
            rang.set()

        alarm.at("due", now, fail)
        await failed.wait()
        alarm.at("due", now, ring)
        await rang.wait()

    _tell(story)


def test_what_is_to_be_done_every_so_often_is_done_again_and_again() -> None:
    async def story(alarm: Alarm, _now: int) -> None:
        rings: asyncio.Queue[int] = asyncio.Queue()
        alarm.every("often", 0.01, lambda: rings.put(1))
        assert [await rings.get() for _ in range(3)] == [1, 1, 1]

    _tell(story)


def test_an_alarm_that_was_stopped_rings_no_more() -> None:
    async def story() -> None:
        rang = asyncio.Event()

        async def ring() -> None:
            rang.set()

        alarm = Alarm(ManualClock(SystemClock().now()))
        alarm.start()
        alarm.stop()
        alarm.at("due", 0, ring)
        done, _ = await asyncio.wait([asyncio.ensure_future(rang.wait())], timeout=0.1)
        assert not done

    asyncio.run(story())


def test_an_answer_that_a_stop_interrupts_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def ring() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        alarm = Alarm(SystemClock())
        alarm.start()
        alarm.at("due", 0, ring)
        async with asyncio.timeout(PATIENCE):
            await began.wait()
            alarm.stop()
            await ended.wait()
            await asyncio.sleep(0)

    asyncio.run(tell())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
