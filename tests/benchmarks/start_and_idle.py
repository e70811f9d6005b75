"""Start to ready, idle memory, and event to action of a real daemon (`python tests/benchmarks/start_and_idle.py`).

Beside each start, in the same round, the time in which a bare interpreter imports the two libraries
that any such daemon needs (Quart and Hypercorn): read the ratio, not the seconds.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROUNDS = 7
EVENTS = 50
SECRET = "benchmark0123456789benchmark0123456789"
RULES = """
version: 1
connections:
  mail: {kind: smtp, host: 127.0.0.1, port: 9, tls: none, from: bot@example.org}
rules:
  - id: remind
    on: user.expires_in_24_hours
    when: user.email
    do: [{email: {to: "{{ user.email }}", subject: Soon, text: "Hello {{ user.username }}"}}]
  - id: note
    on: user.created
    do: [{log: {text: "{{ user.key }}"}}]
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rulewave(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, str], float]:
    """Start a daemon; its environment and the seconds until it was ready."""
    console = free_port()
    environ = {
        **os.environ,
        "RULEWAVE_WEBHOOK_SECRET": SECRET,
        "RULEWAVE_RULES": str(folder / "rules.yaml"),
        "RULEWAVE_DATABASE": f"sqlite:///{folder}/rulewave.db",
        "RULEWAVE_LISTEN": f"127.0.0.1:{free_port()}",
        "RULEWAVE_CONSOLE_LISTEN": f"127.0.0.1:{console}",
        "RULEWAVE_LOG_LEVEL": "error",
    }
    (folder / "rules.yaml").write_text(RULES)
    began = time.perf_counter()
    daemon = subprocess.Popen([sys.executable, "-m", "engine.cli", "serve"], env=environ)
    pause = threading.Event()
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{console}/readyz", timeout=1).close()
            return daemon, environ, time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            pause.wait(0.005)


def bare_imports() -> float:
    """Seconds in which an interpreter imports Quart and Hypercorn, and ends."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import quart, hypercorn.asyncio"], check=True)
    return time.perf_counter() - began


def resident(process: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1000 if found else 0.0


def latencies(database: Path) -> list[float]:
    """Milliseconds from an event's acceptance to the start of its first action."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as journal:
        rows = journal.execute(
            "select min(a.started) - e.stored from events e join runs r on r.origin = e.id"
            " join attempts a on a.run = r.id group by e.seq"
        ).fetchall()
    return sorted(row[0] / 1000 for row in rows)


def one_round() -> dict[str, float]:
    """One start, one idle look, some events a tenth of a second apart, one stop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = bare_imports()
        daemon, environ, ready = rulewave(folder)
        threading.Event().wait(2)
        memory = resident(daemon.pid)
        send = ["send", "user.created", "--count", str(EVENTS), "--rate", "10"]
        command = [sys.executable, "-m", "engine.cli", *send]
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
        began = time.perf_counter()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
        taken = latencies(folder / "rulewave.db")
        return {
            "start to ready, s": ready,
            "bare imports, s": bare,
            "ratio to bare imports": ready / bare,
            "idle memory, MB": memory,
            "event to action, ms (median)": statistics.median(taken),
            "stop, s": time.perf_counter() - began,
        }


def main() -> None:
    """Print each figure's minimum, median and maximum, and the same as JSON."""
    rounds = [one_round() for _ in range(ROUNDS)]
    figures = {}
    for figure in rounds[0]:
        values = sorted(result[figure] for result in rounds)
        figures[figure] = [values[0], statistics.median(values), values[-1]]
        low, middle, high = (f"{value:8.2f}" for value in figures[figure])
        print(f"{figure:<30} {low} {middle} {high}")  # noqa: T201 - a table for people
    print(json.dumps(figures))  # noqa: T201 - and for machines


if __name__ == "__main__":
    main()
