"""Walks through a page of the documents: writes its files, calls its commands, reads their answers."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from docs.fenced import Block, blocks
from http_servers import free_port

_EXPORT = re.compile(r"export (\w+)=(\S+)")
_EVENT = re.compile(r'"event_id": "(\w+)"')


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RULEWAVE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    listen = {
        f"RULEWAVE_{name}": f"127.0.0.1:{free_port()}" for name in ("LISTEN", "CONSOLE_LISTEN")
    }
    return {**kept, **listen, "PATH": path, "PYTHONUNBUFFERED": "1"}


@dataclass
class Walk:
    """Somebody who does what the tutorial says."""

    folder: Path
    environment: dict[str, str] = field(default_factory=_environment)
    mail_port: str = field(default_factory=lambda: str(free_port()))
    started: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    event: str = ""

    def do(self, block: Block) -> None:
        """What a block asks for."""
        text = block.text.replace("8025", self.mail_port)
        match block.info:
            case ("yaml" | "json", name, *how):
                with (self.folder / name).open(
                    "a" if "append" in how else "w", encoding="utf-8"
                ) as file:
                    file.write(text)
            case ("console", "background"):
                for command in _commands(text):
                    self._start(command[0])
            case ("console", *how):
                if "stopped" in how:
                    self._stop_daemons()
                for command, *expected in _commands(text):
                    self._run(command, "\n".join(expected), code=int("refused" in how))
            case ("text", "mail"):
                self._see_mail(text)

    def _start(self, command: str) -> None:
        if self._export(command):
            return
        if command in self.started:  # "stop it with Ctrl-C and start it again"
            _stop(self.started[command])
        self.started[command] = process = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if "serve" in command:
            assert process.stderr is not None
            next(line for line in process.stderr if "daemon.ready" in line)
        else:
            _wait_for_port(process, int(self.mail_port))

    def _stop_daemons(self) -> None:
        for command, process in self.started.items():
            if "serve" in command:
                _stop(process)

    def _run(self, command: str, expected: str, *, code: int) -> None:
        if self._export(command):
            return
        done = subprocess.run(
            shlex.split(re.sub(r"\bID$", self.event, command)), cwd=self.folder, text=True,
            env=self.environment, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert _pattern(expected).fullmatch(done.stdout), f"{command}:\n{done.stdout}"
        self.event = (_EVENT.findall(done.stdout) or [self.event])[0]

    def _export(self, command: str) -> bool:
        found = _EXPORT.fullmatch(command)
        if found:
            self.environment[found[1]] = found[2]
        return found is not None

    def _see_mail(self, expected: str) -> None:
        """Each line comes out of the mail catcher, in any order."""
        output = next(one for name, one in self.started.items() if "aiosmtpd" in name).stdout
        assert output is not None
        awaited = [_pattern(line) for line in expected.splitlines()]
        for line in output:
            awaited = [one for one in awaited if not one.fullmatch(line)]
            if not awaited:
                return
        pytest.fail(f"never came: {awaited}")


def _commands(text: str) -> Iterator[list[str]]:
    """Each command with the lines that it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        yield part.rstrip("\n").splitlines()


def _pattern(expected: str) -> re.Pattern[str]:
    """What is expected; … stands for anything."""
    body = re.escape(expected.rstrip("\n")).replace("…", ".*?")
    return re.compile(body + "\n*", re.DOTALL)


def _wait_for_port(process: subprocess.Popen[str], port: int) -> None:
    while process.poll() is None:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
    pytest.fail("the mail catcher ended")


def _stop(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@contextmanager
def walking(folder: Path, page: Path) -> Iterator[Walk]:
    """Do all that a page says in an empty folder; whatever it started is ended at last."""
    walker = Walk(folder)
    try:
        for block in blocks(page):
            walker.do(block)
        yield walker
    finally:
        for process in walker.started.values():
            _stop(process)
