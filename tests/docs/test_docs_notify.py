"""docs/how-to/notify.md: its rules, against a service that listens on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from docs.fenced import ROOT
from docs.targets import AGAIN, DONE, outcome, rules_of
from http_servers import http_server, reply
from running.bench import open_bench

from actions import notify
from engine.rules.codes import NOT_INSTALLED

pytestmark = pytest.mark.anyio
_PAGE = ROOT / "docs" / "how-to" / "notify.md"


async def test_all_services_of_a_secret_are_told_and_told_again(tmp_path: Path) -> None:
    answers = [reply(200), reply(500)]

    async def answer(request: object, writer: object) -> None:
        await (answers.pop(0) if answers else reply(200))(request, writer)  # type: ignore[arg-type]

    async with http_server(answer) as server:
        place = f"json://127.0.0.1:{server.port}"
        environ = {"RULEWAVE_SECRET_TEAM_URLS": f"{place}/one-secret\n{place}/two-secret"}
        async with open_bench(tmp_path, rules_of(_PAGE, {}), environ=environ, real=True) as bench:
            await bench.event("node.connection_lost", name="fra-1")
            told, run = await outcome(bench, "node-lost")
            assert told == AGAIN
            assert "secret" not in (run.message or "")
            await bench.until("5m")
            assert (await outcome(bench, "node-lost"))[0] == DONE
    assert [request.target for request in server.requests] == ["/one-secret", "/two-secret"] * 2
    told_last = json.loads(server.requests[-1].body)
    assert told_last["title"] == "Node fra-1"
    assert told_last["message"] == "fra-1 is not connected any more."


async def test_without_the_extra_the_check_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "find_spec", lambda _: None)
    environ = {"RULEWAVE_SECRET_TEAM_URLS": "json://127.0.0.1/secret"}
    rules = rules_of(_PAGE, {})
    async with open_bench(tmp_path, rules, environ=environ, real=True, broken=True) as bench:
        (problem,) = [one for one in bench.reloader.standing.problems if one.severity == "error"]
    assert problem.code == NOT_INSTALLED
    assert problem.hint in _PAGE.read_text("utf-8")


async def test_a_url_that_is_written_out_is_looked_at_where_it_stands(tmp_path: Path) -> None:
    rules = rules_of(_PAGE, {"secret('team_urls')": '["json://127.0.0.1/x", "nosuch://key-of-it"]'})
    async with open_bench(tmp_path, rules, real=True, broken=True) as bench:
        errors = [one for one in bench.reloader.standing.problems if one.severity == "error"]
    assert [one.line for one in errors if one.code == "R027"] == [5]
    assert all("key-of-it" not in str(one) for one in errors)
