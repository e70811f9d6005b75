"""Sockets that systemd holds: the daemon serves them, and a restart refuses nobody."""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cli.commands import PATIENCE, SECRET, Place, command
from journeys.harness.panel import make
from journeys.harness.ports import reserved_port
from service.manager import Held, Mailbox, environ_of, mailbox, stop

from engine.sources.signature import sign

_RATE = 50
_RESTARTS = 3


def _post(port: int, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "X-Remnawave-Signature": sign(body, SECRET)}
    try:
        connection.request("POST", "/webhook", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def _activated(
    place: Place, manager: Mailbox, names: str, *ports: int
) -> Iterator[subprocess.Popen[bytes]]:
    """`systemd-socket-activate`, which becomes the daemon at the first connection."""
    words = ["systemd-socket-activate", f"--fdname={names}"]
    words += [f"--listen=127.0.0.1:{port}" for port in ports]
    # It hands on only what it is told to.
    environ = place.environ | {"NOTIFY_SOCKET": manager.address}
    words += [f"--setenv={name}={value}" for name, value in environ.items() if _ours(name)]
    process = subprocess.Popen(
        [*words, *command("serve", "--log-format", "json")],
        cwd=place.folder, env=environ, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        for _ in ports:
            next(line for line in process.stderr if b"Listening on" in line)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.stderr.close()
        process.wait(PATIENCE)


def _ours(name: str) -> bool:
    return name.startswith(("RULEWAVE_", "COVERAGE_", "COV_")) or name in {"PATH", "NOTIFY_SOCKET"}


def test_named_sockets_of_systemd_become_intake_and_console(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with (
        reserved_port() as intake,
        reserved_port() as console,
        mailbox(tmp_path) as manager,
        _activated(place, manager, "console:intake", console, intake) as daemon,
    ):
        body = make("user.created", "anna", "first").body
        assert _post(intake, body) == http.client.ACCEPTED
        manager.until("READY=1")
        assert _get(console, "/readyz") == http.client.OK
        assert _get(intake, "/readyz") == http.client.NOT_FOUND
        assert {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} <= environ_of(daemon)
        stop(daemon)


def test_a_socket_without_a_name_is_the_intake(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with (
        reserved_port() as intake,
        mailbox(tmp_path) as manager,
        _activated(place, manager, "", intake) as daemon,
    ):
        assert _get(intake, "/healthz") == http.client.OK
        manager.until("READY=1")
        stop(daemon)


def test_a_socket_with_a_name_of_its_own_is_named_in_the_log(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with (
        reserved_port() as port,
        mailbox(tmp_path) as manager,
        _activated(place, manager, "rulewave.socket", port) as daemon,
    ):
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            manager.until("READY=1")
        daemon.terminate()
        assert daemon.stderr is not None
        facts = [json.loads(line) for line in daemon.stderr if line.startswith(b"{")]
        assert daemon.wait(PATIENCE) == 0
    (unused,) = [fact for fact in facts if fact["event"] == "daemon.socket_unused"]
    assert unused["name"] == "rulewave.socket"
    assert unused["known"] == ["console", "intake", "unknown"]


@dataclass
class Senders:
    """Posts at a fixed rate, each event once, each in a thread of its own."""

    port: int
    done: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, int | str] = field(default_factory=dict)

    def run(self) -> None:
        """Post until told that it is enough, and wait for all answers."""
        posts = []
        while not self.done.wait(1 / _RATE):
            posts.append(threading.Thread(target=self._post, args=(f"m{len(posts)}",)))
            posts[-1].start()
        for post in posts:
            post.join(PATIENCE)

    def _post(self, mark: str) -> None:
        try:
            self.answers[mark] = _post(self.port, make("user.created", "anna", mark).body)
        except OSError as error:
            self.answers[mark] = str(error)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """Sockets that are held over the lives of a daemon."""
    with mailbox(tmp_path) as manager:
        opened = Held(Place(tmp_path), manager)
        yield opened
        opened.close()


def test_restarts_under_load_refuse_no_connection_and_lose_no_event(held: Held) -> None:
    senders = Senders(held.port)
    sending = threading.Thread(target=senders.run)
    daemon = held.start()
    try:
        held.mailbox.until("READY=1")
        sending.start()
        for _ in range(_RESTARTS):
            before = len(senders.answers)
            while len(senders.answers) < before + _RATE // 2:
                assert not senders.done.wait(1 / _RATE)
            stop(daemon)
            daemon = held.start()
            held.mailbox.until("READY=1")
        senders.done.set()
        sending.join(PATIENCE)
        stop(daemon)
    finally:
        senders.done.set()
        daemon.kill()
        daemon.wait(PATIENCE)
    refused = {mark: answer for mark, answer in senders.answers.items() if answer != 202}
    assert not refused, f"{len(refused)} of {len(senders.answers)}"
    with closing(sqlite3.connect(held.place.folder / "rw.db")) as journal:
        ((stored,),) = journal.execute(
            "select count(*) from events where source = 'remnawave'"
        ).fetchall()
    assert stored == len(senders.answers) > _RESTARTS * _RATE // 2
