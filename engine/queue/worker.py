"""The worker: PgQueuer takes jobs out of the queue and hands them to the runner, lane by lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import structlog
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import models
from pgqueuer.ports import RepositoryPort

from engine.errors import JournalUnavailable
from engine.queue.jobs import Job, from_payload, is_side_lane

BATCH = 10
LANE_LIMIT = 2 * BATCH
"""Jobs of one lane under way at once: a slow target never starves another."""
SIDE_LANE_LIMIT = BATCH
"""Of what is urgent, and of what is bulk: all three lanes together leave room for other targets."""
MOST_AT_ONCE = 64
log = structlog.get_logger("rulewave.queue")


async def _nothing() -> None:
    """Nothing to do before."""


class Worker:
    """Runs jobs until it is stopped. The handler never raises.

    Args:
        queries: PgQueuer's storage port.
        handle: takes one job.
        begin: called before the first job, and again where the journal was away.
    """

    def __init__(
        self,
        queries: RepositoryPort,
        handle: Callable[[Job], Awaitable[None]],
        begin: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._queries = queries
        self._handle = handle
        self._begin = begin
        self._lanes: set[str] = set()
        self._stopping = asyncio.Event()
        self._manager: QueueManager | None = None

    def open_lanes(self, names: Iterable[str]) -> None:
        """Serve these lanes too; at any time."""
        fresh = set(names) - self._lanes
        self._lanes |= fresh
        if self._manager is not None:
            _register(self._manager, fresh, self._on_job)

    async def run(self) -> None:
        """Serve the queue; begins anew where the journal was away."""
        while not self._stopping.is_set():
            self._manager = QueueManager(self._queries)
            _register(self._manager, self._lanes, self._on_job)
            try:
                await self._begin()
                await self._manager.run(
                    batch_size=BATCH,
                    max_concurrent_tasks=MOST_AT_ONCE,
                    log_aggregation_interval=timedelta(0),
                    shutdown_on_listener_failure=True,
                )
            except JournalUnavailable as error:
                log.error("queue.journal_away", error=str(error))
                await self._pause(1.0)

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is under way has ended."""
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _on_job(self, job: models.Job) -> None:
        await self._handle(from_payload(job.payload))


def _register(
    manager: QueueManager, lanes: Iterable[str], on_job: Callable[[models.Job], Awaitable[None]]
) -> None:
    for lane in lanes:
        limit = SIDE_LANE_LIMIT if is_side_lane(lane) else LANE_LIMIT
        manager.entrypoint(lane, concurrency_limit=limit, accepts_context=False)(on_job)
