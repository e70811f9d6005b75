"""PgQueuer's storage port: ours on SQLite behaves like PgQueuer's own adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from ledgers import due, ledger
from pgqueuer.adapters.inmemory import InMemoryDriver, InMemoryQueries
from pgqueuer.domain import models
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from engine.queue.jobs import Job, from_payload, lane_of, to_payload
from engine.queue.sqlite import enqueue, has_job, lanes, open_queries

MANAGER = QueueManagerId(UUID(int=1))
HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)


@dataclass
class Port:
    """A port, and how a run is put into its queue."""

    queries: InMemoryQueries
    put: Callable[[str, str, int], Awaitable[None]]
    numbers: dict[int, str] = field(default_factory=dict)

    async def take(
        self,
        lanes: dict[str, int],
        *,
        batch: int = 10,
        total: int | None = None,
        stale: timedelta = HOUR,
    ) -> list[models.Job]:
        """Dequeue from the lanes of these targets, with these limits."""
        wanted = {
            QueueEntrypoint(lane_of(target, urgency)): EntrypointExecutionParameter(
                concurrency_limit=limit
            )
            for target, limit in lanes.items()
            for urgency in (0, 1, -1)
        }
        return await self.queries.dequeue(batch, wanted, MANAGER, total, stale)


@pytest.fixture(params=["sqlite", "pgqueuer's own"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Port]:
    if request.param == "sqlite":
        with ledger(tmp_path) as opened:
            ours = open_queries(opened.journal)

            async def put(run: str, lane: str, priority: int) -> None:
                await opened.journal.write(enqueue([due(run, lane, priority)]))
                await ours.ring()

            yield Port(ours, put)
        return
    theirs = InMemoryQueries(driver=InMemoryDriver())

    async def add(run: str, lane: str, priority: int) -> None:
        await theirs.enqueue(lane_of(lane, priority), to_payload(due(run)), priority)

    yield Port(theirs, add)


def _runs(jobs: list[models.Job]) -> list[str]:
    return [from_payload(job.payload).run for job in jobs]


async def _fill(port: Port, *wanted: tuple[str, str, int]) -> None:
    for run, lane, priority in wanted:
        await port.put(run, lane, priority)


def test_urgent_jobs_come_first_then_those_that_came_first(port: Port) -> None:
    async def story() -> list[str]:
        await _fill(port, ("a", "mail", 0), ("b", "http", 5), ("c", "mail", 5), ("d", "mail", -5))
        return _runs(await port.take({"mail": 0, "http": 0}))

    assert asyncio.run(story()) == ["b", "c", "a", "d"]


def test_a_job_is_handed_out_once(port: Port) -> None:
    async def story() -> list[list[str]]:
        await _fill(port, *((f"r{n}", "mail", 0) for n in range(5)))
        return [_runs(await port.take({"mail": 0}, batch=2)) for _ in range(4)]

    assert asyncio.run(story()) == [["r0", "r1"], ["r2", "r3"], ["r4"], []]


def test_no_lane_has_more_in_hand_than_its_limit(port: Port) -> None:
    async def story() -> list[list[str]]:
        await _fill(port, *((f"m{n}", "mail", 0) for n in range(4)), ("h", "http", -1))
        limits = {"mail": 2, "http": 2}
        first = await port.take(limits)
        second = await port.take(limits)
        await port.queries.log_jobs([(first[0], "successful", None)])
        return [_runs(first), _runs(second), _runs(await port.take(limits))]

    assert asyncio.run(story()) == [["m0", "m1", "h"], [], ["m2"]]


def test_all_lanes_together_have_no_more_in_hand_than_the_whole_limit(port: Port) -> None:
    async def story() -> list[int]:
        await _fill(port, *((f"m{n}", f"lane{n % 2}", 0) for n in range(8)))
        limits = {"lane0": 0, "lane1": 0}
        taken = [await port.take(limits, total=5, batch=3) for _ in range(3)]
        await port.queries.log_jobs([(job, "exception", None) for job in taken[0]])
        taken.append(await port.take(limits, total=5))
        return [len(jobs) for jobs in taken]

    assert asyncio.run(story()) == [3, 2, 0, 3]


def test_a_lane_that_nobody_serves_keeps_its_jobs(port: Port) -> None:
    async def story() -> tuple[list[models.Job], int]:
        await _fill(port, ("a", "mail", 0))
        return await port.take({"http": 0}), await port.queries.queued_work(
            [QueueEntrypoint("mail")]
        )

    assert asyncio.run(story()) == ([], 1)


def test_a_job_whose_heart_stopped_is_handed_out_again_even_where_its_lane_is_full(
    port: Port,
) -> None:
    async def story() -> list[list[str]]:
        await _fill(port, ("a", "mail", 0), ("b", "mail", 0))
        first = await port.take({"mail": 1})
        alive = await port.take({"mail": 1})
        stale = await port.take({"mail": 1}, stale=AT_ONCE)
        return [_runs(first), _runs(alive), _runs(stale)]

    assert asyncio.run(story()) == [["a"], [], ["a"]]


def test_a_heartbeat_keeps_a_job_in_hand(port: Port) -> None:
    async def story() -> list[str]:
        await _fill(port, ("a", "mail", 0))
        (job,) = await port.take({"mail": 0})
        await port.queries.update_heartbeat([job.id, job.id])
        return _runs(await port.take({"mail": 0}, stale=timedelta(minutes=1)))

    assert asyncio.run(story()) == []


def test_a_job_that_ended_leaves_the_queue(port: Port) -> None:
    async def story() -> tuple[list[str], int]:
        await _fill(port, ("a", "mail", 0), ("b", "mail", 0))
        jobs = await port.take({"mail": 0})
        await port.queries.log_jobs([(jobs[0], "successful", None), (jobs[1], "canceled", None)])
        rest = await port.take({"mail": 0}, stale=AT_ONCE)
        return _runs(rest), await port.queries.eligible_queued_work([QueueEntrypoint("mail")])

    assert asyncio.run(story()) == ([], 0)


def test_what_waits_is_counted_lane_by_lane(port: Port) -> None:
    async def story() -> list[Any]:
        await _fill(port, ("a", "mail", 0), ("b", "mail", 0), ("c", "http", 0))
        await port.take({"mail": 0}, batch=1)
        mail, http = QueueEntrypoint("mail"), QueueEntrypoint("http")
        queries = port.queries
        return [
            await queries.queued_work([mail, http]),
            await queries.eligible_queued_work([mail]),
            await queries.queued_work([]),
            await queries.next_deferred_eta([mail, http]),
        ]

    assert asyncio.run(story()) == [2, 1, 0, None]


def test_whoever_listens_is_told_of_new_and_of_ended_jobs(port: Port) -> None:
    async def story() -> list[str]:
        heard: list[str] = []
        await port.queries.driver.add_listener("ch_pgqueuer", heard.append)
        await _fill(port, ("a", "mail", 0))
        jobs = await port.take({"mail": 0})
        await port.queries.log_jobs([(jobs[0], "successful", None)])
        return [models.TableChangedEvent.model_validate_json(text).operation for text in heard]

    assert asyncio.run(story()) == ["insert", "delete"]


def test_a_job_carries_its_run_and_where_that_stands(port: Port) -> None:
    async def story() -> models.Job:
        await _fill(port, ("a", "mail", 3))
        (job,) = await port.take({"mail": 0})
        return job

    job = asyncio.run(story())
    assert (job.priority, job.entrypoint, job.status) == (3, "urgent: mail", "picked")
    assert job.queue_manager_id == MANAGER
    assert from_payload(job.payload) == Job("a", 0, 0)


def test_what_a_process_that_is_gone_had_in_hand_goes_back(tmp_path: Path) -> None:
    async def before(queries: Any) -> list[models.Job]:
        return await Port(queries, _nobody).take({"mail": 2})

    async def after(queries: Any) -> list[models.Job]:
        await queries.return_all()
        return await Port(queries, _nobody).take({"mail": 2})

    with ledger(tmp_path) as opened:
        opened.write(enqueue([due("a"), due("b"), due("c")]))
        assert _runs(asyncio.run(before(open_queries(opened.journal)))) == ["a", "b"]
    with ledger(tmp_path) as opened:
        assert _runs(asyncio.run(before(open_queries(opened.journal)))) == []
        assert _runs(asyncio.run(after(open_queries(opened.journal)))) == ["a", "b"]


def test_the_queue_knows_its_lanes_and_whether_a_run_lies_in_it(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        opened.write(enqueue([due("a", "mail"), due("b", "http"), due("c", "http")]))
        assert sorted(opened.read(lanes())) == ["http", "mail"]
        assert opened.read(has_job("a"))
        assert not opened.read(has_job("z"))


async def _nobody(_run: str, _lane: str, _priority: int) -> None:
    raise AssertionError
