"""`rulewave check`: every problem of the rules, each with its place and a way out."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import Database
from engine.cli.printing import counted

if TYPE_CHECKING:
    from engine.action import Registry
    from engine.errors import Problem
    from engine.rules.loading import Loaded
    from engine.rules.secrets import Secrets


def check(
    path: Annotated[
        Path | None, typer.Argument(help="A rules file or folder; default as for serve.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for GitHub Actions.")
    ] = False,
    traffic: Annotated[
        bool, typer.Option("--traffic", help="Hold the rules against recorded events, too.")
    ] = False,
    database: Database = None,
) -> None:
    """Read rules and print every problem. Exit 1 where a rule would not load."""
    loaded = read_rules(path)
    if traffic:
        loaded = replace(loaded, problems=(*loaded.problems, *_traffic(loaded, database)))
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if as_json:
        typer.echo(json.dumps(_as_json(loaded), ensure_ascii=False, indent=2))
    elif github:
        for problem in loaded.problems:
            typer.echo(_annotation(problem))
    else:
        for problem in loaded.problems:
            typer.echo(str(problem))
        typer.echo(_summary(loaded))
    if errors:
        raise typer.Exit(1)


def read_rules(path: Path | None) -> Loaded:
    """The rules of that path, or of the settings."""
    return rules_at_hand(path)[0]


def rules_at_hand(path: Path | None = None) -> tuple[Loaded, Registry, Secrets]:
    """The same, with the actions and the secrets that they were read with."""
    from engine.daemon.registry import find_actions
    from engine.rules.loading import load
    from engine.rules.secrets import Secrets
    from engine.settings import credentials_folder, read_places

    places = read_places({"rules": path})
    secrets = Secrets(credentials_folder(os.environ), places.secrets_dir, os.environ)
    actions = find_actions()
    return load(places.rules, actions=actions, secrets=secrets), actions, secrets


def _traffic(loaded: Loaded, database: str | None) -> list[Problem]:
    """What recorded traffic makes doubtful."""
    from engine.cli.asking import ask
    from engine.rules.lint_traffic import doubts, question

    def asked(of: dict[str, object]) -> dict[str, Any]:
        answer: dict[str, Any] = ask("traffic", "ask", {"of": json.dumps(of)}, database)
        return answer

    types = asked({"paths": {}, "rules": []})["types"]
    answer = asked(question(loaded.ruleset, loaded.places, types))
    return doubts(loaded.ruleset, loaded.places, answer)


def _summary(loaded: Loaded) -> str:
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    warnings = len(loaded.problems) - errors
    tests = len(loaded.cases)
    told = f"; {counted(tests, 'test')}: rulewave test" if tests else ""
    lost = len(loaded.broken) + loaded.nameless
    left = f", {lost} not" if lost else ""
    return (
        f"{counted(len(loaded.ruleset.rules), 'rule')} in order{left}, "
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')}{told}"
    )


def _as_json(loaded: Loaded) -> dict[str, object]:
    return {
        "rules": [rule.id for rule in loaded.ruleset.rules],
        "problems": [asdict(problem) for problem in loaded.problems],
    }


def _annotation(problem: Problem) -> str:
    text = f"{problem.code} {problem.message}" + (f"; {problem.hint}" if problem.hint else "")
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    place = f"file={problem.file},line={problem.line},col={problem.column}"
    return f"::{problem.severity} {place}::{escaped}"
