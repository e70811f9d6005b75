"""The daemon as a process: signals, exit codes, one clear line for a user's mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ledgers import PATIENCE

COMMAND = (sys.executable, "-c", "from engine.cli import main; main()", "serve")
RULES = "version: 1\nrules:\n  - {id: greet, on: user.created, do: [{log: {text: hello}}]}\n"


def _environment(folder: Path, **changes: str) -> dict[str, str]:
    (folder / "rules.yaml").write_text(RULES)
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RULEWAVE_")}
    return clean | {
        "RULEWAVE_RULES": str(folder / "rules.yaml"),
        "RULEWAVE_DATABASE": f"sqlite:///{folder}/rulewave.db",
        "RULEWAVE_WEBHOOK_SECRET": "processSecret0123456789",
        "RULEWAVE_LISTEN": "127.0.0.1:0",
        "RULEWAVE_CONSOLE_LISTEN": "127.0.0.1:0",
        "RULEWAVE_LOG_FORMAT": "json",
    } | changes  # fmt: skip


def _refused(folder: Path, **changes: str) -> list[str]:
    done = subprocess.run(
        COMMAND, env=_environment(folder, **changes), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


@contextmanager
def _serving(
    folder: Path, **changes: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A daemon that is ready, and the fact with which it said so."""
    with subprocess.Popen(
        COMMAND, env=_environment(folder, **changes), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            facts = (json.loads(line) for line in process.stderr)
            yield process, next(fact for fact in facts if fact["event"] == "daemon.ready")
        finally:
            if process.poll() is None:
                process.kill()


def _port(fact: dict[str, str], name: str) -> int:
    return int(fact[name].rpartition(":")[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_well_and_soon(tmp_path: Path, number: signal.Signals) -> None:
    with _serving(tmp_path) as (process, ready):
        with socket.create_connection(("127.0.0.1", _port(ready, "intake")), PATIENCE) as idle:
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
            idle.settimeout(PATIENCE)
            assert idle.recv(1) == b""
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not (tmp_path / "control.sock").exists()


def test_a_daemon_that_was_killed_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    with _serving(tmp_path) as (process, _):
        process.kill()
        process.wait(PATIENCE)
    assert (tmp_path / "control.sock").exists()
    with _serving(tmp_path) as (process, ready):
        assert ready["rules"] == 1
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_second_daemon_on_the_same_database_is_told_in_one_line(tmp_path: Path) -> None:
    with _serving(tmp_path):
        assert _refused(tmp_path) == [
            f"{tmp_path}/rulewave.db.lock is locked: another rulewave is using this database"
        ]


@pytest.mark.parametrize("name", ["RULEWAVE_LISTEN", "RULEWAVE_CONSOLE_LISTEN"])
def test_a_port_in_use_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (line,) = _refused(tmp_path, **{name: address})
        assert line == (
            f"cannot listen on {address}: another process listens there already; "
            "stop it or choose another address"
        )


def test_wrong_settings_are_told_all_at_once(tmp_path: Path) -> None:
    lines = _refused(
        tmp_path, RULEWAVE_WEBHOOK_SECRET="", RULEWAVE_MAX_BODY="x", RULEWAVE_RETENTION="7"
    )
    assert [re.match(r"RULEWAVE_\w+", line)[0] for line in lines] == [  # type: ignore[index]
        "RULEWAVE_WEBHOOK_SECRET", "RULEWAVE_MAX_BODY", "RULEWAVE_RETENTION",
    ]  # fmt: skip


def test_a_database_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rulewave.db").write_text("no database " * 500)
    assert _refused(tmp_path) == [
        f"the database {tmp_path}/rulewave.db can't be used: file is not a database"
    ]


def test_a_daemon_whose_journal_fails_for_good_ends_at_once_and_loudly(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from pathlib import Path\n"
        "from engine.daemon.assembly import open_journal\n"
        "from engine.journal import rules\n"
        "def deadly():\n"
        "    yield from rules.set_clock('x', 1)\n"
        "    raise SystemExit('the writer is gone')\n"
        "async def main():\n"
        f"    async with open_journal('sqlite:///{tmp_path}/rulewave.db') as journal:\n"
        "        await asyncio.gather(journal.write(deadly()), asyncio.Event().wait())\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "journal.writer_died" in done.stdout + done.stderr
    assert "the writer is gone" in done.stdout + done.stderr
