"""Steps of a run: conditions, results, recipients, failures that stop or do not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from running.bench import ended, open_bench

from engine.errors import ActionFailed
from engine.model import State

pytestmark = pytest.mark.anyio


async def test_the_steps_run_from_top_to_bottom(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: one}}, {tell: {text: two}}]}"
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["one", "two"]
        assert ended(await bench.run()) == (State.SUCCEEDED, None)


async def test_a_step_whose_condition_does_not_match_is_skipped_and_recorded(
    tmp_path: Path,
) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - tell: {text: never}
        when: user.tag == 'NOPE'
      - tell: {text: always}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert bench.texts == ["always"]
        assert await bench.attempts(run) == [(0, "skipped", "skipped"), (1, "succeeded", None)]
        assert run.state is State.SUCCEEDED


async def test_a_step_that_is_skipped_after_a_failed_try_leaves_no_reason_behind(
    tmp_path: Path,
) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - when: latest.event == 'user.expired'
        retry: {tries: 2, backoff: 1m}
        tell: {text: hi}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True)]
        await bench.event("user.expired", username="anna")
        await bench.settle()
        bench.clock.move(1)
        await bench.event("user.modified", raised="1s", username="anna")
        await bench.until("1h")
        run = await bench.run()
        assert (ended(run), run.message) == ((State.SUCCEEDED, None), None)
        assert bench.texts == ["hi"]


async def test_a_step_whose_condition_cannot_be_evaluated_is_a_dead_letter(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{tell: {text: never}, when: "contains(user.tag, 'V')"}, {tell: {text: nor this}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "could_not_evaluate")
        assert "contains(user.tag, 'V') could not be evaluated" in str(run.message)
        assert bench.texts == []


@pytest.mark.parametrize("email", [None, "", " "])
async def test_a_step_without_recipient_is_skipped_as_such(
    tmp_path: Path, email: str | None
) -> None:
    rules = """
  - id: r
    on: user.expired
    do: [{tell: {to: "{{ user.email }}", text: letter}}, {tell: {text: next}}]
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", email=email)
        await bench.settle()
        assert bench.texts == ["next"]
        run = await bench.run()
        assert (await bench.attempts(run))[0] == (0, "skipped", "no_recipient")
        assert run.state is State.SUCCEEDED


async def test_later_steps_see_the_results_of_earlier_ones(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {id: asked, tell: {text: ask}}
      - {tell: {text: "{{ steps.asked.json.items | length }} of {{ steps.asked.json.keys }}"},
         when: "length(steps.asked.json.items) > `1`"}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"json": {"items": ["a", "b"], "keys": "two"}}]
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["ask", "2 of two"]


async def test_the_result_of_a_step_without_id_is_not_kept(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: one}}, {tell: {text: two}}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [{"json": 1}]
        await bench.event("user.expired")
        await bench.settle()
        assert (await bench.run()).results == {}


async def test_a_failure_stops_the_run_with_reason_and_message(tmp_path: Path) -> None:
    rules = "  - {id: r, on: user.expired, do: [{tell: {text: one}}, {tell: {text: two}}]}"
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("nobody there", reason="refused")]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "refused")
        assert run.message == "nobody there"
        assert run.ended == bench.clock.now()
        assert bench.texts == ["one"]
        assert await bench.attempts(run) == [(1, "failed", "refused")]


async def test_on_error_continue_goes_on_and_tells_later_steps_what_failed(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {id: first, tell: {text: one}, on_error: continue}
      - {tell: {text: "{{ steps.first.error.reason }}: {{ steps.first.error.message }}"}}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("nobody there", reason="refused")]
        await bench.event("user.expired")
        await bench.settle()
        assert bench.texts == ["one", "refused: nobody there"]
        run = await bench.run()
        assert run.state is State.SUCCEEDED
        assert (await bench.attempts(run))[0] == (1, "failed", "refused")


async def test_on_error_continue_waits_for_the_last_try(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {tell: {text: one}, on_error: continue, retry: {tries: 2, backoff: 1m}}
      - {tell: {text: two}}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("busy", retry=True), ActionFailed("busy", retry=True)]
        await bench.event("user.expired")
        await bench.until("10m")
        assert bench.texts == ["one", "one", "two"]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ('tell: {text: "{{ user.tag }}"}', "template"),
        ('tell: {text: "{{ data.nothing.there }}"}', "template"),
        ("tell: {text: x}\n        when: contains(user.tag, 'V')", "could_not_evaluate"),
    ],
)
async def test_on_error_continue_also_covers_what_fails_before_the_first_try(
    tmp_path: Path, step: str, reason: str
) -> None:
    rules = f"""
  - id: r
    on: user.expired
    do:
      - {step}
        id: first
        on_error: continue
      - tell: {{text: "{{{{ steps.first.error.reason }}}}"}}
"""
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        assert bench.texts == [reason]
        run = await bench.run()
        assert run.state is State.SUCCEEDED
        assert (await bench.attempts(run))[0] == (0, "failed", reason)


