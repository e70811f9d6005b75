"""The worker: serves lanes, survives an absent journal, and stops when what it began has ended."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledgers import PATIENCE, Ledger, due, ledger

from engine.errors import JournalUnavailable
from engine.journal.operations import ask
from engine.queue.jobs import Job, lane_of
from engine.queue.sqlite import SqliteQueries, enqueue, open_queries
from engine.queue.worker import LANE_LIMIT, SIDE_LANE_LIMIT, Worker


class Hands:
    """A handler that notes what it got, and holds it until it is let go."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.ended: list[str] = []
        self.free = asyncio.Event()

    async def handle(self, job: Job) -> None:
        """Take a job."""
        self.begun.put_nowait(job.run)
        await self.free.wait()
        self.ended.append(job.run)

    async def next(self, many: int = 1) -> list[str]:
        """The next runs that were begun."""
        async with asyncio.timeout(PATIENCE):
            return [await self.begun.get() for _ in range(many)]


async def _put(opened: Ledger, queries: SqliteQueries, *runs: tuple[str, str]) -> None:
    await opened.journal.write(enqueue(due(run, lane) for run, lane in runs))
    await queries.ring()


async def _stopped(worker: Worker, running: asyncio.Task[None]) -> None:
    worker.stop()
    async with asyncio.timeout(PATIENCE):
        await running


Story = Callable[[Ledger, SqliteQueries, Hands, Worker], Awaitable[None]]


def _tell(folder: Path, story: Story) -> None:
    async def tell(opened: Ledger) -> None:
        queries, hands = open_queries(opened.journal), Hands()
        worker = Worker(queries, hands.handle, begin=queries.return_all)
        async with asyncio.timeout(3 * PATIENCE):
            await story(opened, queries, hands, worker)

    with ledger(folder) as opened:
        asyncio.run(tell(opened))


