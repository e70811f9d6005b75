"""A test bench in virtual time: the production engine on a real journal, with a clock that stands.

Events go in as signed deliveries, rules are loaded from YAML, and whatever is due is taken from the
queue table and handed to the runner, one job at a time. Only the effects are ours: `Tell` writes
down what it was to do, and ends as the test says.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from engine.action import Action, Call, Connection, Field, Params, Registry, Text, Written
from engine.clock import ManualClock, from_iso, to_iso
from engine.console.desk import Desk
from engine.daemon.assembly import open_journal
from engine.daemon.registry import find_actions
from engine.daemon.supply import Connections, reading_of, recompiler
from engine.errors import ActionFailed
from engine.journal import events, listing, runs
from engine.journal.sqlite import SqliteJournal
from engine.library import Library, rate_of
from engine.model import Answer, Delivery, Run, State
from engine.pipeline import IntakeSettings, Pipeline
from engine.queue import sqlite as queue
from engine.queue.jobs import Job
from engine.reloading.reloader import Reloader
from engine.reloading.report import Report
from engine.rules.durations import parse_duration
from engine.rules.model import RuleSet
from engine.rules.secrets import Secrets
from engine.running.admitting import Admitting
from engine.running.alarm import Alarm
from engine.running.handing import HandOver
from engine.running.pausing import Pausing
from engine.running.recording import hand_over
from engine.running.runner import Runner
from engine.sources.samples import sample
from engine.sources.signature import sign

SECRET = "benchSecret0123456789benchSecret0123456789benchSecret0123456789ab"
START = from_iso("2026-01-05T09:00:00.000Z") or 0
_FAR = 10_000


class Phone(Connection):
    """A named target, so that rates and connections can be tested."""

    kind: Literal["phone"] = "phone"
    number: str = ""
    token: str | None = None


class TellParams(Params):
    """Whom to tell what."""

    text: Text = ""
    to: Annotated[str | list[str], Field(Written.LINE, recipient=True)] = "somebody"
    connection: str | None = None
    unsafe: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """One try that was begun."""

    at: int
    text: str
    to: Any
    call: Call


Behaviour = Callable[[TellParams, Call], Awaitable[dict[str, Any]]]


@dataclass
class Tell(Action[TellParams]):
    """Writes down each try, then does what the test put into `script` (default: succeeds)."""

    clock: ManualClock
    told: list[Told] = field(default_factory=list)
    script: list[Behaviour | ActionFailed | BaseException | dict[str, Any]] = field(
        default_factory=list
    )
    name = "tell"
    params = TellParams
    kinds = {"phone": Phone}  # noqa: RUF012  # declared as ClassVar in the base

    def safe_to_repeat(self, params: TellParams) -> bool:
        return not params.unsafe

    def describe(self, params: TellParams) -> str:
        return params.text

    async def run(self, params: TellParams, call: Call) -> dict[str, Any]:
        self.told.append(Told(self.clock.now(), params.text, params.to, call))
        behaviour = self.script.pop(0) if self.script else {}
        if isinstance(behaviour, BaseException):
            raise behaviour
        if isinstance(behaviour, dict):
            return behaviour
        return await behaviour(params, call)


@dataclass
class Bench:
    """One life of the engine. Moments in texts are spans from `START`, as `5m`."""

    clock: ManualClock
    journal: SqliteJournal
    library: Library
    pipeline: Pipeline
    runner: Runner
    handing: HandOver
    tell: Tell
    reloader: Reloader
    file: Path
    changed: list[Run] = field(default_factory=list)

    # ---------------------------------------------------------------- events come in

    async def event(
        self, type: str, *, raised: str | None = None, panel: str = "3.3", **fields: Any
    ) -> str:
        """Accept a signed sample event; its id. `raised` is its own timestamp (default: now)."""
        answer = await self.deliver(body(type, self.moment(raised), panel, **fields))
        assert answer.status == 202, answer
        assert answer.event_id is not None
        return answer.event_id

    async def deliver(self, raw: bytes, secret: str = SECRET) -> Answer:
        """Accept these bytes, signed."""
        return await self.pipeline.accept(signed(raw, secret))

    def moment(self, span: str | None) -> int:
        """A span from `START` as a moment; None is now."""
        return self.clock.now() if span is None else START + parse_duration(span)

    async def reload(self, rules: str) -> Report:
        """Write other rules and have them read."""
        write_rules(self.file, rules)
        return await self.reloader.reload()

    # ---------------------------------------------------------------- what is due is done

    async def decide(self) -> int:
        """Decide all that is stored."""
        total = 0
        while decided := await self.pipeline.decide():
            total += decided
        return total

    async def work(self) -> None:
        """Take job after job out of the queue until there is none."""
        for _ in range(_FAR):
            job = await self.next_job()
            if job is None:
                return
            await self.runner.handle(job)
        raise AssertionError("the queue never gets empty")

    async def next_job(self) -> Job | None:
        """Take the next job out of the queue table."""
        return await self.journal.write(queue.take())

    async def settle(self) -> None:
        """Decide, hand over and work until nothing is left to do at this moment."""
        for _ in range(_FAR):
            decided = await self.decide()
            await self.work()
            handed = await self.hand_over()
            if not decided and not handed:
                return
        raise AssertionError("it never settles")

    async def hand_over(self) -> int:
        """Queue what is due; how much that was."""
        await Admitting(self.journal, self.clock, self.library.version).admit()
        return await self.journal.write(hand_over(queue.enqueue, self.clock.now(), 500))

    async def count(self, table: str) -> int:
        """How many rows there are in a table."""
        path = self.file.with_name("bench.db")
        with closing(sqlite3.connect(path)) as database:
            (number,) = database.execute(f"select count(*) from {table}").fetchone()
        return int(number)

    async def until(self, span: str) -> None:
        """Let time go by, stopping at each moment at which something is due."""
        await self.reach(START + parse_duration(span))

    async def reach(self, end: int) -> None:
        """The same, up to a moment."""
        await self.settle()
        for _ in range(_FAR):
            due = await self.journal.read(runs.next_due())
            if due is None or due > end:
                break
            self.clock.move(max(0, due - self.clock.now()))
            await self.settle()
        self.clock.move(max(0, end - self.clock.now()))
        await self.settle()

    # ---------------------------------------------------------------- what came of it

    @property
    def desk(self) -> Desk:
        """Where people ask."""
        return Desk(
            self.journal, self.library, self.clock, self.runner.actions, reloader=self.reloader
        )

    @property
    def texts(self) -> list[str]:
        """What was told, try by try."""
        return [told.text for told in self.tell.told]

    @property
    def timed(self) -> list[tuple[str, str]]:
        """What was told and when, as spans from `START` in minutes."""
        return [(f"{(told.at - START) / 60e6:g}m", told.text) for told in self.tell.told]

    async def runs(self, **wish: Any) -> list[Run]:
        """All runs, oldest first."""
        return (await self.journal.read(listing.runs(listing.Wish(most=_FAR, **wish))))[::-1]

    async def run(self, rule: str = "r", path: str = "") -> Run:
        """The newest run of a rule at a path."""
        return [run for run in await self.runs(rule=rule) if run.path == path][-1]

    async def attempts(self, run: Run) -> list[tuple[int, str | None, str | None]]:
        """Number, outcome and reason of each try of a run, step by step."""
        rows = await self.journal.read(listing.attempts_of(run.id))
        rows.sort(key=lambda row: (row["path"], row["number"]))
        return [(row["number"], row["outcome"], row["reason"]) for row in rows]

    async def record(self, event: str) -> dict[str, Any]:
        """The decision record of an event."""
        stored = await self.journal.read(listing.event(event))
        assert stored is not None
        assert stored.record is not None
        return stored.record

    async def verdicts(self, event: str) -> dict[str, str]:
        """Rule → verdict, as recorded (what did not match is not)."""
        return {line["rule"]: line["verdict"] for line in (await self.record(event))["outcomes"]}

    async def names(self, event: str) -> tuple[str, ...]:
        """All names that an event answers to."""
        stored = await self.journal.read(listing.event(event))
        assert stored is not None
        return tuple(stored.names)

    async def states(self) -> dict[str, int]:
        """State → number of runs."""
        return await self.journal.read(runs.states())


@dataclass(frozen=True)
class _Outfit:
    """What a life is made of before its journal is open."""

    clock: ManualClock
    actions: Registry
    secrets: Secrets
    rules: Path

    async def wait_until(self, moment: int) -> bool:
        self.clock.move(max(0, moment - self.clock.now()))
        return True

    def runner(self, journal: SqliteJournal, library: Library) -> Runner:
        return Runner(
            journal, library, self.actions, self.secrets, self.clock, queue.enqueue,
            Pausing(journal, self.clock),
            connect=Connections(library, self.secrets).connect, wait_until=self.wait_until,
            rates=partial(rate_of, library),
        )  # fmt: skip

    def handing(self, journal: SqliteJournal, runner: Runner) -> HandOver:
        return HandOver(
            journal, Alarm(self.clock), self.clock, queue.enqueue, queue.has_job, queue.lanes,
            ring=queue.open_queries(journal).ring, open_lanes=lambda _: None,
            in_hand=runner.in_hand, rule=runner.library.version,
        )  # fmt: skip


@asynccontextmanager
async def open_bench(
    folder: Path,
    rules: str,
    *,
    clock: ManualClock | None = None,
    environ: Mapping[str, str] | None = None,
    max_age: int | None = None,
    max_backlog: int = 1_000_000,
    real: bool = False,
    broken: bool = False,
) -> AsyncIterator[Bench]:
    """Begin a life on the journal in `folder`; open it again for the next one.

    Args:
        rules: the rules file; a list of rules alone will do.
        environ: where secrets are looked up (`RULEWAVE_SECRET_…`).
        real: whether the product's own actions can be used beside `tell`.
        broken: whether the rules may have errors.
    """
    clock = clock or ManualClock(START)
    tell = Tell(clock)
    actions = {**(find_actions() if real else {}), "tell": tell}
    secrets = Secrets(None, None, {} if environ is None else environ)
    outfit = _Outfit(clock, actions, secrets, folder / "bench.yaml")
    write_rules(outfit.rules, rules)
    limits = IntakeSettings((SECRET,), max_age, max_backlog)
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(f"sqlite:///{folder / 'bench.db'}"))
        for action in actions.values():
            await action.start(stack)
        bench = _put_together(outfit, journal, tell, limits)
        await bench.reloader.start()
        problems = bench.reloader.standing.problems
        errors = [str(problem) for problem in problems if problem.severity == "error"]
        assert broken or not errors, "\n".join(errors)
        await bench.pipeline.start()
        await bench.reloader.settle()
        await bench.runner.pausing.start()
        await bench.handing.reconcile()
        yield bench


def write_rules(path: Path, rules: str) -> None:
    """Write a rules file; a list of rules alone will do."""
    path.write_text(rules if "rules:" in rules else f"version: 1\nrules:\n{rules}", "utf-8")


def _put_together(
    outfit: _Outfit, journal: SqliteJournal, tell: Tell, limits: IntakeSettings
) -> Bench:
    clock = outfit.clock
    library = Library(journal, RuleSet(), recompiler(outfit.actions, outfit.secrets), clock)
    pipeline = Pipeline(journal, library, clock, limits, queue.enqueue)
    runner = outfit.runner(journal, library)
    reading = reading_of(outfit.rules, outfit.actions, outfit.secrets)
    reloader = Reloader(reading, journal, library, clock, pipeline.raise_own)
    bench = Bench(
        clock, journal, library, pipeline, runner, outfit.handing(journal, runner), tell,
        reloader, outfit.rules,
    )  # fmt: skip
    pipeline.on_planned = runner.on_change = bench.changed.extend
    runner.on_own = bench.handing.on_own = pipeline.heard
    return bench


def body(type: str, raised: int, panel: str = "3.3", **fields: Any) -> bytes:
    """The body of a sample event raised at that moment; fields go into its data."""
    overrides = {name.replace("__", "."): value for name, value in fields.items()}
    return sample(type, panel=panel, now=raised, overrides=overrides).body


def envelope(type: str, raised: int, **data: Any) -> bytes:
    """A body that no catalogue knows."""
    value = {"event": type, "timestamp": to_iso(raised), "data": data}
    return json.dumps(value, ensure_ascii=False).encode()


def signed(raw: bytes, secret: str = SECRET) -> Delivery:
    """The delivery of a body."""
    signature = sign(raw, secret).encode()
    return Delivery(((b"X-Remnawave-Signature", signature),), raw)


def ended(run: Run) -> tuple[State, str | None]:
    """How a run ended."""
    return run.state, run.reason


async def crash(journal: SqliteJournal, run: Run, path: str) -> None:
    """Leave the journal as a process does that dies right after it began a try."""
    assert await journal.write(runs.begin_try(run, path, run.due))


async def undecided(bench: Bench) -> int:
    """How many events are stored and not decided."""
    return await bench.journal.read(events.backlog())
