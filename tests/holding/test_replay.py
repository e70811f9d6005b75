"""By whatever rules, a match is held back alike: event by event, all at once, and told again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from running.bench import Bench, open_bench

from engine.clock import MINUTE

KEYS = [
    "threshold: {at_least: 2, within: 10m}",
    "throttle: 2 per 20m",
    "digest: {wait: 3m, max: 3}",
    "digest: {every: 10m}",
    "concurrency: drop",
    "concurrency: queue",
    "concurrency: restart",
    'quiet: {between: "09:10-09:40", timezone: UTC}',
    'quiet: {between: "09:10-09:40", timezone: UTC, then: drop}',
    "cancel_on: user.enabled",
    "mode: shadow",
]
STEPS = [
    'do: [{tell: {text: "{{ user.key }}"}}]',
    'do: [{after: 15m, cancel_on: user.disabled, tell: {text: "{{ user.key }}"}}]',
]


@st.composite
def rules(draw: st.DrawFn) -> str:
    text = ""
    for number in range(draw(st.integers(1, 3))):
        chosen = {
            key.split(":")[0]: key for key in draw(st.lists(st.sampled_from(KEYS), max_size=3))
        }
        lines = [*chosen.values(), draw(st.sampled_from(STEPS))]
        text += f"  - id: r{number}\n    on: [user.expired, user.limited]\n    "
        text += "\n    ".join(lines) + "\n"
    return text


TYPES = ["user.expired", "user.expired", "user.limited", "user.enabled", "user.disabled"]
stories = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(TYPES), st.sampled_from(["anna", "ben"])),
    min_size=1, max_size=12,
)  # fmt: skip
Story = list[tuple[int, str, str]]


async def told(bench: Bench, ids: list[str]) -> list[Any]:
    """What came of each event."""
    return [(await bench.record(id))["outcomes"] for id in ids]


async def arrive(bench: Bench, story: Story) -> Any:
    """Let one event after the other come, some minutes apart; yields each id."""
    for gap, type, name in story:
        bench.clock.move(gap * MINUTE + 1000)
        yield await bench.event(type, username=name)


async def decided(written: str, story: Story, *, one_by_one: bool) -> tuple[list[Any], list[Any]]:
    with TemporaryDirectory() as folder:
        async with open_bench(Path(folder), written) as bench:
            ids = []
            async for id in arrive(bench, story):
                ids.append(id)
                if one_by_one:
                    await bench.decide()
            await bench.decide()
            made = [
                (run.id, run.reason, run.cancelled_by, run.state.value in {"pending", "queued"})
                for run in await bench.runs()
            ]
            return await told(bench, ids), sorted(made)


@settings(max_examples=60, deadline=None)
@given(written=rules(), story=stories)
def test_one_by_one_or_all_at_once_is_the_same(written: str, story: Story) -> None:
    first = asyncio.run(decided(written, story, one_by_one=True))
    assert asyncio.run(decided(written, story, one_by_one=False)) == first


async def _explained(written: str, story: Story) -> None:
    with TemporaryDirectory() as folder:
        async with open_bench(Path(folder), written) as bench:
            ids = []
            async for id in arrive(bench, story):
                ids.append(id)
                await bench.settle()
            await bench.until("5h")
            for id in ids:
                lines = {line["rule"]: line for line in (await bench.record(id))["outcomes"]}
                for shown in (await bench.desk.ask("events", "explain", {"id": id}))["rules"]:
                    line = lines.get(shown["rule"], {"verdict": "not matched"})
                    assert shown["verdict"] == line["verdict"]
                    held = line.get("held") or {"by": None, "run": None}
                    again = shown["held"] or {"by": None, "run": None}
                    assert (again["by"], again["run"]) == (held["by"], held["run"])


@settings(max_examples=40, deadline=None)
@given(written=rules(), story=stories)
def test_the_record_tells_again_what_was_decided(written: str, story: Story) -> None:
    asyncio.run(_explained(written, story))
