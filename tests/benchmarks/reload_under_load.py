"""How long deliveries wait while rules are read anew (`python tests/benchmarks/reload_under_load.py`).

A real daemon on 50, 500 and 2,000 rules; four clients post one delivery after the other, first with
nothing else going on, then while the daemon reads its rules again and again. Read the ratios: both
halves are of one run on one machine.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from start_and_idle import SECRET, rulewave

from engine.clock import to_iso
from engine.sources.signature import sign

CLIENTS = 4
SECONDS = 6.0
SIZES = (50, 500, 2000)
RULE = """
  - id: rule-{number}
    on: user.expired
    when: user.status == 'EXPIRED' && user.tag == 'TAG_{number}'
    do:
      - log: {{text: "{{{{ user.username }}}} of {number}"}}
      - after: 3d
        cancel_on: user.renewed
        log: {{text: later}}
"""


def body(number: int) -> bytes:
    """A delivery that was never sent before."""
    now = time.time_ns() // 1000
    data = {"username": f"user{number}", "status": "ACTIVE"}
    return json.dumps({"event": "user.modified", "timestamp": to_iso(now), "data": data}).encode()


def post(port: int, until: float, begin: int, waits: list[float]) -> None:
    """Post over one connection until the time is up; milliseconds that each delivery took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number = begin
    while time.perf_counter() < until:
        number += 1
        raw = body(number)
        began = time.perf_counter()
        headers = {"X-Remnawave-Signature": sign(raw, SECRET), "Content-Type": "application/json"}
        connection.request("POST", "/webhook", raw, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == http.client.ACCEPTED
        waits.append((time.perf_counter() - began) * 1000)
    connection.close()


def load(port: int, begin: int) -> list[float]:
    """The waits of all deliveries of all clients, sorted."""
    waits: list[float] = []
    until = time.perf_counter() + SECONDS
    clients = [
        threading.Thread(target=post, args=(port, until, begin + client * 10**6, waits))
        for client in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sorted(waits)


def reload_until(stop: threading.Event, environ: dict[str, str], rules: Path, text: str) -> int:
    """Change the file, have it read, and so on; how often."""
    count = 0
    command = [sys.executable, "-m", "engine.cli", "reload", "--json"]
    while not stop.is_set():
        count += 1
        beside = rules.with_suffix(".next")
        beside.write_text(text.replace("of 0", f"of 0 {count}"))
        beside.rename(rules)
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    return count


def one_size(size: int) -> dict[str, float]:
    """The waits of one daemon, quiet and while it reads."""
    text = "version: 1\nrules:" + "".join(RULE.format(number=number) for number in range(size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        daemon, environ, _ = rulewave(folder)
        environ = {**os.environ, **environ}
        rules, port = folder / "rules.yaml", int(environ["RULEWAVE_LISTEN"].rpartition(":")[2])
        rules.write_text(text)
        subprocess.run(
            [sys.executable, "-m", "engine.cli", "reload"],
            env=environ, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        quiet = load(port, 0)
        stop, counted = threading.Event(), [0]

        def work() -> None:
            counted[0] = reload_until(stop, environ, rules, text)

        reloading = threading.Thread(target=work)
        reloading.start()
        busy = load(port, 10**8)
        stop.set()
        reloading.join()
        daemon.terminate()
        daemon.wait()
    return {
        "rules": size,
        "reloads": counted[0],
        "quiet p50, ms": statistics.median(quiet),
        "busy p50, ms": statistics.median(busy),
        "quiet p99, ms": quiet[int(len(quiet) * 0.99)],
        "busy p99, ms": busy[int(len(busy) * 0.99)],
        "longest while busy, ms": busy[-1],
        "deliveries, busy / quiet": len(busy) / len(quiet),
    }


def main() -> None:
    """Print a row for each size, and the same as JSON."""
    rows = [one_size(size) for size in SIZES]
    for name in rows[0]:
        print(f"{name:<26}" + "".join(f"{row[name]:10.2f}" for row in rows))  # noqa: T201 - a table for people
    print(json.dumps(rows))  # noqa: T201 - and for machines


if __name__ == "__main__":
    main()
