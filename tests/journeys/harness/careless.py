"""A deliberately broken build: it answers 202 at once, and commits a little later. For one test."""

from __future__ import annotations

import asyncio

from engine.cli import main
from engine.model import Answer, Delivery
from engine.pipeline import Pipeline

_LATER = 0.05
_honest = Pipeline.accept
_tasks: set[asyncio.Task[Answer]] = set()


async def _careless(self: Pipeline, delivery: Delivery) -> Answer:
    loop = asyncio.get_running_loop()
    loop.call_later(_LATER, lambda: _keep(loop.create_task(_honest(self, delivery))))
    return Answer(202, "accepted", event_id="not known yet")


def _keep(task: asyncio.Task[Answer]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


Pipeline.accept = _careless  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
