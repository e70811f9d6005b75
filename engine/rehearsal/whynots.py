"""Why the rules under test did not do more: asked of what was recorded, as `explain` does it."""

from __future__ import annotations

from engine.deciding.explaining import outcomes
from engine.deciding.matching import Outcome
from engine.journal import listing
from engine.model import State, Verdict
from engine.rehearsal.recalling import Recalled, recall_stored
from engine.rehearsal.stage import Stage
from engine.rules.cases import Case
from engine.sources.names import RENEWED, why_no_renewal

WhyNot = tuple[str, str, str]
"""Rule, what it was asked about, and the reason."""
_MOST = 20
_ALL = 1_000_000
_LOUD = {State.CANCELLED, State.DEAD, State.EXPIRED, State.ON_HOLD}


async def why_nots(stage: Stage, case: Case) -> list[WhyNot]:
    """The reasons in the order of time, at most twenty."""
    found, unheard = await _of_events(stage, case)
    found += await _of_runs(stage, case)
    heard = {rule for rule, _, _ in found} | await _rules_with_runs(stage)
    expected = _expected(case)
    found += [one for one in unheard if one[0] in expected and one[0] not in heard]
    met = {rule for rule, _, _ in found} | heard
    deaf = (rule for rule in case.rules if rule in stage.library.book.by_id and rule not in met)
    found += [(rule, "", "no event came that it listens to") for rule in deaf]
    return list(dict.fromkeys(found))[:_MOST]


def _expected(case: Case) -> set[str]:
    """The rules that the test names."""
    acts = (one.rule for one in case.expected.actions or ())
    ends = (one.rule for some in case.expected.endings.values() for one in some)
    return {rule for rule in (*case.rules, *acts, *ends) if rule is not None}


async def _of_events(stage: Stage, case: Case) -> tuple[list[WhyNot], list[WhyNot]]:
    """Why rules did not match, and what the events were that other rules did not wait for."""
    found: list[WhyNot] = []
    unheard: list[WhyNot] = []
    for stored in (await stage.journal.read(listing.events(listing.Wish(most=_ALL))))[::-1]:
        whole = await stage.journal.read(listing.event(stored.event.id))
        if whole is None or whole.record is None:  # a state that was known before is no event
            continue
        recalled = await recall_stored(stage.journal, stage.library, whole, stage.clock.now())
        if recalled.error:
            found.append(("", stored.event.type, recalled.error))
            continue
        for outcome in outcomes(
            recalled.book, recalled.facts, recalled.names, recalled.now, recalled.holding
        ):
            if not case.is_under_test(outcome.rule.id) or outcome.verdict is Verdict.MATCHED:
                continue
            missed = "" if outcome.listens else _missed_renewal(outcome, recalled)
            why = outcome.needed or outcome.why
            told = (outcome.rule.id, stored.event.type, f"{why}: {missed}" if missed else why)
            (found if outcome.listens or missed else unheard).append(told)
    return found, unheard


def _missed_renewal(outcome: Outcome, recalled: Recalled) -> str:
    """Why the event is not the renewal that a rule waits for."""
    if RENEWED not in outcome.rule.on:
        return ""
    previous = recalled.facts.previous
    return why_no_renewal(recalled.facts.event.body, previous.body if previous else None)


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
