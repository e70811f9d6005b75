"""The checker of the crash torture sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journeys.harness.checker import Evidence, check, mark_of
from journeys.harness.http_sink import Call
from journeys.harness.ledger import Row
from journeys.harness.panel import make, now
from journeys.harness.site import Site, open_site
from journeys.harness.waiting import until

_MOST_KILLS = 8
_LONG = 3_600_000_000


def test_a_build_that_answers_before_the_commit_is_caught(tmp_path: Path) -> None:
    script = Path(__file__).parent / "harness" / "careless.py"
    with open_site(tmp_path, command=[str(script)]) as site:
        site.begin_load(clients=4, seed=1)
        lost: list[str] = []
        for _ in range(_MOST_KILLS):
            _kill_after(site, _acknowledged(site) + 25)
            lost = [line for line in check(site.evidence()) if line.startswith("lost: ")]
            if lost:
                break
        assert lost


def _kill_after(site: Site, acknowledged: int) -> None:
    site.daemon.start_ready()
    until(lambda: _acknowledged(site) >= acknowledged, "some events acknowledged")
    site.daemon.kill()


def _acknowledged(site: Site) -> int:
    return sum(posted.acked is not None for posted in list(site.panel.posted.values()))


# ------------------------------------------------------------ tampered evidence


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What a quiet day leaves: one story of each kind."""
    with open_site(tmp_path_factory.mktemp("quiet")) as site:
        site.daemon.start_ready()
        moment = now()
        for number, (type, user) in enumerate(_STORIES):
            version = "1.5.6" if type == "user.expires_in_24_hours" else "3.3"
            raised = moment + 1000 * number
            site.panel.deliver(make(type, user, f"m{number}", panel=version, raised=raised))
        site.rest()
        assert site.daemon.stop() == 0
        return site.evidence()


_STORIES = (
    ("user.expires_in_24_hours", "anna"),
    ("user.limited", "boris"),
    ("user.first_connected", "vera"),
    ("user.disabled", "gleb"),
    ("user.expired", "dina"),
    ("user.expired", "yegor"),
    ("user.deleted", "yegor"),
)


def test_an_honest_daemon_is_not_blamed(honest: Evidence) -> None:
    assert check(honest) == []


def _without_event(mark: str) -> Callable[[Evidence], Evidence]:
    def tamper(evidence: Evidence) -> Evidence:
        kept = tuple(row for row in evidence.ledger.events if mark_of(row) != mark)
        return replace(evidence, ledger=replace(evidence.ledger, events=kept))

    return tamper


def _event(mark: str, **changes: Any) -> Callable[[Evidence], Evidence]:
    def tamper(evidence: Evidence) -> Evidence:
        rows = tuple(
            {**row, **changes} if mark_of(row) == mark else row for row in evidence.ledger.events
        )
        return replace(evidence, ledger=replace(evidence.ledger, events=rows))

    return tamper


def _runs(
    rule: str, path: str, change: Callable[[Row], list[Mapping[str, Any]]]
) -> Callable[[Evidence], Evidence]:
    def tamper(evidence: Evidence) -> Evidence:
        rows = [
            new
            for run in evidence.ledger.runs
            for new in (change(run) if (run["rule"], run["path"]) == (rule, path) else [run])
        ]
        return replace(evidence, ledger=replace(evidence.ledger, runs=tuple(rows)))

    return tamper


def _calls(step: str, change: Callable[[Call], list[Call]]) -> Callable[[Evidence], Evidence]:
    def tamper(evidence: Evidence) -> Evidence:
        calls = [
            new
            for call in evidence.calls
            for new in (change(call) if call.step == step else [call])
        ]
        return replace(evidence, calls=tuple(calls))

    return tamper


def _fired_all_the_same(evidence: Evidence) -> Evidence:
    (call,) = {call.mark: call for call in evidence.calls if call.step == "win-back"}.values()
    ghost = replace(call, mark="m5", key="another")
    return replace(evidence, calls=(*evidence.calls, ghost))


