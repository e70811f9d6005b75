"""Reads the rules anew and replaces those in force as a whole, or leaves them where it can't."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import (
    Awaitable,
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from engine.clock import Clock
from engine.deciding import own
from engine.deciding.rulebook import Rulebook
from engine.errors import JournalUnavailable, Problem
from engine.journal import rules as kept
from engine.journal.operations import Op
from engine.journal.rules import InForce
from engine.journal.sqlite import SqliteJournal
from engine.library import Library, keep, note_settled
from engine.model import Event, Reason
from engine.reloading.report import Report, compare, is_kept
from engine.reloading.settling import Settling
from engine.reloading.standing import Standing, stand
from engine.reloading.watching import Stamp
from engine.rules.loading import Loaded
from engine.rules.model import ConnectionSpec, RuleSet

_MOST_TOLD = 5
T = TypeVar("T")
_TURN_SECONDS = 0.0005
log = structlog.get_logger("rulewave.reload")


@dataclass(frozen=True, slots=True)
class Reading:
    """Where rules come from; both block, and are called in a thread.

    Attributes:
        load: reads and compiles; a broken connection or var is taken from the rule set given. With
            a path it reads what lies there in place of the rules.
        connections: compiles connections as the journal has them.
        stamp: what changes with whatever `load` reads.
    """

    load: Callable[[RuleSet | None, Path | None], Loaded]
    connections: Callable[[Mapping[str, Any]], dict[str, ConnectionSpec]]
    stamp: Callable[[], Stamp] = tuple


class Elsewhere(Protocol):
    """Calls what blocks, so that whoever waits for it does not hold up others."""

    async def __call__(self, blocking: Callable[[], T], /) -> T:
        """What the call gives back."""
        ...


async def in_thread(blocking: Callable[[], T]) -> T:
    """In a thread: the intake goes on meanwhile."""
    with _gently():
        return await asyncio.to_thread(blocking)


@dataclass(slots=True)
class Reloader:
    """The rules of one daemon.

    Attributes:
        raise_own: stores an event of the daemon's own, once for each digest.
        on_swapped: told when other rules are in force.
        on_reloaded: told what came of a reload.
        around: a reload goes on inside of it.
        elsewhere: where reading blocks.
        standing: what came of the last reading.
        last: when a reload changed something for the last time, and what.
        seen: the stamp of what was read last.
        _before: rule id → version of what is in force; None where nothing ever was.
        _unsettled: ids of rules that came, went or changed since all was settled last.
    """

    reading: Reading
    journal: SqliteJournal
    library: Library
    clock: Clock
    raise_own: Callable[[Event, bytes], Awaitable[bool]]
    on_swapped: Callable[[], None] = lambda: None
    on_reloaded: Callable[[Report], None] = lambda _: None
    around: Callable[[], AbstractContextManager[None]] = nullcontext
    elsewhere: Elsewhere = in_thread
    last: tuple[int, Mapping[str, Any]] | None = None
    seen: Stamp = ()
    standing: Standing = field(
        default_factory=lambda: Standing(RuleSet(), (), {}, frozenset(), decides=False)
    )
    _before: Mapping[str, str] | None = None
    _unsettled: frozenset[str] = frozenset()
    _under_way: set[asyncio.Task[Report]] = field(default_factory=set)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Read the rules for the first time in this life; what is broken stays as it was last."""
        in_force = await self.journal.read(kept.in_force())
        content = await self._content(in_force)
        loaded = await self._load(None)
        last = None
        if content is not None:
            last = await self._last(content, with_rules=bool(loaded.errors))
            if loaded.errors:
                loaded = await self._load(last)
            self._before = await self._versions(content, loaded)
            self._unsettled = frozenset(content.get("unsettled", ()))
        await self._take(stand(loaded, last))

    async def settle(self) -> None:
        """Bring the journal in line with the rules in force, before anything runs by them."""
        if not self.standing.decides:  # nothing is in force: nothing is gone, or goes on
            return
        settling = Settling(self.journal, self.library, self.clock)
        await settling.rename()
        held, fresh = await settling.hold_and_resume()
        await settling.follow_changes(self._unsettled)
        told = fresh | self._unsettled
        await self._tell({rule: reason for rule, reason in held.items() if rule in told})
        ruleset = self.library.book.ruleset
        if self._unsettled:
            await self.journal.write(note_settled(ruleset, self.clock.now()))
        self._unsettled = frozenset()

    async def plan(self, draft: Path | None = None) -> Report:
        """What a reload would do, or what the rules of a draft would; nothing is changed."""
        async with self._lock:
            last = self._last_good()
            standing = stand(await self._compile(last, draft), last)
            return await self._report(standing, planned=True)

    async def reload(self) -> Report:
        """Read the rules anew, and put in force what can be; raises JournalUnavailable.

        It goes on to its end where whoever wished it has gone away.
        """
        task = asyncio.create_task(self._whole())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def rest(self, patience: float | None = None) -> None:
        """Wait for what is under way; what takes longer (s) is cut off: the next start does it."""
        under_way = {*self._under_way}
        if under_way:
            await asyncio.wait(under_way, timeout=patience)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _whole(self) -> Report:
        async with self._lock:
            seen = self.seen
            try:
                with self.around():
                    report = await self._reload()
            except JournalUnavailable:
                self.seen = seen  # it is not all in force: whoever watches is to find it changed
                raise
        _log(report)
        if report.changes:
            self.last = self.clock.now(), report.as_json()
        self.on_reloaded(report)
        return report

    async def _reload(self) -> Report:
        report = await self._report(await self._read(), planned=False)
        await self._take(report.standing)
        self.on_swapped()
        await self.settle()
        self.on_swapped()
        return report

    async def _read(self) -> Standing:
        last = self._last_good()
        return stand(await self._load(last), last)

    def _last_good(self) -> RuleSet | None:
        return self.library.book.ruleset if self.standing.decides else None

    async def _load(self, last: RuleSet | None) -> Loaded:
        # Stamped before: what is written meanwhile is read once more.
        self.seen = await self.elsewhere(self.reading.stamp)
        return await self._compile(last)

    async def _compile(self, last: RuleSet | None, path: Path | None = None) -> Loaded:
        return await self.elsewhere(partial(self.reading.load, last, path))

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
        before, book = self._before, Rulebook(standing.ruleset)
        if before is not None:
            self._unsettled |= _differing(before, book)
        settling = Settling(self.journal, self.library, self.clock)
        known = self.library.book.by_version
        async with self.journal.deciding:  # no decision by the old rules comes after the swap
            clocks = await settling.clocks(book, before or {})
            note = _note(standing, self.clock.now(), known, self._unsettled, clocks)
            await self.journal.write(note)
            self.library.swap(standing.ruleset)
        self.standing = standing
        if standing.decides:
            self._before = _versions_of(book)

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

    async def _tell(self, held: Mapping[str, Reason]) -> None:
        """Raise what somebody may want to be told; the journal takes the same thing once."""
        in_force = await self.journal.read(kept.in_force())
        if in_force is None:
            return
        now = self.clock.now()
        for rule, item in in_force.broken.items():
            data = _broken_data(self.standing, rule)
            once = f"{rule}\0{item['since']}"
            await self.raise_own(*own.own_event(own.RULE_BROKEN, data, once=once, now=now))
        settling = Settling(self.journal, self.library, self.clock)
        for rule, reason in held.items():
            data = {"rule": rule, "count": await settling.on_hold(rule), "reason": reason.value}
            once = f"{rule}\0{in_force.ruleset}\0{in_force.stored}"
            await self.raise_own(*own.own_event(own.ON_HOLD, data, once=once, now=now))


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


def _differing(before: Mapping[str, str], book: Rulebook) -> set[str]:
    """The ids of rules that came, went or changed."""
    now = _versions_of(book)
    return {id for id in {*before, *now} if before.get(id) != now.get(id)}


def _versions_of(book: Rulebook) -> dict[str, str]:
    return {id: rule.version for id, rule in book.by_id.items()}


def _note(
    standing: Standing, now: int, known: Container[str], unsettled: Iterable[str], clocks: Op[None]
) -> Op[None]:
    """Keep the rules, and note that they are in force; what was broken before stays as old."""
    if not standing.decides:
        return
    yield from keep(standing.ruleset, now, known, unsettled)
    yield from clocks
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
