"""Reading rules shares the interpreter with the intake: it leaves nothing to collect, nor a setting changed."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest
from running.bench import open_bench

from engine.daemon.registry import find_actions
from engine.reloading.reloader import Reading
from engine.rules.loading import Loaded, load
from engine.rules.model import RuleSet
from engine.rules.secrets import Secrets

RULE = """
  - id: r{number}
    on: user.expired
    when: user.status == 'EXPIRED' && !(user.tag == 'STAFF')
    do:
      - log: {{text: "{{{{ user.username | upper }}}} {{% if user.email %}}x{{% endif %}}"}}
      - {{after: 3d, cancel_on: {{on: user.renewed, when: user.email}}, log: {{text: later}}}}
"""


def left_over(path: Path, rules: int) -> int:
    """How many objects only the collector can free, after so many rules were read and let go."""
    path.write_text("version: 1\nrules:" + "".join(RULE.format(number=n) for n in range(rules)))
    loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
    assert len(loaded.ruleset.rules) == rules
    gc.collect()
    gc.disable()
    try:
        loaded = load(path, actions=find_actions(), secrets=Secrets(None, None, {}))
        del loaded
        return gc.collect()
    finally:
        gc.enable()


def test_what_was_read_and_let_go_leaves_nothing_for_the_collector(tmp_path: Path) -> None:
    few, many = (left_over(tmp_path / "rules.yaml", number) for number in (2, 40))
    assert many - few < 38  # not one object a rule


@pytest.mark.anyio
@pytest.mark.parametrize("collects", [True, False])
async def test_a_reading_that_fails_leaves_the_interpreter_as_it_was(
    tmp_path: Path, collects: bool
) -> None:
    seen: list[tuple[float, bool]] = []

    def fails(_last: RuleSet | None, _path: Path | None) -> Loaded:
        seen.append((sys.getswitchinterval(), gc.isenabled()))
        raise MemoryError

    rules = "  - {id: r, on: user.expired, do: [{tell: {text: x}}]}"
    async with open_bench(tmp_path, rules) as bench:
        before = sys.getswitchinterval()
        bench.reloader.reading = Reading(fails, bench.reloader.reading.connections)
        if not collects:
            gc.disable()
        try:
            with pytest.raises(MemoryError):
                await bench.reloader.reload()
            assert (sys.getswitchinterval(), gc.isenabled()) == (before, collects)
        finally:
            gc.enable()
        assert seen[0][0] < before
        assert not seen[0][1]
        assert [rule.id for rule in bench.library.book.ruleset.rules] == ["r"]
