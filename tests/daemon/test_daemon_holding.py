"""A living daemon holds back: counted in its figures, queued behind others, gathered, let go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio.to_thread
from daemon.in_process import Ahead, Running, Site, body, tell

from engine.clock import MINUTE

RULES = """
version: 1
rules:
  - {id: once, on: user.created, throttle: 1 per 24h, do: [{log: {text: "{{ user.key }}"}}]}
  - id: all
    on: user.created
    per: none
    digest: {wait: 10m}
    do: [{log: {text: "{{ digest.count }}"}}]
  - {id: shade, on: user.created, mode: shadow, do: [{log: {text: x}}]}
"""
QUEUED = """
version: 1
rules:
  - id: r
    on: user.created
    per: none
    concurrency: queue
    do: [{shell: {run: [sh, -c, "read x < PIPE"]}}]
"""


async def states(running: Running, rule: str) -> list[Any]:
    lines = await running.engine.desk.ask("runs", "list", {"rule": rule})
    return [(line["state"], line["reason"]) for line in lines]


def test_what_is_held_back_is_counted_and_a_digest_goes_out_when_it_is_due(tmp_path: Path) -> None:
    clock = Ahead()
    site = Site(tmp_path, RULES, clock=clock)

    async def story(running: Running) -> None:
        for name in ("anna", "ben"):
            assert await running.post(body(name)) == 202
        assert await running.post(body("anna", "user.created").replace(b"}", b' ,"x":1}', 1)) == 202
        figures = 'rulewave_outcomes_total{held_by="throttle",verdict="held back"} 1.0'
        await running.until("/metrics", figures)
        await running.until(
            "/metrics", 'rulewave_outcomes_total{held_by="digest",verdict="held back"} 3.0'
        )
        await running.until(
            "/metrics", 'rulewave_outcomes_total{held_by="shadow",verdict="held back"} 3.0'
        )
        await running.until("/metrics", 'rulewave_outcomes_total{held_by="",verdict="matched"} 2.0')
        assert await states(running, "all") == [("pending", "digest")]
        await clock.pass_by(running, 11 * MINUTE)
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 3.0')
        assert await states(running, "all") == [("succeeded", None)]
        assert await states(running, "shade") == []

    tell(site, story)


def test_a_queued_run_begins_as_soon_as_the_one_before_it_has_ended(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def story(running: Running) -> None:
        for name in ("anna", "ben"):
            assert await running.post(body(name)) == 202
        await running.until(
            "/metrics", 'rulewave_outcomes_total{held_by="concurrency",verdict="held back"} 1.0'
        )
        await running.until("/metrics", 'rulewave_runs{state="running"} 1.0')
        assert await states(running, "r") == [("pending", "concurrency"), ("running", None)]
        for number in (1, 2):
            await anyio.to_thread.run_sync(pipe.write_text, "go on\n")
            await running.until("/metrics", f'rulewave_runs{{state="succeeded"}} {number}.0')

    tell(Site(tmp_path, QUEUED.replace("PIPE", str(pipe))), story)
