"""The daemon: starts the parts, serves until told to stop, and stops within ten seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import structlog

from engine.clock import Clock, SystemClock
from engine.console.api import build_control
from engine.console.app import build_console
from engine.daemon.assembly import Engine, make_secrets, open_engine
from engine.daemon.heartbeat import heartbeat
from engine.daemon.listeners import (
    Address,
    bind,
    parse_listen,
    raise_descriptor_limit,
    serve,
    take_passed,
)
from engine.daemon.notify import Notifier
from engine.daemon.paths import control_path
from engine.daemon.reloads import reloads
from engine.daemon.started import tell_started
from engine.errors import UserError
from engine.intake.app import build_intake
from engine.rules.secrets import Secrets
from engine.running.retention import EVERY_SECONDS
from engine.settings import Settings

LISTENERS_GRACE = 2.0
RUNS_GRACE = 5.0
RUNS_LAST_WORDS = 3.0
"""A program that is told to end gets two seconds before it is ended: time to record that too."""
_SOCKET_NAMES = frozenset({"intake", "console", "unknown"})
log = structlog.get_logger("rulewave.daemon")


@dataclass(frozen=True, slots=True)
class Doors:
    """Bound sockets of the three listeners."""

    intake: list[socket]
    console: list[socket]
    control: list[socket]
    control_path: Path


async def run_service(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Engine], None] = lambda _: None,
    clock: Clock | None = None,
    secrets: Secrets | None = None,
) -> None:
    """Serve until `stop` is set."""
    raise_descriptor_limit()
    notifier, passed = Notifier.take(os.environ), take_passed(os.environ)
    async with AsyncExitStack() as stack:
        opening = open_engine(settings, clock or SystemClock(), secrets or make_secrets(settings))
        async with notifier.extending():
            engine = await stack.enter_async_context(opening)
        _tell_problems(engine)
        engine.reloader.around = notifier.reloading
        doors = _open_doors(settings, passed)
        try:
            async with _working(engine, stop, notifier):
                await _serve(engine, doors, stop, on_ready, notifier)
        finally:
            doors.control_path.unlink(missing_ok=True)


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C stop the daemon."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


@asynccontextmanager
async def _working(engine: Engine, stop: asyncio.Event, notifier: Notifier) -> AsyncIterator[None]:
    """Deciding, running and waking, from what an earlier life left."""
    await engine.pipeline.start()
    async with notifier.extending():  # a rule with a million follow-ups may be gone
        await engine.reloader.settle()
    engine.alarm.start()
    await engine.runner.pausing.start()
    await engine.handing.start()
    await engine.clocks.tick()
    engine.alarm.every("clocks", 60, engine.clocks.tick)
    engine.alarm.every("retention", EVERY_SECONDS, engine.retention.sweep)
    await tell_started(engine)
    deciding = asyncio.create_task(engine.decide_forever())
    running = asyncio.create_task(engine.worker.run())
    ending = asyncio.create_task(_end(engine, stop, notifier, deciding, running))
    async with reloads(engine.reloader, engine.settings.rules, engine.stopping):
        try:
            yield
        finally:
            stop.set()  # where a listener failed, nobody has said so yet
            await ending


async def _end(
    engine: Engine,
    stop: asyncio.Event,
    notifier: Notifier,
    deciding: asyncio.Task[None],
    running: asyncio.Task[None],
) -> None:
    """On the stop, end deciding and running, while the listeners end on their own.

    Where one of the two ends before that, all ends with it: half a daemon would seem well.
    """
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({told, deciding, running}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    notifier.tell("STOPPING=1", "STATUS=stopping")
    engine.stopping.set()
    engine.alarm.stop()
    engine.worker.stop()
    await _end_runs(engine, running)
    await asyncio.wait({deciding}, timeout=1)
    for task in (deciding, running):
        task.cancel()
    for ended in await asyncio.gather(deciding, running, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _end_runs(engine: Engine, running: asyncio.Task[None]) -> None:
    """Runs under way finish, or are handed back to the next life."""
    await asyncio.wait({running}, timeout=RUNS_GRACE)
    if not running.done():
        engine.runner.trier.call_back()
        await asyncio.wait({running}, timeout=RUNS_LAST_WORDS)


async def _serve(
    engine: Engine,
    doors: Doors,
    stop: asyncio.Event,
    on_ready: Callable[[Engine], None],
    notifier: Notifier,
) -> None:
    listeners = [(app, sockets, asyncio.Event()) for app, sockets in _apps(engine, doors)]
    # Asked now: serving takes the sockets over.
    where = {"intake": _names(doors.intake), "console": _names(doors.console)}
    async with AsyncExitStack() as beating, asyncio.TaskGroup() as serving:
        for app, sockets, served in listeners:
            listener = serve(app, sockets, stop=stop, grace=LISTENERS_GRACE, on_serving=served.set)
            serving.create_task(listener)
        if await _all_serve([served for _, _, served in listeners], stop):
            rules, backlog = len(engine.desk.library.book.ruleset.rules), engine.pipeline.backlog
            log.info("daemon.ready", **where, rules=rules, backlog=backlog)
            on_ready(engine)
            await beating.enter_async_context(heartbeat(notifier, engine))
    log.info("daemon.stopping")


def _apps(engine: Engine, doors: Doors) -> Sequence[tuple[Any, list[socket]]]:
    """What is served where."""
    settings = engine.settings
    intake = build_intake(
        engine.accept, max_body=settings.max_body, on_answer=engine.metrics.answered
    )
    console = build_console(
        ready=engine.readiness,
        metrics=engine.render_metrics,
        password=settings.console_password,
    )
    return (
        (intake, doors.intake),
        (console, doors.console),
        (build_control(engine.desk), doors.control),
    )


async def _all_serve(served: Sequence[asyncio.Event], stop: asyncio.Event) -> bool:
    """Wait until all are served; False where the stop comes first."""
    stopped = asyncio.create_task(stop.wait())
    all_served = asyncio.create_task(_each(served))
    try:
        await asyncio.wait({stopped, all_served}, return_when=asyncio.FIRST_COMPLETED)
        return not stopped.done()
    finally:
        stopped.cancel()
        all_served.cancel()


async def _each(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


def _open_doors(settings: Settings, passed: Mapping[str, list[Address]]) -> Doors:
    for name in passed.keys() - _SOCKET_NAMES:
        log.warning("daemon.socket_unused", name=name, known=sorted(_SOCKET_NAMES))
    path = control_path(settings.database)
    _clear_stale(path)
    with ExitStack() as bound:
        doors = Doors(
            intake=_door(bound, passed.get("intake", passed.get("unknown", [])), settings.listen),
            console=_door(bound, passed.get("console", []), settings.console_listen),
            control=_door(bound, [Address(path=str(path))], ""),
            control_path=path,
        )
        bound.pop_all()  # none failed, so none is closed here
    return doors


def _door(bound: ExitStack, passed: list[Address], listen: str) -> list[socket]:
    addresses = passed or [parse_listen(listen)]
    return [bound.enter_context(one) for address in addresses for one in bind(address)]


def _clear_stale(path: Path) -> None:
    """The journal's lock is ours, so a socket that lies there belongs to nobody."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise UserError(f"{path} is in the way: the control socket belongs there")
        path.unlink()


def _tell_problems(engine: Engine) -> None:
    for problem in engine.reloader.standing.problems:
        level = log.error if problem.severity == "error" else log.warning
        level("rules.problem", problem=str(problem), rule=problem.rule)


def _names(sockets: list[socket]) -> str:
    return " ".join(_name(bound) for bound in sockets)


def _name(bound: socket) -> str:
    name = bound.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
