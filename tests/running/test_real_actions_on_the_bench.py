"""The product's own actions walk the same road: one HTTP call, one program, one result used later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from http_servers import http_server, reply
from running.bench import open_bench

from engine.model import State

pytestmark = pytest.mark.anyio


async def test_an_answer_is_used_by_a_program_and_tries_keep_their_key(tmp_path: Path) -> None:
    answers = [reply(503), reply(200, b'{"items": ["a", "b"], "token": "t0ken"}')]

    async def answer(request: object, writer: object) -> None:
        await answers.pop(0)(request, writer)  # type: ignore[arg-type]

    async with http_server(answer) as server:
        rules = f"""
  - id: r
    on: user.expired
    do:
      - id: asked
        http: {{post: "{server.url}/x", json: "{{name: user.key, at: timestamp}}"}}
      - id: ran
        shell: {{run: [/bin/echo, "{{{{ steps.asked.json.items | join('+') }}}}"]}}
      - tell: {{text: "{{{{ steps.ran.stdout | trim }}}}"}}
"""
        async with open_bench(tmp_path, rules, real=True) as bench:
            await bench.event("user.expired", username="anna")
            await bench.until("1h")
            run = await bench.run()
            assert run.state is State.SUCCEEDED, run.message
            assert bench.texts == ["a+b"]
            assert "token" not in run.results["asked"]["json"]
        first, second = server.requests
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert json.loads(second.body)["name"] == "anna"


async def test_a_status_that_no_other_try_would_mend_is_a_dead_letter(tmp_path: Path) -> None:
    async with http_server(reply(404)) as server:
        rules = f'  - {{id: r, on: user.expired, do: [{{http: {{get: "{server.url}/x"}}}}]}}'
        async with open_bench(tmp_path, rules, real=True) as bench:
            await bench.event("user.expired")
            await bench.until("1d")
            run = await bench.run()
            assert (run.state, run.reason) == (State.DEAD, "http_status")
            assert "404" in str(run.message)
        assert len(server.requests) == 1
