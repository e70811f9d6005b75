"""The reference page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.reference_tables import GENERATED, PAGE, page_as_generated

from engine.rules import names
from engine.rules.expressions import ALL_FUNCTIONS
from engine.rules.filters import FILTERS
from engine.rules.steps import _RETRY_KEYS
from engine.sources.catalogue import secret_names
from engine.sources.outlook import known_names

_WORD = re.compile(r"`{?(\w+)")


def _first_column(heading: str) -> set[str]:
    """The words in the first column of the table with this heading."""
    _, _, table = PAGE.read_text(encoding="utf-8").partition(f"| {heading} |")
    rows = table.split("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in _WORD.findall(row.split("|")[1])}


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_the_tables_are_as_the_code_has_them(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == page_as_generated(text), "run tests/docs/reference_tables.py"


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("key of the file", names.FILE_KEYS),
        ("key of a rule", names.RULE_KEYS),
        ("key of a step", names.STEP_KEYS),
        ("key of an after step", names.AFTER_KEYS),
        ("key of an await step", names.AWAIT_KEYS),
        ("name after an await", names.AWAITED),
        ("control step", set(names.CONTROL_KEYS)),
        ("key that holds back", {"threshold", "throttle", "digest", "concurrency", "quiet"}),
        ("key of digest", {"wait", "every", "at", "timezone", "max"}),
        ("concurrency", {"parallel", "queue", "restart", "drop"}),
        ("key of quiet", {"between", "days", "timezone", "then"}),
        ("if_late", {"run", "skip", "within"}),
        ("name", names.CONTEXT),
        ("function", ALL_FUNCTIONS.keys()),
        ("filter", {*FILTERS, "default"}),
    ],
)
def test_no_word_of_the_language_is_missing_and_none_is_made_up(
    heading: str, known: set[str]
) -> None:
    assert _first_column(heading) == set(known)


def test_every_event_that_a_panel_sends_has_one_row_and_no_other_has() -> None:
    text = (PAGE.parent / "events.md").read_text(encoding="utf-8")
    tables = text.split("| event type |")[1:]
    rows = [row for table in tables for row in table.split("\n\n")[0].splitlines()[2:]]
    assert sorted(row.split("`")[1] for row in rows) == sorted(known_names())


def test_the_page_of_events_lists_no_credential() -> None:
    text = (PAGE.parent / "events.md").read_text(encoding="utf-8")
    fields = re.findall(r"^\| `((?:data|user|node)\.[\w.\[\]]+)`", text, re.MULTILINE)
    assert len(fields) > 50
    assert not {field.rpartition(".")[2] for field in fields} & secret_names()


def test_the_keys_of_retry_and_defaults_are_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for key in (*_RETRY_KEYS, *names.DEFAULTS_KEYS):
        assert key in text
