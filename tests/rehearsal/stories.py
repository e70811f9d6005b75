"""Short ways to run the tests of a rules file."""

from __future__ import annotations

import textwrap
from pathlib import Path

from engine.daemon.registry import find_actions
from engine.rehearsal.telling import summary
from engine.rehearsal.testing import Result
from engine.reloading.rehearsed import rehearsal_of
from engine.rules.loading import Loaded, load
from engine.rules.secrets import Secrets

NODE_DOWN = """
- id: node-down
  on: node.connection_lost
  do:
    - after: 5m
      cancel_on: node.connection_restored
      do:
        - log: {text: "{{ node.name }} has been down for 5 minutes"}
        - await: node.connection_restored
          within: 1d
          do:
            - log: {text: "{{ node.name }} is back after {{ elapsed | ago }}"}
"""


def loaded(folder: Path, rules: str, tests: str) -> Loaded:
    """The rules, with these tests."""
    parts = ("version: 1\nconnections:\n  hooks: {kind: http, url: 'https://hooks.example.org'}\n",)
    text = "".join((*parts, "rules:\n", _below(rules), "tests:\n", _below(tests)))
    path = folder / "rules.yaml"
    path.write_text(text, "utf-8")
    return load(path, actions=find_actions(), secrets=Secrets(None, None, {}))


def run(folder: Path, rules: str, tests: str) -> list[Result]:
    """Run the tests; the rules and tests are written without a mistake."""
    found = loaded(folder, rules, tests)
    assert [str(problem) for problem in found.errors] == []
    return rehearsal_of(found.ruleset, find_actions()).run(found.cases)


def failing(folder: Path, rules: str, tests: str) -> dict[str, str]:
    """Test → what is wrong first, of those that fail."""
    return {one.case.name: summary(one) for one in run(folder, rules, tests) if not one.well}


def _below(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip("\n") + "\n", "  ")
