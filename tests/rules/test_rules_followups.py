"""Follow-ups as written: what they wait for, how late they may be, and each mistake in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruletools import SAY, load_rule, load_text, rule, told

from engine.clock import DAY, HOUR, MINUTE
from engine.rules import codes
from engine.rules.model import AfterStep, CancelOn, ClockOn, IfLate

HI = "say: {text: hi}"
BOTH = "say: {text: '{{ arrived.event }} {{ error.step }}'}"
DO = f"do: [{{{HI}}}]"


def first_step(tmp_path: Path, step: str) -> Any:
    """The step of a rule without any problem."""
    loaded = load_text(tmp_path, rule(f"do: [{step}]"))
    assert told(loaded.problems) == []
    (found,) = loaded.ruleset.rules
    (step_found,) = found.do
    assert isinstance(step_found, AfterStep)
    return step_found


def wrong(tmp_path: Path, body: str) -> list[str]:
    loaded = load_text(tmp_path, rule(body))
    assert not loaded.ruleset.rules
    return told(loaded.problems)


def test_an_await_has_a_span_and_two_ways_on(tmp_path: Path) -> None:
    step = first_step(
        tmp_path,
        "{await: [user.renewed, {on: user.enabled, when: user.tag == origin.user.tag}], within: 1d, "
        f"cancel_on: user.deleted, when: user.email, {DO}, "
        f"else: [{{{HI}}}, {{after: 1h, {HI}}}]}}",
    )
    assert (step.delay, step.until, step.offset) == (DAY, None, 0)
    assert [one.pattern for one in step.awaits] == ["user.renewed", "user.enabled"]
    assert (step.awaits[0].when, step.awaits[1].when is None) == (None, False)
    assert step.cancel_on == (CancelOn("user.deleted"),)
    assert step.when is not None
    assert [one.path for one in step.do] == ["do.0.do.0"]
    assert [one.path for one in step.otherwise] == ["do.0.else.0", "do.0.else.1"]
    assert step.otherwise[1].do[0].path == "do.0.else.1.do.0"
    assert [one.pattern for one in step.watched_for] == [
        "user.deleted",
        "user.renewed",
        "user.enabled",
    ]
    assert [step.meets(at) for at in range(3)] == [False, True, True]


def test_an_action_may_stand_right_beside_an_await(tmp_path: Path) -> None:
    step = first_step(
        tmp_path,
        "{await: user.renewed, within: 1h, id: said, say: {text: '{{ arrived.event }}'}}",
    )
    assert [(one.path, one.id) for one in step.do] == [("do.0.do.0", "said")]
    assert step.otherwise == ()


def test_an_await_may_have_nothing_but_else(tmp_path: Path) -> None:
    step = first_step(tmp_path, f"{{await: user.renewed, within: 1h, else: [{{{HI}}}]}}")
    assert step.do == ()
    assert len(step.otherwise) == 1


@pytest.mark.parametrize(
    ("written", "within"),
    [
        ("", None),
        ("if_late: run", None),
        ("if_late: skip", MINUTE),
        ("if_late: {within: 10m}", 10 * MINUTE),
        ("if_late: {within: 0s}", 0),
    ],
)
def test_if_late_is_a_span_or_none_at_all(tmp_path: Path, written: str, within: int | None) -> None:
    step = first_step(tmp_path, f"{{after: 1h, {DO}, {written}}}")
    assert step.if_late == IfLate(within)
    text = rule(SAY).replace("on: user.*", f"on: {{every: 1h, {written}}}")
    (found,) = load_text(tmp_path, text).ruleset.rules
    assert found.clocks == (ClockOn(None, HOUR, "UTC", IfLate(within)),)


def test_a_cron_line_may_be_late_as_well(tmp_path: Path) -> None:
    text = rule(SAY).replace("on: user.*", "on: {cron: 0 9 * * *, if_late: skip}")
    (found,) = load_text(tmp_path, text).ruleset.rules
    assert found.clocks == (ClockOn("0 9 * * *", None, "UTC", IfLate(MINUTE)),)


@pytest.mark.parametrize("chosen", ["keep", "rebind", "cancel"])
def test_a_follow_up_says_what_becomes_of_it_when_its_rule_changes(
    tmp_path: Path, chosen: str
) -> None:
    for kind in ("after: 1h", "await: user.renewed, within: 1h"):
        assert first_step(tmp_path, f"{{{kind}, {HI}}}").on_rule_change == "keep"
        step = first_step(tmp_path, f"{{{kind}, {HI}, on_rule_change: {chosen}}}")
        assert step.on_rule_change == chosen


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"{{await: user.renewed, {HI}}}", '5:10: R008 await needs "within"'),
        (
            "{await: user.renewed, within: 1h}",
            '5:10: R008 await needs "do" or "else"; do: what to do when it comes; else: what to do when it does not',
        ),
        (
            f"{{await: [], within: 1h, {HI}}}",
            "5:18: R008 await needs an event type; as in await: user.renewed",
        ),
        (
            f"{{await: ~, within: 1h, {HI}}}",
            "5:18: R008 await needs an event type; as in await: user.renewed",
        ),
        (
            f"{{await: 5, within: 1h, {HI}}}",
            "5:18: R009 5 is no event type; write one like user.expired, user.* or *",
        ),
        (
            f"{{await: {{when: user.tag}}, within: 1h, {HI}}}",
            '5:18: R008 await needs "on"',
        ),
        (f"{{await: user.renewed, within: 0s, {HI}}}", '5:40: R028 within: "0s" is too short'),
        (
            f"{{await: user.renewed, within: 5, {HI}}}",
            "5:40: R028 within: 5 has no unit; write 5s, 5m, 5h or 5d",
        ),
        (
            f"{{await: user.renewed, within: 1h, {HI}, else: x}}",
            '5:67: R009 else is a list of steps, not "x"',
        ),
        (
            f"{{after: 1h, await: user.renewed, within: 1h, {HI}}}",
            "5:22: R009 a step has either after or await; put the await into the do of the after",
        ),
        (f"{{after: 1h, within: 1h, {HI}}}", "5:22: R007 within belongs to an await step"),
        (
            f"{{after: 1h, {DO}, else: [{{{HI}}}]}}",
            "5:47: R007 else belongs to an await step",
        ),
        (f"{{{HI}, within: 1h}}", "5:28: R007 within belongs to an await step"),
        (f"{{{HI}, else: []}}", "5:28: R007 else belongs to an await step"),
        (f"{{{HI}, if_late: skip}}", "5:28: R007 if_late belongs to an after or await step"),
        (
            f"{{{HI}, on_rule_change: keep}}",
            "5:28: R007 on_rule_change belongs to an after or await step",
        ),
        (
            f"{{after: 1h, if_late: skp, {HI}}}",
            '5:31: R009 if_late is run, skip or {within: 10m}, not "skp"',
        ),
        (f"{{after: 1h, if_late: {{}}, {HI}}}", '5:31: R008 if_late needs "within"'),
        (
            f"{{after: 1h, if_late: {{within: 1h, x: 1}}, {HI}}}",
            '5:44: R007 there is no key "x" here; there is within',
        ),
        (
            f"{{after: 1h, on_rule_change: kep, {HI}}}",
            '5:38: R009 on_rule_change is keep or rebind or cancel, not "kep"; did you mean "keep"?',
        ),
        (
            f"{{await: user.renewed, within: 1h, {DO}, els: []}}",
            '5:69: R007 there is no key "els" here; did you mean "else"?',
        ),
    ],
)
def test_a_mistake_in_a_follow_up_is_told_with_its_place_and_a_way_out(
    tmp_path: Path, step: str, expected: str
) -> None:
    assert wrong(tmp_path, f"do: [{step}]")[0] == f"rules.yaml:{expected}"


def awaiting(inside: str, beside: str = "") -> str:
    return f"do: [{{await: user.renewed, within: 1h, {beside} do: [{inside}]}}]"


@pytest.mark.parametrize(
    "body",
    [
        awaiting("{say: {text: '{{ arrived.event }} {{ elapsed | ago }}'}}"),
        awaiting(f"{{when: elapsed > `60`, {HI}}}"),
        awaiting(f"{{after: {{until: arrived.user.expireAt}}, {HI}}}"),
        awaiting("{after: 1h, do: [{say: {text: '{{ arrived.event }}'}}]}"),
        awaiting(
            "{await: user.deleted, within: 1h, else: [{say: {text: '{{ arrived.event }}'}}]}",
        ),
        f"{SAY}\non_failure: [{{await: user.renewed, within: 1h, {BOTH}}}]",
    ],
)
def test_what_arrived_is_known_in_the_do_of_an_await_and_all_below(
    tmp_path: Path, body: str
) -> None:
    assert told(load_text(tmp_path, rule(body)).problems) == []


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("do: [{say: {text: '{{ arrived.event }}'}}]", "arrived"),
        ("do: [{say: {text: '{{ elapsed }}'}}]", "elapsed"),
        (f"when: elapsed > `5`\n{SAY}", "elapsed"),
        (awaiting(f"{{{HI}}}", "else: [{say: {text: '{{ elapsed }}'}}],"), "elapsed"),
        (awaiting(f"{{{HI}}}", "when: arrived.user.tag,"), "arrived"),
        (f"do: [{{after: 1h, when: elapsed, {HI}}}]", "elapsed"),
        (
            f"do: [{{await: {{on: user.renewed, when: arrived.event}}, within: 1h, {HI}}}]",
            "arrived",
        ),
        (f"{SAY}\non_failure: [{{say: {{text: '{{{{ elapsed }}}}'}}}}]", "elapsed"),
    ],
)
def test_elsewhere_nothing_has_arrived(tmp_path: Path, body: str, name: str) -> None:
    (problem,) = wrong(tmp_path, body)
    assert problem.endswith(
        f'{codes.UNKNOWN_NAME} there is no "{name}" here; it is known in the do of an await'
    )


def test_an_await_is_held_against_what_the_panels_send(tmp_path: Path) -> None:
    found = load_rule(
        tmp_path,
        "user.expired",
        """
        do:
          - await:
              - {on: user.renewed, when: user.a1 == origin.user.a2}
              - user.no_such_event
            within: 1h
            do:
              - {id: mine, say: {text: "{{ arrived.data.anything }} {{ user.a3 }}"}}
            else:
              - say: {text: "{{ user.a4 }} {{ steps.mine.text }}"}
          - await: [user.renewed, user.enabled]
            within: 1h
            say: {text: "{{ arrived.user.a5 }} {{ arrived.node.name }}"}
          - await: node.connection_restored
            within: 1h
            when: user.a6
            do:
              - {when: elapsed == 'x', say: {text: "{{ arrived.node.a7 }} {{ arrived.user.email }}"}}
        """,
    )
    shown = [f"{problem.code} {problem.message}" for problem in found.problems]
    paths = ["user.a1", "origin.user.a2", "user.a3", "user.a4", "arrived.user.a5", "user.a6"]
    for path in (*paths, "arrived.node.a7"):
        assert f"R035 no panel version sends {path}" in shown
    assert 'R032 no panel sends "user.no_such_event"' in shown
    assert 'R040 no earlier step of this rule has the id "mine"' in shown
    never = "R035 arrived.{} is never there: these events have no arrived.{}"
    assert never.format("node.name", "node") in shown
    assert never.format("user.email", "user") in shown
    assert not [line for line in shown if "anything" in line]


def test_a_number_of_seconds_is_not_compared_with_a_text(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, awaiting(f"{{when: '''5'' == elapsed', {HI}}}"))
    assert "R033" in problem


def test_what_an_await_asks_for_may_be_used_in_its_texts(tmp_path: Path) -> None:
    asked = "{on: user.enabled, when: user.email && user.tag == origin.user.tag}"
    text = "say: {text: '{{ arrived.user.email }} {{ arrived.data.email }}'}"
    found = load_rule(tmp_path, "user.expired", f"do: [{{await: {asked}, within: 1h, {text}}}]")
    assert told(found.problems) == []
    found = load_rule(
        tmp_path, "user.expired", f"do: [{{await: [{asked}, user.renewed], within: 1h, {text}}}]"
    )
    assert {problem.code for problem in found.problems} == {codes.NULL_IN_TEXT}
