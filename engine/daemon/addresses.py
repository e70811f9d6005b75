"""Where a listener listens: addresses as people write them, bound early, and sockets handed over."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

from engine.addresses import Address, parse_listen
from engine.errors import UserError

__all__ = ["BACKLOG", "Address", "bind", "parse_listen", "take_passed"]

BACKLOG = 4096
"""Connections that the kernel holds for us; also what a held socket keeps over a restart."""

_FIRST_PASSED = 3
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def bind(address: Address, *, mode: int = 0o600) -> list[socket.socket]:
    """Listening sockets, or UserError. `mode` is the file mode of a unix socket.

    Connections are taken by the kernel from now on, and answered once `serve` runs.
    """
    bound: list[socket.socket] = []
    try:
        if address.path is not None:
            bound.append(_bind_path(address.path, mode))
        elif address.fd is not None:
            bound.append(_inherit(address.fd))
        else:
            bound.extend(_bind_all(address))
        for listening in bound:
            listening.listen(BACKLOG)
    except OSError as error:
        for listening in bound:
            listening.close()
        raise UserError(f"cannot listen on {address}: {_plainly(error)}") from error
    return bound


def take_passed(environ: MutableMapping[str, str]) -> dict[str, list[Address]]:
    """Sockets that systemd passed, by their names; the variables are removed.

    A socket without a name is called "unknown", as in sd_listen_fds_with_names(3).
    """
    pid, count, names = (environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    passed: dict[str, list[Address]] = {}
    named = names.split(":") if names else []
    for position in range(int(count)):
        name = named[position] if position < len(named) else "unknown"
        passed.setdefault(name, []).append(Address(fd=_FIRST_PASSED + position))
    return passed


def _bind_all(address: Address) -> Iterator[socket.socket]:
    """A socket for each address that the host name stands for and that this machine has."""
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    port, missing, bound = address.port, None, False
    for family, _, _, _, where in sorted(set(found)):
        try:
            listening = _bind_tcp(family, (where[0], port, *where[2:]))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            missing = error  # no mistake if it is only "localhost" without IPv6
        else:
            port, bound = listening.getsockname()[1], True  # where 0 asks for any: one for all
            yield listening
    if missing is not None and not bound:
        raise missing


def _bind_tcp(family: int, where: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(where)
    except OSError:
        listening.close()
        raise
    return listening


def _bind_path(path: str, mode: int) -> socket.socket:
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        # Nobody can connect before listen(), so nobody meets the wrong mode.
        Path(path).chmod(mode)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_stale(path: str) -> None:
    """Remove the socket that an earlier process left behind, and nothing else."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(path) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        Path(path).unlink()


def _inherit(fd: int) -> socket.socket:
    listening = socket.socket(fileno=fd)
    if listening.type != socket.SOCK_STREAM:
        listening.detach()
        raise OSError(errno.EINVAL, "it is no stream socket")
    # Children must not hold our port.
    listening.set_inheritable(False)
    return listening


def _plainly(error: OSError) -> str:
    """What went wrong and what to do, in words."""
    if error.errno == errno.EADDRINUSE:
        return "another process listens there already; stop it or choose another address"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "not allowed; ports below 1024 need CAP_NET_BIND_SERVICE, a path needs write access"
    return error.strerror or str(error)
