"""A file with every key, changed at random places: it loads, or says why not, the same each time."""

from __future__ import annotations

import copy
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.daemon.registry import find_actions
from engine.rules.loading import Loaded, load
from engine.rules.secrets import Secrets
from engine.rules.yaml import read

ACTIONS = find_actions()
ALL = Path(__file__).with_name("every_key.yaml")
Place = tuple[Any, ...]
_SCALARS = st.sampled_from([
    None, True, 0, -1, 10**30, 2.5, float("inf"), "", " ", "x", "3d", "-3h", "99999w", "1 per 1s",
    "none", "off", "user.*", "*", "a.b", "!user.a", "user.email", "[0]", "`1`", "{{ user.x }}",
    "{{", "{% for %}", "secret('x')", "secret(", "0 9 * * *", "61 * * * *", "23:00-07:00", "mon-sun",
    "25:00-26:00", "Mars/Phobos", "2026-01-05 09:00", "0000-00-00 00:00", "9999-12-31 23:59", "HTTP 503",
    "do.0", "all-keys", "all-keys/do.1", "\x00", "\ud83d", "é" * 300, "https://{{ user.x }}", "//", "[]",
])  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = [
    "id", "on", "when", "per", "do", "after", "await", "within", "else", "cancel_on", "choose", "for_each",
    "in", "as", "stop", "emit", "log", "http", "email", "shell", "telegram", "notify", "threshold", "throttle",
    "digest", "concurrency", "quiet", "priority", "ttl", "mode", "retry", "given", "expect", "mock", "reload",
    "restart", "actions", "held", "where", "fail", "at", "event", "data", "rule", "cron", "every", "all",
    "any", "not", "text", "to", "connection", "json", "until", "offset", "kind", "url", "timezone", "was",
]  # fmt: skip


def base() -> Any:
    return read(ALL.read_text(encoding="utf-8"), ALL.name).data


def places(data: Any, path: Place = ()) -> Iterator[Place]:
    """Every place in the file but the whole of it."""
    if path:
        yield path
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*path, key))


def at(data: Any, path: Place) -> Any:
    for part in path:
        data = data[part]
    return data


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """The file after one to four changes: other values, parts of itself, keys elsewhere or gone."""
    data = base()
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(places(data))))
        holder, last = at(data, path[:-1]), path[-1]
        kind = draw(st.sampled_from(["value", "part", "gone", "key", "listed"]))
        if kind == "value":
            holder[last] = draw(_VALUES)
        elif kind == "part":
            holder[last] = copy.deepcopy(at(data, draw(st.sampled_from(list(places(data))))))
        elif kind == "gone":
            del holder[last]
        elif kind == "key" and isinstance(holder, dict):
            holder[draw(st.sampled_from(_KEYS))] = holder.pop(last)
        else:
            holder[last] = [holder[last]]
    return data


def loaded(path: Path) -> Loaded:
    return load(path, actions=ACTIONS, secrets=Secrets(None, None, {}))


@settings(max_examples=60, deadline=None)
@given(changed())
def test_a_file_changed_anywhere_loads_or_says_why_not_and_twice_the_same(data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        first, again = loaded(path), loaded(path)
    assert first.problems == again.problems
    assert first.ruleset.hash == again.ruleset.hash
    assert [rule.version for rule in first.ruleset.rules] == [
        rule.version for rule in again.ruleset.rules
    ]
    assert first.errors or len(first.ruleset.rules) == len(data["rules"])
    for problem in first.problems:
        assert problem.line >= 0
        assert "\n" not in str(problem)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_lines_that_are_lost_moved_or_indented_otherwise_crash_nothing(
    at_random: random.Random,
) -> None:
    lines = ALL.read_text(encoding="utf-8").splitlines()
    for _ in range(at_random.randint(1, 5)):
        number = at_random.randrange(len(lines))
        line = lines.pop(number)
        cut = at_random.randrange(len(line) + 1)
        other = at_random.choice(
            ["", f"  {line}", line[2:], line[:cut], line[cut:], f"{line} &a *a", f"{line}\t"]
        )
        lines.insert(at_random.choice([number, at_random.randrange(len(lines) + 1)]), other)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text("\n".join(lines), encoding="utf-8")
        first, again = loaded(path), loaded(path)
    assert first.problems == again.problems
    assert first.ruleset.hash == again.ruleset.hash


def test_the_file_is_in_order_before_it_is_changed() -> None:
    assert loaded(ALL).errors == ()
