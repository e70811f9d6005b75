"""The reference of `rulewave explain` names each field of its JSON, and no other."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from docs.fenced import ROOT
from running.bench import START, body, open_bench

from engine.cli.app import app

_PAGE = ROOT / "docs" / "reference" / "explain.md"
_WORD = re.compile(r"`([\w-]+)`")
_RULES = """
  - id: r
    on: user.expired
    when: user.key == 'x' || user.key
    do:
      - tell: {text: x}
      - {after: 1h, tell: {text: x}}
"""


def _first_column(heading: str) -> set[str]:
    _, found, table = _PAGE.read_text("utf-8").partition(f"| {heading} |")
    assert found, heading
    rows = table.split("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in _WORD.findall(row.split("|")[1])}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    async def ask(folder: Path) -> Any:
        async with open_bench(folder, _RULES) as bench:
            params = {"body": body("user.expired", START).decode()}
            return await bench.desk.ask("events", "explain", params)

    return asyncio.run(ask(tmp_path_factory.mktemp("bench")))


@pytest.mark.parametrize(
    ("heading", "way"),
    [
        ("field of the answer", []),
        ("field of a rule", ["rules", 0]),
        ("field of a condition", ["rules", 0, "condition"]),
        ("field of a plan", ["rules", 0, "plan"]),
        ("field of a step", ["rules", 0, "plan", "steps", 0]),
        ("field of a follow-up", ["rules", 0, "plan", "steps", 1]),
    ],
)
def test_each_field_is_named_and_none_is_made_up(told: Any, heading: str, way: list[Any]) -> None:
    found = told
    for step in way:
        found = found[step]
    assert _first_column(heading) == set(found)


def test_each_field_of_a_side_and_of_a_value_is_named(told: Any) -> None:
    text = _PAGE.read_text("utf-8")
    comparison = told["rules"][0]["condition"]["parts"][0]
    for row, one in (("sides", comparison["sides"][0]), ("seen", comparison["seen"][0])):
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{row}`"))
        assert set(_WORD.findall(line)) == {row, *one}


def test_the_options_are_those_of_the_command() -> None:
    command = typer.main.get_command(app).commands["explain"]  # type: ignore[attr-defined]
    options = {name for one in command.params for name in one.opts if name.startswith("--")}
    assert {f"--{name.removeprefix('--')}" for name in _first_column("option")} == options
