"""The independent checker: from what clients and sinks saw, and the journal's rows, what is wrong."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from journeys.harness.http_sink import Call, receipt_of
from journeys.harness.ledger import Ledger, Row
from journeys.harness.panel import Posted
from journeys.harness.smtp_sink import Mail

_MOST_STARTS = 10


@dataclass(frozen=True, slots=True)
class Promise:
    """One run that an event must make, and what its steps do.

    `path` is "" or a follow-up's, whose parent is the path before the last `.do.`; `delay` is
    how much later than the event it may begin at the earliest (µs).
    """

    rule: str
    path: str
    http: tuple[str, ...] = ()
    mail: bool = False
    program: bool = False
    delay: int = 0
    cancellable: bool = False

    @property
    def parent(self) -> str | None:
        """The path of the run that makes this one; None for a rule's own run."""
        if not self.path:
            return None
        return self.path.rpartition(".do.")[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen: `programs` are (idempotency key, mark) of each start."""

    promises: Mapping[str, tuple[Promise, ...]]
    cancelling: Collection[str]
    posted: Sequence[Posted]
    ledger: Ledger
    calls: Sequence[Call] = ()
    mails: Sequence[Mail] = ()
    programs: Sequence[tuple[str, str]] = ()


def check(evidence: Evidence) -> list[str]:
    """Everything that breaks a promise, one line each; [] is well."""
    known = _Known(evidence)
    return [
        *_lost(evidence),
        *_answered_oddly(evidence),
        *_planned(evidence),
        *_keys(evidence),
        *_reached(evidence, known),
        *_handed_on(evidence),
        *_programs(evidence, known),
        *_mails(evidence, known),
        *_followups(evidence, known),
    ]


class _Known:
    """What was seen, found by mark: runs, and the sinks' records."""

    def __init__(self, evidence: Evidence) -> None:
        marks = {row["id"]: mark_of(row) for row in evidence.ledger.events}
        self.runs: dict[tuple[str, str, str], Row] = {
            (marks.get(run["origin"], ""), run["rule"], run["path"]): run
            for run in evidence.ledger.runs
        }
        self.attempts: dict[str, list[Row]] = defaultdict(list)
        for attempt in evidence.ledger.attempts:
            self.attempts[attempt["run"]].append(attempt)
        self.calls: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in evidence.calls:
            self.calls[call.mark, call.step].append(call)

    def promised(self, evidence: Evidence) -> Iterator[tuple[Posted, Promise, Row]]:
        """Every promised run that the journal has."""
        for posted in evidence.posted:
            for promise in promises_of(evidence, posted):
                run = self.runs.get((posted.mark, promise.rule, promise.path))
                if run is not None:
                    yield posted, promise, run

    def outcomes(self, run: Row) -> Counter[str]:
        """How often the run's tries ended how."""
        return Counter(attempt["outcome"] for attempt in self.attempts[run["id"]])


def mark_of(event: Row) -> str:
    """The mark that an event carries."""
    return str(event["body"]["data"]["description"])


def promises_of(evidence: Evidence, posted: Posted) -> tuple[Promise, ...]:
    """The runs that an event makes; "*" stands for the types that are not named."""
    return evidence.promises.get(posted.type, evidence.promises.get("*", ()))


# ------------------------------------------------------------ nothing lost, nothing planned twice


def _lost(evidence: Evidence) -> Iterator[str]:
    stored = Counter(bytes(row["digest"]) for row in evidence.ledger.events)
    for posted in evidence.posted:
        copies = stored[hashlib.sha256(posted.body).digest()]
        if posted.acked is not None and copies == 0:
            yield f"lost: {posted.type} {posted.mark} was acknowledged"
        if copies > 1:
            yield f"stored {copies} times: {posted.mark}"
    for row in evidence.ledger.events:
        if row["decided"] is None:
            yield f"not decided: {row['type']} {mark_of(row)}"


def _answered_oddly(evidence: Evidence) -> Iterator[str]:
    for posted in evidence.posted:
        if len({id for _, id in posted.answers}) > 1:
            yield f"several ids: {posted.mark} {posted.answers}"
        if [status for status, _ in posted.answers].count(202) > 1:
            yield f"accepted twice: {posted.mark} {posted.answers}"
        if any(status == 202 for status, _ in posted.answers[1:]):
            yield f"accepted after it was known: {posted.mark} {posted.answers}"


def _planned(evidence: Evidence) -> Iterator[str]:
    by_origin: dict[str, list[Row]] = defaultdict(list)
    for run in evidence.ledger.runs:
        by_origin[run["origin"]].append(run)
        if run["state"] in {"pending", "queued", "running", "on hold"}:
            yield f"not ended: {run['rule']} {run['path']} {run['state']} ({run['id']})"
    posted = {item.mark: item for item in evidence.posted}
    for event in evidence.ledger.events:
        made = by_origin.pop(event["id"], [])
        yield from _planned_for(event, made, promises_of(evidence, posted[mark_of(event)]))
    for origin in by_origin:
        yield f"runs without an event: {origin}"


def _planned_for(event: Row, runs: Sequence[Row], promises: Sequence[Promise]) -> Iterator[str]:
    found = Counter((run["rule"], run["path"], run["generation"]) for run in runs)
    done = {(run["rule"], run["path"]) for run in runs if run["state"] == "succeeded"}
    wanted = {
        (promise.rule, promise.path, 0)
        for promise in promises
        if promise.parent is None or (promise.rule, promise.parent) in done
    }
    for what, number in found.items():
        if number > 1:
            yield f"planned {number} times: {mark_of(event)} {what}"
        if what not in wanted:
            yield f"planned without a reason: {mark_of(event)} {what}"
    for what in wanted - found.keys():
        yield f"not planned: {mark_of(event)} {what}"
    matched = sorted(outcome["rule"] for outcome in (event["decision"] or {}).get("outcomes", ()))
    if matched != sorted({promise.rule for promise in promises}):
        yield f"decided oddly: {mark_of(event)} {matched}"


# ------------------------------------------------------------ keys and calls


def _keys(evidence: Evidence) -> Iterator[str]:
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    seen = [((call.mark, call.step), call.key) for call in evidence.calls]
    seen += [((mail.subject, "mail"), mail.id) for mail in evidence.mails]
    seen += [((mark, "program"), key) for key, mark in evidence.programs]
    for step, key in seen:
        keys[step].add(key)
        owners[key].add(step)
    for step, found in keys.items():
        if len(found) > 1 or not all(found):
            yield f"one step, several keys: {step} {sorted(found)}"
    for key, steps in owners.items():
        if len(steps) > 1:
            yield f"one key, several steps: {key} {sorted(steps)}"


def _reached(evidence: Evidence, known: _Known) -> Iterator[str]:
    for posted, promise, run in known.promised(evidence):
        if run["state"] == "dead" and not _may_die(promise, run):
            yield f"dead letter: {posted.mark} {promise.rule} {run['reason']}: {run['message']}"
        if run["state"] != "succeeded":
            continue
        for step in promise.http:
            if not known.calls[posted.mark, step]:
                yield f"never called: {posted.mark} {step}"


def _may_die(promise: Promise, run: Row) -> bool:
    """What must not be repeated may have an unknown outcome; ten starts without an end are enough."""
    if run["reason"] == "outcome_unknown":
        return promise.mail or promise.program
    return run["reason"] == "kills_its_worker" and int(run["starts"]) >= _MOST_STARTS


def _handed_on(evidence: Evidence) -> Iterator[str]:
    receipts = {call.mark: receipt_of(call.key) for call in evidence.calls if call.step == "first"}
    for call in evidence.calls:
        if call.step == "second" and call.body.get("receipt") != receipts.get(call.mark):
            yield f"the second step does not know the first one's result: {call.mark}"


# ------------------------------------------------------------ what must not be repeated


def _programs(evidence: Evidence, known: _Known) -> Iterator[str]:
    ran = Counter(mark for _, mark in evidence.programs)
    for posted, promise, run in known.promised(evidence):
        if promise.program:
            asked_again = known.outcomes(run)["failed"]
            yield from _done_once(f"program {posted.mark}", ran[posted.mark], asked_again, run)


def _mails(evidence: Evidence, known: _Known) -> Iterator[str]:
    sent = Counter(mail.subject for mail in evidence.mails)
    for posted, promise, run in known.promised(evidence):
        if promise.mail:
            yield from _done_once(f"mail {posted.mark}", sent[posted.mark], 0, run)


def _done_once(what: str, times: int, allowed: int, run: Row) -> Iterator[str]:
    if times > 1 + allowed:
        yield f"done {times} times: {what}"
    if run["state"] == "succeeded" and times == 0:
        yield f"never done, but recorded as done: {what}"
    if run["state"] not in {"succeeded", "dead"}:
        yield f"ended as {run['state']}: {what}"


# ------------------------------------------------------------ follow-ups


def _followups(evidence: Evidence, known: _Known) -> Iterator[str]:
    by_user: dict[str, list[Posted]] = defaultdict(list)
    for posted in evidence.posted:
        if posted.type in evidence.cancelling:
            by_user[posted.user].append(posted)
    for posted, promise, run in known.promised(evidence):
        if not promise.delay:
            continue
        calls = [call for step in promise.http for call in known.calls[posted.mark, step]]
        for call in calls:
            if call.at < posted.sent + promise.delay:
                yield f"before it was due: {posted.mark} {call.step}"
        if promise.cancellable:
            cancels = [it for it in by_user[posted.user] if it.raised > posted.raised]
            yield from _cancelled(posted, promise, run, calls, cancels)
        elif run["state"] != "succeeded":
            yield f"a follow-up that nothing cancels ended as {run['state']}: {posted.mark}"
        tried = bool(known.attempts[run["id"]])
        if run["state"] == "cancelled" and calls and not tried:
            yield f"called without a try: {posted.mark}"


def _cancelled(
    posted: Posted, promise: Promise, run: Row, calls: Sequence[Call], cancels: Sequence[Posted]
) -> Iterator[str]:
    due = posted.sent + promise.delay
    if any(it.acked is not None and it.acked < due for it in cancels):
        if calls:
            yield f"fired although it was cancelled in time: {posted.mark}"
        if run["state"] != "cancelled":
            yield f"cancelled in time, but ended as {run['state']}: {posted.mark}"
    if not cancels and run["state"] != "succeeded":
        yield f"not cancelled by anything, but ended as {run['state']}: {posted.mark}"
    ids = {id for it in cancels for _, id in it.answers}
    if run["state"] == "cancelled" and run["cancelled_by"] not in ids:
        yield f"cancelled by something else: {posted.mark} {run['cancelled_by']}"
