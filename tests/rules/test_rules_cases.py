"""Each mistake in a test of rules is told with its place and a way out, and spoils no rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import GOOD, load_text, told

from engine.rules.cases import Fails, Happens
from engine.rules.loading import Loaded

HEAD = GOOD + "tests:\n"
FINE = "given: [{event: user.created}], expect: {actions: []}"


def read(tmp_path: Path, test: str) -> Loaded:
    return load_text(tmp_path, f"{HEAD}  - {test}\n")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("hi", '7:5: R009 a test is a mapping, not "hi"'),
        (f"{{{FINE}}}", 'R008 a test needs "name"'),
        ("{name: t}", 'R008 a test needs "expect"'),
        (f"{{name: 5, {FINE}}}", "R009 name is a text, not 5"),
        (f"{{name: t, rules: good, {FINE}}}", 'R007 there is no key "rules" here; did you mean "rule"?'),
        (f"{{name: t, rule: god, {FINE}}}", 'R045 there is no rule "god"; did you mean "good"?'),
        (f"{{name: t, start: soon, {FINE}}}", 'R028 start is a date with a time of day, not "soon"'),
        (f"{{name: t, until: 5, {FINE}}}", "R028 until: 5 has no unit"),
        ("{name: t, given: {}, expect: {actions: []}}", "R009 given is a list, not {}"),
        ("{name: t, given: [{at: 1m}], expect: {actions: []}}", "R009 what is given is one of event"),
        ("{name: t, given: [{at: -1m, event: user.created}], expect: {dead: []}}", "is too short"),
        ("{name: t, given: [{event: user.*}], expect: {dead: []}}", 'R009 "user.*" is no event type'),
        ("{name: t, given: [{event: user.created, data: 5}], expect: {dead: []}}", "R009 data is a"),
        (
            "{name: t, panel: '1.5', given: [{event: torrent_blocker.report}], expect: {dead: []}}",
            "R045 panel 1.5 does not send torrent_blocker.report",
        ),
        ("{name: t, given: [{event: rulewave.strated}], expect: {dead: []}}", "rulewave.started"),
        (
            "{name: t, given: [{evnt: user.created}], expect: {dead: []}}",
            'R007 there is no key "evnt" here; did you mean "event"?',
        ),
        (
            "{name: t, expect: {held: [{rule: good, by: quit}]}}",
            'R045 nothing holds back that is called "quit"; did you mean "quiet"?',
        ),
        ("{name: t, expect: {held: {rule: good, by: w*}}}", 'R045 nothing holds back that is called "w*"'),
        ("{name: t, given: [{reload: x}], expect: {dead: []}}", "R009 reload says what is changed"),
        (
            "{name: t, given: [{reload: {remove: bad}}], expect: {dead: []}}",
            'R045 there is no rule "bad" by then',
        ),
        (
            "{name: t, given: [{reload: {change: {good: {whn: x}}}}], expect: {dead: []}}",
            'R007 there is no key "whn" here',
        ),
        (f"{{name: t, mock: {{x: {{}}}}, {FINE}}}", 'R045 no step has the id "x"'),
        (f"{{name: t, mock: {{do.0: hi}}, {FINE}}}", 'R009 "hi" is no result of a step'),
        (f"{{name: t, mock: {{bad/do.0: {{}}}}, {FINE}}}", 'R045 there is no rule "bad"'),
        ("{name: t, expect: []}", "R009 expect is a mapping"),
        ("{name: t, expect: {action: []}}", 'R007 there is no key "action" here; did you mean "actions"?'),
        ("{name: t, expect: {actions: {}}}", "R009 actions is a list"),
        ("{name: t, expect: {actions: [{sya: {}}]}}", 'R015 there is no action "sya"; did you mean "say"?'),
        (
            "{name: t, expect: {actions: [{say: {txt: hi}}]}}",
            'R012 say has no parameter "txt"; did you mean "text"?',
        ),
        ("{name: t, expect: {actions: [{say: hi}]}}", "R009 say takes its parameters"),
        ("{name: t, expect: {actions: [{say: {where: 'a > 3'}}]}}", "R018"),
        ("{name: t, expect: {actions: [{say: {where: '(('}}]}}", "R016"),
        ("{name: t, expect: {dead: [bad]}}", 'R045 there is no rule "bad"'),
        ("{name: t, expect: {dead: [{rule: good, times: 0}]}}", "R009 times is a number"),
        ("{name: t, until: 1m, expect: {actions: [{at: 2m}]}}", "R045 the test ends before the last"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_test_is_told_and_the_rules_load(
    tmp_path: Path, test: str, said: str
) -> None:
    loaded = read(tmp_path, test)
    assert any(said in problem for problem in told(loaded.errors)), told(loaded.problems)
    assert [rule.id for rule in loaded.ruleset.rules] == ["good"]
    assert loaded.cases == ()


def test_all_mistakes_of_all_tests_are_told_at_once(tmp_path: Path) -> None:
    text = f"{HEAD}  - {{name: a, expect: []}}\n  - {{name: b, rule: x, {FINE}}}\n"
    assert [problem.line for problem in load_text(tmp_path, text).errors] == [7, 8]


def test_two_tests_have_two_names(tmp_path: Path) -> None:
    text = f"{HEAD}  - {{name: a, {FINE}}}\n  - {{name: a, {FINE}}}\n"
    loaded = load_text(tmp_path, text)
    (said,) = told(loaded.errors)
    assert 'R011 another test is called "a" already; it is at' in said
    assert len(loaded.cases) == 1


def test_an_event_that_nobody_knows_can_be_given_and_is_doubted(tmp_path: Path) -> None:
    test = "{name: t, given: [{event: user.cretaed, data: {a: 1}}], expect: {actions: []}}"
    loaded = read(tmp_path, test)
    (said,) = told(loaded.problems)
    assert 'R032 no panel sends "user.cretaed"; did you mean "user.created"?' in said
    ((given,),) = [case.given for case in loaded.cases]
    assert isinstance(given, Happens)
    assert b'"data": {"a": 1}' in given.body


@pytest.mark.parametrize(
    ("fail", "retry", "unknown", "reason"),
    [
        ("HTTP 503", True, False, "http_status"),
        ("HTTP 429 too many", True, False, "http_status"),
        ("404", False, False, "http_status"),
        ("SMTP 451", True, False, "refused"),
        ("SMTP 550 no such user", False, False, "refused"),
        ("exit code 75", True, False, "exit_code"),
        ("exit 1", False, False, "exit_code"),
        ("timeout", True, True, "timeout"),
        ("no connection", True, False, "connection"),
        ("whatever", False, False, "failed"),
        ("{message: whatever, retry: true, unknown: true}", True, True, "failed"),
    ],
)
def test_failures_are_called_as_people_call_them(
    tmp_path: Path, fail: str, retry: bool, unknown: bool, reason: str
) -> None:
    loaded = read(tmp_path, f"{{name: t, mock: {{do.0: {{fail: {fail}}}}}, {FINE}}}")
    ((end,),) = loaded.cases[0].mocks.values()
    assert isinstance(end, Fails)
    assert (end.retry, end.unknown, end.reason) == (retry, unknown, reason)


def test_what_is_expected_of_a_rule_that_is_not_under_test_is_told(tmp_path: Path) -> None:
    other = "  - {id: other, on: user.created, do: [{say: {text: x}}]}\n"
    for expect in ("{dead: other}", "{actions: [{rule: other}]}"):
        text = f"{GOOD}{other}tests:\n  - {{name: t, rule: good, expect: {expect}}}\n"
        (said,) = told(load_text(tmp_path, text).errors)
        assert 'R045 "other" is expected, but is not under test; add it to rule' in said