def _answered(*answers: tuple[int, str]) -> Callable[[Evidence], Evidence]:
    def tamper(evidence: Evidence) -> Evidence:
        first, *rest = evidence.posted
        return replace(evidence, posted=(replace(first, answers=answers), *rest))

    return tamper


_TAMPERED: dict[str, tuple[Callable[[Evidence], Evidence], str]] = {
    "an event is missing": (_without_event("m1"), "lost: "),
    "an event was never decided": (_event("m1", decided=None), "not decided: "),
    "an event was decided otherwise": (_event("m1", decision=None), "decided oddly: "),
    "a body has two ids": (_answered((202, "a"), (200, "b")), "several ids: "),
    "a body was accepted twice": (_answered((202, "a"), (202, "a")), "accepted twice: "),
    "a known body was accepted": (_answered((200, "a"), (202, "a")), "accepted after "),
    "a run is there twice": (_runs("mail", "", lambda run: [run, run]), "planned 2 times: "),
    "a run is not there": (_runs("mail", "", lambda run: []), "not planned: "),
    "a run of another generation": (
        _runs("mail", "", lambda run: [run, {**run, "generation": 1}]),
        "planned without a reason: ",
    ),
    "a run has no event": (
        _runs("mail", "", lambda run: [run, {**run, "origin": "nobody"}]),
        "runs without an event: ",
    ),
    "a run never ended": (
        _runs("mail", "", lambda run: [{**run, "state": "queued"}]),
        "not ended: ",
    ),
    "a call was given up": (
        _runs("two-steps", "", lambda run: [{**run, "state": "dead", "reason": "connection"}]),
        "dead letter: ",
    ),
    "a call was never made": (_calls("second", lambda call: []), "never called: "),
    "a repeat has another key": (
        _calls("second", lambda call: [call, replace(call, key="another")]),
        "one step, several keys: ",
    ),
    "two steps share a key": (
        _calls("first", lambda call: [call, replace(call, step="second")]),
        "one key, several steps: ",
    ),
    "a result was forgotten": (
        _calls("second", lambda call: [replace(call, body={"receipt": "none"})]),
        "the second step does not know ",
    ),
    "a follow-up came early": (
        _calls("inner", lambda call: [replace(call, at=call.at - _LONG)]),
        "before it was due: ",
    ),
    "a cancelled follow-up fired": (_fired_all_the_same, "fired although it was cancelled "),
    "a follow-up was cancelled by nothing": (
        _runs("win-back", "do.0", lambda run: [{**run, "state": "cancelled"}]),
        "not cancelled by anything, ",
    ),
    "a follow-up was cancelled by another event": (
        _runs("win-back", "do.0", lambda run: [{**run, "cancelled_by": "another"}]),
        "cancelled by something else: ",
    ),
    "a follow-up was not cancelled": (
        _runs("win-back", "do.0", lambda run: [{**run, "state": "succeeded"}]),
        "cancelled in time, but ",
    ),
    "a follow-up without cancel_on ended early": (
        _runs("nested", "do.1", lambda run: [{**run, "state": "cancelled"}]),
        "a follow-up that nothing cancels ",
    ),
    "a program ran twice": (
        lambda evidence: replace(evidence, programs=tuple(evidence.programs) * 2),
        "done 2 times: program ",
    ),
    "a program never ran": (
        lambda evidence: replace(evidence, programs=()),
        "never done, but recorded as done: program ",
    ),
    "a mail came twice": (
        lambda evidence: replace(evidence, mails=tuple(evidence.mails) * 2),
        "done 2 times: mail ",
    ),
    "a mail never came": (
        lambda evidence: replace(evidence, mails=()),
        "never done, but recorded as done: mail ",
    ),
}


@pytest.mark.parametrize("name", _TAMPERED)
def test_tampered_evidence_is_seen_through(honest: Evidence, name: str) -> None:
    tamper, complaint = _TAMPERED[name]
    found = check(tamper(honest))
    assert any(line.startswith(complaint) for line in found), found
