"""What was under way when the daemon was killed or stopped: repeated with its key, or not at all."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from journeys.harness import http_sink as http
from journeys.harness import smtp_sink as smtp
from journeys.harness.daemon import Daemon, installed
from journeys.harness.ledger import Row, read_ledger, work_left
from journeys.harness.panel import Panel, make
from journeys.harness.waiting import until

_LANE = 20
_MORE_THAN_A_LANE = 30
_AT_ONCE = 10.0
"""Seconds; far less than any of the engine's safety nets."""
_HTTP = """\
version: 1
rules:
  - id: call
    on: user.created
    do:
      - http: {post: "URL/called", json: {mark: "{{ user.description }}"}}
      - http: {post: "URL/then", json: {mark: "{{ user.description }}"}}
"""
_MAIL = """\
version: 1
connections:
  mail: {kind: smtp, host: 127.0.0.1, port: PORT, tls: none, from: bot@example.org}
rules:
  - id: mail
    on: user.created
    do:
      - email: {to: "{{ user.email }}", subject: "{{ user.description }}", text: hello}
"""
_PROGRAM = """\
version: 1
rules:
  - id: program
    on: user.created
    do:
      - shell: {run: [/bin/sh, -c, "echo $RULEWAVE_IDEMPOTENCY_KEY >> ran; read line < gate"], cwd: "FOLDER"}
        if_unknown: UNKNOWN
"""


def _begin(daemon: Daemon) -> None:
    """Start the daemon and post the one event."""
    daemon.start_ready()
    Panel(daemon.port).deliver(make("user.created", "anna", "m1"))


def _end(daemon: Daemon) -> Row:
    """Let all come to its end, stop, and return the one run."""
    until(lambda: work_left(daemon.database) == 0, "the journal at rest")
    assert daemon.stop() == 0
    (run,) = read_ledger(daemon.database).runs
    return run


def _attempts(daemon: Daemon) -> list[tuple[str, Any]]:
    rows = read_ledger(daemon.database).attempts
    return [(row["path"], row["outcome"]) for row in sorted(rows, key=lambda row: row["started"])]


# ------------------------------------------------------------ http


def _first_hangs(call: http.Call, number: int) -> int:
    return http.HANG if (call.step, number) == ("called", 1) else 200


@contextmanager
def _calling(folder: Path) -> Iterator[tuple[Daemon, http.HttpSink]]:
    with (
        http.http_sink(_first_hangs) as sink,
        installed(folder, _HTTP.replace("URL", sink.url)) as daemon,
    ):
        _begin(daemon)
        until(lambda: sink.calls, "the first call")
        yield daemon, sink


def _check_repeated(daemon: Daemon, sink: http.HttpSink) -> None:
    daemon.start_ready()
    assert _end(daemon)["state"] == "succeeded"
    assert [call.step for call in sink.calls] == ["called", "called", "then"]
    first, again, after = (call.key for call in sink.calls)
    assert first == again != after


def test_a_call_that_was_killed_in_the_middle_is_made_again_with_the_same_key(
    tmp_path: Path,
) -> None:
    with _calling(tmp_path) as (daemon, sink):
        daemon.kill()
        _check_repeated(daemon, sink)
        outcomes = [("do.0", "unknown"), ("do.0", "succeeded"), ("do.1", "succeeded")]
        assert _attempts(daemon) == outcomes


def test_a_call_that_hangs_at_a_stop_is_handed_back_and_made_again_with_the_same_key(
    tmp_path: Path,
) -> None:
    with _calling(tmp_path) as (daemon, sink):
        assert daemon.stop() == 0
        (run,) = read_ledger(daemon.database).runs
        assert run["state"] in {"queued", "pending"}
        _check_repeated(daemon, sink)
        outcomes = [("do.0", "handed back"), ("do.0", "succeeded"), ("do.1", "succeeded")]
        assert _attempts(daemon) == outcomes


def test_a_lane_that_was_full_of_calls_at_a_kill_is_at_work_again_at_once(tmp_path: Path) -> None:
    with (
        http.http_sink(_first_hangs) as sink,
        installed(tmp_path, _HTTP.replace("URL", sink.url)) as daemon,
    ):
        daemon.start_ready()
        panel = Panel(daemon.port)
        for number in range(_MORE_THAN_A_LANE):
            panel.deliver(make("user.created", f"user-{number}", f"m{number}"))
        until(lambda: len(sink.calls) >= _LANE, "a full lane")
        daemon.kill()
        sink.mood = http.friendly
        daemon.start_ready()
        until(lambda: work_left(daemon.database) == 0, "the journal at rest", _AT_ONCE)
        assert daemon.stop() == 0
        runs = read_ledger(daemon.database).runs
        assert [run["state"] for run in runs] == ["succeeded"] * _MORE_THAN_A_LANE


# ------------------------------------------------------------ shell


