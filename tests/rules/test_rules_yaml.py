"""YAML is read with the place of everything, and what rules do not need of it is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.rules import codes
from engine.rules.yaml import MAX_BYTES, read


def test_plain_data_comes_out_as_yaml_1_2_has_it() -> None:
    text = (
        "on: yes\nday: 2026-01-05\nhex: 0x1F\noctal: 0o17\nsum: 1_000\nx: 1.5\nt: true\nn: ~\n= : v"
    )
    document = read(text, "f")
    assert not document.problems
    assert document.data == {
        "on": "yes",
        "day": "2026-01-05",
        "hex": 31,
        "octal": 15,
        "sum": 1000,
        "x": 1.5,
        "t": True,
        "n": None,
        "=": "v",
    }


def test_every_key_and_value_has_its_place() -> None:
    document = read("a:\n  - b: 1\n  - c:  two\n", "f")
    assert document.position(("a", 1, "c"), key=True) == (3, 5)
    assert document.position(("a", 1, "c")) == (3, 9)
    assert document.position(("a", 0)) == (2, 5)
    assert document.position(("a", 7, "x")) == (2, 3)
    assert read("", "f").position(("a",)) == (1, 1)


def test_all_doubled_keys_are_told_at_once_with_both_places() -> None:
    document = read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\na: 4\n", "f")
    assert [str(problem) for problem in document.problems] == [
        'f:4:3: R003 "c" stands here a second time; it is already there in line 3, column 3; keep one of them',
        'f:5:1: R003 "a" stands here a second time; it is already there in line 1, column 1; keep one of them',
        'f:6:1: R003 "a" stands here a second time; it is already there in line 1, column 1; keep one of them',
    ]
    assert [fault.path for fault in document.faults] == [("b", "c"), ("a",), ("a",)]
    assert document.data == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a: [", (1, 5), "left open"),
        ("a:\n\t- b", (2, 1), "with spaces"),
        ("a: @x", (1, 4), "in quotes"),
        ("a: `3`", (1, 4), "in quotes"),
        ("on: *", (1, 6), "in quotes"),
        ("a: *x", (1, 4), "in quotes"),
        ("a: b: c", (1, 5), "in quotes"),
        ("a: 1\n---\nb: 2", (2, 1), "one document"),
        ("a: 1\nb", (2, 2), "colon"),
        ("a: 'x", (1, 6), "left open"),
        ("ok\n\x07", (2, 1), ""),
        ("[" * 500, (1, 101), "less deeply"),
    ],
)
def test_a_text_that_is_no_yaml_gives_one_problem_with_its_place(
    text: str, place: tuple[int, int], hint: str
) -> None:
    document = read(text, "f")
    (problem,) = document.problems
    assert document.data is None
    assert problem.code == codes.NOT_YAML
    assert (problem.line, problem.column) == place
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("when: !user.email", ("when",), "!user.email is a YAML tag"),
        ("a: {{ x }}", ("a",), "where a key is expected"),
        ("a: &x [*x]", ("a", 0), "contains itself"),
        ("a: !!python/object:os.system x", ("a",), "YAML tag"),
        ("a: !!binary aGk=", ("a",), "YAML tag"),
        ("a: !x [1]", ("a",), "YAML tag"),
        ("a: .nan", ("a",), "read as a number"),
        ("a: !!int many", ("a",), "read as a number"),
        ("a: " + "9" * 5000, ("a",), "read as a number"),
        ("<<: {a: 1}", ("<<",), "not part of YAML 1.2"),
        ("~: 1", (), "a key is missing"),
        ('a: "\\ud800"', ("a",), "half of a character"),
        ('a: "\\0"', ("a",), "NUL"),
    ],
)
def test_what_rules_do_not_use_of_yaml_is_refused(
    text: str, path: tuple[str | int, ...], message: str
) -> None:
    (fault,) = read(text, "f").faults
    assert fault.path == path
    assert fault.problem.code == codes.REFUSED_YAML
    assert message in fault.problem.message


def test_an_alias_bomb_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = read("\n".join(lines), "f").problems
    assert problem.code == codes.REFUSED_YAML
    assert "500000" in problem.message


def test_aliases_nested_on_top_of_each_other_end_somewhere() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 60)]
    (problem,) = read("\n".join(lines), "f").problems
    assert "nested too deeply" in problem.message


def test_an_anchor_may_be_used_and_named_twice() -> None:
    assert read("- &a x\n- *a\n- &a y\n- *a", "f").data == ["x", "x", "y", "y"]


def test_a_document_over_five_mib_is_refused() -> None:
    (problem,) = read("é" * (MAX_BYTES // 2 + 1), "f").problems
    assert problem.code == codes.UNREADABLE


@given(st.text(alphabet=st.characters() | st.sampled_from("{}[]:-&*!|>'\"%@`#,?~ \n\t")))
@example("%YAML 9\n---\na")
@example("%TAG !\n--- !x")
@example("? ")
@example('"\\x"')
@example("\ud800")
@example("a: !<")
@example("--- |1\n")
def test_the_reader_never_crashes_on_any_text(text: str) -> None:
    document = read(text, "f")
    assert all(str(problem) for problem in document.problems)
