"""PgQueuer's storage port on the journal's own SQLite file: the embedded default.

The same handlers, lanes and heartbeats run on PostgreSQL with PgQueuer's own adapter. Here one
process holds the file, so a row that lies picked at start belongs to nobody and is handed out anew.
The rest of the port (schedules, statistics) comes from PgQueuer's in-memory adapter, unused.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgqueuer.adapters.inmemory import InMemoryDriver, InMemoryQueries
from pgqueuer.domain import models, types

from engine.journal.operations import Op, Row, ask
from engine.model import DueRun
from engine.queue.jobs import Job, from_payload, lane_of, to_payload

if TYPE_CHECKING:
    from pgqueuer.ports.repository import EntrypointExecutionParameter

    from engine.journal.sqlite import SqliteJournal

SCHEMA = """
create table if not exists queue (
  id integer primary key autoincrement, lane text not null, run text not null,
  priority integer not null, payload blob not null, created integer not null,
  picked integer not null default 0, heartbeat integer not null);
create index if not exists queue_ready on queue (lane, priority desc, id) where picked = 0;
create index if not exists queue_picked on queue (lane, heartbeat) where picked = 1;
create index if not exists queue_run on queue (run);
"""

STATEMENTS = {
    "queue_add": "insert into queue (lane, run, priority, payload, created, heartbeat)"
    " values (:lane, :run, :priority, :payload, :now, :now)",
    "queue_ready": "select id, priority from queue where picked = 0 and lane = :lane"
    " order by priority desc, id limit :most",
    "queue_stale": "select id, priority from queue where picked = 1 and lane = :lane"
    " and heartbeat <= :stale order by priority desc, id limit :most",
    # What is stale has nobody who works on it, and must not keep others from its lane.
    "queue_in_hand": "select count(*) as number from queue where picked = 1 and lane = :lane"
    " and heartbeat > :stale",
    "queue_pick": "update queue set picked = 1, heartbeat = :now where id = :id returning *",
    "queue_beat": "update queue set heartbeat = :now where id = :id",
    "queue_drop": "delete from queue where id = :id",
    "queue_return": "update queue set picked = 0 where picked = 1",
    "queue_waiting": "select count(*) as number from queue where picked = 0 and lane = :lane",
    "queue_has": "select 1 as found from queue where run = :run limit 1",
    "queue_lanes": "select distinct lane from queue",
    "queue_take": "delete from queue where id = (select id from queue where picked = 0"
    " order by priority desc, id limit 1) returning payload",
}


def install(path: Path) -> None:
    """Make the queue's table in a journal file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(SCHEMA)


def enqueue(due: Iterable[DueRun]) -> Op[None]:
    """Queue due steps, inside the transaction of the operation that calls it."""
    for run in due:
        yield from ask(
            "queue_add",
            lane=lane_of(run.lane, run.priority), run=run.id, priority=run.priority, payload=to_payload(run), now=_now(),
        )  # fmt: skip


def has_job(run: str) -> Op[bool]:
    """Whether a run has a row in the queue."""
    return bool((yield from ask("queue_has", run=run)))


def lanes() -> Op[list[str]]:
    """The lanes in which anything lies."""
    rows = yield from ask("queue_lanes")
    return [row["lane"] for row in rows]


def take() -> Op[Job | None]:
    """Take out the next job of all lanes, urgent first: for whoever works without a worker."""
    rows = yield from ask("queue_take")
    return from_payload(bytes(rows[0]["payload"])) if rows else None


