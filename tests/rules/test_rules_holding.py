"""What holds back, out of YAML: every form that is taken, and every mistake with a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruletools import SAY, load_text, rule, told

from engine.clock import HOUR, MINUTE
from engine.rules.model import Digest, Quiet, Threshold, Throttle

EVERY_DAY = frozenset(range(7))


def compiled(folder: Path, keys: str) -> Any:
    loaded = load_text(folder, rule(keys + f"\n{SAY}"))
    assert told(loaded.problems) == []
    (found,) = loaded.ruleset.rules
    return found


@pytest.mark.parametrize(
    ("keys", "name", "value"),
    [
        ("threshold: {at_least: 3, within: 10m}", "threshold", Threshold(3, 10 * MINUTE)),
        ("throttle: 1 per 24h", "throttle", Throttle(1, 24 * HOUR)),
        ("throttle: 10 per day", "throttle", Throttle(10, 24 * HOUR)),
        ("digest: {wait: 1m}", "digest", Digest(wait=MINUTE)),
        ("digest: {every: 15m, max: 200}", "digest", Digest(every=15 * MINUTE, max=200)),
        ("digest: {at: '0 9 * * *'}", "digest", Digest(at="0 9 * * *")),
        ("concurrency: restart", "concurrency", "restart"),
        ("quiet: {between: '23:00-07:00'}", "quiet", Quiet(1380, 420, EVERY_DAY, "UTC")),
        (
            "quiet: {between: '00:00-24:00', days: sat-sun, timezone: Europe/Berlin, then: drop}",
            "quiet", Quiet(0, 1440, frozenset({5, 6}), "Europe/Berlin", hold=False),
        ),
        (
            "quiet: {between: '9:30 - 17:00', days: [Friday - mon, wed]}",
            "quiet", Quiet(570, 1020, frozenset({4, 5, 6, 0, 2}), "UTC"),
        ),
        ("priority: high", "priority", 10),
        ("priority: low", "priority", -10),
        ("ttl: 1h", "ttl", HOUR),
        ("mode: shadow", "mode", "shadow"),
    ],
)  # fmt: skip
def test_a_form_that_is_taken(tmp_path: Path, keys: str, name: str, value: object) -> None:
    assert getattr(compiled(tmp_path, keys), name) == value


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("threshold: 3", "5:16: R009 threshold is a mapping of at_least, within; not 3"),
        ("threshold: {at_least: 3}", '5:16: R008 threshold needs "within"'),
        ("threshold: {at_least: 0, within: 5m}", "5:27: R009 at_least counts from 1 to 10,000; not 0"),
        ("threshold: {at_least: 3, within: 10}", "5:38: R028 within: 10 has no unit; write 10s, 10m, 10h or 10d"),
        ("throttle: 24h", '5:15: R009 throttle is a text like 1 per 24h, not "24h"'),
        ("throttle: 1 per moon", '5:15: R028 throttle: "moon" is no duration; write one like 90s, 5m, 3d or 1h30m'),
        ("digest: {}", '5:13: R008 a digest needs wait, every or at; as in wait: 1m, every: 1h or at: "0 9 * * *"'),
        ("digest: {max: 5000, wait: 1m}", "5:19: R009 max counts from 1 to 1,000; not 5000"),
        ("digest: {at: '0 9 * * *', every: 5m}", "5:18: R009 a digest has either at, or wait and every"),
        ("digest: {at: '9 Uhr'}", '5:18: R028 "9 Uhr" is no cron line: a cron line has 5 fields, this one has 2; five fields, as in "0 9 * * *" for nine every morning'),
        ("concurrency: single", '5:18: R009 concurrency is parallel or queue or restart or drop, not "single"'),
        ("quiet: {between: '23-7'}", '5:22: R028 between is a text like "23:00-07:00", not "23-7"'),
        ("quiet: {between: '23:00-27:00'}", '5:22: R028 between: "23:00-27:00" has a time that no clock shows'),
        ("quiet: {between: '07:00-07:00'}", '5:22: R028 between: "07:00-07:00" begins when it ends; for whole days write 00:00-24:00'),
        ("quiet: {between: '00:00-24:00'}", "5:12: R009 it would be quiet always; mode: off switches a rule off"),
        ("quiet: {between: '23:00-07:00', days: moonday}", '5:43: R028 "moonday" is no week day; write mon-fri, or sat, sun'),
        ("quiet: {then: hold}", '5:12: R008 quiet needs "between"'),
        ("quiet: {between: '23:00-07:00', timezone: Berlin}", '5:47: R028 there is no time zone "Berlin"; did you mean "Europe/Berlin"?'),
        ("priority: urgent", '5:15: R009 priority is high or normal or low, not "urgent"'),
        ("ttl: 0s", '5:10: R028 ttl: "0s" is too short'),
    ],
)  # fmt: skip
def test_a_mistake_and_the_way_out(tmp_path: Path, keys: str, problem: str) -> None:
    loaded = load_text(tmp_path, rule(keys + f"\n{SAY}"))
    assert f"rules.yaml:{problem}" in told(loaded.problems)
    assert not loaded.ruleset.rules


def test_the_names_of_a_digest_are_known_in_its_steps_only(tmp_path: Path) -> None:
    digest = "digest: {wait: 1m}\ndo: [{say: {text: '{{ digest.count }} {{ events | length }}'}}]"
    assert told(load_text(tmp_path, rule(digest)).problems) == []
    (problem,) = told(load_text(tmp_path, rule(digest.split("\n")[1])).problems)[:1]
    assert "it is known in the do of a rule with digest" in problem
