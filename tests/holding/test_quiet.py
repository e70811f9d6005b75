"""quiet: held until it ends, or dropped; for runs, follow-ups and later tries."""

from __future__ import annotations

from pathlib import Path

import pytest
from holding.stories import happens, rule
from running.bench import open_bench

from engine.clock import MINUTE
from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio

# Stories start on Monday at nine (UTC).
NIGHT = 'quiet: {between: "22:00-07:00", timezone: UTC, then: hold}'
DROP = NIGHT.replace("hold", "drop")
LATER = "do: [{after: 1h, tell: {text: later}}]"


async def test_what_comes_at_night_is_held_until_the_morning(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule(NIGHT), ["12h", "14h", "21h59m", "22h"])
    assert [when for when, _ in story.told] == ["720m", "1320m", "1320m", "1320m"]
    assert story.held == ["", "quiet", "quiet", ""]
    assert story.until == [None, "1320m", "1320m", None]


async def test_hold_is_what_nobody_wrote(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule(NIGHT.replace(", then: hold", "")), ["14h"])
    assert [when for when, _ in story.told] == ["1320m"]


async def test_what_is_dropped_never_comes(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule(DROP), ["12h", "14h"])
    assert [when for when, _ in story.told] == ["720m"]
    assert story.held == ["", "quiet"]


async def test_days_name_the_day_on_which_it_starts(tmp_path: Path) -> None:
    weekend = NIGHT.replace("then:", "days: fri-sat, then:")
    # Thursday 23:00, Friday 23:00, Saturday 06:00, Sunday 06:00, Sunday 23:00.
    events = ["86h", "110h", "117h", "141h", "158h"]
    story = await happens(tmp_path, rule(weekend), events, end="10d")
    assert story.held == ["", "quiet", "quiet", "quiet", ""]


async def test_when_is_asked_again_in_the_morning(tmp_path: Path) -> None:
    rules = rule(NIGHT + "\nwhen: latest.user.status == 'EXPIRED'")
    events = [
        ("14h", "user.expired", {"status": "EXPIRED"}), ("15h", "user.enabled", {"status": "ACTIVE"}),
    ]  # fmt: skip
    story = await happens(tmp_path, rules, events)
    assert story.told == []


async def test_follow_ups_keep_the_night_of_their_rule(tmp_path: Path) -> None:
    story = await happens(tmp_path, rule(NIGHT, do=LATER), ["11h", "12h30m"])
    assert [when for when, _ in story.told] == ["720m", "1320m"]


async def test_a_follow_up_may_have_a_night_of_its_own(tmp_path: Path) -> None:
    do = f"do: [{{after: 1h, {NIGHT}, tell: {{text: later}}}}]"
    story = await happens(tmp_path, rule("empty_ok: true", do=do), ["12h30m"])
    assert [when for when, _ in story.told] == ["1320m"]


async def test_a_follow_up_that_is_dropped_says_why(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(DROP, do=LATER)) as bench:
        await bench.until("12h30m")
        await bench.event("user.expired")
        await bench.until("2d")
        run = await bench.run("r", "do.0")
        assert (run.state, run.reason) == (State.CANCELLED, "quiet")
        assert run.message == "dropped, for it is quiet until 2026-01-06 07:00 (UTC)"


async def test_a_first_follow_up_counts_from_acceptance_whatever_the_hour(tmp_path: Path) -> None:
    do = "do: [{after: 24h, tell: {text: later}}]"
    # At 08:00 and 23:00: the second is due at 23:00, and held.
    story = await happens(tmp_path, rule(NIGHT, do=do), ["23h", "38h"], end="9d")
    assert [when for when, _ in story.told] == [f"{47 * 60}m", f"{70 * 60}m"]


async def test_another_try_waits_for_the_morning_and_is_never_dropped(tmp_path: Path) -> None:
    for written in (NIGHT, DROP):
        folder = tmp_path / written[-6:-1].strip()
        folder.mkdir()
        async with open_bench(folder, rule(written)) as bench:
            bench.tell.script.append(ActionFailed("no", retry=True, after=3600.0))
            await bench.until("12h30m")
            await bench.event("user.expired")
            await bench.until("2d")
            second = "1320m" if written == NIGHT else "810m"
            assert [when for when, _ in bench.timed] == ["750m", second]


async def test_a_run_that_a_person_lets_run_now_does_so_at_night(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(NIGHT, do=LATER)) as bench:
        await bench.until("12h30m")
        await bench.event("user.expired")
        await bench.until("14h")
        held = await bench.run("r", "do.0")
        assert (held.state, held.reason) == (State.PENDING, "quiet")
        await bench.desk.ask("followups", "run-now", {"id": held.id})
        await bench.settle()
        assert [when for when, _ in bench.timed] == ["840m"]


async def test_what_is_held_survives_a_restart(tmp_path: Path) -> None:
    await happens(tmp_path, rule(NIGHT), ["14h"], end="15h")
    story = await happens(tmp_path, rule(NIGHT), [], end="2d")
    assert [when for when, _ in story.told] == ["1320m"]


async def test_a_digest_gathers_through_the_night(tmp_path: Path) -> None:
    do = 'do: [{tell: {text: "{{ digest.count }}"}}]'
    rules = rule(NIGHT + "\ndigest: {wait: 1m}", do=do)
    story = await happens(tmp_path, rules, ["12h59m30s", "13h5m", "20h", "23h"])
    assert story.told == [("1320m", "3"), ("1381m", "1")]


async def test_a_full_digest_at_night_waits_as_well(tmp_path: Path) -> None:
    do = 'do: [{tell: {text: "{{ digest.count }}"}}]'
    rules = rule(NIGHT + "\ndigest: {wait: 1m, max: 2}", do=do)
    story = await happens(tmp_path, rules, ["14h", "15h", "16h"])
    assert story.told == [("1320m", "2"), ("1320m", "1")]


async def test_a_rule_switched_off_at_night_keeps_what_it_holds(tmp_path: Path) -> None:
    async with open_bench(tmp_path, rule(NIGHT)) as bench:
        await bench.until("14h")
        await bench.event("user.expired")
        await bench.settle()
        await bench.reload(rule(NIGHT + "\nmode: off"))
        run = await bench.run()
        assert (run.state, run.reason) == (State.ON_HOLD, "rule_off")
        await bench.until("15h")
        await bench.reload(rule(NIGHT))
        await bench.until("2d")
        assert [when for when, _ in bench.timed] == ["1320m"]


async def test_what_was_due_before_the_night_and_comes_to_its_turn_in_it_waits(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, rule(NIGHT)) as bench:
        await bench.until("12h59m")
        await bench.event("user.expired")  # decided two minutes later
        bench.clock.move(2 * MINUTE)
        await bench.settle()
        run = await bench.run()
        assert (run.state, run.reason) == (State.PENDING, "quiet")
        await bench.until("2d")
        assert [when for when, _ in bench.timed] == ["1320m"]


async def test_what_comes_too_late_is_not_held_for_the_morning(tmp_path: Path) -> None:
    do = "do: [{after: 1h, if_late: skip, tell: {text: later}}]"
    async with open_bench(tmp_path, rule(NIGHT, do=do)) as bench:
        await bench.until("11h")
        await bench.event("user.expired")
        await bench.settle()
        bench.clock.move(3 * 60 * MINUTE)  # the daemon was away at the due time
        await bench.settle()
        run = await bench.run("r", "do.0")
        assert (run.state, run.reason) == (State.EXPIRED, "too_late")
