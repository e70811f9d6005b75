"""Ten thousand runs at once for one target: none is lost, the rate holds, others do not wait."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bot_api import TOKEN, bot_api
from daemon.in_process import Site, body, daemon
from running.bench import START, Bench, open_bench

from engine.action import Call
from engine.clock import SECOND
from engine.queue.jobs import Job
from engine.queue.worker import LANE_LIMIT

pytestmark = pytest.mark.anyio
RULES_OF_BURST, EVENTS = 100, 100


async def _hand_full(bench: Bench) -> list[Job | None]:
    """As many jobs as a lane has in hand at once."""
    return await asyncio.gather(*(bench.next_job() for _ in range(LANE_LIMIT)))


async def test_a_burst_of_ten_thousand_is_told_whole_and_never_faster_than_the_rate(
    tmp_path: Path,
) -> None:
    step = '[{tell: {connection: ops, text: "{{ rule.id }} {{ user.key }}"}}]'
    one = "".join(
        f"  - {{id: r{number}, on: user.expired, do: {step}}}\n" for number in range(RULES_OF_BURST)
    )
    rules = f"version: 1\nconnections: {{ops: {{kind: phone, rate: 7/min}}}}\nrules:\n{one}"
    async with open_bench(tmp_path, rules) as bench:
        for number in range(EVENTS):
            await bench.event("user.expired", username=f"user{number}")
        await bench.decide()
        ats: list[int] = []

        async def calls(_: Any, call: Call) -> dict[str, Any]:
            await call.irrevocable()
            ats.append(bench.clock.now())
            return {}

        bench.tell.script += [calls] * (RULES_OF_BURST * EVENTS)
        while jobs := [job for job in await _hand_full(bench) if job is not None]:
            await asyncio.gather(*(bench.runner.handle(job) for job in jobs))
        told, step = bench.tell.told, -(-60 * SECOND // 7)
        assert len(told) == len({one.text for one in told}) == RULES_OF_BURST * EVENTS
        assert told[-1].at - START >= (len(told) - 1) * step
        # Seven at the most in any minute, wherever it begins.
        assert all(late - early >= 60 * SECOND for early, late in zip(ats, ats[7:], strict=False))
        assert await bench.states() == {"succeeded": RULES_OF_BURST * EVENTS}


TIERED = """
version: 1
connections:
  slow: {{kind: telegram, token: "secret('token')", chat: 1, api: "{url}", rate: 20/s}}
  other: {{kind: telegram, token: "secret('token')", chat: 2, api: "{url}", rate: 100/s}}
rules:
  - {{id: bulk, on: user.created, priority: low, do: [{{telegram: {{to: slow, text: bulk}}}}]}}
  - {{id: urgent, on: user.deleted, priority: high, do: [{{telegram: {{to: slow, text: urgent}}}}]}}
  - {{id: other, on: user.deleted, do: [{{telegram: {{to: other, text: other}}}}]}}
"""


async def test_in_a_living_daemon_what_is_urgent_overtakes_a_backlog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RULEWAVE_SECRET_TOKEN", TOKEN)
    opened, urgent, other = asyncio.Event(), asyncio.Event(), asyncio.Event()
    arrived: list[str] = []

    async def gate(text: str) -> None:
        arrived.append(text)
        if text != "bulk":
            (urgent if text == "urgent" else other).set()
        await opened.wait()

    async with bot_api() as api:
        api.gate = gate
        site = Site(tmp_path, TIERED.format(url=api.server.url))
        async with daemon(site) as running:
            bulk = [running.post(body(f"user{number}")) for number in range(80)]
            assert set(await asyncio.gather(*bulk)) == {202}
            assert await running.post(body("anna", "user.deleted")) == 202
            # Nobody is answered yet: what is in hand of the bulk stays so, and the rest waits.
            async with asyncio.timeout(60):
                await urgent.wait()
                await other.wait()
            assert arrived.count("bulk") <= LANE_LIMIT
            opened.set()
            await running.until("/metrics", 'rulewave_runs{state="succeeded"} 82.0')
        assert sorted(api.texts) == ["bulk"] * 80 + ["other", "urgent"]