def test_a_bell_wakes_the_worker_for_a_new_job(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(["mail"])
        running = asyncio.create_task(worker.run())
        hands.free.set()
        await _put(opened, queries, ("a", "mail"))
        assert await hands.next() == ["a"]
        await _put(opened, queries, ("b", "mail"))
        assert await hands.next() == ["b"]
        await _stopped(worker, running)
        assert opened.rows("select count(*) from queue") == [(0,)]

    _tell(tmp_path, story)


def test_a_lane_may_be_opened_while_the_worker_runs(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(["mail"])
        running = asyncio.create_task(worker.run())
        hands.free.set()
        await _put(opened, queries, ("a", "http"), ("b", "mail"))
        assert await hands.next() == ["b"]
        worker.open_lanes(["http", "mail"])
        await queries.ring()
        assert await hands.next() == ["a"]
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_a_slow_lane_leaves_the_other_lanes_alone(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(["slow", "fast"])
        running = asyncio.create_task(worker.run())
        await _put(opened, queries, *((f"s{n}", "slow") for n in range(LANE_LIMIT + 5)))
        begun = await hands.next(LANE_LIMIT)
        await _put(opened, queries, ("quick", "fast"))
        assert await hands.next() == ["quick"]
        hands.free.set()
        begun += await hands.next(5)
        assert begun == [f"s{n}" for n in range(LANE_LIMIT + 5)]
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_many_slow_lanes_leave_the_other_lanes_alone(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        slow = [f"slow{n}" for n in range(5)]
        worker.open_lanes([*slow, "fast"])
        await _put(opened, queries, *((f"{lane}.{n}", lane) for n in range(30) for lane in slow))
        running = asyncio.create_task(worker.run())
        await hands.next(40)
        await _put(opened, queries, ("quick", "fast"))
        while (await hands.next()) != ["quick"]:
            continue
        hands.free.set()
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_stopping_takes_nothing_more_and_waits_for_what_was_begun(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(["mail"])
        running = asyncio.create_task(worker.run())
        await _put(opened, queries, ("a", "mail"))
        await hands.next()
        worker.stop()
        await _put(opened, queries, ("b", "mail"))
        assert not running.done()
        hands.free.set()
        await _stopped(worker, running)
        assert hands.ended == ["a"]
        assert opened.rows("select run from queue") == [("b",)]

    _tell(tmp_path, story)


def test_a_worker_that_was_stopped_before_it_began_does_not_begin(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        await _put(opened, queries, ("a", "mail"))
        worker.open_lanes(["mail"])
        worker.stop()
        await worker.run()
        assert hands.begun.empty()

    _tell(tmp_path, story)


def test_what_was_in_hand_before_a_crash_is_begun_again_however_much_it_was(tmp_path: Path) -> None:
    async def story(opened: Ledger, _: SqliteQueries, hands: Hands, worker: Worker) -> None:
        await opened.journal.write(enqueue(due(f"r{n}") for n in range(LANE_LIMIT)))
        with closing(sqlite3.connect(opened.path, isolation_level=None)) as other:
            other.execute("update queue set picked = 1")
        worker.open_lanes(["mail"])
        hands.free.set()
        running = asyncio.create_task(worker.run())
        assert len(await hands.next(LANE_LIMIT)) == LANE_LIMIT
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_the_worker_goes_on_when_the_journal_is_back(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(["mail"])
        hands.free.set()
        await opened.journal.write(ask("no_queue"))
        running = asyncio.create_task(worker.run())
        with pytest.raises(JournalUnavailable, match="no such table"):
            await opened.journal.read(ask("queue_lanes"))
        await opened.journal.write(ask("queue_is_back"))
        await _put(opened, queries, ("a", "mail"))
        assert await hands.next() == ["a"]
        await _stopped(worker, running)

    extra = {
        "no_queue": "alter table queue rename to queue_gone",
        "queue_is_back": "alter table queue_gone rename to queue",
    }

    async def tell(opened: Ledger) -> None:
        queries, hands = open_queries(opened.journal), Hands()
        worker = Worker(queries, hands.handle, begin=queries.return_all)
        await story(opened, queries, hands, worker)

    with ledger(tmp_path, extra) as opened:
        asyncio.run(tell(opened))


def test_a_worker_may_be_stopped_while_the_journal_is_away(tmp_path: Path) -> None:
    async def story(_o: Ledger, queries: SqliteQueries, hands: Hands, _w: Worker) -> None:
        met = asyncio.Event()

        async def away() -> None:
            met.set()
            raise JournalUnavailable("away")

        worker = Worker(queries, hands.handle, begin=away)
        running = asyncio.create_task(worker.run())
        await met.wait()
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_without_a_word_about_its_beginning_a_worker_just_begins(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, _: Worker) -> None:
        worker = Worker(queries, hands.handle)
        worker.open_lanes(["mail"])
        hands.free.set()
        running = asyncio.create_task(worker.run())
        await _put(opened, queries, ("a", "mail"))
        assert await hands.next() == ["a"]
        await _stopped(worker, running)

    _tell(tmp_path, story)


def test_a_target_that_is_full_of_bulk_takes_an_urgent_job_all_the_same(tmp_path: Path) -> None:
    async def story(opened: Ledger, queries: SqliteQueries, hands: Hands, worker: Worker) -> None:
        worker.open_lanes(lane_of("slow", urgency) for urgency in (-10, 0, 10))
        jobs = [due(f"{urgency}.{n}", "slow", urgency) for urgency in (-10, 0) for n in range(30)]
        await opened.journal.write(enqueue(jobs))
        running = asyncio.create_task(worker.run())
        begun = await hands.next(LANE_LIMIT + SIDE_LANE_LIMIT)
        assert sum(run.startswith("-10") for run in begun) == SIDE_LANE_LIMIT
        await opened.journal.write(enqueue([due("urgent", "slow", 10)]))
        await queries.ring()
        assert await hands.next() == ["urgent"]
        hands.free.set()
        await _stopped(worker, running)

    _tell(tmp_path, story)