async def test_a_text_that_cannot_be_rendered_is_a_dead_letter_that_says_where(
    tmp_path: Path,
) -> None:
    rules = '  - {id: r, on: user.expired, do: [{tell: {text: "tag {{ user.tag }}"}}]}'
    async with open_bench(tmp_path, rules) as bench:
        await bench.event("user.expired", tag=None)
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.DEAD, "template")
        assert str(run.message).startswith("tell: text: ")
        assert bench.texts == []


async def test_a_result_loses_fields_that_are_named_like_secrets(tmp_path: Path) -> None:
    rules = '  - {id: r, on: user.expired, do: [{id: a, tell: {text: one}}, {tell: {text: "x"}}]}'
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [
            {"json": {"access_token": "t0ken", "deep": [{"password": "p4ss"}], "n": 1}}
        ]
        await bench.event("user.expired")
        await bench.settle()
        assert (await bench.run()).results == {"a": {"json": {"deep": [{}], "n": 1}}}


async def test_secrets_are_masked_in_results_and_messages(tmp_path: Path) -> None:
    rules = """version: 1
connections: {ops: {kind: phone, token: "secret('phone')"}}
rules:
  - id: r
    on: user.expired
    do:
      - {id: a, tell: {text: one, connection: ops}}
      - {tell: {text: two, connection: ops}}
"""
    environ = {"RULEWAVE_SECRET_PHONE": "phone-s3cret"}
    async with open_bench(tmp_path, rules, environ=environ) as bench:
        bench.tell.script = [
            {"text": "you said phone-s3cret"},
            ActionFailed("phone-s3cret was refused"),
        ]
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert run.results == {"a": {"text": "you said •••"}}
        assert run.message == "••• was refused"
        assert bench.tell.told[0].call.connection.token == "phone-s3cret"  # type: ignore[union-attr]
    with closing(sqlite3.connect(tmp_path / "bench.db")) as database:
        dump = "\n".join(database.iterdump())
    assert "phone-s3cret" not in dump


async def test_no_reason_on_record_tells_a_private_value(tmp_path: Path) -> None:
    rules = """
  - id: r
    on: user.expired
    do:
      - {tell: {text: one}, when: user.subscriptionUrl == 'x'}
      - {tell: {text: two}, on_error: continue}
      - {tell: {text: "{{ user.email | date }} {{ user.subscriptionUrl | date }}"}, on_error: continue}
      - after: 1m
        when: user.subscriptionUrl == 'x'
        tell: {text: three}
"""
    async with open_bench(tmp_path, rules) as bench:
        bench.tell.script = [ActionFailed("refused: https://sub.example.org/s3cret")]
        link = "https://sub.example.org/s3cret"
        await bench.event("user.expired", subscriptionUrl=link, shortUuid="s3cret", email=link)
        await bench.settle()
        await bench.until("1m")
        assert await bench.states() == {"succeeded": 1, "cancelled": 1}
    with closing(sqlite3.connect(tmp_path / "bench.db")) as database:
        said = [
            text
            for table in ("runs", "attempts")
            for (text,) in database.execute(f"SELECT message FROM {table}")
            if text
        ]
    assert len(said) >= 4
    assert not [text for text in said if "s3cret" in text]
    assert all("•••" in text for text in said)


async def test_a_missing_secret_is_tried_again_until_somebody_puts_it_there(tmp_path: Path) -> None:
    rules = """version: 1
connections: {ops: {kind: phone, token: "secret('phone')"}}
rules: [{id: r, on: user.expired, do: [{tell: {text: one, connection: ops}}]}]
"""
    environ: dict[str, str] = {}
    async with open_bench(tmp_path, rules, environ=environ) as bench:
        await bench.event("user.expired")
        await bench.settle()
        run = await bench.run()
        assert ended(run) == (State.PENDING, "bad_parameters")
        assert 'the secret "phone" is nowhere' in str(run.message)
        environ["RULEWAVE_SECRET_PHONE"] = "phone-s3cret"
        await bench.until("10m")
        assert bench.texts == ["one"]


async def test_a_run_that_never_tried_the_version_of_its_rule_ends_as_rule_gone(
    tmp_path: Path,
) -> None:
    followup = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: later}}]}"
    async with open_bench(tmp_path, followup) as bench:
        await bench.event("user.expired")
        await bench.settle()
        clock = bench.clock
    with closing(sqlite3.connect(tmp_path / "bench.db", isolation_level=None)) as database:
        database.execute("delete from versions")
    other = "  - {id: r, on: user.expired, do: [{tell: {text: other}}]}"
    async with open_bench(tmp_path, other, clock=clock) as bench:
        await bench.until("2h")
        assert ended(await bench.run("r", "do.0")) == (State.DEAD, "rule_gone")
        assert bench.texts == []


async def test_a_run_finishes_with_the_version_of_its_rule_that_it_began_with(
    tmp_path: Path,
) -> None:
    old = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: old}}]}"
    new = "  - {id: r, on: user.expired, do: [{after: 1h, tell: {text: new}}]}"
    async with open_bench(tmp_path, old) as bench:
        await bench.event("user.expired")
        await bench.settle()
        clock = bench.clock
    async with open_bench(tmp_path, new, clock=clock) as bench:
        await bench.until("2h")
        assert bench.texts == ["old"]
