"""Reads the rules anew and replaces those in force as a whole, or leaves them where it can't."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from engine.clock import Clock
from engine.deciding import own
from engine.deciding.rulebook import Rulebook
from engine.errors import Problem
from engine.journal import rules as kept
from engine.journal.operations import Op
from engine.journal.rules import InForce
from engine.journal.sqlite import SqliteJournal
from engine.library import Library, keep
from engine.model import Event
from engine.reloading.report import Report, compare, is_kept
from engine.reloading.settling import Away, Settling
from engine.reloading.standing import Standing, stand
from engine.reloading.watching import Stamp
from engine.rules.loading import Loaded
from engine.rules.model import ConnectionSpec, RuleSet

_MOST_TOLD = 5
_TURN_SECONDS = 0.0005
log = structlog.get_logger("rulewave.reload")


@dataclass(frozen=True, slots=True)
class Reading:
    """Where rules come from; both block, and are called in a thread.

    Attributes:
        load: reads and compiles; a broken connection or var is taken from the rule set given.
        connections: compiles connections as the journal has them.
        stamp: what changes with whatever `load` reads.
    """

    load: Callable[[RuleSet | None], Loaded]
    connections: Callable[[Mapping[str, Any]], dict[str, ConnectionSpec]]
    stamp: Callable[[], Stamp] = tuple


@dataclass(slots=True)
class Reloader:
    """The rules of one daemon.

    Attributes:
        raise_own: stores an event of the daemon's own, once for each digest.
        on_swapped: told when other rules are in force.
        on_reloaded: told what came of a reload.
        around: a reload goes on inside of it.
        standing: what came of the last reading.
        seen: the stamp of what was read last to be put in force.
    """

    reading: Reading
    journal: SqliteJournal
    library: Library
    clock: Clock
    raise_own: Callable[[Event, bytes], Awaitable[bool]]
    on_swapped: Callable[[], None] = lambda: None
    on_reloaded: Callable[[Report], None] = lambda _: None
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    seen: Stamp = ()
    standing: Standing = field(
        default_factory=lambda: Standing(RuleSet(), (), {}, frozenset(), decides=False)
    )
    _before: Mapping[str, str] = field(default_factory=dict)
    _held: frozenset[str] = frozenset()
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Read the rules for the first time in this life; what is broken stays as it was last."""
        await self._stamp()
        in_force = await self.journal.read(kept.in_force())
        content = await self._content(in_force)
        loaded = await self._load(None)
        last = None
        if content is not None:
            last = await self._last(content, with_rules=bool(loaded.errors))
            if loaded.errors:
                loaded = await self._load(last)
        self._before = await self._versions(content or {}, loaded)
        self._held = await Settling(self.journal, self.library, self.clock).held()
        await self._take(stand(loaded, last))

    async def settle(self) -> None:
        """Bring the journal in line with the rules in force, before anything runs by them."""
        if not self.standing.decides:  # nothing is in force: nothing is gone, or rings anew
            return
        settling = Settling(self.journal, self.library, self.clock)
        book, before = self.library.book, self._before
        changed = [id for id, rule in book.by_id.items() if rule.version != before.get(id)]
        await settling.rename()
        await settling.settle_clocks(before)
        await self._tell_broken()
        # Before they are held: a crash in between tells of them twice, and not never.
        away = await settling.away()
        await self._tell_held(away)
        await settling.hold_and_resume(away)
        await settling.follow_changes(changed if before else ())
        self._before = {id: rule.version for id, rule in book.by_id.items()}

    async def plan(self) -> Report:
        """What a reload would do; nothing is changed."""
        async with self._lock:
            return await self._report(await self._read(), planned=True)

    async def reload(self) -> Report:
        """Read the rules anew, and put in force what can be; raises JournalUnavailable."""
        async with self._lock:
            with self.around():
                report = await self._reload()
        _log(report)
        self.on_reloaded(report)
        return report

    async def _reload(self) -> Report:
        await self._stamp()
        report = await self._report(await self._read(), planned=False)
        await self._take(report.standing)
        self.on_swapped()
        await self.settle()
        self.on_swapped()
        return report

    async def _stamp(self) -> None:
        """Before it is read: what is written meanwhile is read once more.

        A plan takes none, since what it has read is still to be put in force.
        """
        self.seen = await asyncio.to_thread(self.reading.stamp)

    async def _read(self) -> Standing:
        """In a thread: the intake goes on meanwhile."""
        last = self.library.book.ruleset if self.standing.decides else None
        return stand(await self._load(last), last)

    async def _load(self, last: RuleSet | None) -> Loaded:
        with _gently():
            return await asyncio.to_thread(self.reading.load, last)

    async def _report(self, standing: Standing, *, planned: bool) -> Report:
        old = self.library.book.ruleset
        changes = compare(old, standing.ruleset)
        touched = (
            *changes.added, *changes.changed, *changes.removed, *changes.renamed,
        )  # fmt: skip
        settling = Settling(self.journal, self.library, self.clock)
        foreseen = await settling.foresee(touched, Rulebook(standing.ruleset))
        return Report(standing, changes, foreseen, planned)

    async def _take(self, standing: Standing) -> None:
        """Journal first, then the swap, which cannot fail."""
        known = self.library.book.by_version
        await self.journal.write(_note(standing, self.clock.now(), known))
        self.library.swap(standing.ruleset)
        self.standing = standing

    async def _content(self, in_force: InForce | None) -> dict[str, Any] | None:
        if in_force is None:
            return None
        content: dict[str, Any] | None = await self.journal.read(kept.ruleset(in_force.ruleset))
        return content

    async def _last(self, content: Mapping[str, Any], *, with_rules: bool) -> RuleSet:
        """The rule set of an earlier life, as far as the journal has it."""
        known, retired = (content.get(name, {}) for name in ("connections", "retired"))
        last = RuleSet(
            connections=self.reading.connections(known),
            retired=self.reading.connections(retired),
            vars=content["vars"],
            timezone=content["timezone"],
            keep_fields=frozenset(content.get("keep_fields", ())),
        )
        if not with_rules:
            return last
        self.library.swap(last)  # old versions are compiled with the connections in force
        found = [await self.library.version(hash) for hash in content["rules"]]
        return replace(last, rules=tuple(rule for rule in found if rule is not None))

    async def _versions(self, content: Mapping[str, Any], loaded: Loaded) -> dict[str, str]:
        """Rule id → version of what was in force in an earlier life."""
        known = {rule.version: rule.id for rule in loaded.ruleset.rules}
        found: dict[str, str] = {}
        for hash in content.get("rules", ()):
            id = known.get(hash)
            if id is None:
                stored = await self.journal.read(kept.version(hash))
                id = stored["rule"].get("id") if stored else None
            if id is not None:
                found[id] = hash
        return found

    async def _tell_broken(self) -> None:
        """Raise what is broken; the journal takes the same mistake once."""
        in_force = await self.journal.read(kept.in_force())
        if in_force is None:
            return
        now = self.clock.now()
        for rule, item in in_force.broken.items():
            data = _broken_data(self.standing, rule)
            once = f"{rule}\0{item['since']}"
            await self.raise_own(*own.own_event(own.RULE_BROKEN, data, once=once, now=now))

    async def _tell_held(self, away: Mapping[str, Away]) -> None:
        """Raise what is to be put on hold: once, until the rule comes back."""
        now = self.clock.now()
        for rule, one in away.items():
            if rule not in self._held:
                data = {"rule": rule, "count": one.count, "reason": one.reason.value}
                once = f"{rule}\0{now}"
                await self.raise_own(*own.own_event(own.ON_HOLD, data, once=once, now=now))
        self._held = frozenset(away)


