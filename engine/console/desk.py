"""What people ask of a journal: lists, one thing whole, and the few things that they may do.

The same answers whether a command asks the running daemon or opens the journal by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.action import Registry
from engine.clock import SECOND, Clock, to_iso
from engine.console.dead import DeadLetters
from engine.console.later import Later
from engine.console.rules import rule_answers
from engine.console.traffic import answer_traffic
from engine.errors import UserError
from engine.journal import events, listing, runs
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import NEVER, Run, State
from engine.rehearsal.recalling import Recalled, recall_body, recall_stored
from engine.rehearsal.showing import explanation
from engine.reloading.reloader import Reloader
from engine.rules.durations import read_since
from engine.sources.redaction import mask_private, private_values

Params = Mapping[str, str]
Shown = dict[str, Any]


@dataclass(slots=True)
class Desk:
    """Answers on one journal.

    Attributes:
        library: has the rules.
        actions: describe what they would do.
        on_replayed: told when dead letters or follow-ups may go on.
        reloader: has the rules of the running daemon; None where there is none.
    """

    journal: SqliteJournal
    library: Library
    clock: Clock
    actions: Registry
    on_replayed: Callable[[], None] = lambda: None
    reloader: Reloader | None = None

    async def ask(self, noun: str, verb: str, params: Params) -> Any:
        """Answer one question; UserError where it can't be."""
        known = {
            ("events", "list"): self.list_events,
            ("events", "show"): self.show_event,
            ("events", "explain"): self.explain_event,
            ("events", "rejected"): self.list_rejected,
            ("runs", "list"): self.list_runs,
            ("runs", "show"): self.show_run,
            ("followups", "list"): self.list_followups,
            ("traffic", "ask"): self.ask_traffic,
            **self._later().answers,
            **self._dead().answers,
            **(rule_answers(self.reloader) if self.reloader else {}),
        }
        answer = known.get((noun, verb))
        if answer is None:
            raise UserError(f"there is no {noun} {verb}")
        return await answer(params)

    async def list_events(self, params: Params) -> list[Shown]:
        """Events, newest first."""
        found = await self.journal.list(listing.events(self._wish(params)))
        return [_event_line(stored) for stored in found]

    async def show_event(self, params: Params) -> Shown:
        """One event: body, decision, why and why-not of every rule, and its runs."""
        stored = await self._event(params)
        made = await self.journal.list(listing.runs_of_event(stored.event.seq))
        shown = _event_line(stored)
        shown["body"] = mask_private(stored.event.body, private_values(stored.event.body))
        shown |= await self._decision(stored)
        shown["runs"] = await self._run_lines(made)
        return shown

    async def _decision(self, stored: listing.StoredEvent) -> Shown:
        if stored.record is None:
            return {"decision": None, "rules_changed": False, "notes": [], "rules": []}
        found = await self._recalled(stored)
        told = explanation(found, self.library.book, self.actions)
        return {
            "decision": mask_private(stored.record, private_values(found.facts.bodies)),
            "rules_changed": told["rules_changed"],
            "notes": told["notes"],
            "rules": [_rule_line(line) for line in told["rules"]],
        }

    async def explain_event(self, params: Params) -> Shown:
        """What each rule says to a stored event (`id`) or to a body (`body`), and the plan."""
        if "body" in params:
            body = params["body"].encode()
            found = await recall_body(self.journal, self.library, body, self.clock.now())
        else:
            found = await self._recalled(await self._event(params))
        return explanation(found, self.library.book, self.actions)

    async def list_rejected(self, params: Params) -> list[Shown]:
        """Genuine deliveries that were no events."""
        rows = await self.journal.list(listing.rejected(self._wish(params).most))
        return [{**row, "stored": to_iso(row["stored"])} for row in rows]

    async def ask_traffic(self, params: Params) -> Shown:
        """What recorded traffic says to rules as they are written."""
        return await answer_traffic(self.journal, self.clock, params)

    async def list_runs(self, params: Params) -> list[Shown]:
        """Runs of all kinds, newest first."""
        found = await self.journal.list(listing.runs(self._wish(params)))
        return await self._run_lines(found)

    async def show_run(self, params: Params) -> Shown:
        """One run with all its tries."""
        run = await self._run(params)
        tries = await self.journal.list(listing.attempts_of(run.id))
        origin = await self.journal.list(listing.event(run.origin))
        around = await self.journal.list(events.around(origin.event)) if origin else None
        came = await self.journal.list(events.by_seq(run.arrived)) if run.arrived else None
        bodies = [*(around.bodies if around else ()), *([came.body] if came else ())]
        private = private_values(bodies)
        return {
            **(await self._run_lines([run]))[0],
            "version": run.version,
            "parent": run.parent,
            "cancelled_by": run.cancelled_by,
            "results": mask_private(run.results, private),
            "attempts": [_attempt_line(row) for row in tries],
        }

    async def list_followups(self, params: Params) -> list[Shown]:
        """Follow-ups; those that are still to come, unless a state is wished."""
        found = await self.journal.list(listing.followups(self._wish(params)))
        return await self._run_lines(found)

    def _later(self) -> Later:
        return Later(
            self.journal, self.clock, self._run, self._run_lines, self._since, self.on_replayed
        )

    def _dead(self) -> DeadLetters:
        return DeadLetters(
            self.journal, self.clock, self._run, self.show_run, self._run_lines, self._since,
            self.on_replayed,
        )  # fmt: skip

    async def _run_lines(self, found: Sequence[Run]) -> list[Shown]:
        tries = await self.journal.list(listing.count_tries(run.id for run in found))
        return [_run_line(run, tries[run.id]) for run in found]

    async def _run(self, params: Params) -> Run:
        id = params.get("id", "")
        run = await self.journal.list(runs.by_id(id))
        if run is None:
            raise UserError(f"there is no run {id}")
        return run

    async def _event(self, params: Params) -> listing.StoredEvent:
        id = params.get("id", "")
        stored = await self.journal.list(listing.event(id))
        if stored is None:
            raise UserError(f"there is no event {id}")
        return stored

    async def _recalled(self, stored: listing.StoredEvent) -> Recalled:
        return await recall_stored(self.journal, self.library, stored, self.clock.now())

    def _wish(self, params: Params) -> listing.Wish:
        most = params.get("most") or "100"
        state = params.get("state")
        if state and state not in {item.value for item in State}:
            raise UserError(f"{state!r} is no state; there are {', '.join(State)}")
        return listing.Wish(
            rule=params.get("rule") or None,
            key=params.get("key") or None,
            state=state or None,
            type=params.get("type") or None,
            since=self._since(params.get("since")),
            most=min(int(most), 10_000) if most.isdecimal() else 100,
        )

    def _since(self, text: str | None) -> int:
        return read_since(text, self.clock.now()) if text else 0


