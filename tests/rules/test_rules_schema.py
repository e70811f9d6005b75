"""What `rulewave schema` prints: editors know every key, and agree with the loader."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cli.commands import command
from docs.fenced import ROOT, all_blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.daemon.registry import find_actions
from engine.rules import names
from engine.rules.connections import kinds_of
from engine.rules.loading import Loaded, load
from engine.rules.marks import slots
from engine.rules.schema import rules_schema
from engine.rules.secrets import Secrets
from engine.rules.yaml import read

ALL = Path(__file__).with_name("every_key.yaml")
EXAMPLE = ROOT / "rules.example.yaml"


@cache
def validator() -> Any:
    schema = rules_schema(find_actions())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def refusals(data: Any) -> list[str]:
    """What the schema has against it, with the place."""
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(data)]


def loaded(folder: Path, data: Any) -> Loaded:
    """What the loader says of the same."""
    path = folder / "rules.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return load(path, actions=find_actions(), secrets=Secrets(None, None, {}))


def plain(path: Path) -> Any:
    return read(path.read_text(encoding="utf-8"), path.name).data


def test_check_jsonschema_takes_the_example_rules_and_refuses_a_slip(tmp_path: Path) -> None:
    schema = tmp_path / "rules.schema.json"
    with schema.open("wb") as file:
        subprocess.run(command("schema"), stdout=file, check=True)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        EXAMPLE.read_text(encoding="utf-8").replace("    when:", "    wenn:", 1), encoding="utf-8"
    )
    check = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(schema)]
    good = subprocess.run([*check, str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    bad = subprocess.run([*check, str(wrong)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "wenn" in bad.stdout


@pytest.mark.parametrize(
    "block", [one for one in all_blocks("yaml") if "rules:" in one.text], ids=str
)
def test_a_whole_file_in_the_documents_is_taken_unless_it_shows_a_mistake(block: Any) -> None:
    found = refusals(read(block.text, "docs").data)
    assert bool(found) <= ("broken" in block.info), found


def test_a_file_with_every_key_is_taken_by_both(tmp_path: Path) -> None:
    data = plain(ALL)
    assert refusals(data) == []
    assert [str(one) for one in loaded(tmp_path, data).errors] == []


def test_no_key_of_the_language_is_missing_and_none_is_made_up() -> None:
    schema = rules_schema(find_actions())
    known = {key: set(one.get("properties", ())) for key, one in schema["$defs"].items()}
    steps = {"after", "await", *names.STEP_KEYS, *names.FOLLOWUP_KEYS, *names.CONTROL_KEYS}
    assert set(schema["properties"]) == names.FILE_KEYS
    assert set(schema["properties"]["defaults"]["properties"]) == names.DEFAULTS_KEYS
    assert known["rule"] == names.RULE_KEYS
    assert known["step"] == steps | find_actions().keys()
    for name, action in find_actions().items():
        assert known[name] == set(slots(action.params))
    for kind, model in kinds_of(find_actions()).items():
        assert known[f"connection.{kind}"] == set(slots(model))


def test_every_key_of_rules_and_steps_is_explained_with_an_example() -> None:
    schema = rules_schema(find_actions())
    rule, step = (schema["$defs"][name]["properties"] for name in ("rule", "step"))
    listed = {**schema["properties"], **rule, **step}
    for key, one in listed.items():
        assert one["description"], key
        assert "examples" in one or key in find_actions(), key


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"mode": "on"}, "$.rules[0].mode"),
        ({"throttle": "often"}, "$.rules[0].throttle"),
        ({"on": {"cron": "0 9 * * *", "every": "1m"}}, "$.rules[0].on"),
        ({"digest": {"max": 5}}, "$.rules[0].digest"),
        ({"digest": {"at": "0 9 * * *", "wait": "1m"}}, "$.rules[0].digest"),
        ({"threshold": {"at_least": 0, "within": "1m"}}, "$.rules[0].threshold.at_least"),
        ({"when": {"all": []}}, "$.rules[0].when"),
        ({"do": [{"log": {"text": "a"}, "shell": {"run": ["b"]}}]}, "$.rules[0].do[0]"),
        ({"do": [{"log": {"txt": "a"}}]}, "$.rules[0].do[0].log"),
        ({"do": [{"log": {"text": "a"}, "within": "1m"}]}, "$.rules[0].do[0]"),
        ({"do": [{"after": "3 o'clock", "log": {"text": "a"}}]}, "$.rules[0].do[0].after"),
        ({"do": [{"await": "user.renewed", "log": {"text": "a"}}]}, "$.rules[0].do[0]"),
        ({"do": [{"choose": [], "log": {"text": "a"}}]}, "$.rules[0].do[0]"),
        ({"do": [{"stop": "x", "retry": {"tries": 2}}]}, "$.rules[0].do[0]"),
        ({"do": [{"http": {"expect": "2xx"}}]}, "$.rules[0].do[0].http"),
        (
            {"do": [{"http": {"get": "https://a.b/", "post": "https://a.b/"}}]},
            "$.rules[0].do[0].http",
        ),
        ({"id": "Not An Id"}, "$.rules[0].id"),
    ],
)
def test_a_mistake_is_told_where_it_stands_and_the_loader_refuses_it_too(
    change: dict[str, Any], place: str, tmp_path: Path
) -> None:
    rule = {"id": "r", "on": "user.expired", "do": [{"log": {"text": "a"}}], **change}
    data = {"version": 1, "rules": [rule]}
    assert any(one.startswith(f"{place}:") for one in refusals(data)), refusals(data)
    assert loaded(tmp_path, data).errors


@pytest.mark.parametrize(
    ("held", "fine"),
    [
        ("r", True),
        (["r", {"rule": "r", "by": "quiet"}], True),
        ({"rule": "r", "by": "thr*", "times": 2, "at": "1h", "why": "x"}, True),
        ([{"rule": "r", "by": "quit"}], False),
        ({"rule": "r", "of": "x"}, False),
        ({"by": "quiet"}, False),
    ],
)
def test_what_holds_back_is_one_of_a_few_words_in_tests_too(
    held: Any, fine: bool, tmp_path: Path
) -> None:
    rule = {"id": "r", "on": "user.expired", "do": [{"log": {"text": "a"}}]}
    story = {"name": "t", "rule": "r", "expect": {"held": held}}
    data = {"version": 1, "rules": [rule], "tests": [story]}
    assert (not refusals(data), not loaded(tmp_path, data).errors) == (fine, fine)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"given": [{"at": "0s", "evnt": "user.expired"}]}, "$.tests[0].given[0]"),
        ({"given": [{"restart": "1m", "data": {}}]}, "$.tests[0].given[0]"),
        ({"given": [{"restart": "1m", "reload": {}}]}, "$.tests[0].given[0]"),
        ({"given": [{"reload": {"change": {"r": {"whn": "x"}}}}]}, "$.tests[0].given[0].reload"),
        ({"given": [{"reload": {"change": {"r": 5}}}]}, "$.tests[0].given[0].reload"),
        ({"mock": {"do.0": {"fail": {"retri": True}}}}, "$.tests[0].mock"),
        ({"mock": {"do.0": []}}, "$.tests[0].mock"),
        ({"mock": []}, "$.tests[0].mock"),
        ({"expect": {}}, "$.tests[0].expect"),
        ({"expect": {"action": []}}, "$.tests[0].expect"),
        ({"expect": {"actions": [{"log": {"txt": "a"}}]}}, "$.tests[0].expect.actions[0]"),
        ({"expect": {"actions": [{"log": {}, "email": {}}]}}, "$.tests[0].expect.actions[0]"),
        ({"expect": {"held": [{"rule": "r", "because": "x"}]}}, "$.tests[0].expect.held"),
    ],
)
def test_a_mistake_in_a_test_is_told_and_the_loader_refuses_it_too(
    change: dict[str, Any], place: str, tmp_path: Path
) -> None:
    rule = {"id": "r", "on": "user.expired", "do": [{"log": {"text": "a"}}]}
    test = {"name": "t", "given": [], "expect": {"actions": []}, **change}
    data = {"version": 1, "rules": [rule], "tests": [test]}
    assert any(one.startswith(place) for one in refusals(data)), refusals(data)
    assert loaded(tmp_path, data).errors


def test_a_key_without_a_value_is_as_good_as_none_for_both(tmp_path: Path) -> None:
    base = {**plain(ALL), "tests": []}
    taken = 0
    for path in _places(base):
        # A section, and what an action is given, may well be refused.
        if path[:1] != ("rules",) or {"http", "email", "shell", "notify", "telegram"} & {*path}:
            continue
        changed = _put(base, path, None)
        fine = loaded(tmp_path, changed).errors == ()
        assert fine is (refusals(changed) == []), path
        taken += fine
    assert taken > 30


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in the file, but for what a person names freely."""
    yield path
    if path[:1] == ("vars",) or path[-1:] in {("json",), ("data",), ("meta",), ("change",)}:
        return
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _places(value, (*path, key))


