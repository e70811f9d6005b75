"""Short ways to compile, render and judge the parameters of an action."""

from __future__ import annotations

from typing import Any

from ruletools import ACTIONS, secrets

from engine.action import Params
from engine.rules.parameters import CompiledParameters, Terms, compile_parameters
from engine.rules.report import Report

CONTEXT: dict[str, Any] = {
    "user": {
        "name": "anna",
        "email": None,
        "empty": " ",
        "n": 3,
        "break": "a\r\nBcc: x",
        "html": "<",
    },
    "vars": {"base": "https://api.example.org", "brand": "B"},
}
SECRETS = secrets(token="s3cret-token", host="hidden.example.org", bad="one\ntwo")


def compile_raw(
    action: str, raw: Any, connection: str | None = None
) -> tuple[CompiledParameters | None, Report]:
    """Compile the parameters of an action; they, and what is wrong with them."""
    report = Report()
    terms = Terms(SECRETS, CONTEXT["vars"])
    return compile_parameters(ACTIONS[action], raw, terms, report, connection), report


def compiled(action: str, raw: Any, connection: str | None = None) -> CompiledParameters:
    """Parameters with which nothing is wrong."""
    found, report = compile_raw(action, raw, connection)
    assert found is not None
    assert not report.problems
    return found


def render(action: str, raw: Any, connection: str | None = None) -> Params:
    """Parameters of an action for `CONTEXT`."""
    return compiled(action, raw, connection).render(CONTEXT, SECRETS)


def told(action: str, raw: Any, connection: str | None = None) -> list[tuple[str, str, str]]:
    """What is wrong with parameters: code, message and hint."""
    _, report = compile_raw(action, raw, connection)
    return [(problem.code, problem.message, problem.hint) for problem in report.problems]