def _event_line(stored: listing.StoredEvent) -> Shown:
    event = stored.event
    return {
        "id": event.id,
        "type": event.type,
        "aliases": [name for name in stored.names if name != event.type],
        "source": event.source,
        "subject": event.subject,
        "raised": to_iso(event.raised),
        "stored": to_iso(event.stored),
        "decided": to_iso(stored.decided) if stored.decided is not None else None,
    }


def _run_line(run: Run, tries: int) -> Shown:
    return {
        "id": run.id,
        "rule": run.rule,
        "step": run.path or None,
        "key": run.key,
        "state": run.state.value,
        "due": to_iso(run.due) if run.due < NEVER else None,
        "event": run.origin,
        "tries": tries,
        "target": run.lane,
        "reason": run.reason,
        "message": run.message,
        "ended": to_iso(run.ended) if run.ended is not None else None,
        "created": to_iso(run.created),
    }


def _attempt_line(row: Mapping[str, Any]) -> Shown:
    ended = row["ended"]
    return {
        "step": row["path"],
        "try": row["number"],
        "started": to_iso(row["started"]),
        "ended": to_iso(ended) if ended is not None else None,
        "seconds": (ended - row["started"]) / SECOND if ended is not None else None,
        "outcome": row["outcome"],
        "reason": row["reason"],
        "message": row["message"],
    }


def _rule_line(line: Shown) -> Shown:
    kept = ("rule", "verdict", "why", "key", "needed", "held", "since")
    return {name: line[name] for name in kept}
