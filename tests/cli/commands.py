"""The commands as people call them: real processes, with and without a daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECRET = "commandSecret0123456789commandSecret0123456789commandSecret012345"
PATIENCE = 60
RULES = """version: 1
rules:
  - id: greet
    on: user.created
    do:
      - {id: said, log: {text: "hello {{ user.key }}"}}
      - {after: 1h, cancel_on: user.deleted, log: {text: later}}
  - {id: fails, on: user.limited, do: [{log: {text: "{{ user.nothing }}"}}]}
  - {id: silent, on: user.revoked, when: user.tag == 'NOBODY', do: [{log: {text: never}}]}
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


@dataclass
class Place:
    """A folder with rules and a journal, and commands called there."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "rules.yaml").write_text(RULES, "utf-8")

    @property
    def environ(self) -> dict[str, str]:
        """The environment of commands: nothing of ours but what is said here."""
        kept = {key: value for key, value in os.environ.items() if "RULEWAVE" not in key}
        return kept | {
            "RULEWAVE_WEBHOOK_SECRET": SECRET,
            "RULEWAVE_RULES": str(self.folder / "rules.yaml"),
            "RULEWAVE_DATABASE": f"sqlite:///{self.folder / 'rw.db'}",
            "RULEWAVE_LISTEN": "127.0.0.1:0",
            "RULEWAVE_CONSOLE_LISTEN": "127.0.0.1:0",
            **self.more,
        }

    def call(
        self, *args: str | bytes, stdin: bytes = b"", environ: Mapping[str, str] | None = None
    ) -> Done:
        """Call `rulewave` and wait for its end."""
        done = subprocess.run(
            command(*args),
            input=stdin, capture_output=True, check=False, timeout=PATIENCE, cwd=self.folder,
            env=self.environ | dict(environ or {}),
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass
class Daemon(Place):
    """A place where a daemon runs."""

    process: subprocess.Popen[bytes] = field(kw_only=True)
    log: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Read its log until it tells a fact like that."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            fact: dict[str, Any] = json.loads(line)
            self.log.append(fact)
            if fact["event"] == event and wanted.items() <= fact.items():
                return fact
        raise AssertionError(f"no {event} in {self.log}")

    def send(self, type: str, *settings: str) -> str:
        """Send an event with `rulewave send`; its id."""
        done = self.call("send", type, *(part for each in settings for part in ("--set", each)))
        assert done.code == 0, done
        answer = json.loads(done.out.partition(" 202 ")[2])
        return str(answer["event_id"])


@contextmanager
def serving(folder: Path, **changes: str) -> Iterator[Daemon]:
    """A daemon from its readiness to its end by SIGTERM."""
    place = Place(folder, changes)
    process = subprocess.Popen(
        command("serve", "--log-format", "json"),
        stderr=subprocess.PIPE, env=place.environ, cwd=folder,
    )  # fmt: skip
    daemon = Daemon(folder, changes, process=process)
    try:
        ready = daemon.wait_for("daemon.ready")
        daemon.more["RULEWAVE_LISTEN"] = ready["intake"]
        yield daemon
    finally:
        process.terminate()
        assert process.stderr is not None
        process.stderr.read()
        process.stderr.close()
        assert process.wait(PATIENCE) == 0


def command(*args: str | bytes) -> list[str | bytes]:
    """The words that call the installed `rulewave`."""
    return [str(Path(sys.executable).with_name("rulewave")), *args]
