"""Where in a rule a run stands, and which names a context has."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import run
from running.bench import START, body, open_bench, signed

from engine.clock import SECOND
from engine.deciding.cancelling import after_origin
from engine.deciding.planning import identifier
from engine.deciding.rulebook import cancellable
from engine.deciding.walking import CONTROL_LANE, followup_at, lane_of, steps_at
from engine.model import Run
from engine.rules.model import Rule

RULES = """version: 1
connections: {ops: {kind: phone}, home: {kind: phone}}
rules:
  - id: r
    on: user.expired
    do:
      - tell: {text: one, connection: ops}
      - after: 1h
        do:
          - tell: {text: two}
          - {after: 2h, cancel_on: user.enabled, tell: {text: three}}
  - {id: plain, on: user.expired, do: [{tell: {text: four}}, {after: 1h, tell: {text: five}}]}
  - id: waits
    on: user.expired
    do:
      - await: user.enabled
        within: 1h
        do: [{log: {text: came}}]
        else: [{after: 1h, tell: {text: still not, connection: home}}]
"""
pytestmark = pytest.mark.anyio


def paths(rule: Rule, run: Run) -> list[str]:
    return [placed.step.path for placed in steps_at(rule, run)]


async def test_paths_lead_to_lists_of_steps(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES, real=True) as bench:
        rule = bench.library.book.by_id["r"]
        assert tuple(placed.step for placed in steps_at(rule, run("x"))) == rule.do
        assert paths(rule, run("x", path="do.1")) == ["do.1.do.0", "do.1.do.1"]
        assert paths(rule, run("x", path="do.1.do.1")) == ["do.1.do.1.do.0"]
        assert followup_at(rule, "") is None
        for nowhere in ("do.0", "do.7", "nonsense"):
            with pytest.raises(LookupError, match=f"rule r has no follow-up at {nowhere}"):
                followup_at(rule, nowhere)


async def test_an_await_leads_to_its_do_where_it_was_met_and_else_to_its_else(
    tmp_path: Path,
) -> None:
    async with open_bench(tmp_path, RULES, real=True) as bench:
        rule = bench.library.book.by_id["waits"]
        assert paths(rule, run("x", path="do.0")) == ["do.0.else.0"]
        assert paths(rule, run("x", path="do.0", met=True)) == ["do.0.do.0"]
        assert paths(rule, run("x", path="do.0.else.0")) == ["do.0.else.0.do.0"]
        assert paths(rule, run("x", path="do.0.else.0:do.0")) == ["do.0.else.0.do.0"]


async def test_a_step_waits_in_the_lane_of_its_target(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES, real=True) as bench:
        rule = bench.library.book.by_id["r"]
        assert [lane_of(rule.do, at) for at in range(3)] == ["ops", CONTROL_LANE, CONTROL_LANE]
        assert bench.library.book.lanes() == {"ops", "home", "log", "tell", CONTROL_LANE}


async def test_only_rules_that_wait_for_an_event_ask_for_later_events(tmp_path: Path) -> None:
    async with open_bench(tmp_path, RULES, real=True) as bench:
        rules = bench.library.book.by_id
        assert cancellable(rules["r"])
        assert cancellable(rules["waits"])
        assert not cancellable(rules["plain"])


async def test_what_is_sent_once_more_has_the_same_id_on_every_machine(tmp_path: Path) -> None:
    delivery = signed(body("user.expired", START))
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with open_bench(tmp_path / name, RULES, real=True) as bench:
            ids.add((await bench.pipeline.accept(delivery)).event_id)
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("raised", "seq", "after"),
    [(11, 1, True), (9, 9, False), (10, 6, True), (10, 5, False), (10, 4, False)],
)
async def test_the_window_opens_with_the_origin(
    tmp_path: Path, raised: int, seq: int, after: bool
) -> None:
    from dataclasses import replace

    from engine.model import Event

    event = Event("ev", 0, "remnawave", "a.b", None, 0, 0, {})
    given = replace(event, raised=raised * SECOND, seq=seq)
    assert after_origin(given, raised=10 * SECOND, seq=5) is after


def test_ids_depend_on_every_part_and_where_it_ends() -> None:
    made = {
        identifier("run", "a", "bc"),
        identifier("run", "ab", "c"),
        identifier("run", "a", "b", "c"),
        identifier("ev", "a", "bc"),
    }
    assert len(made) == 4
    assert identifier("run", "a", "bc") in made
