"""No value of an event chooses the program that runs, or becomes part of a script."""

from __future__ import annotations

from typing import Any

import pytest

from actions.shell import Shell
from engine.rules.parameters import Terms, compile_parameters
from engine.rules.programs import open_items
from engine.rules.report import Report
from engine.rules.secrets import Secrets

NAME = "{{ user.username }}"


@pytest.mark.parametrize(
    ("run", "number"),
    [
        ([NAME], 0),
        (["/opt/" + NAME, "x"], 0),
        (["sh", "-c", f"echo {NAME}"], 2),
        (["/bin/bash", "-l", "-xc", f"echo {NAME}"], 3),
        (["env", "A=b", "sh", "-c", NAME], 4),
        (["python3", "-c", f"print('{NAME}')"], 2),
        (["perl", "-ne", NAME], 2),
        (["php", "-r", NAME], 2),
    ],
)
def test_an_item_that_decides_what_runs_is_open(run: list[Any], number: int) -> None:
    ((found, _, _),) = open_items(run)
    assert found == number


@pytest.mark.parametrize(
    "run",
    [
        [],
        ["printf", "%s", NAME],
        ["{{ vars.folder }}/notify", NAME],
        ["sh", "-c", 'echo "$1"', "x", NAME],
        ["sh", "-c", "echo {{ vars.brand }}"],
        ["sh", "script.sh", NAME],
        ["tar", "-c", NAME],
        ["sh", "-c"],
        ["sleep", 5],
    ],
)
def test_arguments_may_hold_values(run: list[Any]) -> None:
    assert list(open_items(run)) == []


@pytest.mark.parametrize(
    ("run", "target"),
    [
        (["backup"], "shell backup"),
        (["sh", "a.sh", NAME, "x"], "shell sh a.sh"),
        (["sh", "-c", "x\ny", 5], "shell sh -c x\\ny 5"),
        (["x" * 100], "shell " + "x" * 74),
    ],
)
def test_each_program_waits_in_a_lane_of_its_own(run: list[Any], target: str) -> None:
    terms = Terms(Secrets(None, None, {}))
    found = compile_parameters(Shell(), {"run": run}, terms, Report())
    assert found is not None
    assert Shell().target(None, found.authority) == target


def test_a_command_line_in_place_of_a_list_is_refused_whatever_is_in_it() -> None:
    report = Report()
    run = "echo {{ user.username }}"
    compile_parameters(Shell(), {"run": run}, Terms(Secrets(None, None, {})), report)
    (problem,) = report.problems
    assert problem.message == f'shell: run: should be a list, not "{run}"'
