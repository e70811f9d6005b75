"""What a service meets of systemd: a socket for its messages, and sockets that are held for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.commands import PATIENCE, Place, command

# What the manager does between fork and exec: descriptors from 3 on, and whom they are meant for.
_PASS = 'exec env LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=intake:console "$@" 3<&"$A" 4<&"$B"'


class Mailbox:
    """The manager's end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        name = str(folder / "notify")
        self.address = f"@{name}" if abstract else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if abstract else name)
        self._socket.settimeout(PATIENCE)
        self.heard: list[str] = []

    def next(self) -> list[str]:
        """The facts of the next datagram."""
        facts = self._socket.recv(4096).decode().split("\n")
        self.heard += facts
        return facts

    def until(self, fact: str) -> str:
        """Hear until a fact begins so; the fact."""
        while True:
            for heard in self.next():
                if heard.startswith(fact):
                    return heard

    def rest(self) -> list[str]:
        """All facts that lie there already."""
        self._socket.setblocking(False)
        try:
            while True:
                self.next()
        except BlockingIOError:
            return self.heard
        finally:
            self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        """Nobody hears any more."""
        self._socket.close()


@contextmanager
def mailbox(folder: Path, *, abstract: bool = False) -> Iterator[Mailbox]:
    """A mailbox until the end of the block."""
    opened = Mailbox(folder, abstract=abstract)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def serving(place: Place, *before: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """`rulewave serve`, with words before it; whatever happens, it does not outlive the block."""
    with (place.folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [*before, *command("serve", "--log-format", "json")],
            env=place.environ | changes, cwd=place.folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and a good end."""
    process.terminate()
    assert process.wait(PATIENCE) == 0


def newest(place: Place, event: str) -> dict[str, str]:
    """The newest fact of that name in the daemon's log."""
    facts = [json.loads(line) for line in (place.folder / "daemon.log").read_text().splitlines()]
    found: dict[str, str] = next(fact for fact in reversed(facts) if fact["event"] == event)
    return found


class Held:
    """Sockets that stay while the service comes and goes."""

    def __init__(self, place: Place, mailbox: Mailbox) -> None:
        self.place = place
        self.mailbox = mailbox
        self.intake, self.console = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.port = int(self.intake.getsockname()[1])

    def start(self) -> subprocess.Popen[bytes]:
        """Start the service on the sockets, without waiting."""
        passed = {"A": str(self.intake.fileno()), "B": str(self.console.fileno())}
        with (self.place.folder / "daemon.log").open("ab") as log:
            return subprocess.Popen(
                ["bash", "-c", _PASS, "manager", *command("serve", "--log-format", "json")],
                env=self.place.environ | passed | {"NOTIFY_SOCKET": self.mailbox.address},
                cwd=self.place.folder, stdout=log, stderr=log,
                pass_fds=[int(number) for number in passed.values()],
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the sockets."""
        self.intake.close()
        self.console.close()


def environ_of(process: subprocess.Popen[bytes]) -> set[str]:
    """The names in the environment that a process was started with."""
    raw = Path(f"/proc/{process.pid}/environ").read_bytes()
    return {os.fsdecode(entry.partition(b"=")[0]) for entry in raw.split(b"\0")}
