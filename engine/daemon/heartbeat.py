"""Signs of life for systemd: the watchdog while the journal answers, and one line of status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from engine.daemon.assembly import Engine
from engine.daemon.notify import Notifier
from engine.errors import JournalUnavailable
from engine.journal.operations import Op, Rows
from engine.journal.sqlite import SqliteJournal
from engine.model import State

STATUS_SECONDS = 20.0


@asynccontextmanager
async def heartbeat(notifier: Notifier, engine: Engine) -> AsyncIterator[None]:
    """Ready from now on; signs of life until the end of the block."""
    notifier.tell("READY=1")
    beats = [_describe(notifier, engine)] if notifier.address else []
    if notifier.address and notifier.watchdog:
        # Half the time to sleep and a quarter to be answered leave a quarter to spare.
        alive = partial(writer_answers, engine.journal, notifier.watchdog / 4)
        beats.append(feed(notifier, alive, notifier.watchdog / 2))
    beating = [asyncio.create_task(beat) for beat in beats]
    try:
        yield
    finally:
        for task in beating:
            task.cancel()


async def feed(notifier: Notifier, alive: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Feed the watchdog each time that `alive` says so; where it does not, ask again at once."""
    while True:
        if await alive():
            notifier.tell("WATCHDOG=1")
            await asyncio.sleep(seconds)


async def writer_answers(journal: SqliteJournal, patience: float) -> bool:
    """Whether the journal's writer answers in time; that it can't store is an answer too."""
    try:
        async with asyncio.timeout(patience):
            await journal.write(_nothing())
    except TimeoutError:
        return False
    except JournalUnavailable:
        # A full disk gets no emptier by a restart.
        return True
    return True


def _nothing() -> Op[Rows]:
    yield from ()
    return []


async def _describe(notifier: Notifier, engine: Engine) -> None:
    told = ""
    while True:
        line = await _status(engine)
        if line != told:
            notifier.tell(f"STATUS={line}")
            told = line
        await asyncio.sleep(STATUS_SECONDS)


async def _status(engine: Engine) -> str:
    """One line for `systemctl status`."""
    rules = f"rules: {len(engine.desk.library.book.ruleset.rules)}"
    try:
        numbers = await engine.numbers()
    except JournalUnavailable as error:
        return f"{rules}, the journal is away: {error}"
    dead = numbers.runs.get(State.DEAD.value, 0)
    return f"{rules}, backlog: {numbers.backlog}, dead letters: {dead}"
