"""A rule in shadow is tested as if it were live: its tests hold before and after it goes live."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.stories import failing, run

RULES = """
- {id: greet, on: user.created, MODE do: [{log: {text: hello}}, {after: 1d, do: [{log: {text: late}}]}]}
- {id: other, on: user.created, mode: shadow, do: [{log: {text: other}}]}
"""
STORY = """
- name: both
  rule: greet
  given: [{event: user.created}]
  expect: {actions: [{at: 0s, log: {text: hello}}, {at: 1d, log: {text: late}}]}
- name: changed on the way
  rule: greet
  given:
    - {event: user.created}
    - {at: 1h, reload: {change: {greet: {tags: [new]}}}}
    - {at: 2h, event: user.created, data: {username: ben}}
  until: 3h
  expect: {actions: [{at: 0s, log: {text: hello}}, {at: 2h, log: {text: hello}}]}
- name: sent to shadow
  rule: greet
  given:
    - {event: user.created}
    - {at: 1h, reload: {change: {greet: {mode: shadow}}}}
    - {at: 2h, event: user.created, data: {username: ben}}
  until: 3h
  expect:
    actions: [{at: 0s, log: {text: hello}}]
    held: [{rule: greet, by: shadow, at: 2h}]
"""


@pytest.mark.parametrize("mode", ["", "mode: shadow,"])
def test_the_same_tests_hold_in_shadow_and_live(tmp_path: Path, mode: str) -> None:
    assert failing(tmp_path, RULES.replace("MODE", mode), STORY) == {}


def test_a_failing_test_of_a_rule_in_shadow_holds_it_back(tmp_path: Path) -> None:
    tests = """
    - {name: t, rule: greet, given: [{event: user.created}], until: 1h, expect: {actions: []}}
    """
    (result,) = run(tmp_path, RULES.replace("MODE", "mode: shadow,"), tests)
    assert (result.well, result.excused, result.blamed) == (False, "", ("greet",))


def test_a_rule_in_shadow_that_is_not_under_test_does_nothing(tmp_path: Path) -> None:
    rules = """
    - {id: first, on: user.created, mode: shadow, do: [{emit: {event: vip.seen, data: "{name: user.username}"}}]}
    - {id: second, on: vip.seen, do: [{log: {text: seen}}]}
    """
    tests = """
    - {name: second, rule: second, given: [{event: user.created}], expect: {actions: []}}
    - {name: all, given: [{event: user.created}], expect: {actions: [{rule: first}, {rule: second}]}}
    """
    assert failing(tmp_path, rules, tests) == {}
