"""A `user.renewed` in a story is a renewal, whatever came before; what can be none is a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.stories import failing, loaded, run

THANKS = """
- {id: thanks, on: user.renewed, do: [{log: {text: "{{ previous.user.expireAt }} {{ user.expireAt }}"}}]}
- {id: ended, on: user.expired, do: [{after: 3d, cancel_on: user.renewed, do: [{log: {text: gone}}]}]}
- {id: any, on: "user.*", do: [{log: {text: "{{ event }}"}}]}
"""
JAN, FEB, MARCH, APRIL = (
    f"2026-{day}T09:00:00.000Z" for day in ("01-05", "02-04", "03-06", "04-05")
)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{event: user.renewed}", [(JAN, FEB)]),
        ("{event: user.renewed, panel: 1.6.0}", [(JAN, FEB)]),
        ("{event: user.renewed, data: {username: ben, expireAt: '2026-03-06T09:00:00Z'}}",
         [(FEB, "2026-03-06T09:00:00Z")]),
        ("{event: user.created}, {at: 1d, event: user.renewed}", [(FEB, MARCH)]),
        ("{event: user.created}, {event: user.renewed}", [(FEB, MARCH)]),
        ("{event: user.created, data: {username: ben}}, {at: 1d, event: user.renewed}",
         [(JAN, FEB)]),
        ("{event: user.renewed}, {event: user.renewed}", [(JAN, FEB), (FEB, MARCH)]),
        ("{at: 2d, event: user.renewed}, {at: 1d, event: user.renewed}",
         [(JAN, FEB), (FEB, MARCH)]),
        ("{at: 3d, event: user.created}, {at: 4d, event: user.renewed, raised: 2d}",
         [(JAN, FEB)]),
        ("{event: user.created}, {event: user.renewed, data: {expireAt: '2026-04-05T09:00:00.000Z'}}",
         [(FEB, APRIL)]),
    ],
)  # fmt: skip
def test_what_is_given_as_a_renewal_is_one(
    tmp_path: Path, given: str, said: list[tuple[str, str]]
) -> None:
    texts = ", ".join(f"{{log: {{text: '{before} {after}'}}}}" for before, after in said)
    tests = f"- {{name: t, rule: thanks, given: [{given}], expect: {{actions: [{texts}]}}}}"
    assert failing(tmp_path, THANKS, tests) == {}


def test_no_rule_acts_on_the_state_that_is_known_before(tmp_path: Path) -> None:
    tests = """
    - name: one event alone
      rule: any
      given: [{event: user.renewed}]
      expect: {actions: [{log: {text: user.modified}}]}
    - name: a follow-up is called off
      rule: ended
      given: [{event: user.expired}, {at: 1d, event: user.renewed}]
      expect: {actions: [], cancelled: [{rule: ended, by: user.renewed, at: 1d}]}
    - name: one test leaves nothing to the next
      rule: thanks
      given: [{event: user.modified}]
      expect: {actions: []}
    """
    assert failing(tmp_path, THANKS, tests) == {}


@pytest.mark.parametrize(
    ("given", "place", "said"),
    [
        ("{event: user.renewed, data: {expireAt: soon}}", "soon", "expireAt is a time, as 2026-03-01"),
        ("{event: user.renewed, data: {expireAt: null}}", "null", "not null"),
        ("{event: user.created}, {event: user.renewed, data: {expireAt: '2026-02-04T09:00:00Z'}}",
         "'2026-02",
         f"it is no renewal: the user's expireAt is {FEB} before it already; write a later date"),
        ("{event: user.created, data: {expireAt: null}}, {event: user.renewed}", "user.renewed",
         "the user's expireAt before it can't be read"),
        ("{event: user.renewed, data: {username: null}}", "user.renewed", "needs a user"),
    ],
)  # fmt: skip
def test_what_can_be_no_renewal_is_a_mistake(
    tmp_path: Path, given: str, place: str, said: str
) -> None:
    tests = f"- {{name: t, given: [{given}], expect: {{actions: []}}}}"
    (problem,) = loaded(tmp_path, THANKS, tests).errors
    column = tests.index(place) + len("  ") + 1
    assert (problem.code, said in str(problem), problem.column) == ("R045", True, column)


def test_why_not_tells_what_an_event_is_instead(tmp_path: Path) -> None:
    tests = """
    - {name: first, rule: thanks, given: [{event: user.modified}], expect: {actions: [{}]}}
    - name: same end
      given: [{event: user.created}, {at: 1s, event: user.modified}]
      expect: {actions: [{rule: thanks}, {rule: any}, {rule: any}]}
    - {name: other, rule: thanks, given: [{event: user.created}], expect: {actions: [{}]}}
    - {name: nothing, rule: thanks, given: [], expect: {actions: [{}]}}
    """
    first, same, other, nothing = (result.whynots for result in run(tmp_path, THANKS, tests))
    waits = "it waits for user.renewed; this is user."
    unknown = f"{waits}modified: no earlier state of the user is known"
    assert first == (("thanks", "user.modified", unknown),)
    moved = f"{waits}modified: expireAt is not later than before"
    assert ("thanks", "user.modified", moved) in same
    assert other == (("thanks", "user.created", f"{waits}created"),)
    assert nothing == (("thanks", "", "no event came that it listens to"),)
