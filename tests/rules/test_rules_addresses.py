"""What strangers write into an address stays one address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.daemon.registry import find_actions
from engine.errors import ActionFailed
from engine.rules.loading import load
from engine.rules.model import ActionStep
from engine.rules.secrets import Secrets

RULES = """
version: 1
connections: {mail: {kind: smtp, host: localhost, tls: none, from: bot@example.org}}
vars: {boss: boss@example.org}
rules:
  - id: one
    on: user.created
    do:
      - email:
          to: "{{ user.username }} <{{ user.email }}>, {{ vars.boss }}"
          cc: ["{{ user.email }}"]
          subject: "Hello, {{ user.username }}"
          text: x
"""


def rendered(tmp_path: Path, email: str, name: str = "Anna") -> Any:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    secrets = Secrets(None, None, {})
    loaded = load(file, actions=find_actions(), secrets=secrets)
    assert not loaded.problems
    step = loaded.ruleset.rules[0].do[0]
    assert isinstance(step, ActionStep)
    user = {"email": email, "username": name}
    return step.template.render({"user": user, "vars": loaded.ruleset.vars}, secrets)


def test_separators_that_the_rule_wrote_are_its_own(tmp_path: Path) -> None:
    params = rendered(tmp_path, "anna@example.org")
    assert params.to == "Anna <anna@example.org>, boss@example.org"
    assert params.cc == ["anna@example.org"]


def test_a_comma_in_a_subject_is_no_address(tmp_path: Path) -> None:
    assert rendered(tmp_path, "anna@example.org").subject == "Hello, Anna"


@pytest.mark.parametrize(
    ("email", "name"),
    [
        ("a@example.org, evil@example.net", "Anna"),
        ("a@example.org;evil@example.net", "Anna"),
        ("a@example.org", "Eve <evil@example.net>, Anna"),
        ("a@example.org", 'Eve" <evil@example.net'),
        ("a@example.org\nBcc: evil@example.net", "Anna"),
        ("a@example.org>\r\n<evil@example.net", "Anna"),
    ],
)
def test_a_value_cannot_bring_in_another_recipient(tmp_path: Path, email: str, name: str) -> None:
    with pytest.raises(ActionFailed) as failed:
        rendered(tmp_path, email, name)
    assert failed.value.reason == "template"
    assert not failed.value.retry
