"""Lives that are cut off at any write: what holds back keeps its promises over all of them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from running.bench import START, Told, open_bench

from engine.clock import MINUTE, ManualClock
from engine.errors import ActionFailed, JournalUnavailable

pytestmark = pytest.mark.anyio

RULES = """
  - id: gathers
    on: user.expired
    per: none
    digest: {wait: 4m, max: 5}
    do:
      - tell:
          to: gathers
          text: "{{ events | map(attribute='data.number') | join(' ') }}"
  - id: limits
    on: user.expired
    throttle: 2 per 20m
    do: [{tell: {to: limits, text: "{{ user.key }}"}}]
  - id: queues
    on: user.expired
    concurrency: queue
    do:
      - tell: {to: queues, text: "{{ user.key }} {{ data.number }} first"}
      - tell: {to: queues, text: "{{ user.key }} {{ data.number }} second"}
  - id: repeats
    on: user.expired
    do:
      - for_each: {in: data.list, do: [{tell: {to: repeats, text: "{{ data.number }}.{{ item }}"}}]}
"""
EVENTS = 14


class CutOffError(Exception):
    """The process is gone."""


async def _live(folder: Path, clock: ManualClock, random: Random, sent: list[int]) -> list[Told]:
    """A life that ends at some write; what was told in it."""
    left = random.randrange(5, 60)
    async with open_bench(folder, RULES, clock=clock) as bench:
        write = bench.journal.write

        async def cut(op: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise CutOffError
            return await write(op)  # type: ignore[arg-type]

        bench.journal.write = cut  # type: ignore[method-assign, assignment]
        try:
            while len(sent) < EVENTS:
                await bench.event(
                    "user.expired", username=random.choice(["anna", "ben"]),
                    number=len(sent), list=list(range(random.randrange(4))),
                )  # fmt: skip
                sent.append(len(sent))
                if random.random() < 0.3:
                    bench.tell.script.append(ActionFailed("no", retry=True))
                await bench.settle()
                await bench.reach(clock.now() + random.randrange(4) * MINUTE)
            await bench.reach(clock.now() + 60 * MINUTE)
        except (CutOffError, JournalUnavailable):
            pass
        return bench.tell.told


async def _all_lives(folder: Path, random: Random) -> tuple[list[Told], list[int]]:
    clock = ManualClock(START)
    told: list[Told] = []
    sent: list[int] = []
    for _ in range(6):
        told += await _live(folder, clock, random, sent)
        clock.move(random.randrange(3) * MINUTE)
    async with open_bench(folder, RULES, clock=clock) as bench:
        while len(sent) < EVENTS:
            await bench.event("user.expired", username="anna", number=len(sent), list=[0])
            sent.append(len(sent))
            await bench.settle()
        await bench.reach(clock.now() + 60 * MINUTE)
        assert set(await bench.states()) <= {"succeeded"}
        told += bench.tell.told
    return told, sent


@pytest.mark.parametrize("first", range(0, 40, 10))
async def test_however_often_it_is_cut_off_the_limits_hold(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 10):
        (folder := tmp_path / str(seed)).mkdir()
        told, sent = await _all_lives(folder, Random(seed))
        # A try whose end was not written is repeated, with the same key: count it once.
        once = {one.call.key: one for one in told}.values()
        texts = {name: [one.text for one in once if one.to == name] for name in _NAMES}
        numbers = [int(word) for text in texts["gathers"] for word in text.split()]
        assert sorted(numbers) == sent, "each match is in one digest, and in one only"
        assert all(len(text.split()) <= 5 for text in texts["gathers"])
        _keep_the_limit([(one.at, one.text) for one in once if one.to == "limits"])
        _come_in_order([one.text for one in once if one.to == "queues"])


_NAMES = ("gathers", "limits", "queues", "repeats")


def _keep_the_limit(told: list[tuple[int, str]]) -> None:
    for at, name in told:
        window = [one for one in told if one[1] == name and at <= one[0] < at + 20 * MINUTE]
        assert len(window) <= 2, (at, name)


def _come_in_order(texts: list[str]) -> None:
    """One run after the other: no other run of the key comes between its two steps."""
    assert sorted(int(text.split()[1]) for text in texts) == sorted([*range(EVENTS)] * 2)
    for name in ("anna", "ben"):
        mine = [text.split()[1:] for text in texts if text.startswith(name)]
        assert [place for _, place in mine] == ["first", "second"] * (len(mine) // 2)
        assert all(mine[n][0] == mine[n + 1][0] for n in range(0, len(mine), 2))
