"""Why the rules under test did not do more: asked of what was recorded, as `explain` does it."""

from __future__ import annotations

from engine.deciding.explaining import outcomes
from engine.journal import listing
from engine.model import State, Verdict
from engine.rehearsal.recalling import recall_stored
from engine.rehearsal.stage import Stage
from engine.rules.cases import Case

WhyNot = tuple[str, str, str]
"""Rule, what it was asked about, and the reason."""
_MOST = 20
_ALL = 1_000_000
_LOUD = {State.CANCELLED, State.DEAD, State.EXPIRED, State.ON_HOLD}


async def why_nots(stage: Stage, case: Case) -> list[WhyNot]:
    """The reasons in the order of time, at most twenty."""
    found = [*await _of_events(stage, case), *await _of_runs(stage, case)]
    heard = {rule for rule, _, _ in found} | await _rules_with_runs(stage)
    deaf = (rule for rule in case.rules if rule in stage.library.book.by_id and rule not in heard)
    found += [(rule, "", "no event came that it listens to") for rule in deaf]
    return list(dict.fromkeys(found))[:_MOST]


async def _of_events(stage: Stage, case: Case) -> list[WhyNot]:
    found: list[WhyNot] = []
    for stored in (await stage.journal.read(listing.events(listing.Wish(most=_ALL))))[::-1]:
        whole = await stage.journal.read(listing.event(stored.event.id))
        if whole is None:
            continue
        recalled = await recall_stored(stage.journal, stage.library, whole, stage.clock.now())
        if recalled.error:
            found.append(("", stored.event.type, recalled.error))
            continue
        for outcome in outcomes(
            recalled.book, recalled.facts, recalled.names, recalled.now, recalled.holding
        ):
            wanted = outcome.listens and case.is_under_test(outcome.rule.id)
            if wanted and outcome.verdict is not Verdict.MATCHED:
                why = outcome.needed or outcome.why
                found.append((outcome.rule.id, stored.event.type, why))
    return found


async def _of_runs(stage: Stage, case: Case) -> list[WhyNot]:
    found: list[WhyNot] = []
    for run in (await stage.journal.read(listing.runs(listing.Wish(most=_ALL))))[::-1]:
        if not case.is_under_test(run.rule):
            continue
        if run.state in _LOUD:
            found.append((run.rule, str(run.state.value), run.message or run.reason or ""))
        for row in await stage.journal.read(listing.attempts_of(run.id)):
            if row["outcome"] == "skipped":
                why = row["message"] or row["reason"] or ""
                found.append((run.rule, f"step {row['path']} skipped", why))
    return found


async def _rules_with_runs(stage: Stage) -> set[str]:
    return {run.rule for run in await stage.journal.read(listing.runs(listing.Wish(most=_ALL)))}
