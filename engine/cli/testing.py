"""`rulewave test`: tells the stories under `tests:` on a virtual clock, and says what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import AsJson
from engine.errors import UserError

if TYPE_CHECKING:
    from engine.errors import Problem
    from engine.rehearsal.testing import Result
    from engine.rules.cases import Case


def rehearse(
    path: Annotated[
        Path | None, typer.Argument(help="A rules file or folder; default as for serve.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Only tests that are about this rule.")] = None,
    name: Annotated[
        str | None, typer.Option("-k", "--name", help="Only tests with this in their name.")
    ] = None,
    as_json: AsJson = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results to this file, as JUnit XML.")
    ] = None,
) -> None:
    """Run the tests of the rules. Nothing is done. Exit 1 where one fails."""
    from engine.cli import results
    from engine.cli.check import rules_at_hand
    from engine.rehearsal.silence import install
    from engine.reloading.rehearsed import rehearsal_of

    loaded, actions, _ = rules_at_hand(path)
    cases = _chosen(loaded.cases, rule, name)
    install()
    quiet = as_json
    if not quiet:
        results.print_problems(loaded.errors)
    show: Callable[[Result], None] = (lambda _: None) if quiet else results.print_result
    told = rehearsal_of(loaded.ruleset, actions).run(cases, show)
    if as_json:
        results.print_as_json(loaded.errors, told)
    else:
        results.print_summary(loaded.errors, told)
    if junit is not None:
        _write(junit, loaded.errors, told)
    if loaded.errors or not all(result.well for result in told):
        raise typer.Exit(1)


def _chosen(cases: tuple[Case, ...], rule: str | None, name: str | None) -> tuple[Case, ...]:
    chosen = tuple(
        case
        for case in cases
        if (rule is None or case.is_under_test(rule))
        and (name is None or name.casefold() in case.name.casefold())
    )
    if cases and not chosen:
        raise UserError(f"none of the {len(cases)} tests is meant by that")
    return chosen


def _write(path: Path, problems: tuple[Problem, ...], told: list[Result]) -> None:
    from engine.cli.junit import document

    try:
        path.write_bytes(document(problems, told))
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
