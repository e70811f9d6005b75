"""Backups while events keep coming: nobody is refused, and each copy holds what came before it."""

from __future__ import annotations

import http.client
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from journeys.harness.panel import Panel
from journeys.harness.site import Site, open_site
from journeys.harness.waiting import until

from engine.journal.backup import back_up

_COPIES = 5
_EACH = 40
_ANSWER = re.compile(r'^rulewave_intake_total\{outcome="(\w+)"\} (\d+)', re.MULTILINE)


def _acknowledged(panel: Panel) -> set[str]:
    return {id for posted in panel.posted.copy().values() for _, id in posted.answers}


def _copied(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as copy:
        assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
        return {id for (id,) in copy.execute("select id from events")}


def _answers(site: Site) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", site.daemon.console_port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {code: int(count) for code, count in _ANSWER.findall(text)}


def test_backups_under_load_are_whole_and_nobody_is_refused_meanwhile(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        site.daemon.start_ready()
        site.begin_load(4, 20260105)
        for number in range(_COPIES):
            wanted = (number + 1) * _EACH
            until(lambda wanted=wanted: len(_acknowledged(site.panel)) >= wanted, "some events")  # type: ignore[misc]
            before = _acknowledged(site.panel)
            holds = back_up(site.daemon.database, tmp_path / f"copy{number}")
            copied = _copied(tmp_path / f"copy{number}")
            assert before <= copied
            assert holds.events == len(copied)
        site.end_load()
        site.rest()
        answers = _answers(site)
        assert site.daemon.stop() == 0
    assert answers.keys() <= {"accepted", "duplicate"}
    assert answers["accepted"] >= _COPIES * _EACH
    assert [fact for fact in site.daemon.facts() if fact["level"] in {"error", "critical"}] == []
