"""The alarm: no ring is lost because another one is being answered."""

from __future__ import annotations

import asyncio

from engine.clock import SystemClock
from engine.running.alarm import Alarm


def test_a_ring_while_another_is_answered_is_answered_right_after_it() -> None:
    asyncio.run(_ring_twice())


async def _ring_twice() -> None:
    clock = SystemClock()
    alarm = Alarm(clock)
    under_way, go_on, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    calls = []

    async def answer() -> None:
        calls.append(clock.now())
        if len(calls) > 1:
            answered.set()
            return
        under_way.set()
        await go_on.wait()

    async def let_go() -> None:
        go_on.set()

    alarm.start()
    alarm.at("due", clock.now(), answer)
    await under_way.wait()
    alarm.at("due", clock.now(), answer)
    alarm.at("later", clock.now() + 50_000, let_go)
    await asyncio.wait_for(answered.wait(), 5)
    alarm.stop()
    assert len(calls) == 2
