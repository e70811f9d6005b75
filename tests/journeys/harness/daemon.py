"""A real `rulewave serve` in a folder of its own: started, killed, stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journeys.harness.ports import reserved_port
from journeys.harness.waiting import until

SECRET = "journeySecret0123456789journeySecret"
STOP_SECONDS = 10.0
"""Longest that a stop may take, by contract."""
_START_SECONDS = 20.0
COMMAND = ("-c", "from engine.cli import main; main()")


@dataclass
class Daemon:
    """One installation, and the process that runs on it at the moment.

    `command` is what the interpreter is given before `serve`.
    """

    folder: Path
    port: int
    console_port: int
    command: Sequence[str] = COMMAND
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def database(self) -> Path:
        """The journal's file."""
        return self.folder / "rulewave.db"

    @property
    def log(self) -> Path:
        """What all lives wrote, one after the other."""
        return self.folder / "daemon.log"

    def start(self) -> None:
        """Start it, without waiting."""
        assert self._process is None, "it runs already"
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.command, "serve"],
                cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip

    def start_ready(self) -> None:
        """Start it, and wait until it takes deliveries."""
        self.start()
        until(self._answers, f"ready ({self.log})", _START_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and gone."""
        process = self._take()
        process.kill()
        assert process.wait(STOP_SECONDS) == -signal.SIGKILL, self.log.read_text()[-2000:]

    def stop(self) -> int:
        """SIGTERM; the exit code. TimeoutExpired where it takes longer than it may."""
        process = self._take()
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self) -> None:
        """Leave nothing running."""
        if self._process is not None:
            self.kill()

    def facts(self) -> list[dict[str, Any]]:
        """The log as facts; what is none (a traceback) comes as an error."""
        return [fact for line in self.log.read_text().splitlines() if (fact := _fact(line))]

    def _take(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        return process

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended:\n{self.log.read_text()[-3000:]}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:9] != "RULEWAVE_"}
        return kept | {
            "RULEWAVE_WEBHOOK_SECRET": SECRET,
            "RULEWAVE_RULES": str(self.folder / "rules.yaml"),
            "RULEWAVE_DATABASE": f"sqlite:///{self.database}",
            "RULEWAVE_LISTEN": f"127.0.0.1:{self.port}",
            "RULEWAVE_CONSOLE_LISTEN": f"127.0.0.1:{self.console_port}",
            "RULEWAVE_LOG_FORMAT": "json",
        }


@contextmanager
def installed(folder: Path, rules: str, command: Sequence[str] = COMMAND) -> Iterator[Daemon]:
    """An installation with these rules, not started; nothing of it is left running."""
    (folder / "rules.yaml").write_text(rules)
    with ExitStack() as stack:
        port, console_port = (stack.enter_context(reserved_port()) for _ in range(2))
        daemon = Daemon(folder, port, console_port, command)
        stack.callback(daemon.close)
        yield daemon


def _fact(line: str) -> dict[str, Any] | None:
    """The fact; None for one that a kill cut off, with the next life's first behind it."""
    try:
        fact: dict[str, Any] = json.loads(line)
    except ValueError:
        return None if line.startswith("{") else {"event": line, "level": "error"}
    return fact
