"""Reads what a run whose turn it is may look at: its events, its digest, the names of its step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.clock import Clock
from engine.deciding.context import base_context, digest_context, rule_context
from engine.deciding.planning import story_of
from engine.deciding.walking import steps_at
from engine.journal import events, holding, runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Facts, Run
from engine.rules.model import Rule
from engine.running.gathering import left_over, of_digest
from engine.running.scene import Scene


@dataclass(frozen=True, slots=True)
class Looking:
    """Looks things up for a runner."""

    journal: SqliteJournal
    library: Library
    clock: Clock

    async def find(self, id: str) -> tuple[Run | None, Facts | None]:
        """The run of that id, with what is known around its event."""
        return await self.journal.read(_run_and_facts(id))

    async def scene(self, run: Run, rule: Rule, facts: Facts) -> Scene:
        """All that the next step may look at; a digest without what is not wanted any more."""
        now, vars = self.clock.now(), self.library.book.ruleset.vars
        if rule.digest is not None:
            facts, dropped = left_over(rule, run, facts, now=now, vars=vars)
            if dropped:  # for this step and all that come
                await self.journal.write(holding.leave_out(story_of(run), dropped))
        steps = steps_at(rule, run)
        here = steps[run.cursor].bound if run.cursor < len(steps) else run.bound
        return Scene(run, facts, rule, steps, {**self._context(run, rule, facts), **here})

    def _context(self, run: Run, rule: Rule, facts: Facts) -> dict[str, Any]:
        now, vars = self.clock.now(), self.library.book.ruleset.vars
        base = base_context(
            facts.event, facts.previous, facts.latest, now=now, vars=vars, arrived=facts.arrived
        )
        digest = digest_context(facts, now=now, vars=vars) if rule.digest else {}
        return {**rule_context(base, rule, run.key, run.results, run.failure), **digest}


def _run_and_facts(id: str) -> Op[tuple[Run | None, Facts | None]]:
    run = yield from runs.by_id(id)
    event = (yield from events.by_seq(run.origin_seq)) if run else None
    facts = (yield from events.around(event)) if event else None
    if run and facts and run.arrived is not None:
        facts = replace(facts, arrived=(yield from events.by_seq(run.arrived)))
    if run and facts:
        facts = of_digest(facts, (yield from holding.gathered(story_of(run))))
    return run, facts
