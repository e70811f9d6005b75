"""What fails on a live daemon: a far side that is away for a while, and dead letters gone through."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from cli.commands import Daemon, Place, serving
from http_servers import Reply, Request, free_port, http_server, reply
from smtp_servers import Mailbox

from engine.running.targets import FAILURES

pytestmark = pytest.mark.anyio


async def _wait(daemon: Daemon, event: str, **wanted: Any) -> dict[str, Any]:
    return await asyncio.to_thread(daemon.wait_for, event, **wanted)


async def _call(daemon: Daemon, *args: str) -> str:
    done = await asyncio.to_thread(daemon.call, *args)
    assert done.code == 0, done
    return done.out


async def _send(daemon: Daemon, *keys: str) -> None:
    await asyncio.gather(
        *(asyncio.to_thread(daemon.send, "user.created", f"username={key}") for key in keys)
    )


def _metrics(daemon: Daemon) -> list[str]:
    (ready,) = [fact for fact in daemon.log if fact["event"] == "daemon.ready"]
    with urllib.request.urlopen(f"http://{ready['console']}/metrics") as answer:
        return answer.read().decode().splitlines()


async def test_a_server_that_answers_503_for_a_while_costs_those_who_wait_no_tries(
    tmp_path: Path,
) -> None:
    state: list[Reply] = [reply(503)]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await state[0](request, writer)

    async with http_server(answer) as server:
        rules = f"""version: 1
connections:
  crm: {{kind: http, url: "{server.url}"}}
rules:
  - id: r
    on: user.created
    do: [{{http: {{post: /x, connection: crm, json: user.key}}, retry: {{tries: 2, backoff: 1s}}}}]
"""
        with serving(tmp_path, rules) as daemon:
            await _send(daemon, *(f"user{at}" for at in range(FAILURES)))
            await _wait(daemon, "target.paused", target="crm")
            asked = len(server.requests)
            await _send(daemon, "late")
            await _wait(daemon, "run.moved", reason="target_paused")
            listed = await _call(daemon, "runs", "list", "--key", "late")
            assert "waits for crm, which failed" in listed
            assert 'rulewave_target_paused{target="crm"} 1.0' in await asyncio.to_thread(
                _metrics, daemon
            )
            state[0] = reply(200)
            await _wait(daemon, "target.opened", target="crm")
            for _ in range(FAILURES):  # the probe has succeeded already
                await _wait(daemon, "run.step", state="succeeded")
            assert "no dead letters" in await _call(daemon, "dead", "list")
            assert len(server.requests) <= asked + FAILURES + 1
            assert "target_paused{" not in "".join(await asyncio.to_thread(_metrics, daemon))


async def test_mails_of_a_server_that_was_away_are_sent_when_they_are_replayed(
    tmp_path: Path,
) -> None:
    port = free_port()
    rules = f"""version: 1
connections:
  mail: {{kind: smtp, host: 127.0.0.1, port: {port}, tls: none, from: bot@example.org}}
rules:
  - id: welcome
    on: user.created
    do:
      - email: {{to: anna@example.org, subject: Welcome, text: "Hello {{{{ user.key }}}}"}}
        retry: {{tries: 1}}
    on_failure:
      - log: {{level: error, text: "{{{{ rule.id }}}} failed: {{{{ error.reason }}}}"}}
"""
    with serving(tmp_path, rules) as daemon:
        await _send(daemon, "anna", "bert")
        for _ in range(2):
            told = await _wait(daemon, "action.log")
            assert told["text"] == "welcome failed: connection"
        listed = await _call(daemon, "dead", "list", "--rule", "welcome")
        assert len(listed.splitlines()) == 3
        mailbox = Mailbox()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(mailbox), "127.0.0.1", port)
        replayed = await _call(daemon, "dead", "replay", "--reason", "connection")
        assert replayed.endswith("2 replayed\n")
        for _ in range(2):
            await _wait(daemon, "run.step", state="succeeded", step="do.0")
        server.close()
        assert {mail.get_content().strip() for mail in mailbox.messages} == {
            "Hello anna", "Hello bert",
        }  # fmt: skip
        assert "no dead letters" in await _call(daemon, "dead", "list")


def test_dead_letters_are_gone_through_without_a_daemon(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        daemon.send("user.limited", "username=anna")
        daemon.wait_for("run.step", state="dead")
        daemon.send("user.limited", "username=bert")
        daemon.wait_for("run.step", state="dead")
    place = Place(tmp_path)
    bert, anna = place.call("dead", "list", "--json").json
    assert (anna["key"], anna["reason"], anna["state"]) == ("anna", "template", "dead")
    shown = place.call("dead", "show", anna["id"])
    assert "\ntries\n" in shown.out
    assert place.call("dead", "show", anna["id"], "--json").json["dropped"] is None
    dropped = place.call("dead", "drop", anna["id"])
    assert (dropped.code, dropped.out) == (0, f"dropped {anna['id']}\n1 dropped\n")
    assert [line["id"] for line in place.call("dead", "list", "--json").json] == [bert["id"]]
    again = place.call("dead", "replay", bert["id"], "--new-key", "--json")
    assert again.json == [bert["id"]]
    assert place.call("runs", "show", bert["id"], "--json").json["state"] == "pending"
    nothing = place.call("dead", "replay")
    assert (nothing.code, nothing.err) == (
        1,
        "say which: either ids, or --rule, --key, --reason, --since\n",
    )
    assert place.call("dead", "show", "run_nobody").code == 1
