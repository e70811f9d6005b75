"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing is planned twice."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

from journeys.harness.checker import check
from journeys.harness.daemon import Daemon
from journeys.harness.site import open_site

KILLS = int(os.environ.get("JOURNEY_KILLS", "12"))
SEED = int(os.environ.get("JOURNEY_SEED", "20260105"))
CLIENTS = 4


def _kill_again_and_again(daemon: Daemon, chance: random.Random) -> None:
    """Each life lasts a moment; one in four may end before the daemon is even ready."""
    never = threading.Event()
    for life in range(KILLS):
        begin = daemon.start if life % 4 == 3 else daemon.start_ready
        begin()
        never.wait(chance.uniform(0.2, 2.4))
        daemon.kill()


def test_nothing_is_lost_or_planned_twice_however_often_the_daemon_is_killed(
    tmp_path: Path,
) -> None:
    with open_site(tmp_path) as site:
        site.begin_load(CLIENTS, SEED)
        _kill_again_and_again(site.daemon, random.Random(SEED))
        site.daemon.start_ready()
        site.end_load()
        site.rest()
        assert site.daemon.stop() == 0

        evidence = site.evidence()
        assert check(evidence) == []
        assert len(evidence.posted) > 5 * KILLS
        assert all(posted.acked for posted in evidence.posted)
        complaints = [it for it in site.daemon.facts() if it["level"] in {"error", "critical"}]
        assert complaints == []
