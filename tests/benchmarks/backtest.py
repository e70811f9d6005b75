"""How long a backtest of the example rules takes over stored events: run it by hand.

`.venv/bin/python tests/benchmarks/backtest.py [NUMBER]`
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.clock import DAY, SystemClock
from engine.daemon.assembly import open_journal
from engine.daemon.registry import find_actions
from engine.daemon.supply import recompiler
from engine.deciding.planning import identifier
from engine.journal import events
from engine.journal.operations import Op
from engine.journal.reading import open_reader
from engine.model import Event
from engine.rehearsal.backtesting import Backtest
from engine.rehearsal.silence import install
from engine.rules.loading import load
from engine.rules.secrets import Secrets
from engine.sources.body import parse
from engine.sources.samples import sample
from engine.sources.subject import subject

EXAMPLE = Path(__file__).parents[2] / "rules.example.yaml"
TYPES = (
    "user.created", "user.modified", "user.modified", "user.expires_in_24_hours", "user.expired",
    "node.connection_lost", "node.connection_restored", "user.first_connected",
)  # fmt: skip
_BITE = 500


def made(number: int, now: int) -> Iterator[Event]:
    """Events of two thousand users and fifty nodes, spread over the last six days."""
    step = 6 * DAY // number
    for one in range(number):
        type, moment = TYPES[one % len(TYPES)], now - 6 * DAY + one * step
        who = f"{one % (50 if type.startswith('node') else 2000):08d}"
        key = f"{who}-0000-4000-8000-000000000000" if type.startswith("node") else f"user_{who}"
        wanted = {"uuid": key} if type.startswith("node") else {"username": key}
        body = parse(sample(type, panel="3.3", now=moment, overrides=wanted).body)
        yield Event(
            identifier("ev", "benchmark", one), 0, "remnawave", str(body["event"]), subject(body),
            moment, moment, body,
        )  # fmt: skip


def store(some: Sequence[Event]) -> Op[None]:
    """Store them."""
    for event in some:
        yield from events.store(event, hashlib.sha256(event.id.encode()).digest())


async def fill(path: Path, number: int, now: int) -> None:
    """A journal with so many events."""
    async with open_journal(f"sqlite:///{path}") as journal:
        some: list[Event] = []
        for event in made(number, now):
            some.append(event)
            if len(some) == _BITE:
                await journal.write(store(some))
                some = []
        await journal.write(store(some))


def main(number: int) -> None:
    """Fill a journal, play it, and tell how long that took."""
    install()
    now, actions, secrets = SystemClock().now(), find_actions(), Secrets(None, None, {})
    loaded = load(EXAMPLE, actions=actions, secrets=secrets)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rw.db"
        asyncio.run(fill(path, number, now))
        began = time.perf_counter()
        with open_reader(path) as reader:
            tried = Backtest(reader, loaded.ruleset, actions, recompiler(actions, secrets))
            found = tried.run(now - 7 * DAY, now)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{found.events} events, {len(found.new)} steps: {seconds:.0f} s, {peak:.0f} MiB at most\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
