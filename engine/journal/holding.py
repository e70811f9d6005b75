"""Journal operations for what holds matches back: counts, places, digests, and runs behind others."""

from __future__ import annotations

import json

from engine.journal.events import around, by_seq, to_json
from engine.journal.operations import Op, ask, ask_one
from engine.journal.runs import run_of
from engine.model import Facts, Place, Reason, Run, State, UnderWay, Window

_BITE = 500
_IN_SHADOW = 2
"""In place of "attempted": nothing was, for the rule was in shadow."""


def counted(rule: str, key: str) -> Op[tuple[int, ...]]:
    """The moments of the matches that a threshold has counted."""
    row = yield from ask_one("counted", rule=rule, key=key)
    return tuple(json.loads(row["times"])) if row else ()


def set_counted(rule: str, key: str, times: tuple[int, ...], until: int) -> Op[None]:
    """Keep what is counted; from `until` on it may be forgotten."""
    if times:
        yield from ask("set_counted", rule=rule, key=key, times=to_json(times), until=until)
    else:
        yield from ask("drop_counted", of=rule, about=key)


def places(rule: str, key: str, after: int, *, shadow: bool) -> Op[tuple[Place, ...]]:
    """The places of a key that a throttle gave out after a moment, oldest first.

    Those that a rule would have given out in shadow count as long as it is there.
    """
    rows = yield from ask("places", rule=rule, key=key, after=after)
    found = []
    for row in rows:
        if row["attempted"] == _IN_SHADOW and not shadow:
            continue
        attempted = bool(row["attempted"])
        left = [] if attempted else (yield from ask("open_of_story", story=row["run"]))
        open = tuple(one["id"] for one in left)
        found.append(Place(row["at"], row["run"], attempted, open))
    return tuple(found)


def take_place(
    rule: str, key: str, place: Place, *, event: int, until: int, shadow: bool
) -> Op[None]:
    """Give out a place for the match of the event numbered `event`; those given back are forgotten."""
    yield from ask("drop_given_back", of=rule, about=key)
    yield from ask(
        "take_place",
        run=place.run, event=event, rule=rule, key=key, at=place.at, until=until,
        attempted=_IN_SHADOW if shadow else int(place.attempted),
    )  # fmt: skip


def attempted(story: str) -> Op[None]:
    """Note that something was tried in the story of that run."""
    yield from ask("attempted", story=story)


def under_way(rule: str, key: str) -> Op[tuple[UnderWay, ...]]:
    """The runs of a key that have not ended, except those that tell of failures, and digests."""
    rows = yield from ask("open_of_key", of=rule, about=key)
    return tuple(
        UnderWay(row["id"], steps=row["path"] == "" and row["state"] != State.ON_HOLD)
        for row in rows
        if row["reason"] != Reason.DIGEST
    )


def window(rule: str, key: str, *, shadow: bool) -> Op[Window | None]:
    """The last digest of a key; of a rule in `shadow` there is never a run."""
    row = yield from ask_one("window", rule=rule, key=key)
    if row is None:
        return None
    state = row["state"]
    gathers = state == State.PENDING and row["reason"] == Reason.DIGEST
    # One that is not there any more ended so long ago that it is forgotten.
    lost = state in {State.CANCELLED, State.EXPIRED}
    # A person may have sent it before it was due; other tries, or the night, only make it later.
    due = min(row["due"], row["due"] if row["went"] is None else row["went"])
    return Window(row["run"], due, row["count"], open=shadow or gathers, sent=shadow or not lost)


def set_window(rule: str, key: str, window: Window, until: int) -> Op[None]:
    """Keep what is known of a key's last digest; from `until` on it may be forgotten."""
    yield from ask(
        "set_window",
        rule=rule, key=key, run=window.run, due=window.due, count=window.count, until=until,
    )  # fmt: skip


def gather(run: str, event: int) -> Op[None]:
    """Put an event into a digest."""
    yield from ask("gather", run=run, event=event)


def close(run: str, moment: int, expires: int | None) -> Op[Run | None]:
    """A digest is full, and due at that moment; the run, where it had not ended."""
    return (yield from _changed("close_window", run, moment=moment, expires=expires))


def gathered(run: str) -> Op[tuple[Facts, ...]]:
    """The events of a digest, oldest first, with what is known around each."""
    facts = []
    for row in (yield from ask("gathered", of_run=run)):
        event = yield from by_seq(row["event"])
        facts += [(yield from around(event))] if event else []
    return tuple(facts)


def leave_out(run: str, events: tuple[int, ...]) -> Op[None]:
    """Take events out of a digest that are not wanted any more."""
    for seq in events:
        yield from ask("leave_out", of_run=run, seq=seq)


def due_windows(now: int) -> Op[list[Run]]:
    """Digests that are due."""
    return [run_of(row) for row in (yield from ask("due_windows", now=now))]


def forward(run: str) -> Op[Run | None]:
    """A digest goes out as any run does."""
    return (yield from _changed("forward", run))


def put_behind(run: str, moment: int, message: str) -> Op[Run | None]:
    """A run waits for others to end."""
    return (yield from _changed("put_behind", run, moment=moment, message=message))


def let_go(now: int) -> Op[int]:
    """Let those go on for which nothing is left to wait; how many there were."""
    rows = yield from ask("next_behind", most=_BITE)
    for row in rows:
        yield from ask("let_go", of_run=row["id"], moment=now)
    return len(rows)


def any_behind() -> Op[bool]:
    """Whether any run waits for others to end."""
    return bool((yield from ask("any_behind")))


def rename(old: str, heir: str) -> Op[None]:
    """A rule has another id."""
    for name in ("rename_counts", "rename_places", "rename_windows"):
        yield from ask(name, of=old, heir=heir)


def forget(before: int) -> Op[None]:
    """Forget what holds nothing back any more since a moment."""
    for name in ("forget_counts", "forget_places", "forget_windows"):
        yield from ask(name, before=before)
    yield from ask("forget_gathered")


def _changed(name: str, run: str, **params: object) -> Op[Run | None]:
    if not (yield from ask(name, of_run=run, **params)):
        return None
    row = yield from ask_one("run_by_id", id=run)
    return run_of(row) if row else None
