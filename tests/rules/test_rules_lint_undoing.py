"""Rules that undo each other, or start themselves, are told; those that cannot meet are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.daemon.registry import find_actions
from engine.rules.loading import load
from engine.rules.secrets import Secrets

_HEAD = "version: 1\nconnections: {panel: {kind: http, url: https://panel.example.org}}\nrules:\n"
ENABLE = "post: '/api/users/{{ user.id }}/actions/enable'"
DISABLE = "post: '/api/users/{{ user.id }}/actions/disable'"
PATCH = "patch: /api/users"


def rule(id: str, on: str, call: str, more: str = "") -> str:
    http = f"http: {{{call}, connection: panel}}"
    return f"  - {{id: {id}, on: {on}, {more}do: [{{{http}}}]}}\n"


def doubts(folder: Path, *rules: str) -> list[str]:
    path = folder / "rules.yaml"
    path.write_text(_HEAD + "".join(rules), encoding="utf-8")
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    assert loaded.errors == ()
    return [f"{one.line} {one.message}" for one in loaded.problems if one.code == "R047"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            [rule("a", "user.expired", ENABLE), rule("b", "[user.expired, user.limited]", DISABLE)],
            ['5 for the same event, the rule "a" does the opposite'],
        ),
        (
            [rule("a", "user.disabled", ENABLE), rule("b", "user.enabled", DISABLE)],
            ['5 this and the rule "a" undo each other without an end'],
        ),
        (
            [rule("a", "user.modified", PATCH)],
            ["4 this raises user.modified, which the rule waits for: without an end"],
        ),
        (
            ["  - {id: a, on: vip.*, do: [{emit: {event: vip.seen}}]}\n"],
            ["4 this raises vip.seen, which the rule waits for: without an end"],
        ),
    ],
)
def test_rules_that_work_against_each_other_are_told(
    tmp_path: Path, rules: list[str], expected: list[str]
) -> None:
    assert doubts(tmp_path, *rules) == expected


@pytest.mark.parametrize(
    "rules",
    [
        [rule("a", "user.expired", ENABLE), rule("b", "user.limited", DISABLE)],
        [
            rule("a", "user.expired", ENABLE, "when: user.tag == 'A', "),
            rule("b", "user.expired", DISABLE, "when: user.tag == 'B', "),
        ],
        [rule("a", "user.expired", ENABLE), rule("b", "user.expired", ENABLE)],
        [rule("a", "user.expired", ENABLE), rule("b", "user.expired", DISABLE, "mode: 'off', ")],
        [
            rule("a", "user.disabled", ENABLE, "when: user.tag == 'A', "),
            rule("b", "user.enabled", DISABLE),
        ],
        [rule("a", "user.modified", PATCH, "when: user.tag == 'A', ")],
        [rule("a", "user.modified", PATCH, "throttle: 1 per 1d, ")],
    ],
)
def test_rules_that_cannot_meet_are_not_doubted(tmp_path: Path, rules: list[str]) -> None:
    assert doubts(tmp_path, *rules) == []
