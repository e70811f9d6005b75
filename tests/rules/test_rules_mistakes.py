"""Each mistake in a rule is told with its place and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import GOOD, SAY, load_text, rule, told

from engine.rules import codes


def wrong(tmp_path: Path, body: str) -> list[str]:
    loaded = load_text(tmp_path, rule(body))
    assert not loaded.ruleset.rules
    assert loaded.broken <= {"r"}
    return told(loaded.problems)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"whn: x\n{SAY}", '5:5: R007 there is no key "whn" here; did you mean "when"?'),
        ("description: x", '3:5: R008 a rule needs "do"'),
        ("do: []", "5:9: R009 do is a list of steps, not []"),
        ("do: {say: {text: hi}}", '5:9: R009 do is a list of steps; put "- " before each step'),
        ("do: [hi]", '5:10: R009 a step is a mapping, not "hi"; write one like: log: {text: …}'),
        ("do: [{id: a}]", "5:10: R015 the step has no action; there is fetch, letter, say"),
        ("do: [{sya: {text: hi}}]", '5:11: R015 there is no action "sya"; did you mean "say"?'),
        (
            "do: [{say: {text: hi}, retri: {}}]",
            '5:28: R007 a step has no "retri"; did you mean "retry"?',
        ),
        (
            "do: [{after: 1h, cancel_onn: user.renewed, say: {text: hi}}]",
            '5:22: R007 a step has no "cancel_onn"; did you mean "cancel_on"?',
        ),
        (
            "do: [{say: {text: hi}, fetch: {}}]",
            "5:28: R009 a step has one action, and say is already there; make it a step of its own",
        ),
        (
            "do: [{say: {text: hi}, cancel_on: user.x}]",
            "5:28: R007 cancel_on belongs to an after or await step",
        ),
        (
            "do: [{say: {text: hi}, id: my-step}]",
            '5:32: R009 "my-step" is no id for a step; letters, digits and _, as in steps.my_id.status',
        ),
        (
            "do: [{say: {text: hi}, id: a}, {after: 1d, id: a, say: {text: hi}}]",
            '5:52: R011 another step of this rule has the id "a"',
        ),
        (
            "do: [{say: {text: hi}, retry: 3}]",
            "5:35: R009 retry is a mapping, not 3; write one like {tries: 5, backoff: 10s}; {tries: 1} for no second try",
        ),
        (
            "do: [{say: {text: hi}, retry: {tries: 0}}]",
            "5:43: R009 tries is a number from 1 to 1000, not 0",
        ),
        (
            "do: [{say: {text: hi}, retry: {tries: 2, for: 1d}}]",
            "5:46: R009 retry has either tries or for",
        ),
        (
            "do: [{say: {text: hi}, retry: {backoff: 5}}]",
            "5:45: R028 backoff: 5 has no unit; write 5s, 5m, 5h or 5d",
        ),
        ("do: [{say: {text: hi}, timeout: 0s}]", '5:37: R028 timeout: "0s" is too short'),
        (
            "do: [{say: {text: hi}, on_error: go}]",
            '5:38: R009 on_error is stop or continue, not "go"',
        ),
        (
            "do: [{say: {text: hi}, if_unknown: repat}]",
            '5:40: R009 if_unknown is repeat or dead, not "repat"; did you mean "repeat"?',
        ),
        ("do: [{after: -1d, say: {text: hi}}]", '5:18: R028 after: "-1d" is too short'),
        ("do: [{after: {offset: 1d}, say: {text: hi}}]", '5:18: R008 after needs "until"'),
        (
            "do: [{after: {until: usr.x}, say: {text: hi}}]",
            '5:26: R020 there is no "usr"; did you mean "user"?',
        ),
        (
            "do: [{after: 1d, do: [{say: {text: hi}}], say: {text: hi}}]",
            '5:47: R007 there is no key "say" here; there is after, cancel_on, do, if_late, on_rule_change, quiet, when',
        ),
        (
            "do: [{after: 1d, cancel_on: [5], say: {text: hi}}]",
            "5:34: R009 5 is no event type; write one like user.expired, user.* or *",
        ),
        (
            "do: [{after: 1d, cancel_on: {when: a}, say: {text: hi}}]",
            '5:33: R008 cancel_on needs "on"',
        ),
        (
            f"when:\n{SAY}",
            "5:5: R009 a condition is a text, a list, or one of all, any, not; not null; several conditions go into a list",
        ),
        (
            f"per: 5\n{SAY}",
            "5:10: R009 a JMESPath expression is expected, not 5; write it as a text",
        ),
        (f"if: user.email\n{SAY}", '5:5: R007 there is no key "if" here; did you mean "when"?'),
        (
            f"enabled: false\n{SAY}",
            '5:5: R007 there is no key "enabled" here; did you mean "mode"?',
        ),
        (f"mode: on\n{SAY}", '5:11: R009 mode is live or shadow or off, not "on"'),
        (f"tags: [5]\n{SAY}", "5:12: R009 tags holds texts, not 5"),
        (f"tags: 5\n{SAY}", "5:11: R009 tags holds texts, not 5"),
        (f"empty_ok: perhaps\n{SAY}", '5:15: R009 empty_ok is true or false, not "perhaps"'),
        (f"description: [x]\n{SAY}", '5:18: R009 description is a text, not ["x"]'),
        (
            "do: [{letter: {to: a}}]",
            "5:11: R026 letter needs a connection of kind box, and there is none; describe one under connections",
        ),
        (
            "do: [{letter: {to: a, connection: post}}]",
            '5:39: R026 there is no connection "post"; describe it under connections',
        ),
        (
            'do: [{say: {text: "{{ user.x"}}]',
            "5:23: R022 the template is wrong: unexpected end of template, expected 'end of print statement'.; is there a }} missing?",
        ),
        (
            "when: user.x > 3\ndo: [{say: {text: 5}}]",
            "5:11: R018 the number 3 needs backticks (in user.x > 3); write `3`",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_way_out(
    tmp_path: Path, body: str, expected: str
) -> None:
    assert wrong(tmp_path, body)[0] == f"rules.yaml:{expected}"


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("", '4:5: R008 a rule needs "on"'),
        ("[]", "4:9: R009 on has no event type in it"),
        (
            "[user.*, a b]",
            '4:18: R009 "a b" is no event type; write one like user.expired, user.* or *',
        ),
        (
            "{cron: 0 9 * *}",
            '4:16: R028 "0 9 * *" is no cron line: a cron line has 5 fields, this one has 4; five fields',
        ),
        ("{cron: 5}", "4:16: R028 5 is no cron line: it is no text"),
        ("{every: 0s}", '4:17: R028 every: "0s" is too short'),
        ("{}", "4:9: R009 a clock has either cron or every"),
        ("{every: 1m, cron: x}", "4:9: R009 a clock has either cron or every"),
        (
            "{every: 1m, timezone: Europe/Berln}",
            '4:31: R028 there is no time zone "Europe/Berln"; did you mean "Europe/Berlin"?',
        ),
    ],
)
def test_a_rule_listens_to_something_that_can_happen(
    tmp_path: Path, on: str, expected: str
) -> None:
    found = told(load_text(tmp_path, rule(SAY).replace("on: user.*", f"on: {on}")).problems)
    assert found[0].startswith(f"rules.yaml:{expected}")


@pytest.mark.parametrize("name", ["Node-Down", "-a", "5.5", "a_b", "''", "[a]", "a" * 101])
def test_a_rule_id_is_small_letters_digits_and_hyphens(tmp_path: Path, name: str) -> None:
    loaded = load_text(tmp_path, GOOD.replace("id: good", f"id: {name}"))
    assert [problem.code for problem in loaded.problems] == [codes.WRONG_VALUE]
    assert not loaded.ruleset.rules


def test_every_code_that_is_used_has_a_meaning() -> None:
    defined = {
        value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)
    }
    assert defined == set(codes.CODES)
    assert list(codes.CODES) == sorted(codes.CODES)


def test_what_failed_is_known_in_on_failure_alone(tmp_path: Path) -> None:
    told = "on_failure: [{when: error.reason == 'timeout', say: {text: '{{ error.message }}'}}]"
    assert load_text(tmp_path, rule(f"{SAY}\n{told}")).problems == ()
    hint = 'R020 there is no "error" here; it is known in on_failure'
    (problem,) = wrong(tmp_path, "do: [{say: {text: '{{ error.message }}'}}]")
    assert hint in problem
    (problem,) = wrong(tmp_path, f"when: error.reason\n{SAY}")
    assert hint in problem


def test_on_failure_is_a_list_of_steps_with_ids_of_their_own(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, f"{SAY}\non_failure: nothing")
    assert 'on_failure is a list of steps, not "nothing"' in problem
    steps = "do: [{id: a, say: {text: hi}}]\non_failure: [{id: a, say: {text: hi}}]"
    (problem,) = wrong(tmp_path, steps)
    assert 'another step of this rule has the id "a"' in problem


@pytest.mark.parametrize(
    "condition", ["user.tag == 'VIP' || 'GOLD'", "'GOLD' && user.email", "!('GOLD')", "'GOLD'"]
)
def test_a_text_by_itself_is_no_condition(tmp_path: Path, condition: str) -> None:
    assert wrong(tmp_path, f'when: "{condition}"\n{SAY}') == [
        (
            "rules.yaml:5:11: R049 'GOLD' by itself is always true; "
            "name the field again: user.tag == 'GOLD'"
        )
    ]


def test_a_text_to_fall_back_on_is_no_condition_by_itself(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, rule(f"when: \"(user.tag || 'x') == 'VIP'\"\n{SAY}"))
    assert not loaded.problems


def test_who_calculates_is_told_of_the_functions_for_times(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, f'when: "time(user.expireAt) - time(now) > `5`"\n{SAY}')
    assert problem.endswith("hours_until(x) and days_since(x) tell how far off a time is")


def test_a_secret_in_a_text_for_people_is_refused_however_it_is_written(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, "do: [{say: {text: \"it is secret('panel')\"}}]")
    assert "R023 secret(…) stands in the middle of a text" in problem


def test_a_text_that_begins_with_braces_and_has_no_quotes_is_told_so(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, rule("do:\n      - say:\n          text: {{ user.key }} left"))
    (problem,) = told(loaded.problems)
    assert problem.endswith('; a text that begins with {{ stands in quotes: "{{ … }} …"')