@dataclass
class SqliteQueries(InMemoryQueries):
    """The part of the port that PgQueuer's core calls, on the journal."""

    journal: SqliteJournal = field(kw_only=True)

    async def return_all(self) -> None:
        """Before a worker begins: what a process or worker that is gone had in hand goes back."""
        await self.journal.write(ask("queue_return"))

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[types.QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: types.QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[models.Job]:
        """Pick the next jobs, lane by lane within its limit, urgent first."""
        limits = {str(lane): params.concurrency_limit for lane, params in entrypoints.items()}
        stale = heartbeat_timeout // timedelta(microseconds=1)
        rows = await self.journal.write(
            _pick(batch_size, limits, global_concurrency_limit, _now() - stale)
        )
        return [_job(row, queue_manager_id) for row in rows]

    async def log_jobs(
        self,
        job_status: list[tuple[models.Job, types.JOB_STATUS, models.TracebackRecord | None]],
    ) -> None:
        """Drop jobs that ended, however: our own ledger knows how."""
        await self.journal.write(_each("queue_drop", [int(job.id) for job, _, _ in job_status]))
        await self.emit_table_changed("delete")

    async def update_heartbeat(self, job_ids: list[types.JobId]) -> None:
        """Note that these jobs are alive."""
        await self.journal.write(_beat([int(job) for job in set(job_ids)]))

    async def eligible_queued_work(self, entrypoints: list[types.QueueEntrypoint]) -> int:
        """How many jobs wait; all of them are due."""
        return await self.journal.read(_waiting([str(lane) for lane in entrypoints]))

    async def queued_work(self, entrypoints: list[types.QueueEntrypoint]) -> int:
        """How many jobs wait."""
        return await self.eligible_queued_work(entrypoints)

    async def next_deferred_eta(self, entrypoints: list[types.QueueEntrypoint]) -> timedelta | None:
        """Never: later is the journal's (`runs.due`), not the queue's."""
        del entrypoints
        return None

    async def ring(self) -> None:
        """Tell the worker that rows were added."""
        await self.emit_table_changed("insert")


def open_queries(journal: SqliteJournal) -> SqliteQueries:
    """The port on this journal."""
    return SqliteQueries(driver=InMemoryDriver(), journal=journal)


def _pick(batch: int, limits: dict[str, int], total: int | None, stale: int) -> Op[list[Row]]:
    in_hand: dict[str, int] = {}
    for lane in limits:
        rows = yield from ask("queue_in_hand", lane=lane, stale=stale)
        in_hand[lane] = rows[0]["number"]
    spare = None if total is None else max(0, total - sum(in_hand.values()))
    room = batch if spare is None else min(batch, spare)
    wanted: list[tuple[int, int, str]] = []
    for lane, limit in limits.items():
        free = max(0, min(room, limit - in_hand[lane])) if limit else room
        rows = yield from ask("queue_stale", lane=lane, most=free, stale=stale)
        more = yield from ask("queue_ready", lane=lane, most=free - len(rows))
        wanted += [(-row["priority"], row["id"], lane) for row in (*rows, *more)]
    picked: list[Row] = []
    for _, id, lane in sorted(wanted):
        if len(picked) < room and _may_grow(limits[lane], in_hand[lane], spare, len(picked)):
            picked += yield from ask("queue_pick", id=id, now=_now())
            in_hand[lane] += 1
    return picked


def _may_grow(limit: int, held: int, spare: int | None, taken: int) -> bool:
    """Whether a lane may hold one more: never more than is left, so that slow lanes leave room."""
    return not limit or spare is None or held < spare - taken


def _each(name: str, ids: list[int]) -> Op[None]:
    for id in ids:
        yield from ask(name, id=id)


def _beat(ids: list[int]) -> Op[None]:
    for id in ids:
        yield from ask("queue_beat", id=id, now=_now())


def _waiting(wanted: list[str]) -> Op[int]:
    total = 0
    for lane in wanted:
        rows = yield from ask("queue_waiting", lane=lane)
        total += rows[0]["number"]
    return total


def _now() -> int:
    # The queue's own wall clock, as on PostgreSQL: heartbeats are no part of what is decided.
    return time.time_ns() // 1000


def _job(row: Row, manager: types.QueueManagerId) -> models.Job:
    created = datetime.fromtimestamp(row["created"] / 1e6, UTC)
    values: dict[str, Any] = {
        "id": row["id"], "priority": row["priority"], "created": created, "updated": created,
        "heartbeat": created, "execute_after": created, "status": "picked",
        "entrypoint": row["lane"], "payload": row["payload"], "queue_manager_id": manager,
        "headers": None,
    }  # fmt: skip
    return models.Job.model_validate(values)
