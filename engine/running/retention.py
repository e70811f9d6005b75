"""Forgets what is older than the retention, never anything that is still needed."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from engine.clock import DAY, Clock
from engine.errors import JournalUnavailable
from engine.journal import retention
from engine.journal.sqlite import SqliteJournal

EVERY_SECONDS = 3600
log = structlog.get_logger("rulewave.running")


@dataclass(slots=True)
class Retention:
    """Spans in µs; None = for ever. Digests outlive `max_age`, so a replay is known or too old."""

    journal: SqliteJournal
    clock: Clock
    keep: int | None
    max_age: int | None

    async def sweep(self) -> None:
        """Forget, bite by bite."""
        if self.keep is None:
            return
        before = self.clock.now() - self.keep
        try:
            while await self.journal.write(retention.forget_runs(before)) == retention.BITE:
                continue
            await self.journal.write(retention.forget_holding(self.clock.now()))
            await self._forget_events(before)
        except JournalUnavailable as error:
            log.error("retention.journal_away", error=str(error))

    async def _forget_events(self, before: int) -> None:
        if self.max_age is not None:
            before = min(before, self.clock.now() - self.max_age - DAY)
        after: int | None = 0
        while after is not None:
            forget = retention.forget_events(before, after, keep_digests=self.max_age is None)
            after = await self.journal.write(forget)
