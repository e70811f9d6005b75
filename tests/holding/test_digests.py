"""digest: matches gathered by key, and what the steps see of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from holding.stories import happens, rule
from running.bench import open_bench

from engine.clock import MINUTE
from engine.model import State

pytestmark = pytest.mark.anyio

LIST = """do:
      - tell: {text: "{{ digest.count }}: {{ events | map(attribute='user.key') | join(' ') }}, last {{ user.key }}"}"""
ALL = "per: none\ndigest: "


def users(*pairs: tuple[str, str]) -> list[tuple[str, str, dict[str, str]]]:
    """Events of users at spans."""
    return [(span, "user.expired", {"username": name}) for span, name in pairs]


async def test_a_digest_gathers_for_a_while_and_runs_once(tmp_path: Path) -> None:
    rules = rule(ALL + "{wait: 1m}", do=LIST)
    events = users(("0s", "anna"), ("20s", "boris"), ("59s", "carl"), ("60s", "dora"))
    story = await happens(tmp_path, rules, events)
    assert story.told == [("1m", "3: anna boris carl, last carl"), ("2m", "1: dora, last dora")]
    assert story.held == ["digest"] * 4
    assert story.until == ["1m", "1m", "1m", "2m"]


async def test_each_key_has_a_digest_of_its_own(tmp_path: Path) -> None:
    rules = rule("digest: {wait: 1m}", do=LIST)
    events = users(("0s", "anna"), ("20s", "boris"), ("30s", "anna"))
    story = await happens(tmp_path, rules, events)
    assert story.told == [
        ("1m", "2: anna anna, last anna"), ("1.33333m", "1: boris, last boris"),
    ]  # fmt: skip


async def test_every_lets_the_first_go_at_once_and_keeps_a_gap(tmp_path: Path) -> None:
    rules = rule(ALL + "{every: 15m}", do=LIST)
    events = users(("0m", "a"), ("1m", "b"), ("2m", "c"), ("20m", "d"), ("60m", "e"))
    story = await happens(tmp_path, rules, events)
    assert [when for when, _ in story.told] == ["0m", "15m", "30m", "60m"]
    assert story.told[1][1] == "2: b c, last c"
    assert story.held == ["", "digest", "digest", "digest", ""]


async def test_wait_and_every_together(tmp_path: Path) -> None:
    rules = rule(ALL + "{wait: 1m, every: 15m}", do=LIST)
    story = await happens(tmp_path, rules, users(("0m", "a"), ("2m", "b"), ("30m", "c")))
    assert [when for when, _ in story.told] == ["1m", "16m", "31m"]


async def test_a_full_digest_goes_at_once(tmp_path: Path) -> None:
    rules = rule(ALL + "{wait: 10m, max: 2}", do=LIST)
    events = users(("0m", "a"), ("1m", "b"), ("2m", "c"), ("3m", "d"), ("4m", "e"))
    story = await happens(tmp_path, rules, events)
    assert story.told == [
        ("1m", "2: a b, last b"), ("3m", "2: c d, last d"), ("14m", "1: e, last e"),
    ]  # fmt: skip


async def test_a_full_digest_in_one_batch(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(ALL + "{wait: 10m, max: 2}", do=LIST)) as bench:
        for name in "abcde":
            await bench.event("user.expired", username=name)
        await bench.settle()
        assert bench.texts == ["2: a b, last b", "2: c d, last d"]


async def test_at_a_time_of_day(tmp_path: Path) -> None:
    rules = rule(ALL + '{at: "0 9 * * *", timezone: UTC}', do=LIST)
    # The story starts at nine.
    story = await happens(tmp_path, rules, users(("0m", "a"), ("1h", "b"), ("24h", "c")), end="3d")
    assert story.told == [("1440m", "2: a b, last b"), ("2880m", "1: c, last c")]


async def test_a_digest_survives_a_restart(tmp_path: Path) -> None:
    rules = rule(ALL + "{wait: 10m}", do=LIST)
    await happens(tmp_path, rules, users(("0m", "a"), ("1m", "b")), end="2m")
    story = await happens(tmp_path, rules, users(("3m", "c")), end="20m")
    assert story.told == [("10m", "3: a b c, last c")]


async def test_who_does_not_match_any_more_is_left_out(tmp_path: Path) -> None:
    rules = rule(ALL + "{wait: 10m}\nwhen: latest.user.status == 'EXPIRED'", do=LIST)
    events = [
        *((span, "user.expired", {"username": name, "status": "EXPIRED"})
          for span, name in (("0m", "a"), ("1m", "b"), ("2m", "c"))),
        ("3m", "user.enabled", {"username": "c", "status": "ACTIVE"}),
    ]  # fmt: skip
    story = await happens(tmp_path, rules, events)
    assert story.told == [("10m", "2: a b, last b")]


async def test_where_nobody_matches_any_more_nothing_is_sent(tmp_path: Path) -> None:
    rules = rule("digest: {wait: 10m}\nwhen: latest.user.status == 'EXPIRED'", do=LIST)
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", status="EXPIRED")
        await bench.settle()
        await bench.until("1m")
        await bench.event("user.enabled", status="ACTIVE")
        await bench.until("1h")
        run = await bench.run()
        assert (run.state, run.reason) == (State.CANCELLED, "no_longer_matches")
        assert bench.texts == []


async def test_who_was_left_out_stays_out_of_the_steps_after(tmp_path: Path) -> None:
    do = """do:
      - tell: {text: "{{ digest.count }}"}
        retry: {tries: 3, backoff: 1m}
      - after: 1h
        tell: {text: "later {{ digest.count }}"}"""
    rules = rule(ALL + "{wait: 10m}\nwhen: latest.user.status == 'EXPIRED'", do=do)
    events = [
        ("0m", "user.expired", {"username": "a", "status": "EXPIRED"}),
        ("1m", "user.expired", {"username": "b", "status": "EXPIRED"}),
        ("2m", "user.enabled", {"username": "b", "status": "ACTIVE"}),
        ("30m", "user.disabled", {"username": "b", "status": "EXPIRED"}),
    ]
    story = await happens(tmp_path, rules, events)
    assert story.told == [("10m", "1"), ("70m", "later 1")]


async def test_the_idempotency_key_is_that_of_the_first_event(tmp_path: Path) -> None:
    rules = rule("digest: {wait: 1m}", do=LIST)
    async with open_bench(tmp_path, rules) as bench:
        first = await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(MINUTE // 2)
        await bench.event("user.expired")
        await bench.until("2m")
        run = await bench.run()
        assert run.origin == first
        assert run.state is State.SUCCEEDED


async def test_gathered_events_are_kept_as_long_as_anything_of_the_story_waits(
    tmp_path: Path,
) -> None:
    from engine.journal import retention

    do = 'do: [{after: 60d, tell: {text: "{{ digest.count }}"}}]'
    async with open_bench(tmp_path, rule(ALL + "{wait: 1m}", do=do)) as bench:
        for name in "abc":
            await bench.event("user.expired", username=name)
        await bench.until("40d")
        before = bench.clock.now() - 30 * 24 * 60 * MINUTE
        await bench.journal.write(retention.forget_runs(before))
        await bench.journal.write(retention.forget_holding(bench.clock.now()))
        await bench.journal.write(retention.forget_events(before, 0, keep_digests=False))
        await bench.until("61d")
        assert bench.texts == ["3"]
        await bench.journal.write(retention.forget_runs(bench.clock.now() + 1))
        await bench.journal.write(retention.forget_holding(bench.clock.now()))
        assert await bench.count("gathered") == 0


async def test_a_digest_of_a_throttled_rule_takes_one_place_a_match(tmp_path: Path) -> None:
    rules = rule("per: none\nthrottle: 2 per 1h\ndigest: {wait: 1m}", do=LIST)
    events = users(("0s", "a"), ("1s", "b"), ("2s", "c"), ("3m", "d"))
    story = await happens(tmp_path, rules, events)
    assert story.told == [("1m", "2: a b, last b")]
    assert story.held == ["digest", "digest", "throttle", "throttle"]


async def test_a_digest_waits_for_all_that_came_before_it_is_due(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(ALL + "{wait: 1m}", do=LIST)) as bench:
        await bench.event("user.expired", username="a")
        await bench.settle()
        bench.clock.move(MINUTE // 2)
        await bench.event("user.expired", username="b")  # stored, and not decided yet
        bench.clock.move(MINUTE)
        await bench.hand_over()
        assert bench.texts == []
        await bench.settle()
        assert bench.texts == ["2: a b, last b"]
