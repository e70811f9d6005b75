"""No rule of `rules.example.yaml` comes without tests, and none stays in them that has gone."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from examples.business import EXAMPLE

from engine.daemon.registry import find_actions
from engine.rules.loading import load
from engine.rules.secrets import Secrets

SECRETS = {"RULEWAVE_SECRET_TELEGRAM_TOKEN": "123456789:AAE-a_token_of_a_test"}
_HERE = Path(__file__)


def _rules() -> list[str]:
    loaded = load(EXAMPLE, actions=find_actions(), secrets=Secrets(None, None, SECRETS))
    assert [str(problem) for problem in loaded.problems] == []
    return [rule.id for rule in loaded.ruleset.rules]


def _tested(rules: list[str]) -> Counter[str]:
    """Rule → how many tests of this folder begin with its name."""
    others = [file for file in sorted(_HERE.parent.glob("test_*.py")) if file != _HERE]
    named = [
        node.name
        for file in others
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    ]
    found = Counter(
        next((rule for rule in rules if name.startswith(f"test_{rule.replace('-', '_')}_")), name)
        for name in named
    )
    assert len(named) > len(rules)
    return found


def test_every_rule_is_proven_to_act_and_to_hold_back() -> None:
    rules = _rules()
    tested = _tested(rules)
    assert [rule for rule in rules if tested[rule] < 2] == []


def test_every_test_is_about_a_rule() -> None:
    rules = _rules()
    assert sorted(set(_tested(rules)) - set(rules)) == []


def test_there_are_ten_to_fourteen_rules() -> None:
    assert 10 <= len(_rules()) <= 14
