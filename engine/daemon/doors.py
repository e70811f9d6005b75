"""Listening sockets that know their connections, so that these can be bounded and ended."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from engine.daemon.addresses import BACKLOG

_MOST = 4096
_UNREAD_MILLISECONDS = 30_000


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns what is allowed now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections_allowed() -> int:
    """How many connections one listener may hold: no more than half of the descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, max(soft // 2, 1))


class Door(socket.socket):
    """A listening socket that takes over another one.

    When more than `most` connections are open, the oldest is closed. Without that, idle clients
    could use up the descriptors, and the event loop stops accepting for a second each time.
    `on_serving` is called when an event loop begins to serve it.
    """

    def __init__(
        self, listening: socket.socket, most: int, on_serving: Callable[[], None] = lambda: None
    ) -> None:
        kind = (listening.family, listening.type, listening.proto)
        super().__init__(*kind, fileno=listening.detach())
        if self.family != socket.AF_UNIX:
            self._tune()
        self._most = most
        self._on_serving = on_serving
        # A dict keeps the order in which they came.
        self._inside: dict[Connection, None] = {}

    def _tune(self) -> None:
        """What each connection inherits."""
        # An answer is two writes; together with delayed acknowledgements Nagle makes it 40 ms.
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            # A client that reads none of its answers must not hold its connection.
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """Listen, as `socket.listen`; the event loop does that when it takes the door over."""
        super().listen(backlog)
        self._on_serving()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection, as `socket.accept`."""
        accepted, address = super().accept()
        if len(self._inside) >= self._most:
            next(iter(self._inside)).end()
        return Connection(accepted, self._inside), address

    @property
    def awaits(self) -> bool:
        """Whether a connection was taken that nothing was read from yet."""
        return not all(connection.heard for connection in self._inside)

    def end_connections(self) -> None:
        """Close all connections: who waits to read or write them is told that they are over."""
        for connection in tuple(self._inside):
            connection.end()


class Connection(socket.socket):
    """A connection that leaves the list of its door when it closes."""

    def __init__(self, accepted: socket.socket, inside: dict[Connection, None]) -> None:
        kind = (accepted.family, accepted.type, accepted.proto)
        super().__init__(*kind, fileno=accepted.detach())
        self._inside = inside
        self.heard = False
        inside[self] = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, as `socket.recv`."""
        data = super().recv(bufsize, flags)
        self.heard = True
        return data

    def end(self) -> None:
        """Shut both ways down. The event loop sees it, and closes in its own order."""
        self._inside.pop(self, None)
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close, as `socket.close`."""
        self._inside.pop(self, None)
        super().close()
