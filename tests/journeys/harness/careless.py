"""A deliberately broken build: it answers 202 at once, and commits a little later. For one test."""

from __future__ import annotations

import asyncio

from engine.cli import main
from engine.model import Answer, Event
from engine.pipeline import Pipeline

_LATER = 0.05
_honest = Pipeline._store
_tasks: set[asyncio.Task[Answer]] = set()


async def _careless(self: Pipeline, event: Event, digest: bytes) -> Answer:
    loop = asyncio.get_running_loop()
    loop.call_later(_LATER, lambda: _keep(loop.create_task(_honest(self, event, digest))))
    return Answer(202, "accepted", event_id=event.id)


def _keep(task: asyncio.Task[Answer]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


Pipeline._store = _careless  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
