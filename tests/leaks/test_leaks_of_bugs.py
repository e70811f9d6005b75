"""What goes wrong is told without the secrets and private values that were in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from cli.commands import PATIENCE, Place
from ruletools import rule, told
from running.bench import Bench, open_bench

from engine.action import OUTPUT_LIMIT
from engine.daemon.logging import configure_logging
from engine.daemon.registry import find_actions
from engine.errors import ActionFailed
from engine.rules.loading import load
from engine.rules.secrets import Secrets

pytestmark = pytest.mark.anyio

TOKEN = "tokenOfThePhone0123456789"
LINK = "https://sub.example.org/privateLink0123456789"
RULES = """version: 1
connections: {desk: {kind: phone, token: "secret('phone')"}}
rules:
  - id: r
    on: user.*
    do: [{id: said, tell: {text: hello, connection: desk}}]
"""
ENVIRON = {"RULEWAVE_SECRET_PHONE": TOKEN}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    structlog.reset_defaults()
    root.handlers[:] = before[1]
    root.setLevel(before[0])


@asynccontextmanager
async def bench(folder: Path, log: io.StringIO | None = None) -> AsyncIterator[Bench]:
    async with open_bench(folder, RULES, environ=ENVIRON) as made:
        configure_logging("json", "info", made.runner.secrets.mask, log or io.StringIO())
        yield made


async def _ended_with(bench: Bench, ending: Any, **fields: Any) -> dict[str, Any]:
    """How people are shown a run that ended so."""
    bench.tell.script = [ending]
    await bench.event("user.created", subscriptionUrl=LINK, **fields)
    await bench.settle()
    shown: dict[str, Any] = await bench.desk.ask("runs", "show", {"id": (await bench.run()).id})
    return shown


async def test_the_traceback_of_a_bug_holds_no_secret_and_no_private_value(tmp_path: Path) -> None:
    log = io.StringIO()
    async with bench(tmp_path, log) as life:
        await _ended_with(life, ValueError(f"{TOKEN} for {LINK}"))
    assert "ValueError: ••• for •••" in log.getvalue()
    assert TOKEN not in log.getvalue()
    assert LINK not in log.getvalue()


@pytest.mark.parametrize("value", [TOKEN, LINK])
async def test_a_message_cut_in_the_middle_of_a_value_keeps_no_beginning_of_it(
    tmp_path: Path, value: str
) -> None:
    async with bench(tmp_path) as life:
        shown = await _ended_with(life, ActionFailed(f"535 {value} no {value[:20]}…"))
    assert shown["message"] == "535 ••• no •••…"


async def test_an_answer_cut_in_the_middle_of_a_secret_keeps_no_beginning_of_it(
    tmp_path: Path,
) -> None:
    text = "x" * (OUTPUT_LIMIT - 20) + TOKEN[:20]
    async with bench(tmp_path) as life:
        shown = await _ended_with(life, {"text": text, "truncated": True})
    assert shown["results"]["said"]["text"].endswith("xxx•••")


async def test_what_was_private_before_the_event_is_masked_in_a_result_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as life:
        await _ended_with(life, {})
        life.tell.script = [{"old": f"it was {LINK}"}]
        await life.event("user.modified", raised="1m", subscriptionUrl="https://sub.example.org/x")
        await life.until("2m")
        (newest, _) = await life.desk.ask("runs", "list", {})
        shown = await life.desk.ask("runs", "show", {"id": newest["id"]})
    assert shown["results"]["said"] == {"old": "it was •••"}


async def test_a_private_value_is_masked_in_other_fields_of_the_event(tmp_path: Path) -> None:
    async with bench(tmp_path) as life:
        event = await life.event("user.created", subscriptionUrl=LINK, description=f"see {LINK}")
        await life.settle()
        shown = await life.desk.ask("events", "show", {"id": event})
    assert shown["body"]["data"]["description"] == "see •••"


async def test_a_result_nested_beyond_reason_is_masked_all_the_way_down(tmp_path: Path) -> None:
    deep: Any = TOKEN
    for _ in range(700):
        deep = [deep]
    async with bench(tmp_path) as life:
        shown = await _ended_with(life, {"json": deep})
    assert shown["state"] == "succeeded"
    assert TOKEN not in json.dumps(shown)


async def test_a_secret_that_changed_is_masked_as_it_was_and_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "token"
    secrets = Secrets(None, tmp_path, {})
    for value in ("first-value", "second-value"):
        file.write_text(value)
        secrets.get("token")
    assert secrets.mask("first-value second-value") == "••• •••"


def test_a_bug_of_the_daemon_is_told_without_the_secrets_in_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    program = "import engine.daemon.service as s\nfrom engine.cli import main\nasync def run(settings, **_): raise ValueError(settings.webhook_secret)\ns.run_service = run\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve"],
        env=place.environ, cwd=tmp_path, capture_output=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 3
    assert b"Traceback" in done.stderr
    assert place.environ["RULEWAVE_WEBHOOK_SECRET"].encode() not in done.stdout + done.stderr


def test_a_secret_on_the_command_line_is_warned_of(tmp_path: Path) -> None:
    place = Place(tmp_path, {"RULEWAVE_DATABASE": "sqlite:////nowhere/x.db"})
    done = place.call("serve", "--webhook-secret", "onTheCommandLine", "--log-format", "json")
    assert "daemon.secret_in_process_list" in done.err
    assert "onTheCommandLine" not in done.err


def _problems(folder: Path, text: str, **secrets: str) -> list[str]:
    file = folder / "rules.yaml"
    file.write_text(text)
    environ = {f"RULEWAVE_SECRET_{name.upper()}": value for name, value in secrets.items()}
    found = load(file, actions=find_actions(), secrets=Secrets(None, None, environ))
    return told(found.problems)


def test_a_problem_with_a_secret_does_not_quote_it(tmp_path: Path) -> None:
    step = "do: [{http: {get: \"https://a.example.org:{{ secret('port') }}/\"}}]"
    (problem,) = _problems(tmp_path, rule(step), port="notAPort")
    assert "R025" in problem
    assert "notAPort" not in problem


def test_a_credential_that_is_a_number_is_not_quoted(tmp_path: Path) -> None:
    mail = "{kind: smtp, host: a.example.org, from: a@example.org, password: 87654321}"
    (problem,) = _problems(tmp_path, f"version: 1\nconnections: {{m: {mail}}}\nrules: []\n")
    assert "should be a text" in problem
    assert "87654321" not in problem


def test_a_credential_written_into_a_header_is_doubted(tmp_path: Path) -> None:
    step = "do: [{http: {get: https://a.example.org/, headers: {Authorization: Bearer abcdef}}}]"
    (problem,) = _problems(tmp_path, rule(step))
    assert "R031 a credential is written out here" in problem


def test_a_secret_too_short_to_be_masked_is_doubted(tmp_path: Path) -> None:
    step = "do: [{http: {get: https://a.example.org/, auth: {bearer: secret('pin')}}}]"
    (problem,) = _problems(tmp_path, rule(step), pin="123")
    assert 'R050 the secret "pin" has fewer than 4 characters' in problem
