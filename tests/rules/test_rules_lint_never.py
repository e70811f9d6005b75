"""Conditions that no event makes true are doubted; those that some event can are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import load_condition, load_rule, told

_AT_ONCE = "no value of {} can be all of that at once"


@pytest.mark.parametrize(
    ("on", "condition", "expected"),
    [
        ("user.expired", "user.status == 'active'", "did you mean 'ACTIVE'?"),
        ("user.expired", "latest.user.status == 'GONE'", "there is ACTIVE, DISABLED"),
        ("user.expired", "contains(['ACTIVE', 'Over'], user.status)", "user.status is never"),
        ("user.expired", "user.tag == 'A' && user.tag == 'B'", _AT_ONCE.format("user.tag")),
        ("user.expired", "user.tag == 'A' && (data.tag == 'B' || data.tag == 'C')", "user.tag"),
        ("user.expired", "user.tag == 'A' && user.tag != 'A'", "user.tag"),
        ("user.expired", "!(user.email) && user.email == 'a@b.c'", "user.email"),
        ("user.expired", "user.email && user.email == `null`", "user.email"),
        ("user.expired", "user.usedPercent > `90` && user.usedPercent < `80`", "usedPercent"),
        ("user.expired", "`5` < user.usedPercent && user.usedPercent <= `5`", "usedPercent"),
        ("user.expired", "user.usedPercent == `5` && user.usedPercent > `5`", "usedPercent"),
        ("user.expired", "`false`", "mode: off switches a rule off"),
        ("user.created", "event == 'user.deleted'", "the rule waits for user.created"),
    ],
)
def test_what_is_never_true_is_told(tmp_path: Path, on: str, condition: str, expected: str) -> None:
    (problem,) = told(load_condition(tmp_path, on, condition).problems)
    assert problem.startswith("rules.yaml:5:11: R046 ")
    assert expected in problem


@pytest.mark.parametrize(
    ("on", "condition"),
    [
        ("user.expired", "user.tag == 'A' || user.tag == 'B'"),
        ("user.expired", "user.tag != 'A' && user.tag != 'B'"),
        ("user.expired", "!(user.tag == 'A' && user.tag == 'B')"),
        ("user.expired", "user.usedPercent >= `90` && user.usedPercent <= `90`"),
        ("user.expired", "user.usedPercent && !(user.usedPercent > `90`)"),
        ("user.expired", "previous.user.status == 'ACTIVE' && user.status == 'EXPIRED'"),
        ("user.expired", "!(user.email) && user.email == ''"),
        ("user.expired", "user.email || `false`"),
        ("[user.created, user.deleted]", "event == 'user.deleted'"),
        ("user.*", "event == 'user.deleted'"),
        ("user.renewed", "event == 'user.enabled'"),
    ],
)
def test_what_can_be_true_is_not_doubted(tmp_path: Path, on: str, condition: str) -> None:
    found = told(load_condition(tmp_path, on, condition).problems)
    assert [one for one in found if "R046" in one] == []


def test_the_list_of_a_rule_is_asked_as_a_whole(tmp_path: Path) -> None:
    body = "when: [user.tag == 'A', not: user.tag]\ndo: [{say: {text: hi}}]"
    (problem,) = told(load_rule(tmp_path, "user.expired", body).problems)
    assert "R046 this is never true" in problem


def test_a_step_that_its_rule_excludes_is_told_with_its_place(tmp_path: Path) -> None:
    body = "when: user.tag == 'A'\ndo:\n  - when: user.tag == 'B'\n    say: {text: hi}"
    (problem,) = told(load_rule(tmp_path, "user.expired", body).problems)
    assert problem.startswith("rules.yaml:7:15: R046 this is never true where the rule's own when")


def test_what_may_have_changed_since_the_rule_asked_is_not_held_against_a_step(
    tmp_path: Path,
) -> None:
    body = """
        when: latest.user.status == 'EXPIRED'
        do:
          - after: 1d
            when: latest.user.status == 'ACTIVE'
            say: {text: hi}
        """
    assert told(load_rule(tmp_path, "user.expired", body).problems) == []


def test_more_ways_than_can_be_gone_through_are_let_be(tmp_path: Path) -> None:
    many = " && ".join(f"(user.tag != 'A{n}' || user.email != 'B{n}')" for n in range(12))
    assert told(load_condition(tmp_path, "user.expired", many).problems) == []


def test_a_text_that_compares_with_no_word_of_the_field_is_told(tmp_path: Path) -> None:
    body = "do: [{say: {text: \"{% if user.status == 'limited' %}x{% endif %}\"}}]"
    (problem,) = told(load_rule(tmp_path, "user.expired", body).problems)
    assert "R046 user.status is never \"limited\"; did you mean 'LIMITED'?" in problem
