"""A daemon with the torture's rules, its sinks, its panel and its clients."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from journeys.harness.checker import Evidence
from journeys.harness.daemon import COMMAND, Daemon, installed
from journeys.harness.http_sink import HttpSink, http_sink
from journeys.harness.ledger import read_ledger, work_left
from journeys.harness.panel import Panel
from journeys.harness.smtp_sink import SmtpSink, smtp_sink
from journeys.harness.torture import (
    CANCELLING,
    PROMISES,
    Load,
    moody_http,
    moody_smtp,
    write_rules,
)
from journeys.harness.waiting import until

_REST_SECONDS = 60.0


@dataclass
class Site:
    """What a journey needs, all of it real."""

    daemon: Daemon
    http: HttpSink
    smtp: SmtpSink
    panel: Panel
    stop: threading.Event = field(default_factory=threading.Event)
    _clients: list[threading.Thread] = field(default_factory=list)

    def begin_load(self, clients: int, seed: int) -> None:
        """Have clients post until `end_load`."""
        loads = [
            Load(self.panel, f"c{number}", random.Random(seed + number), self.stop)
            for number in range(clients)
        ]
        self._clients = [threading.Thread(target=load.run) for load in loads]
        for client in self._clients:
            client.start()

    def end_load(self) -> None:
        """Let the clients finish what they have to say."""
        self.stop.set()
        for client in self._clients:
            client.join(_REST_SECONDS)
            assert not client.is_alive(), "a delivery is not answered"

    def rest(self) -> None:
        """Wait until every event is decided and every run has ended."""
        until(lambda: work_left(self.daemon.database) == 0, "the journal at rest", _REST_SECONDS)

    def close(self) -> None:
        """End the clients, whatever happened."""
        self.stop.set()
        self.panel.give_up.set()
        for client in self._clients:
            client.join(_REST_SECONDS)

    def evidence(self) -> Evidence:
        """All that was seen; the daemon is not running."""
        ran = self.daemon.folder / "ran"
        starts = (
            [line.partition(" ") for line in ran.read_text().splitlines()] if ran.exists() else []
        )
        return Evidence(
            promises=PROMISES,
            cancelling=CANCELLING,
            posted=tuple(self.panel.posted.values()),
            ledger=read_ledger(self.daemon.database),
            calls=tuple(self.http.calls),
            mails=tuple(self.smtp.taken),
            programs=tuple((key, mark) for key, _, mark in starts),
        )


@contextmanager
def open_site(folder: Path, command: Sequence[str] = COMMAND) -> Iterator[Site]:
    """A site whose daemon is not started yet."""
    with ExitStack() as stack:
        http = stack.enter_context(http_sink(moody_http))
        smtp = stack.enter_context(smtp_sink(moody_smtp))
        rules = write_rules(folder, http.url, smtp.port)
        daemon = stack.enter_context(installed(folder, rules, command))
        site = Site(daemon, http, smtp, Panel(daemon.port))
        stack.callback(site.close)
        yield site
