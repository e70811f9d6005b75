"""Journal operations on dead letters: list them, let them go on, lay them aside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.journal.operations import Op, ask
from engine.journal.runs import by_id, run_of
from engine.model import Reason, Run

END = 2**62
"""Later than anything."""


@dataclass(frozen=True, slots=True)
class DeadWish:
    """Which dead letters; None = whatever. They ended from `since` to `until`."""

    rule: str | None = None
    key: str | None = None
    reason: str | None = None
    since: int = 0
    until: int = END
    most: int = 100


def listed(wish: DeadWish) -> Op[list[Run]]:
    """Dead letters that wait for a person, newest first."""
    rows = yield from ask(
        "list_dead",
        rule=wish.rule, key=wish.key, reason=wish.reason, since=wish.since, until=wish.until,
        most=wish.most,
    )  # fmt: skip
    return [run_of(row) for row in rows]


def replay(ids: Iterable[str], salt: str | None, now: int) -> Op[list[str]]:
    """Let dead runs go on from the step that failed; those that were dead.

    What could not be decided is decided again: its event is undecided once more.
    """
    done = []
    for id in ids:
        run = yield from by_id(id)
        if run is None:
            continue
        if run.reason == Reason.COULD_NOT_DECIDE and not run.rule:
            if (yield from ask("drop_undecidable", run=id)):
                yield from ask("undecide", event=run.origin_seq)
                done.append(id)
        elif (yield from ask("replay_dead", run=id, salt=salt, now=now)):
            done.append(id)
    return done


def drop(ids: Iterable[str], now: int) -> Op[list[str]]:
    """Lay dead letters aside: they stay dead, and are listed no more; those that were."""
    done: list[str] = []
    for id in ids:
        rows = yield from ask("drop_dead", run=id, now=now)
        done += [str(row["id"]) for row in rows]
    return done
