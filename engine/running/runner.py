"""Takes one step of one run: still wanted? begin, act, record, and find what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from engine.action import Action, Call, Connection, Params, Registry
from engine.clock import SECOND, Clock
from engine.deciding.own import emitted
from engine.deciding.planning import advance, idempotency_key, plan_on_failure, story_of
from engine.deciding.rulebook import waits
from engine.errors import ActionFailed, JournalUnavailable, UserError
from engine.journal import holding, runs
from engine.journal.operations import Op
from engine.journal.sqlite import SqliteJournal
from engine.library import Library
from engine.model import Reason, Run, State, Verdict
from engine.queue.jobs import Enqueue, Job
from engine.rules.model import ActionStep, Rule
from engine.rules.parameters import NoRecipient
from engine.rules.secrets import Secrets
from engine.running.hindsight import unless_settled
from engine.running.holding import held
from engine.running.looking import Looking
from engine.running.pausing import Pausing
from engine.running.recording import Change, Ended, record_and_tell
from engine.running.retries import Tried, after_try, end
from engine.running.scene import Scene, put_off, unwanted
from engine.running.slots import Slots
from engine.running.trying import Trier
from engine.sources.redaction import fit_traceback, mask_texts, private_values, strip_secrets
from engine.telling import tell

_WORTH_ASKING_AGAIN = SECOND
Performer = Callable[[Run, ActionStep, Action[Any]], Action[Any]]
log = structlog.get_logger("rulewave.running")


@dataclass(slots=True)
class Runner:
    """Walks runs, one step a call.

    Attributes:
        connect: the connection of a name, resolved; UserError where it can't be.
        wait_until: waits for a moment; False where the daemon stops first.
        rates: target → µs between two calls.
        on_change: told how runs stand after each commit.
        on_own: told how many events of the daemon's own a commit stored.
        performer: who performs a step; a rehearsal puts somebody in the action's place.
    """

    journal: SqliteJournal
    library: Library
    actions: Registry
    secrets: Secrets
    clock: Clock
    enqueue: Enqueue
    pausing: Pausing
    connect: Callable[[str], Connection]
    wait_until: Callable[[int], Awaitable[bool]]
    rates: Callable[[str], int | None] = lambda _: None
    on_change: Callable[[Sequence[Run]], None] = lambda _: None
    on_own: Callable[[int], None] = lambda _: None
    performer: Performer = lambda _run, _step, action: action
    allow_private: bool = True
    trier: Trier = field(default_factory=Trier)
    in_hand: dict[str, asyncio.Event] = field(default_factory=dict)
    slots: Slots = field(init=False)
    looking: Looking = field(init=False)

    def __post_init__(self) -> None:
        self.looking = Looking(self.journal, self.library, self.clock)
        self.slots = Slots(
            self.journal, self.clock,
            wait_until=lambda moment: self.wait_until(moment),  # noqa: PLW0108 - as it is then
            rates=lambda target: self.rates(target),  # noqa: PLW0108 - likewise
        )  # fmt: skip

    async def handle(self, job: Job) -> None:
        """Take the step that a queue job stands for; harmless where it is not its turn.

        Never raises: a queue drops the rows of jobs that do.
        """
        while (other := self.in_hand.get(job.run)) is not None:
            # A crash may leave an outdated job beside the one whose turn it is.
            await other.wait()
        done = self.in_hand[job.run] = asyncio.Event()
        try:
            await self._guarded(job)
        except JournalUnavailable as error:
            # The run stays where it is; the reconciliation finds it.
            log.error("run.not_recorded", run=job.run, error=str(error))
        finally:
            del self.in_hand[job.run]
            done.set()

    async def _guarded(self, job: Job) -> None:
        try:
            await self._handle(job)
        except JournalUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - ours; a dead letter, and a traceback
            await self._bury(job, error)

    async def _handle(self, job: Job) -> None:
        waited = False
        while (scene := await self._scene(job)) is not None:
            now = self.clock.now()
            # In the queue too it may have waited for those before it.
            held_up = waited or now - scene.run.due >= _WORTH_ASKING_AGAIN
            after = unwanted(scene, now, waited=held_up) or put_off(scene, now, waited=held_up)
            if after is not None:
                after = replace(after, message=self._fit(scene, after.message or ""))
                await self._record(Change(scene.run, after))
                return
            step = scene.step
            if not isinstance(step, ActionStep):
                # It waits for nothing any more, and what it waited for is no end.
                await self._go_on(scene, replace(scene.run, reason=None, message=None), None)
                return
            params = await self._prepare(scene, step)
            if params is None or not await self._open(scene, step):
                return
            if not waited:
                wait = await self.slots.take(step.target, scene.run.priority)
                if wait is None:
                    return
                waited = wait >= _WORTH_ASKING_AGAIN
                if waited:
                    continue
            if await self._open(scene, step):
                await self._probe(scene, step, params)
            return

    async def _scene(self, job: Job) -> Scene | None:
        run, facts = await self.looking.find(job.run)
        expected = (State.QUEUED, job.cursor, job.attempt)
        if run is None or facts is None or (run.state, run.cursor, run.attempt) != expected:
            return None
        away = self.library.book.away(run.rule) if waits(run) else None
        if away is not None and not run.released:
            await self._record(Change(run, held(run, away)))
            return None
        rule = await self.library.version(run.version)
        if rule is None:
            message = f"the rule {run.rule} is not known in the version that this run began with"
            ended = end(run, State.DEAD, Reason.RULE_GONE, message, self.clock.now())
            await self._record(Change(run, ended))
            return None
        return await self.looking.scene(run, rule, facts)

    async def _prepare(self, scene: Scene, step: ActionStep) -> Params | None:
        """The parameters of an action step; None where it is passed over or ends the run."""
        if step.when is not None:
            judgement = step.when.judge(scene.context)
            if judgement.verdict is Verdict.COULD_NOT_EVALUATE:
                await self._fail(scene, step, Reason.COULD_NOT_EVALUATE, judgement.why)
                return None
            if judgement.verdict is not Verdict.MATCHED:
                await self._skip(scene, step, Reason.SKIPPED, judgement.why)
                return None
        try:
            return step.template.render(scene.context, self.secrets)
        except NoRecipient as nobody:
            await self._skip(scene, step, Reason.NO_RECIPIENT, str(nobody))
            return None
        except ActionFailed as failed:
            await self._fail(scene, step, failed.reason, failed.message)
            return None

    async def _open(self, scene: Scene, step: ActionStep) -> bool:
        """Whether the step's target may be tried now; where not, the run is parked, untried."""
        run, target = scene.run, step.target
        if not self.actions[step.action].pausable or self.pausing.may_try(target, run.id):
            return True
        await self._record(Change(run, self.pausing.parked(run, target)))
        await self.pausing.recheck(target)
        return False

    async def _probe(self, scene: Scene, step: ActionStep, params: Params) -> None:
        """Try, and say how the target does; nothing may come between asking and this."""
        run, target = scene.run, step.target
        if not self.actions[step.action].pausable:
            await self._try(scene, step, params)
            return
        self.pausing.begin(target, run.id)
        try:
            tried = await self._try(scene, step, params)
            if tried is not None:
                await self.pausing.end(target, run.id, tried.failure)
        finally:
            self.pausing.leave(target, run.id)

    async def _try(self, scene: Scene, step: ActionStep, params: Params) -> Tried | None:
        run, now = scene.run, self.clock.now()
        story = story_of(run) if scene.rule.throttle else None
        if not await self.journal.write(_begin(run, step.path, now, story)):
            return None
        begun = replace(
            run, state=State.RUNNING, attempt=run.attempt + 1, starts=run.starts + 1,
            first_try=now if run.first_try is None else run.first_try,
        )  # fmt: skip
        action = self.actions[step.action]
        repeat = action.safe_to_repeat(params)
        if step.if_unknown is not None:
            repeat = step.if_unknown == "repeat"
        tried = self._clean(scene, await self._attempt(scene, step, params, begun, repeat=repeat))
        after = after_try(begun, step, tried, now=self.clock.now(), repeat_unknown=repeat)
        failure = tried.failure
        ended = Ended(
            step.path, begun.attempt, after.outcome,
            failure.reason if failure else None, failure.message if failure else None,
        )  # fmt: skip
        if after.go_on:
            await self._go_on(scene, after.run, ended, before=begun)
        else:
            await self._record(Change(begun, after.run, ended))
        return tried

    async def _attempt(
        self, scene: Scene, step: ActionStep, params: Params, run: Run, *, repeat: bool
    ) -> Tried:
        action = self.actions[step.action]
        timeout = action.timeout.total_seconds()
        try:
            connection = self.connect(step.connection) if step.connection else None
        except UserError as error:
            failed = ActionFailed(str(error), retry=True, reason=Reason.BAD_PARAMETERS)
            return Tried(failure=failed)
        call = Call(
            key=idempotency_key(run, step),
            event=scene.facts.event.body,
            connection=connection,
            attempt=run.attempt,
            timeout=timeout if step.timeout is None else step.timeout / SECOND,
            irrevocable=partial(self.slots.keep_apart, step.target),
            slot=partial(self.slots.another, step.target, run.priority),
            allow_private=self.allow_private,
            mask=partial(self._fit, scene),
            raise_event=partial(self._raise, scene, idempotency_key(run, step)),
        )

        async def mark() -> None:
            await self.journal.write(runs.mark_irrevocable(run.id, step.path, run.attempt))

        performer = self.performer(run, step, action)
        return await self.trier.attempt(performer, params, call, None if repeat else mark)

    async def _raise(self, scene: Scene, once: str, type: str, data: Mapping[str, Any]) -> str:
        """Raise an event of a rule's own; its id. Other tries of the step raise no second one."""
        clean = self.secrets.mask_value(strip_secrets(dict(data)))
        raised = emitted(scene.facts.event, scene.run, type, clean, once=once, now=self.clock.now())
        self.on_own(await self.journal.write(tell([raised])))
        return raised[0].id

    def _clean(self, scene: Scene, tried: Tried) -> Tried:
        """Secrets leave a result and a message before anything is stored."""
        failure = tried.failure
        if failure is not None:
            failure.message = self._fit(scene, failure.message)
            return tried
        result, cut = strip_secrets(tried.result), tried.result.get("truncated") is True
        return replace(tried, result=self.secrets.mask_value(result, cut=cut))

    def _fit(self, scene: Scene, text: str) -> str:
        """A text as it may be logged and shown: neither secrets nor private values in it."""
        return self.secrets.mask(mask_texts(text, private_values(scene.facts.bodies)))

    async def _skip(self, scene: Scene, step: ActionStep, reason: str, why: str) -> None:
        ended = Ended(step.path, 0, "skipped", str(reason), self._fit(scene, why))
        skipped = replace(
            scene.run, cursor=scene.run.cursor + 1, attempt=0, delayed=False, reason=None,
            message=None,
        )  # fmt: skip
        await self._go_on(scene, skipped, ended)

    async def _fail(self, scene: Scene, step: ActionStep, reason: str, message: str) -> None:
        """A step failed before its try: no other try would help."""
        run, now = scene.run, self.clock.now()
        failure = ActionFailed(self._fit(scene, message), reason=str(reason))
        after = after_try(run, step, Tried(failure=failure), now=now, repeat_unknown=True)
        ended = Ended(step.path, 0, after.outcome, failure.reason, failure.message)
        if after.go_on:
            await self._go_on(scene, after.run, ended)
        else:
            await self._record(Change(run, after.run, ended))

    async def _go_on(
        self, scene: Scene, run: Run, ended: Ended | None, before: Run | None = None
    ) -> None:
        """Find the next action from the run's cursor, planning follow-ups on the way."""
        context = {**scene.context, "steps": run.results}
        made = advance(run, scene.rule, context, now=self.clock.now())
        change = Change(before or scene.run, made.run, ended, made.children)
        if not any(child.watches for child in made.children):
            await self._record(change)
            return
        async with self.journal.deciding:
            children = await unless_settled(
                self.journal, self.library, self.clock, scene.rule, scene.facts, made.children
            )
            await self._record(replace(change, children=children))

    async def _record(self, change: Change) -> None:
        """Commit a change; while the journal is away, wait with it in hand."""
        while True:
            now = self.clock.now()
            try:
                rule = await self._rule_of_dead(change)
                # A dead letter makes the run that its `on_failure` wishes, in the same commit.
                told = plan_on_failure(change.after, rule, now)
                whole = replace(change, children=(*change.children, *told))
                writing = record_and_tell(whole, rule, self.enqueue, now)
                stand, raised = await self.journal.write(writing)
                break
            except JournalUnavailable as error:
                log.error("run.waits_for_journal", run=change.before.id, error=str(error))
                if not await self.wait_until(now + SECOND):
                    raise
        self._report(change, stand)
        self.on_own(raised)
        self.on_change(stand)

    async def _rule_of_dead(self, change: Change) -> Rule | None:
        """The rule of what becomes a dead letter; None of anything else."""
        dead = change.after.state is State.DEAD
        return await self.library.version(change.after.version) if dead else None

    def _report(self, change: Change, stand: Sequence[Run]) -> None:
        run = stand[0] if stand else change.before
        ended = change.ended
        log.info(
            "run.step" if ended else "run.moved",
            run=run.id, rule=run.rule, state=run.state.value,
            step=ended.path if ended else None, outcome=ended.outcome if ended else None,
            reason=run.reason, error=run.message,
        )  # fmt: skip

    async def _bury(self, job: Job, error: Exception) -> None:
        facts = None
        try:
            run, facts = await self.looking.find(job.run)
        finally:
            trace = fit_traceback(error, facts.bodies if facts else ())
            log.error("run.bug", run=job.run, exception=trace)
        if run is None or run.state not in {State.QUEUED, State.RUNNING}:
            return
        message = f"a bug in Rulewave: {type(error).__name__}; the log has the traceback"
        buried = end(run, State.DEAD, Reason.BUG, message, self.clock.now())
        ended = None
        for path, number, _ in await self.journal.read(runs.open_attempts(run.id)):
            ended = Ended(path, number, "unknown", Reason.BUG, message)
        await self._record(Change(run, buried, ended))


def _begin(run: Run, path: str, now: int, story: str | None) -> Op[bool]:
    """Begin a try; where a throttle gave its story a place, that is used from now on."""
    begun = yield from runs.begin_try(run, path, now)
    if begun and story is not None:
        yield from holding.attempted(story)
    return begun
