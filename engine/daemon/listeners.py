"""Serving an application on bound sockets until told to stop, and then ending for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from socket import socket
from typing import Any, Protocol

import anyio
import hypercorn.asyncio
import structlog
from hypercorn.config import Config, Sockets

from engine.daemon import http1
from engine.daemon.addresses import BACKLOG, Address, bind, parse_listen, take_passed
from engine.daemon.doors import Door, connections_allowed, raise_descriptor_limit

__all__ = [
    "Address",
    "bind",
    "parse_listen",
    "raise_descriptor_limit",
    "serve",
    "take_passed",
]

# Also how long a client may take over its headers.
_IDLE_SECONDS = 5.0
_MAX_HEAD = 16 * 1024
_NO_RECYCLING = 1_000_000_000
# Between telling the clients and telling the application, and then the server, that it is over.
_LAST_WORDS = 1.0
# How long a connection that was just taken may keep us waiting for its request.
_FIRST_WORDS = 0.5
_TURN = 0.01

_log = structlog.get_logger()


class Stop(Protocol):
    """An event of asyncio or anyio."""

    def wait(self) -> Awaitable[Any]:
        """Return once it is set."""
        ...


class _Config(Config):
    """Hypercorn's settings, on sockets that are ours."""

    backlog = BACKLOG
    keep_alive_timeout = _IDLE_SECONDS
    keep_alive_max_requests = _NO_RECYCLING
    h11_max_incomplete_size = _MAX_HEAD
    alpn_protocols = ["http/1.1"]  # noqa: RUF012 - Hypercorn declares it so
    include_date_header = False
    include_server_header = False
    accesslog = None
    errorlog = None

    def __init__(self, doors: Sequence[Door], grace: float) -> None:
        self._doors = doors
        # Ours come first, since Hypercorn's own does not hold on Python 3.12 and 3.13 (issue 308).
        self.graceful_timeout = grace + 3 * _LAST_WORDS
        self.shutdown_timeout = grace + 3 * _LAST_WORDS

    def create_sockets(self) -> Sockets:
        """Called by Hypercorn in place of binding."""
        for door in self._doors:
            door.setblocking(False)
        return Sockets([], list(self._doors), [])


class _Requests:
    """The application, with the requests under way remembered."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        if task is None or scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._running.add(task)
        try:
            await self._app(scope, receive, send)
        finally:
            self._running.discard(task)

    def cancel(self) -> None:
        """End all requests under way."""
        for task in tuple(self._running):
            task.cancel()


async def serve(
    app: Callable[..., Awaitable[None]],
    sockets: Sequence[socket],
    *,
    stop: Stop,
    grace: float = 3.0,
    on_serving: Callable[[], None] = lambda: None,
) -> None:
    """Serve an ASGI application on listening sockets, which it takes over, until `stop` is set.

    Then nothing is accepted any more, idle connections close, and requests under way get `grace`
    seconds; whatever they do, the application's own shutdown runs and the call returns within
    three seconds more. An error of the server before that is raised. `on_serving` is called once
    the application has started and every socket is served.
    """
    http1.install()
    serves = _after(len(sockets), on_serving)
    doors = [Door(listening, connections_allowed(), serves) for listening in sockets]
    requests = _Requests(app)
    ending = asyncio.Event()
    serving = asyncio.create_task(
        hypercorn.asyncio.serve(
            requests,
            _Config(doors, grace),
            shutdown_trigger=ending.wait,
            mode="asgi",
        )
    )
    try:
        told = await _told(stop, serving)
    finally:
        with anyio.CancelScope(shield=True):
            await _take_no_more(doors)
            ending.set()
            await _end(serving, doors, requests, grace)
    if not told:
        serving.result()


def _after(calls: int, then: Callable[[], None]) -> Callable[[], None]:
    """Something that calls `then` when it is called for the last of so many times."""
    left = calls

    def once_more() -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    return once_more


async def _told(stop: Stop, serving: asyncio.Task[None]) -> bool:
    """Wait; True when told to stop, False when the server ended by itself."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait((stopped, serving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    return serving not in done


async def _take_no_more(doors: Sequence[Door]) -> None:
    """Leave new connections to the kernel, and hear what those say that were just taken.

    The server would close them unheard, and their clients could not know whether that helped.
    """
    loop = asyncio.get_running_loop()
    for door in doors:
        if door.fileno() >= 0:
            loop.remove_reader(door)
    with anyio.move_on_after(_FIRST_WORDS):
        while any(door.awaits for door in doors):  # noqa: ASYNC110 - a turn each is soon enough
            await asyncio.sleep(_TURN)
        await asyncio.sleep(_TURN)


async def _end(
    serving: asyncio.Task[None], doors: Sequence[Door], requests: _Requests, grace: float
) -> None:
    """Wait, then insist: with the clients, then with the requests, then with the server."""

    def hang_up() -> None:
        for door in doors:
            door.end_connections()

    patience = grace
    for insist in (hang_up, requests.cancel, serving.cancel):
        await asyncio.wait((serving,), timeout=patience)
        if serving.done():
            break
        insist()
        patience = _LAST_WORDS
    await asyncio.wait((serving,), timeout=patience)
    for door in doors:
        door.close()
    if not serving.done() or serving.cancelled():
        _log.error("listener.stop_forced")
    elif serving.exception() is not None:
        _log.error("listener.stop_failed", exc_info=serving.exception())
