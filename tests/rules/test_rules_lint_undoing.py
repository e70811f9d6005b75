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
DELETE = "delete: '/api/users/{{ user.uuid }}'"
RESET = "post: '/api/users/{{ user.uuid }}/actions/reset-traffic'"
REVOKE = "post: '/api/users/{{ user.uuid }}/actions/revoke'"
CREATE = "post: /api/users"


def rule(id: str, on: str, call: str, more: str = "") -> str:
    http = f"http: {{{call}, connection: panel}}"
    return f"  - {{id: {id}, on: {on}, {more}do: [{{{http}}}]}}\n"


def doubts(folder: Path, *rules: str) -> list[str]:
    path = folder / "rules.yaml"
    path.write_text(_HEAD + "".join(rules), encoding="utf-8")
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    assert loaded.errors == ()
    return [f"{one.line} {one.message}" for one in loaded.problems if one.code == "R047"]


def emits(id: str, on: str, event: str, more: str = "") -> str:
    return f"  - {{id: {id}, on: {on}, {more}do: [{{emit: {{event: {event}}}}}]}}\n"


def steps(*written: str) -> str:
    """A rule of which each of these is one step."""
    return f"  - {{id: a, on: user.expired, do: [{', '.join(written)}]}}\n"


def http(call: str, more: str = "") -> str:
    return f"{{http: {{{call}, connection: panel}}{more}}}"


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
        (
            [rule("a", "user.traffic_reset", RESET), rule("b", "user.revoked", REVOKE)],
            [
                "4 this raises user.traffic_reset, which the rule waits for: without an end",
                "5 this raises user.revoked, which the rule waits for: without an end",
            ],
        ),
        (
            [emits("a", "z.*", "x.a"), emits("b", "x.*", "y.b"), emits("c", "y.*", "z.c")],
            ["6 these rules start each other without an end: a → b → c → a"],
        ),
        (
            [emits("a", "user.modified", "x.a"), rule("b", "x.a", PATCH)],
            ["5 these rules start each other without an end: a → b → a"],
        ),
        (
            [rule("a", "user.created", DELETE), rule("b", "user.deleted", CREATE)],
            ["5 these rules start each other without an end: a → b → a"],
        ),
        (
            [steps("{await: user.renewed, cancel_on: 'user.*', within: 1d, do: [{stop: x}]}")],
            ["4 user.renewed calls this off before the await is met: its do never runs"],
        ),
        (
            [steps(http(DELETE), "{after: 1d, cancel_on: [user.deleted], do: [{stop: x}]}")],
            ["4 the rule itself raises user.deleted before, which calls this off"],
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
        [rule("a", "user.deleted", DELETE), rule("b", "user.expired", DELETE)],
        [rule("a", "user.expired", DELETE), rule("b", "user.expired", CREATE)],
        [rule("a", "node.modified", "post: '/api/nodes/{{ node.uuid }}/actions/revoke'")],
        [rule("a", "user.created", "post: /api/users/resolve")],
        [emits("a", "y.b", "x.a"), emits("b", "x.a", "y.b", "throttle: 1 per 1d, ")],
        [emits("a", "y.b", "x.a", "when: data.more, "), emits("b", "x.a", "y.b")],
        [emits("a", "user.deleted", "x.a"), rule("b", "x.a", DELETE)],
        [emits("a", "user.expired", "x.a"), emits("b", "x.a", "y.b"), emits("c", "y.b", "z.c")],
        [
            steps(
                "{await: user.renewed, within: 1d, do: [{stop: x}],"
                " cancel_on: {on: user.renewed, when: user.tag}}"
            )
        ],
        [steps("{after: 1d, cancel_on: user.expired, do: [{stop: x}]}")],
        [steps(http(DELETE, ", when: user.tag"), "{after: 1d, cancel_on: user.deleted, stop: x}")],
        [steps("{after: 1d, cancel_on: user.deleted, stop: x}", http(DELETE))],
        [
            steps(
                http(DELETE, ", on_error: continue"),
                "{after: 1d, cancel_on: user.deleted, stop: x}",
            )
        ],
        [steps(http(DELETE), "{await: user.deleted, within: 1d, do: [{stop: x}]}")],
    ],
)
def test_rules_that_cannot_meet_are_not_doubted(tmp_path: Path, rules: list[str]) -> None:
    assert doubts(tmp_path, *rules) == []
