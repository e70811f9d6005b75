"""Renewals in a story: what makes of a `user.renewed` one for certain, as no panel sends any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.clock import DAY, to_iso
from engine.rules import codes
from engine.rules.cases import Happens
from engine.rules.report import Report
from engine.rules.wording import shown
from engine.sources.names import RENEWED, end_of
from engine.sources.subject import raised, subject

LENGTH = 30 * DAY
"""How much later a user's end is after a made-up renewal."""
_MILLISECOND = 1000
_HINT = "leave it out: it is made up"


@dataclass(frozen=True, slots=True)
class Written:
    """An event of a story, and how it is written there."""

    one: Happens
    raw: Mapping[str, Any]
    report: Report


def settle_renewals(story: Sequence[Written], start: int) -> tuple[list[Happens], list[bytes]]:
    """The events with each renewal moving its user's end on, and the states known before.

    Without an earlier state of that user in the story, one is made: with an end that lies earlier.
    """
    settled: list[Happens] = [written.one for written in story]
    known: list[bytes] = []
    bodies: list[dict[str, Any]] = []
    order = sorted(range(len(story)), key=lambda number: story[number].one.at)
    for number in order:
        written = story[number]
        if written.one.own is not None:
            continue
        body = json.loads(written.one.body)
        if written.one.type == RENEWED:
            body, before = _renewal(written, body, bodies, start)
            if before is not None:
                bodies.append(before)
                known.append(_dumped(before))
            settled[number] = replace(written.one, body=_dumped(body))
        bodies.append(body)
    return settled, known


def _renewal(
    written: Written, body: dict[str, Any], bodies: Sequence[Mapping[str, Any]], start: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The renewal, and the state to be known before it where the story has none."""
    whom = subject(body)
    if whom is None:
        message = "a renewal needs a user whose name can be read"
        written.report.at("event").error(codes.BAD_TEST, message, "data: {username: anna}")
        return body, None
    earlier = [one for one in bodies if subject(one) == whom]
    body = _after(body, earlier)
    previous = _previous(body, earlier)
    end = _asked(written, body)
    if end is None:
        return body, None
    if previous is None:
        return body, {**_ending(body, end - LENGTH), "timestamp": to_iso(start - DAY)}
    return _later(written, body, previous), None


def _later(written: Written, body: dict[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    before = end_of(previous)
    if before is None:
        message = "it is no renewal: the user's expireAt before it can't be read"
        written.report.at("event").error(codes.BAD_TEST, message, "give that event an expireAt")
        return body
    if not _is_asked(written):
        return _ending(body, before + LENGTH)
    if (end_of(body) or 0) <= before:
        message = f"it is no renewal: the user's expireAt is {to_iso(before)} before it already"
        written.report.at("data", "expireAt").error(
            codes.BAD_TEST, message, f"write a later date, or {_HINT}"
        )
    return body


def _asked(written: Written, body: Mapping[str, Any]) -> int | None:
    """The end that the renewal says; None and the reason reported where it can't be read."""
    end = end_of(body)
    if end is None:
        sent = written.raw["data"].get("expireAt") if _is_asked(written) else None
        message = f"expireAt is a time, as 2026-03-01T00:00:00.000Z, not {shown(sent)}"
        at = written.report.at("data", "expireAt") if _is_asked(written) else written.report
        at.error(codes.BAD_TEST, message, f"or {_HINT}")
    return end


def _is_asked(written: Written) -> bool:
    data = written.raw.get("data")
    return isinstance(data, Mapping) and "expireAt" in data


def _after(body: dict[str, Any], earlier: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Raised a millisecond after what happens to the user at the same moment."""
    moments = {_moment(one) for one in earlier}
    moment = _moment(body)
    while moment in moments:
        moment += _MILLISECOND
    return {**body, "timestamp": to_iso(moment)}


def _previous(
    body: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The newest of the earlier states that is older than this one."""
    older = [one for one in earlier if _moment(one) < _moment(body)]
    return max(reversed(older), key=_moment, default=None)


def _ending(body: Mapping[str, Any], end: int) -> dict[str, Any]:
    return {**body, "data": {**body["data"], "expireAt": to_iso(end)}}


def _moment(body: Mapping[str, Any]) -> int:
    return raised(body) or 0


def _dumped(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
