"""Tests on the way into force: those that fail keep back the rules that they are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.action import Registry
from engine.errors import Problem
from engine.rehearsal.stage import Stage
from engine.rehearsal.telling import summary
from engine.rehearsal.testing import Rehearsal, Result
from engine.reloading.reloader import Reading, Reloader, T
from engine.reloading.standing import Standing, stand
from engine.rules import codes
from engine.rules.cases import Case
from engine.rules.loading import Loaded, with_hash
from engine.rules.model import RuleSet

ALL_SECONDS = 30.0
"""How long all tests together may take before a reload gives them up."""


def rehearse(loaded: Loaded, last: RuleSet | None, actions: Registry) -> Loaded:
    """Run the tests with what would be in force; whatever they blame is broken.

    Blocks, for half a minute at most. `last` was in force before: a rule that is kept from it is
    tested as it is.
    """
    if not loaded.usable or not loaded.cases:
        return loaded
    standing = stand(loaded, last)
    cases = _fit(loaded, standing)
    results = rehearsal_of(standing.ruleset, actions, seconds=ALL_SECONDS).run(cases)
    failed = [result for result in results if not result.well]
    return _held_back(loaded, failed) if failed else loaded


def _fit(loaded: Loaded, standing: Standing) -> list[Case]:
    """The tests that can be judged: what a broken rule is missing for must not blame others."""
    lost = loaded.nameless or not loaded.broken <= standing.kept
    return [
        case
        for case in loaded.cases
        if loaded.broken.isdisjoint(case.rules) and (case.rules or not lost)
    ]


def rehearsal_of(
    ruleset: RuleSet, actions: Registry, *, seconds: float = float("inf")
) -> Rehearsal:
    """A rehearsal in which rules can be replaced as a reload does it."""
    return Rehearsal(ruleset, actions, reload_on, seconds)


async def reload_on(stage: Stage, ruleset: RuleSet) -> None:
    """Put these rules in force on a stage by the code of every reload."""
    loaded = Loaded(ruleset, ())
    reading = Reading(lambda _last, _path: loaded, lambda _raw: {})
    old = stage.reloader
    if isinstance(old, Reloader):
        old.reading = reading
        await old.reload()
        return
    reloader = Reloader(
        reading, stage.journal, stage.library, stage.clock, stage.raise_own, elsewhere=at_once
    )
    await reloader.start()
    await reloader.settle()
    stage.reloader = reloader


async def at_once(blocking: Callable[[], T]) -> T:
    """A rehearsal has read everything already."""
    return blocking()


def _held_back(loaded: Loaded, failed: list[Result]) -> Loaded:
    good = {rule.id for rule in loaded.ruleset.rules}
    blamed = {rule for result in failed for rule in result.blamed if rule in good}
    rules = tuple(rule for rule in loaded.ruleset.rules if rule.id not in blamed)
    problems = {problem for result in failed for problem in _problems(result)}
    former = {name for rule in loaded.ruleset.rules if rule.id in blamed for name in rule.was}
    return replace(
        loaded,
        ruleset=with_hash(replace(loaded.ruleset, rules=rules)),
        problems=tuple(sorted({*loaded.problems, *problems})),
        of_tests=loaded.of_tests | {one for one in problems if one.rule is None},
        broken=loaded.broken | blamed,
        former=loaded.former | former,
    )


def _problems(result: Result) -> list[Problem]:
    """One for each rule that is held back; the same mistake is told once where there is none."""
    message = f'the test "{result.case.name}" fails: {summary(result)}'
    hint = "rulewave test shows what differs"
    file, line, column = result.case.place
    return [
        Problem(file, line, column, codes.TEST_FAILED, message, hint, rule=rule or None)
        for rule in (result.blamed or ("",))
    ]