def _put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(data)
    *way, last = path
    below = changed
    for part in way:
        below = below[part]
    below[last] = value
    return changed


_VALUES = st.sampled_from(
    [[], {}, None, True, 0, -1, 2.5, "", "x y", "3d", "none", [1], {"a": 1}, "a.b"]
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_the_schema_refuses_is_refused_by_the_loader(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    base = plain(ALL)
    places = [path for path in _places(base) if path]
    place, value = data.draw(st.sampled_from(places)), data.draw(_VALUES)
    changed = _put(base, place, value)
    found = refusals(changed)
    if found:
        assert loaded(tmp_path_factory.getbasetemp(), changed).errors, found


def test_an_unknown_key_is_refused_by_both_wherever_it_stands(tmp_path: Path) -> None:
    base = plain(ALL)
    free = {("connections",), ("vars",), ("tests",)}
    free_names = {"headers", "query", "form", "env", "data", "meta", "json", "change", "mock"}
    tried = 0
    for path in _places(base):
        below = base
        for part in path:
            below = below[part]
        if not isinstance(below, dict) or path in free or free_names & {*path}:
            continue
        tried += 1
        changed = _put(base, (*path, "no_such_key"), "x")
        assert refusals(changed), path
        assert loaded(tmp_path, changed).errors, path
    assert tried > 40
