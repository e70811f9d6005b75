"""The same story, told on the stage of `rulewave test` and lived on a real journal, ends alike."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from running.bench import Tell, TellParams, open_bench, signed

from engine.action import Call
from engine.clock import DAY, ManualClock
from engine.errors import ActionFailed
from engine.rehearsal.expecting import Done
from engine.rehearsal.silence import silent
from engine.reloading.rehearsed import rehearsal_of
from engine.rules.cases import Case, Happens, Restarts
from engine.rules.loading import load
from engine.rules.secrets import Secrets

RULES = (
    {"id": "plain", "on": "user.*", "do": [{"tell": {"text": "plain {{ event }}"}}]},
    {
        "id": "later", "on": "user.expired",
        "do": [
            {"after": "2h", "cancel_on": ["user.modified", "user.deleted"], "if_late": "skip",
             "tell": {"text": "later"}},
            {"after": "3h", "when": "latest.event != 'user.deleted'", "tell": {"text": "latest"}},
        ],
    },
    {
        "id": "waits", "on": "user.created", "concurrency": "restart",
        "do": [
            {"await": "user.modified", "within": "90m", "do": [{"tell": {"text": "came"}}],
             "else": [{"tell": {"text": "never came"}}]},
        ],
    },
    {
        "id": "flaky", "on": "user.modified",
        "do": [{"id": "flaky", "tell": {"text": "flaky"}, "retry": {"tries": 4, "backoff": "7m"}},
               {"tell": {"text": "after flaky {{ user.username }}"}}],
        "on_failure": [{"tell": {"text": "gave up"}}],
    },
    {"id": "seldom", "on": "user.*", "throttle": "2 per 1h", "do": [{"tell": {"text": "seldom"}}]},
    {
        "id": "many", "on": "user.*", "threshold": {"at_least": 3, "within": "2h"},
        "do": [{"tell": {"text": "many"}}],
    },
    {
        "id": "gathers", "on": "user.*", "digest": {"wait": "40m"},
        "do": [{"tell": {"text": "gathered {{ digest.count }}"}}],
    },
    {
        "id": "quiet", "on": "user.created", "quiet": {"between": "10:00-11:30", "then": "hold"},
        "do": [{"tell": {"text": "no longer quiet"}}],
    },
)  # fmt: skip
TYPES = ("user.created", "user.modified", "user.expired", "user.deleted")
STEPS = st.one_of(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(["anna", "ben"])),
    st.integers(1, 150),  # minutes in which the daemon is away
)
STORIES = st.lists(st.tuples(st.integers(0, 100), STEPS), max_size=8)
FAILURES = st.integers(0, 5)
Acted = list[tuple[int, str]]


def fails(message: str = "no") -> dict[str, Any]:
    """A try that fails and is worth another one."""
    return {"fail": {"message": message, "retry": True, "reason": "connection"}}


def written(rules: list[dict[str, Any]], story: list[Any], failures: int) -> dict[str, Any]:
    """The story as a test; it is wrong on purpose, so that all that is done is told."""
    happens: list[dict[str, Any]] = []
    at = 0
    for after, step in story:
        at += after
        if isinstance(step, int):
            happens.append({"at": f"{at}m", "restart": {"down_for": f"{step}m"}})
            at += step
        else:
            data = {"username": step[1]}
            happens.append({"at": f"{at}m", "event": step[0], "data": data})
    test: dict[str, Any] = {
        "name": "t", "given": happens, "until": f"{at + 3000}m", "expect": {"actions": []},
    }  # fmt: skip
    if any(rule["id"] == "flaky" for rule in rules):
        test["mock"] = {"flaky": [*[fails()] * failures, {}]}
    return {"version": 1, "rules": rules, "tests": [test]}


class Script(list[Any]):
    """How each try ends: flaky steps fail as often as the story says."""

    def __init__(self, failures: int) -> None:
        super().__init__([None])
        self.failures = failures

    def pop(self, _place: Any = 0) -> Any:
        async def behave(params: TellParams, call: Call) -> dict[str, Any]:
            if params.text == "flaky" and call.attempt <= self.failures:
                raise ActionFailed("no", retry=True, reason="connection")
            return {}

        return behave


async def lived(folder: Path, case: Case, failures: int) -> Acted:
    """What is done about a case on a real journal, life by life."""
    clock = ManualClock(case.start)
    rules = (folder / "rules.yaml").read_text("utf-8")
    bare = json.loads(rules)
    del bare["tests"]
    lives: list[list[Happens]] = [[]]
    pauses = [0]
    ends = []
    for one in case.given:
        if isinstance(one, Restarts):
            ends.append(one.at)
            pauses.append(one.down_for)
            lives.append([])
        else:
            assert isinstance(one, Happens)
            lives[-1].append(one)
    assert case.until is not None
    acted: Acted = []
    for life, pause, end in zip(lives, pauses, [*ends, case.until], strict=True):
        clock.move(pause)
        async with open_bench(folder, "# rules:\n" + json.dumps(bare), clock=clock) as bench:
            bench.tell.script = Script(failures)
            for one in life:
                await bench.reach(one.at)
                assert (await bench.deliver(signed_body(one))).status == 202
            await bench.reach(end)
            acted += [
                (told.at, told.text)
                for told in bench.tell.told
                if told.text != "flaky" or told.call.attempt > failures
            ]
    return sorted(acted)


def signed_body(one: Happens) -> bytes:
    """What the panel sends."""
    assert signed(one.body)
    return one.body


def rehearsed(folder: Path) -> tuple[Case, Acted]:
    """The case, and what is done about it on the stage."""
    actions = {"tell": Tell(ManualClock(0))}
    found = load(folder / "rules.yaml", actions=actions, secrets=Secrets(None, None, {}))
    assert [str(problem) for problem in found.errors] == []
    (result,) = rehearsal_of(found.ruleset, actions).run(found.cases)
    assert result.errors == ()
    happened = [line.happened for line in result.lines if isinstance(line.happened, Done)]
    return result.case, sorted((one.at, str(one.params["text"])) for one in happened)


@settings(max_examples=60, deadline=None)
@given(
    rules=st.lists(st.sampled_from(range(len(RULES))), min_size=1, max_size=5, unique=True),
    story=STORIES,
    failures=FAILURES,
)
def test_a_rehearsal_and_a_life_agree(rules: list[int], story: list[Any], failures: int) -> None:
    chosen = [RULES[number] for number in sorted(rules)]
    with tempfile.TemporaryDirectory() as name, structlog.testing.capture_logs(), silent():
        folder = Path(name)
        text = json.dumps(written(chosen, story, failures))
        (folder / "rules.yaml").write_text(text, "utf-8")
        case, told = rehearsed(folder)
        assert told == asyncio.run(lived(folder, case, failures))
        assert all(case.start <= at <= case.start + 30 * DAY for at, _ in told)
