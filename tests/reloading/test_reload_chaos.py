"""Two hundred stories at random: whatever happens to rules and daemon, follow-ups keep their promises."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from reloading.chaos import SOONEST, Chaos, query
from running.bench import Bench

from engine.clock import MINUTE

pytestmark = pytest.mark.anyio

STEPS = 8


@pytest.mark.parametrize("first", range(0, 200, 10))
async def test_whatever_happens_follow_ups_keep_their_promises(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 10):
        (folder := tmp_path / str(seed)).mkdir()
        chaos = Chaos(folder, Random(seed))
        await chaos.live(STEPS)
        async with chaos.end() as bench:
            _check(chaos, bench)


def _check(chaos: Chaos, bench: Bench) -> None:
    _each_ran_once_and_none_too_early(chaos)
    _none_ran_that_was_cancelled(chaos)
    _what_waits_waits_where_it_should(chaos, bench)
    _changes_were_followed(chaos, bench)


def _each_ran_once_and_none_too_early(chaos: Chaos) -> None:
    folder = chaos.folder
    tries = query(folder, "select run, path, count(*) from attempts where number > 0 group by 1, 2")
    assert [row for row in tries if row[2] != 1] == []
    keys = [told.call.key for told in chaos.told]
    assert len(keys) == len(set(keys)) == len(tries)
    early = query(
        folder,
        "select r.id, r.due, r.created, a.started from runs r join attempts a on a.run = r.id"
        " where r.path != '' and (a.started < r.due"
        " or (r.released = 0 and r.met = 0 and a.started < r.created + ?))",
        SOONEST * MINUTE,
    )
    assert early == []


def _none_ran_that_was_cancelled(chaos: Chaos) -> None:
    ran = query(
        chaos.folder,
        "select r.id, r.reason from runs r join attempts a on a.run = r.id"
        " where r.state = 'cancelled'",
    )
    assert ran == []
    missed = query(
        chaos.folder,
        "select r.id, e.id from runs r join attempts a on a.run = r.id join events e"
        " on e.type = 'user.deleted' and e.subject = (select subject from events"
        "  where seq = r.origin_seq) and e.raised > r.origin_raised and e.stored < r.due"
        " where r.path != '' and r.met = 0",
    )
    assert missed == []


def _what_waits_waits_where_it_should(chaos: Chaos, bench: Bench) -> None:
    now, away = bench.clock.now(), bench.library.book.away
    waiting = query(
        chaos.folder,
        "select rule, state, reason, due, released from runs"
        " where path != '' and state in ('pending', 'on hold')",
    )
    live = {rule.id[0] for rule in chaos.rules if rule.in_force == "live"}
    for rule, state, reason, due, released in waiting:
        assert (away(rule) is None) == (rule[0] in live), rule
        if state == "pending":
            assert rule[0] in live or released
        elif reason in {"rule_gone", "rule_off"}:
            assert rule[0] not in live, (rule, due - now)
        else:
            assert reason in {"overdue", "rule_changed"}
    lost = query(
        chaos.folder,
        "select id, state from runs where state in ('queued', 'running')"
        " and id not in (select run from queue)",
    )
    assert lost == []


def _changes_were_followed(chaos: Chaos, bench: Bench) -> None:
    """By the word of the version that each began with."""
    waiting = query(
        chaos.folder,
        "select r.rule, r.version, v.body from runs r join versions v on v.hash = r.version"
        " where path = 'do.0' and state = 'pending' and released = 0",
    )
    for rule, version, body in waiting:
        current = bench.library.book.current(rule)
        assert current is not None
        if version != current.version:
            assert '"on_rule_change":"keep"' in body or _is_renamed_only(body, current.source)


def _is_renamed_only(body: str, source: object) -> bool:
    before, now = json.loads(body)["rule"], dict(source)  # type: ignore[call-overload]
    return bool({**before, "id": "", "was": []} == {**now, "id": "", "was": []})
