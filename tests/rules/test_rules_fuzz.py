"""Whatever a file says, loading gives rules and problems, and never a crash."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ruletools import ACTIONS, secrets

from engine.errors import CouldNotEvaluate
from engine.rules import names
from engine.rules.expressions import Expression, NotJMESPathError
from engine.rules.loading import load
from engine.rules.templates import Template, inspect
from engine.rules.traps import find_traps, spelling_hint

KEYS = sorted(
    names.FILE_KEYS
    | names.RULE_KEYS
    | names.STEP_KEYS
    | names.FOLLOWUP_KEYS
    | {"cron", "every", "until", "offset", "tries", "for", "any", "all", "not", "kind", "timezone"}
    | {"say", "letter", "fetch", "text", "to", "get", "connection", "attach", "headers", "json"}
)
TEXTS = st.sampled_from([
    "", "r", "user.*", "user.email", "!user.a", "{{ user.x }}", "{{", "5m", "none", "box", "off",
    "https://{{ user.x }}", "secret('x')", "UTC", "* * * * *", "http://[", "//", "{% if %}",
])  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | TEXTS, inner, max_size=4)
    ),
    max_leaves=25,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["text", "html", "to", "attach", "get", "headers", "json", "connection"]),
    VALUES,
)
STEPS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("say", "letter", "fetch"), PARAMETERS)
    | dict.fromkeys(
        (
            "id",
            "when",
            "retry",
            "timeout",
            "after",
            "cancel_on",
            "do",
            "on_error",
            "await",
            "within",
            "else",
            "if_late",
            "on_rule_change",
        ),
        VALUES,
    ),
)
RULES = st.fixed_dictionaries(
    {"id": st.just("r") | VALUES, "on": TEXTS | VALUES, "do": st.lists(STEPS, max_size=3) | VALUES},
    optional=dict.fromkeys(("was", "when", "per", "mode", "tags", "empty_ok", "throttle"), VALUES),
)
SECTIONS = st.fixed_dictionaries(
    {"rules": st.lists(RULES, max_size=3) | VALUES},
    optional=dict.fromkeys(("connections", "vars", "defaults", "tests"), VALUES),
)
EXPRESSION = """user . data email [ ] [? [] ( ) { } , : ! && || | == != < > 3 -1 `3` `x` 'a' "b"
& @ * = and contains lower changed secret $ ' " `"""
TEMPLATE = """{{ }} {% %} {# #} user . email | upper if endif ~ for in endfor secret ( ) 'x' 1 / 0
set = none"""


def sentences(words: str) -> st.SearchStrategy[list[str]]:
    """Any words in any order."""
    return st.lists(st.sampled_from(words.split()))


@settings(deadline=None)
@given(SECTIONS)
def test_loading_never_crashes_whatever_the_file_says(sections: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(json.dumps({"version": 1, **sections}), encoding="utf-8")
        loaded = load(path, actions=ACTIONS, secrets=secrets())
    assert all(str(problem) for problem in loaded.problems)
    assert loaded.ruleset.rules or loaded.problems or not sections["rules"]


@given(sentences(EXPRESSION), st.booleans())
def test_no_words_of_an_expression_crash_the_search_for_traps(words: list[str], wide: bool) -> None:
    text = (" " if wide else "").join(words)
    assert isinstance(find_traps(text, names.CONTEXT), list)
    try:
        expression = Expression(text)
    except NotJMESPathError as error:
        spelling_hint(text, error.column)
        return
    assert isinstance(expression.seen({"user": {"email": [1]}}), dict)
    assert isinstance(list(expression.calls()), list)
    with suppress(CouldNotEvaluate):
        expression.search({"user": {"email": [1]}, "now": None})


@settings(deadline=None)
@given(sentences(TEMPLATE))
def test_no_template_fails_but_by_saying_so(words: list[str]) -> None:
    text = " ".join(words)
    if not inspect(text).mistakes:
        with suppress(CouldNotEvaluate):
            assert isinstance(Template(text).render({"user": {"email": None}}), str)