@dataclass(frozen=True)
class _Gate:
    """A named pipe at which the program waits."""

    folder: Path

    @property
    def ran(self) -> list[str]:
        """The keys of all starts."""
        file = self.folder / "ran"
        return file.read_text().split() if file.exists() else []

    def open(self) -> bool:
        """Let whoever waits go on; False where nobody does."""
        try:
            gate = os.open(self.folder / "gate", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        with suppress(BrokenPipeError):
            os.write(gate, b"\n")
        os.close(gate)
        return True


@contextmanager
def _running(
    folder: Path, if_unknown: str, program: str = _PROGRAM
) -> Iterator[tuple[Daemon, _Gate]]:
    os.mkfifo(folder / "gate")
    gate = _Gate(folder)
    rules = program.replace("FOLDER", str(folder)).replace("UNKNOWN", if_unknown)
    with ExitStack() as stack:
        daemon = stack.enter_context(installed(folder, rules))
        _begin(daemon)
        until(lambda: gate.ran, "the program's start")
        yield daemon, gate


def test_a_program_that_was_killed_in_the_middle_is_a_dead_letter_and_not_run_again(
    tmp_path: Path,
) -> None:
    with _running(tmp_path, "dead") as (daemon, gate):
        daemon.kill()
        until(gate.open, "the orphan waiting at the gate")
        daemon.start_ready()
        run = _end(daemon)
        assert (run["state"], run["reason"]) == ("dead", "outcome_unknown")
        assert "outcome unknown" in run["message"]
        assert len(gate.ran) == 1
        assert _attempts(daemon) == [("do.0", "unknown")]


def test_a_program_that_may_be_repeated_is_run_again_after_a_kill_with_the_same_key(
    tmp_path: Path,
) -> None:
    with _running(tmp_path, "repeat") as (daemon, gate):
        daemon.kill()
        until(gate.open, "the orphan waiting at the gate")
        daemon.start_ready()
        until(lambda: len(gate.ran) == 2 and gate.open(), "the second one at the gate")
        assert _end(daemon)["state"] == "succeeded"
        assert len(gate.ran) == 2
        assert len(set(gate.ran)) == 1


def test_a_program_under_way_at_a_stop_is_a_dead_letter_where_it_may_not_be_repeated(
    tmp_path: Path,
) -> None:
    with _running(tmp_path, "dead") as (daemon, gate):
        assert daemon.stop() == 0
        assert not gate.open(), "the program outlived the daemon"
        daemon.start_ready()
        run = _end(daemon)
        assert (run["state"], run["reason"]) == ("dead", "outcome_unknown")
        assert len(gate.ran) == 1


def test_a_program_under_way_at_a_stop_is_handed_back_where_it_may_be_repeated(
    tmp_path: Path,
) -> None:
    with _running(tmp_path, "repeat") as (daemon, gate):
        assert daemon.stop() == 0
        assert not gate.open(), "the program outlived the daemon"
        assert _attempts(daemon) == [("do.0", "handed back")]
        daemon.start_ready()
        until(lambda: len(gate.ran) == 2 and gate.open(), "the second one at the gate")
        assert _end(daemon)["state"] == "succeeded"
        assert len(set(gate.ran)) == 1


def test_a_stop_is_in_time_whatever_programs_and_clients_do(tmp_path: Path) -> None:
    stubborn = _PROGRAM.replace("echo", "trap '' TERM; echo")
    with _running(tmp_path, "dead", stubborn) as (daemon, gate), _dawdling(daemon.port):
        assert daemon.stop() == 0
        assert not gate.open(), "the program outlived the daemon"
        daemon.start_ready()
        assert _end(daemon)["reason"] == "outcome_unknown"
        assert len(gate.ran) == 1


@contextmanager
def _dawdling(port: int) -> Iterator[None]:
    """A client in the middle of its request."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            b"POST /webhook HTTP/1.1\r\nHost: panel\r\nContent-Type: application/json\r\n"
            b"X-Remnawave-Signature: " + b"0" * 64 + b"\r\nContent-Length: 9\r\n\r\n{"
        )
        yield


# ------------------------------------------------------------ email


@contextmanager
def _mailing(folder: Path, stage: smtp.Stage) -> Iterator[tuple[Daemon, smtp.SmtpSink]]:
    """A server that stalls once, at the stage."""

    def stall_once(at: smtp.Stage, number: int) -> str | None:
        return smtp.STALL if (at, number) == (stage, 1) else None

    with (
        smtp.smtp_sink(stall_once) as sink,
        installed(folder, _MAIL.replace("PORT", str(sink.port))) as daemon,
    ):
        _begin(daemon)
        until(lambda: sink.asked if stage == "rcpt" else sink.seen, f"a mail at {stage}")
        yield daemon, sink


def test_a_mail_that_was_killed_before_its_data_is_sent_later_exactly_once(tmp_path: Path) -> None:
    with _mailing(tmp_path, "rcpt") as (daemon, sink):
        daemon.kill()
        assert sink.seen == []
        daemon.start_ready()
        assert _end(daemon)["state"] == "succeeded"
        assert [mail.subject for mail in sink.taken] == ["m1"]
        assert len(sink.seen) == 1


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_mail_whose_data_was_begun_is_a_dead_letter_and_not_sent_again(
    tmp_path: Path, how: str
) -> None:
    with _mailing(tmp_path, "data") as (daemon, sink):
        if how == "kill":
            daemon.kill()
        else:
            assert daemon.stop() == 0
        daemon.start_ready()
        run = _end(daemon)
        assert (run["state"], run["reason"]) == ("dead", "outcome_unknown")
        assert len(sink.seen) == 1
        assert sink.taken == []
