"""Why-nots are computed again from the decision record, and equal what was decided live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panel_deliveries import deliveries
from running.bench import START, Bench, body, open_bench

from engine.clock import DAY, MINUTE, ManualClock
from engine.deciding.batch import Batch, Decision
from engine.journal import listing
from engine.model import Verdict

TEXTS = (
    "user.email",
    "data.nothing",
    "user.status == 'ACTIVE'",
    "user.status == 'LIMITED' && user.email",
    "user.trafficLimitBytes > `5` || user.email",
    "contains(user.tag, 'a')",
    "length(data.nothing) > `1`",
    "changed('user.expireAt')",
    "changed('user.email')",
    "hours_until(user.expireAt) > `30`",
    "previous.user.status == 'LIMITED'",
    "latest.user.email",
    "time(now) > time(timestamp)",
    "vars.brand == 'before'",
    "meta.expiration",
    "node.name",
)
CONDITIONS = st.recursive(
    st.sampled_from(TEXTS),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3),
        st.lists(below, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        below.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
NAMES = (
    "*", "user.*", "user.modified", "user.renewed", "user.expires_in_*_hours", "user.expiration",
    "user.limited", "node.*",
)  # fmt: skip
RULES = st.lists(
    st.fixed_dictionaries(
        {"on": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)},
        optional={
            "when": CONDITIONS,
            "per": st.sampled_from(["none", "user.tag", "data.nothing", "user.status"]),
            "mode": st.just("off"),
        },
    ),
    min_size=1,
    max_size=6,
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["user.modified", "user.limited", "user.expires_in_24_hours", "node.connection_lost"]
        ),
        st.integers(-5, 5).map(lambda minutes: START + minutes * MINUTE),
        st.fixed_dictionaries(
            {},
            optional={
                "data__email": st.sampled_from([None, "a@b.c"]),
                "data__status": st.sampled_from(["ACTIVE", "LIMITED"]),
                "data__tag": st.sampled_from([None, "a", "B"]),
                "data__username": st.sampled_from(["anna", "boris"]),
                "data__expireAt": st.sampled_from(["2026-01-06T09:00:00Z", "2027-01-06T09:00:00Z"]),
            },
        ),
    ),
    min_size=1,
    max_size=6,
    unique_by=json.dumps,
)
Said = dict[str, tuple[str, str, str]]


@contextmanager
def overheard() -> Iterator[dict[int, Said]]:
    """What each rule that listened was found to say while events were decided live."""
    heard: dict[int, Said] = {}
    decide = Batch.decide

    def listen(batch: Batch, *args: Any) -> Decision:
        decision = decide(batch, *args)
        heard[decision.decided.seq] = {
            one.rule.id: (one.verdict.value, one.why, one.key) for one in decision.outcomes
        }
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "decide", listen)
        yield heard


def file(rules: Sequence[dict[str, Any]], brand: str) -> str:
    """A rules file as text."""
    numbered = [
        {"id": f"r{number}", **rule, "do": [{"tell": {"text": "x", "connection": "line"}}]}
        for number, rule in enumerate(rules)
    ]
    head = f"version: 1\nvars: {{brand: {brand}}}\nconnections: {{line: {{kind: phone}}}}\n"
    return f"{head}rules: {json.dumps(numbered)}\n"


CHANGED = 'version: 1\nrules: [{id: r0, on: "*", do: [{tell: {text: other}}]}]\n'


async def explained(bench: Bench) -> dict[int, list[dict[str, Any]]]:
    """What the desk says of every event, by arrival."""
    found = {}
    for stored in await bench.journal.list(listing.events(listing.Wish())):
        told = await bench.desk.ask("events", "explain", {"id": stored.event.id})
        assert told["notes"] == []
        found[stored.event.seq] = told["rules"]
    return found


def assert_the_same(heard: dict[int, Said], told: dict[int, list[dict[str, Any]]]) -> None:
    assert heard.keys() == told.keys()
    for seq, lines in told.items():
        again = {line["rule"]: (line["verdict"], line["why"], line["key"]) for line in lines}
        assert {rule: again[rule] for rule in heard[seq]} == heard[seq]
        for rule in again.keys() - heard[seq].keys():
            assert again[rule][0] == Verdict.NOT_MATCHED
            assert again[rule][1].startswith(("it waits for", "the rule is switched off"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RULES, EVENTS)
def test_what_is_computed_again_equals_what_was_decided_also_by_other_rules(
    rules: Sequence[dict[str, Any]], events: Sequence[tuple[str, int, dict[str, Any]]]
) -> None:
    async def live(folder: Path) -> None:
        clock = ManualClock(START)
        with overheard() as heard:
            async with open_bench(folder, file(rules, "before"), clock=clock) as bench:
                for type, raised, fields in events:
                    await bench.deliver(body(type, raised, **fields))
                    await bench.decide()
                    clock.move(MINUTE)
                assert_the_same(heard, await explained(bench))
        clock.move(3 * DAY)
        for changed in (file(rules, "after"), CHANGED):
            async with open_bench(folder, changed, clock=clock) as bench:
                assert_the_same(heard, await explained(bench))

    with TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


@pytest.mark.anyio
async def test_every_body_that_panels_send_is_explained_as_it_was_decided(tmp_path: Path) -> None:
    rules = [{"on": ["*"], "when": text} for text in TEXTS]
    with overheard() as heard:
        async with open_bench(tmp_path, file(rules, "before")) as bench:
            for delivery in deliveries():
                await bench.deliver(delivery.body)
            await bench.decide()
    async with open_bench(tmp_path, CHANGED) as bench:
        told = await explained(bench)
    assert len(told) > 10
    assert_the_same_but_for_private(heard, told)


def assert_the_same_but_for_private(
    heard: dict[int, Said], told: dict[int, list[dict[str, Any]]]
) -> None:
    """Values are compared by verdict where masks may stand in a reason."""
    assert {seq: {rule: one[0] for rule, one in said.items()} for seq, said in heard.items()} == {
        seq: {line["rule"]: line["verdict"] for line in lines if line["listens"]}
        for seq, lines in told.items()
    }
