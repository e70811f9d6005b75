"""What a daemon does by the rules it finds, and without any."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemon.in_process import RULES, Running, Site, body, tell


def test_a_daemon_without_rules_takes_events_and_says_that_it_is_not_ready(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        assert await running.post(body("anna")) == 202
        status, text = await running.get("/readyz")
        assert status == 503
        assert "there are no rules to decide by; events are kept undecided" in text
        assert "rulewave_backlog 1.0" in (await running.get("/metrics"))[1]

    tell(Site(tmp_path, rules=None), story)


@pytest.mark.parametrize("rules", ["rules: [", "", "version: 1\n", "version: 1\nrules: 5\n"])
def test_a_file_that_is_no_rules_file_leaves_events_undecided(tmp_path: Path, rules: str) -> None:
    async def story(running: Running) -> None:
        assert await running.post(body("anna")) == 202
        assert (await running.get("/readyz"))[0] == 503
        assert running.engine.reloader.standing.problems

    tell(Site(tmp_path, rules=rules), story)


def test_what_was_kept_undecided_is_decided_when_the_rules_are_there(tmp_path: Path) -> None:
    async def before(running: Running) -> None:
        assert await running.post(body("anna")) == 202

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')

    tell(Site(tmp_path, rules=None), before)
    tell(Site(tmp_path), after)


def test_a_broken_rule_is_left_out_and_the_others_work(tmp_path: Path) -> None:
    broken = RULES + "  - id: broken\n    on: user.created\n    do:\n      - nothing: {}\n"

    async def story(running: Running) -> None:
        assert (await running.get("/readyz"))[0] == 200
        assert [rule.id for rule in running.engine.desk.library.book.ruleset.rules] == ["greet"]
        assert [problem.rule for problem in running.engine.reloader.standing.problems] == ["broken"]
        await running.post(body("anna"))
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')

    tell(Site(tmp_path, rules=broken), story)


WITH_CONNECTION = """
version: 1
connections:
  far: {kind: http, url: "http://127.0.0.1:1", rate: 20/s}
rules:
  - id: call
    on: user.created
    do:
      - after: 1s
        do:
          - http: {post: /x, connection: far}
            retry: {tries: 1}
"""


def test_a_follow_up_goes_on_with_its_rule_and_connection_when_both_are_written_otherwise(
    tmp_path: Path,
) -> None:
    async def before(running: Running) -> None:
        for name in ("anna", "ben"):
            await running.post(body(name))
        await running.until("/metrics", 'rulewave_runs{state="pending"} 2.0')

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="dead"} 2.0')
        for run in await running.engine.desk.ask("runs", "list", {"state": "dead"}):
            assert (run["target"], run["reason"]) == ("far", "connection")

    tell(Site(tmp_path, rules=WITH_CONNECTION), before)
    other = "version: 1\nrules:\n  - {id: call, on: user.created, do: [{log: {text: hi}}]}\n"
    tell(Site(tmp_path, rules=other), after)


def test_a_follow_up_whose_rule_is_gone_waits_on_hold(tmp_path: Path) -> None:
    async def before(running: Running) -> None:
        await running.post(body("anna"))
        await running.until("/metrics", 'rulewave_runs{state="pending"} 1.0')

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="on hold"} 1.0')

    tell(Site(tmp_path, rules=WITH_CONNECTION), before)
    tell(Site(tmp_path, rules="version: 1\nrules: []\n"), after)


def test_an_empty_list_of_rules_decides_that_nothing_is_to_be_done(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await running.post(body("anna"))
        await running.until("/metrics", "rulewave_backlog 0.0")
        assert (await running.get("/readyz"))[0] == 200

    tell(Site(tmp_path, rules="version: 1\nrules: []\n"), story)
