"""Parks the runs of a paused target in the journal, lets one at a time probe it, and frees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from engine.clock import MINUTE, Clock
from engine.errors import ActionFailed, JournalUnavailable
from engine.journal import parking
from engine.journal.sqlite import SqliteJournal
from engine.model import Reason, Run, State
from engine.running.targets import Target, begun, ended, left, may_try, sign_of

AT_THE_LATEST = 15 * MINUTE
"""A parked run asks by itself after this time, whatever became of the one that was to probe."""
_OPEN = Target()
log = structlog.get_logger("rulewave.running")


@dataclass(slots=True)
class Pausing:
    """What this process knows of the targets; a restart begins anew, with all of them open.

    Attributes:
        on_due: told when a parked run is due.
    """

    journal: SqliteJournal
    clock: Clock
    on_due: Callable[[int], None] = lambda _: None
    _targets: dict[str, Target] = field(default_factory=dict)

    async def start(self) -> None:
        """Free what an earlier life had parked."""
        await self.journal.write(parking.release_all(self.clock.now()))

    @property
    def paused(self) -> list[str]:
        """The targets that are paused."""
        return sorted(name for name, target in self._targets.items() if target.paused)

    def may_try(self, name: str, run: str) -> bool:
        """Whether a run may try this target now."""
        return may_try(self._targets.get(name, _OPEN), run, self.clock.now())

    def begin(self, name: str, run: str) -> None:
        """A run that may, tries."""
        self._set(name, begun(self._targets.get(name, _OPEN), run))

    async def end(self, name: str, run: str, failure: ActionFailed | None) -> None:
        """A try ended, well where there is no failure; whoever waits for its target hears of it."""
        before = self._targets.get(name, _OPEN)
        message = failure.message if failure else ""
        after = ended(before, run, sign_of(failure), message, self.clock.now())
        self._set(name, after)
        if after.paused and not before.paused:
            log.warning("target.paused", target=name, failures=after.failures, error=message)
        if before.paused and not after.paused:
            log.info("target.opened", target=name, failed_probes=before.pauses)
        if before.paused or after.paused:
            await self.recheck(name)

    def leave(self, name: str, run: str) -> None:
        """A run that was to probe did not."""
        if name in self._targets:
            self._set(name, left(self._targets[name], run))

    def parked(self, run: Run, name: str) -> Run:
        """The run, waiting for its target: no try is begun."""
        self.leave(name, run.id)
        target = self._targets.get(name, _OPEN)
        message = (
            f"waits for {name}, which failed {target.failures} times in a row"
            f" ({target.last}) and is probed until it answers"
        )
        return replace(
            run, state=State.PENDING, due=self.clock.now() + AT_THE_LATEST, delayed=True,
            reason=Reason.TARGET_PAUSED.value, message=message,
        )  # fmt: skip

    async def recheck(self, name: str) -> None:
        """See to it that one of the parked runs is due at the next probe, or all if it is open."""
        try:
            if self._targets.get(name, _OPEN).paused:
                await self._arrange(name)
            else:
                await self._release(name)
        except JournalUnavailable as error:  # they ask by themselves before long
            log.error("target.journal_away", target=name, error=str(error))

    async def _arrange(self, name: str) -> None:
        target = self._targets.get(name, _OPEN)
        if target.next_probe is None or not target.wants_candidate:
            return
        moment = max(target.next_probe, self.clock.now())
        run = await self.journal.write(parking.pick(name, moment))
        now_known = self._targets.get(name, _OPEN)
        if run is not None and now_known.wants_candidate:
            self._set(name, replace(now_known, candidate=run))
            self.on_due(moment)

    async def _release(self, name: str) -> None:
        now = self.clock.now()
        if await self.journal.write(parking.release(name, now)):
            self.on_due(now)

    def _set(self, name: str, target: Target) -> None:
        """Only targets that fail are kept."""
        if target == _OPEN:
            self._targets.pop(name, None)
        else:
            self._targets[name] = target