@contextmanager
def _gently() -> Iterator[None]:
    """Reading shares the interpreter with the intake: in short turns, and nothing is collected.

    A collection would look through all that was read so far, and hold up everybody for that long.
    """
    turn, collects = sys.getswitchinterval(), gc.isenabled()
    sys.setswitchinterval(_TURN_SECONDS)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        if collects:
            gc.enable()


def _note(standing: Standing, now: int, known: Container[str]) -> Op[None]:
    """Keep the rules, and note that they are in force; what was broken before stays as old."""
    if not standing.decides:
        return
    yield from keep(standing.ruleset, now, known)
    before = yield from kept.in_force()
    old = before.broken if before else {}
    texts = {rule: _text(problems) for rule, problems in standing.broken.items()}
    broken = {
        rule: old[rule] if old.get(rule, {}).get("text") == text else {"text": text, "since": now}
        for rule, text in texts.items()
    }
    same = before is not None and (before.ruleset, before.broken) == (standing.ruleset.hash, broken)
    if not same:
        yield from kept.set_in_force(InForce(standing.ruleset.hash, now, broken))


def _text(problems: Sequence[Problem]) -> str:
    return "\n".join(f"{problem.code} {problem.message}" for problem in problems)


def _broken_data(standing: Standing, rule: str) -> dict[str, Any]:
    problems = [str(problem) for problem in standing.broken.get(rule, ())]
    message = problems[0] if problems else ""
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    return {
        "rule": rule,
        "kept": is_kept(standing, rule),
        "message": message,
        "problems": problems[:_MOST_TOLD],
    }


def _log(report: Report) -> None:
    standing, changes = report.standing, report.changes
    for problem in standing.problems:
        level = log.error if problem.severity == "error" else log.warning
        level("rules.problem", problem=str(problem), rule=problem.rule)
    log.info(
        "rules.reloaded",
        rules=len(standing.ruleset.rules),
        added=list(changes.added),
        changed=list(changes.changed),
        removed=list(changes.removed),
        renamed=dict(changes.renamed),
        broken=[rule or "(the file)" for rule in standing.broken],
        followups={f"{one.rule} {one.what}": one.count for one in report.touched},
    )
