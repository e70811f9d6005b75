"""What is broken beside the rules, or out of reach, stays as it was: nothing else takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import ACTIONS, GOOD, SAY, load_text, secrets

from engine.rules import codes
from engine.rules.loading import load

BESIDE = f"""
version: 1
connections:
  post: {{kind: box, host: good}}
vars: {{v: 1}}
defaults: {{timezone: Europe/Berlin, keep_fields: [vlessUuid]}}
rules:
  - {{id: r, on: user.*, {SAY}}}
"""


@pytest.mark.parametrize(
    ("good", "broken"),
    [
        ("vars: {v: 1}", "vars: {v: secret('x')}"),
        ("vars: {v: 1}", "vars: [v]"),
        ("connections:\n  post: {kind: box, host: good}", "connections: [post]"),
        ("timezone: Europe/Berlin", "timezone: Mars"),
        ("keep_fields: [vlessUuid]", "keep_fields: {vlessUuid: true}"),
        ("{timezone: Europe/Berlin, keep_fields: [vlessUuid]}", "[timezone]"),
    ],
)
def test_what_is_broken_beside_the_rules_stays_as_it_was(
    tmp_path: Path, good: str, broken: str
) -> None:
    last = load_text(tmp_path, BESIDE).ruleset
    (tmp_path / "rules.yaml").write_text(BESIDE.replace(good, broken))
    loaded = load(tmp_path / "rules.yaml", actions=ACTIONS, secrets=secrets(), last=last)
    assert loaded.errors
    assert loaded.ruleset.hash == last.hash


def test_a_variable_that_names_a_secret_is_no_text_to_send(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, BESIDE.replace("v: 1", "v: secret('x')"))
    assert loaded.ruleset.vars == {}


def test_a_link_that_leads_nowhere_is_told_as_its_rules_are_missed(tmp_path: Path) -> None:
    (tmp_path / "10.yaml").write_text(GOOD)
    (tmp_path / "20.yaml").symlink_to("elsewhere.yaml")
    loaded = load(tmp_path, actions=ACTIONS, secrets=secrets())
    (problem,) = loaded.problems
    assert (problem.code, Path(problem.file).name) == (codes.UNREADABLE, "20.yaml")
    assert not loaded.usable
