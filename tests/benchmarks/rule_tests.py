"""How long a thousand tests of rules take, each over three simulated months: run it by hand.

`.venv/bin/python tests/benchmarks/rule_tests.py [NUMBER]`
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from engine.daemon.registry import find_actions
from engine.rehearsal.silence import install
from engine.reloading.rehearsed import rehearsal_of
from engine.rules.loading import load
from engine.rules.secrets import Secrets

RULES = """version: 1
rules:
  - id: win-back
    on: user.expired
    do:
      - after: 30d
        cancel_on: user.renewed
        do:
          - log: {text: "first, {{ user.username }}"}
          - after: 60d
            log: {text: "second, {{ user.username }}"}
  - {id: weekly, on: {cron: "0 9 * * 1"}, do: [{log: {text: a week has gone}}]}
tests:
"""
TEST = """  - name: story %(number)d
    rule: win-back
    given:
      - {at: 0s, event: user.created, data: {username: user_%(number)d}}
      - {at: 1d, event: user.expired, data: {username: user_%(number)d}}
      - {at: 2d, restart: {down_for: 1h}}
    expect:
      actions:
        - {at: 31d, log: {text: "first, user_%(number)d"}}
        - {at: 91d, log: {text: "second, user_%(number)d"}}
"""


def main(number: int) -> None:
    """Load and run so many tests, and tell how long both took."""
    install()
    actions = find_actions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(RULES + "".join(TEST % {"number": one} for one in range(number)))
        began = time.perf_counter()
        loaded = load(path, actions=actions, secrets=Secrets(None, None, {}))
        read = time.perf_counter()
        results = rehearsal_of(loaded.ruleset, actions).run(loaded.cases)
        ended = time.perf_counter()
    well = sum(result.well for result in results)
    times = f"{read - began:.1f} s to read, {ended - read:.1f} s to run"
    sys.stdout.write(f"{well} of {len(results)} passed: {times}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
