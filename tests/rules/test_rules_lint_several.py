"""Rules for several events: what one of them lacks is told where the rule cannot do without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import load_text, told

BOTH = "[node.connection_lost, user.expired]"
NO_NODE = "R037 there is no node on user.expired, and a text cannot do without it; "
TWO = ", or make two rules of it"


def doubts(folder: Path, on: str, rest: str) -> list[str]:
    text = f"version: 1\nrules:\n  - id: r\n    on: {on}\n    {rest}\n"
    return told(load_text(folder, text).problems)


def saying(text: str) -> str:
    return f"do:\n      - say:\n          text: >-\n            {text}"


@pytest.mark.parametrize(
    ("on", "rest", "expected"),
    [
        (BOTH, saying("{{ node.name }}"), f"{NO_NODE}ask for it with when: node{TWO}"),
        (BOTH, saying("{{ latest.node.name }}"), NO_NODE.replace("node on", "latest.node on")),
        (BOTH, saying("{{ data.username }}"), "there is no data.username on node.connection_lost,"),
        (
            BOTH,
            f"when: matches(node.name, 'x')\n    {saying('x')}",
            "matches() cannot do without it; ask for it as well: node && …",
        ),
        (
            BOTH,
            f"per: node.uuid\n    {saying('x')}",
            "per cannot do without it; leave per out: it is the user or the node",
        ),
        (
            BOTH,
            f"when: user.tag == 'A' || data.name\n    {saying('{{ node.name }}')}",
            NO_NODE,
        ),
        (
            "['user.*', service.login_attempt_failed]",
            saying("{{ data.loginAttempt.ip }}"),
            "there is no data.loginAttempt on user.created, user.modified, user.deleted and 15 more",
        ),
        ("[rulewave.started, rulewave.dead_letter]", saying("{{ data.rule }}"), "rulewave.started"),
    ],
)
def test_what_only_some_of_the_events_have_is_doubted_where_it_is_needed(
    tmp_path: Path, on: str, rest: str, expected: str
) -> None:
    (found,) = doubts(tmp_path, on, rest)
    assert expected in found


def test_a_field_that_is_missing_several_times_in_one_text_is_told_once(tmp_path: Path) -> None:
    text = saying("{{ node.name }} {{ node.address }} {{ node.uuid }}")
    assert len(doubts(tmp_path, BOTH, text)) == 1


@pytest.mark.parametrize(
    "rest",
    [
        saying("{{ node.name | default('-') }} {{ node.name or user.username }} {{ key }}"),
        saying("{% if node %}{{ node.name }}{% else %}{{ user.username }}{% endif %}"),
        saying("{% if not user %}{{ node.name }}{% endif %}"),
        saying("{{ user.username if event == 'user.expired' else node.name }}"),
        saying("{% if event.startswith('node') %}{{ node.name }}{% endif %}"),
        saying("{% if scope != 'user' %}{{ node.name }}{% endif %}"),
        f"when: '!user'\n    {saying('{{ node.name }}')}",
        f"when: [user == `null`, 'length(node.name) > `1`']\n    {saying('{{ node.name }}')}",
        f"when: '!user && starts_with(node.name, `1`)'\n    {saying('x')}",
        saying("{% if user is none %}{{ node.name }}{% endif %}"),
        saying("{% if user == none and node.name %}{{ node.name }}{% endif %}"),
        f"when: node.name\n    {saying('{{ node.name }} {{ node.address }}')}",
        f"when: data.name == 'fra'\n    {saying('{{ node.name }}')}",
        f"when: '!starts_with(event, `\"user\"`)'\n    {saying('{{ node.name }}')}",
        f"when: event != 'user.expired'\n    {saying('{{ node.name }}')}",
        f"when: {{not: scope == 'user'}}\n    {saying('{{ node.name }}')}",
        f"when: node && matches(node.name, 'x')\n    {saying('{{ node.name }}')}",
        f"when: matches(default(node.name, ''), 'x') || node.name == 'y'\n    {saying('x')}",
        f"when: user && lower(user.username) == 'a' || lower(node.name) == 'b'\n    {saying('x')}",
        "do: [{stop: x, when: user}, {say: {text: '{{ node.name }}'}}]",
        "do: [{say: {text: '{{ node.name }}'}, when: node.isConnected == `false`}]",
        (
            "do: [{choose: [{when: user, do: [{say: {text: '{{ user.username }}'}}]},"
            " {else: [{say: {text: '{{ node.name }}'}}]}]}]"
        ),
        "do: [{for_each: {in: node.tags, as: tag, do: [{say: {text: '{{ node.name }}'}}]}}]",
        "do: [{await: user.renewed, within: 1d, do: [{say: {text: '{{ arrived.user.username }}'}}]}]",
    ],
)
def test_what_is_asked_for_or_told_apart_first_is_not_doubted(tmp_path: Path, rest: str) -> None:
    assert doubts(tmp_path, BOTH, rest) == []


@pytest.mark.parametrize(
    "on", ["user.*", "[user.expired, user_hwid_devices.added, torrent_blocker.report]", "vip.*"]
)
def test_what_all_of_the_events_have_is_not_doubted(tmp_path: Path, on: str) -> None:
    found = doubts(tmp_path, on, saying("{{ user.username }}"))
    assert [one for one in found if "R037" in one] == []
