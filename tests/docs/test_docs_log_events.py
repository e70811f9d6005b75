"""docs/reference/log-events.md names every fact that the code logs, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest
from docs.fenced import ROOT, blocks
from docs.log_calls import Fact, facts

_PAGE = ROOT / "docs" / "reference" / "log-events.md"
_ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| ([a-z, ]+) \|([^|]*)\| (.+) \|$", re.MULTILINE)
_LOGGED = facts()


@dataclass(frozen=True)
class Told:
    """One row of the page."""

    levels: set[str]
    fields: set[str]


def _told() -> dict[str, Told]:
    rows = _ROW.findall(_PAGE.read_text("utf-8"))
    assert len({name for name, *_ in rows}) == len(rows), "a fact stands there twice"
    return {
        name: Told({*levels.split(", ")}, {*re.findall(r"`(\w+)`", fields)})
        for name, levels, fields, _ in rows
    }


def _row(fact: Fact) -> str:
    fields = ", ".join(f"`{name}`" for name in sorted(fact.fields))
    return f"| `{fact.name}` | {', '.join(sorted(fact.levels))} | {fields} | what it means |"


@pytest.mark.parametrize("fact", _LOGGED, ids=lambda fact: f"{fact.name}-{fact.place}")
def test_a_fact_of_the_log_is_on_the_page_as_it_is_logged(fact: Fact) -> None:
    told = _told().get(fact.name)
    assert told is not None, (
        f"{fact.place} logs {fact.name}: add this line to a table of {_PAGE.name}:\n{_row(fact)}"
    )
    assert fact.levels <= told.levels, f"{fact.place} logs it so:\n{_row(fact)}"
    missing = fact.fields - told.fields
    assert not missing, f"{fact.place} logs it so; add {sorted(missing)}:\n{_row(fact)}"


def test_no_fact_of_the_page_is_made_up() -> None:
    logged = {fact.name for fact in _LOGGED}
    gone = _told().keys() - logged
    assert not gone, f"nothing in engine/ or actions/ logs {sorted(gone)}: take them out"


@pytest.mark.parametrize("name", sorted({fact.name for fact in _LOGGED}))
def test_no_level_or_field_of_a_fact_is_made_up(name: str) -> None:
    calls = [fact for fact in _LOGGED if fact.name == name]
    told = _told()[name]
    assert told.levels <= {level for call in calls for level in call.levels}
    if not any(call.open for call in calls):
        assert told.fields <= {one for call in calls for one in call.fields}


def test_what_a_fact_looks_like_is_shown_by_one_that_there_is() -> None:
    (block,) = (found for found in blocks(_PAGE) if "fact" in found.info)
    shown = json.loads(block.text)
    fields = _told()[shown["event"]].fields
    assert shown.keys() == {"event", "level", "timestamp", *fields}
