"""What loads, or nearly, and would never do what was meant: told before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import SAY, load_text, rule, told

from engine.daemon.registry import find_actions
from engine.rules.loading import load
from engine.rules.secrets import Secrets

MAIL = """version: 1
connections: {mail: {kind: smtp, host: smtp.example.org, from: bot@example.org, tls: MAILTLS}}
rules:
  - {id: r, on: user.expired, do: [{email: {to: "{{ user.username }}@example.org", subject: x}}]}
"""


@pytest.mark.parametrize("per", ["user", "node", "data", "latest"])
def test_a_whole_object_is_no_key(tmp_path: Path, per: str) -> None:
    (problem,) = told(load_text(tmp_path, rule(f"per: {per}\n{SAY}")).problems)
    key = "node.key" if per == "node" else "user.key"
    assert problem.endswith(f'per: "{per}" is a whole object, and no key; write per: {key}')


@pytest.mark.parametrize("name", ["user.username", "data.x.y", "vars.brand", "steps.ask.json"])
def test_a_name_without_braces_is_doubted(tmp_path: Path, name: str) -> None:
    (problem,) = told(load_text(tmp_path, rule(f"do: [{{say: {{text: {name}}}}}]")).problems)
    assert (
        f"R042 this is sent as it stands, not the value of that name; write {{{{ {name} }}}}"
        in problem
    )


@pytest.mark.parametrize(
    "text", ["user", "a user.username b", "example.org", "{{ user.username }}"]
)
def test_what_is_no_bare_name_is_not_doubted(tmp_path: Path, text: str) -> None:
    assert told(load_text(tmp_path, rule(f"do: [{{say: {{text: '{text}'}}}}]")).problems) == []


def test_steps_below_a_stop_that_always_stops_are_told(tmp_path: Path) -> None:
    (problem,) = told(load_text(tmp_path, rule("do: [{stop: x}, {say: {text: hi}}]")).problems)
    assert "R043 nothing below this stop is ever done" in problem
    conditional = "do: [{stop: x, when: user.tag}, {say: {text: hi}}]"
    assert told(load_text(tmp_path, rule(conditional)).problems) == []


def _mail(folder: Path, tls: str) -> list[str]:
    path = folder / "rules.yaml"
    path.write_text(MAIL.replace("MAILTLS", tls))
    return told(load(path, actions=find_actions(), secrets=Secrets(None, None, {})).problems)


def test_a_mail_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (problem,) = _mail(tmp_path, "none")
    assert "a mail needs text, html, or both; write text: what it says" in problem


def test_steps_of_a_broken_connection_do_not_say_that_there_is_none(tmp_path: Path) -> None:
    problems = _mail(tmp_path, "false")
    assert any("email needs a connection, and mail can't be used; mend" in one for one in problems)
    assert not any("there is none" in one for one in problems)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("port: true", "a number is expected, not true"),
        ("port: false", "a number is expected, not false"),
        ("verify: 0", "true or false is expected, not 0"),
    ],
)
def test_true_is_no_number_and_zero_is_not_false(
    tmp_path: Path, setting: str, problem: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(MAIL.replace("MAILTLS", f"none, {setting}"))
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    assert any(problem in one for one in told(loaded.problems)), told(loaded.problems)


@pytest.mark.parametrize("setting", ["port: 25", "port: '25'", "verify: false", "verify: /a/file"])
def test_a_number_and_a_flag_are_taken_as_ever(tmp_path: Path, setting: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        MAIL.replace("MAILTLS", f"none, {setting}").replace("subject: x", "text: x, subject: x")
    )
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    assert told(loaded.problems) == []
