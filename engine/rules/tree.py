"""All steps of a rule, however deep they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.rules.model import ActionStep, AfterStep, ChooseStep, ForEachStep, Rule, Step


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps as written, each before what is in it."""
    for step in steps:
        yield step
        if isinstance(step, AfterStep):
            yield from walk((*step.do, *step.otherwise))
        elif isinstance(step, ChooseStep):
            for branch in step.branches:
                yield from walk(branch.do)
        elif isinstance(step, ForEachStep):
            yield from walk(step.do)


def walk_all(rule: Rule) -> Iterator[Step]:
    """All steps of a rule, those for a failure too."""
    yield from walk((*rule.do, *rule.on_failure))


def emitted(rules: Iterable[Rule]) -> set[str]:
    """The event types that these rules raise themselves."""
    steps = (step for rule in rules for step in walk_all(rule) if isinstance(step, ActionStep))
    return {name for step in steps for name in step.template.emits}


def listened_to(rule: Rule) -> set[str]:
    """All event types and globs that a rule and its follow-ups look out for."""
    followups = (step for step in walk_all(rule) if isinstance(step, AfterStep))
    watched = [*rule.cancel_on, *(one for step in followups for one in step.watched_for)]
    return {*rule.on, *(one.pattern for one in watched)}
