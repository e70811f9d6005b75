"""Journal operations that forget: small bites, so that the intake never waits for long."""

from __future__ import annotations

from engine.journal import holding
from engine.journal.operations import Op, Row, ask, ask_one
from engine.sources.own import SOURCE

BITE = 200


def forget_runs(before: int) -> Op[int]:
    """Forget runs that ended before a moment, with their tries; how many there were."""
    rows = yield from ask("old_runs", before=before, most=BITE)
    for row in rows:
        yield from ask("drop_attempts", run=row["id"])
        yield from ask("drop_run", run=row["id"])
    return len(rows)


def forget_holding(before: int) -> Op[None]:
    """Forget what holds no match back since a moment, and the digests of which nothing is left."""
    yield from holding.forget(before)


def forget_events(before: int, after: int, *, keep_digests: bool) -> Op[int | None]:
    """Forget events stored before a moment, from arrival number `after` on.

    Kept are events that are undecided, that a run stands on, and a subject's last state. Where to
    go on, or None at the end. With `keep_digests` only what they said is forgotten, as it is where
    the same body would not be refused as too old; the daemon's own are never delivered again.
    """
    rows = yield from ask("next_seq", after=after, before=before, most=BITE)
    for row in rows:
        event = yield from ask_one("may_go", seq=row["seq"])
        if event is None:
            continue
        again = keep_digests or _young_if_sent_again(event, before)
        if again and event["source"] != SOURCE:
            yield from ask("blank_event", blank=row["seq"])
        else:
            yield from ask("drop_event", seq=row["seq"])
    return rows[-1]["seq"] if rows else None


def _young_if_sent_again(event: Row, before: int) -> bool:
    """Whether its own time lies in the future, or it told none and counted from its acceptance."""
    return bool(event["raised"] >= before or event["raised"] == event["stored"])
