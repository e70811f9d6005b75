"""Reads what earlier matches of a rule left behind, and writes what a match leaves to the next."""

from __future__ import annotations

from engine.deciding.decisions import Left
from engine.journal import holding as journal
from engine.journal.operations import Op
from engine.model import Holding, Run
from engine.rules.model import Rule


def read(rule: Rule, key: str, moment: int) -> Op[Holding]:
    """What earlier matches left, as far as the rule asks for it."""
    if not rule.holds_back:
        return Holding()
    shadow = rule.mode == "shadow"
    return Holding(
        counted=(yield from journal.counted(rule.id, key)) if rule.threshold else (),
        places=(
            yield from journal.places(rule.id, key, moment - rule.throttle.window, shadow=shadow)
        )
        if rule.throttle
        else (),
        window=(yield from journal.window(rule.id, key, shadow=shadow)) if rule.digest else None,
        under_way=(yield from journal.under_way(rule.id, key))
        if rule.concurrency != "parallel"
        else (),
    )


def write(left: Left) -> Op[list[Run]]:
    """Keep what a match leaves; a digest that it made full is among the runs that changed."""
    rule, key, after, before = left.rule, left.key, left.ruling.after, left.before
    if rule.threshold is not None and after.counted != before.counted:
        until = left.moment + rule.threshold.within
        yield from journal.set_counted(rule.id, key, after.counted, until)
    if rule.throttle is not None and left.ruling.takes is not None:
        until = left.moment + rule.throttle.window
        yield from journal.take_place(
            rule.id,
            key,
            left.ruling.takes,
            event=left.event,
            until=until,
            shadow=rule.mode == "shadow",
        )
    window = after.window
    if rule.digest is not None and window is not None and window != before.window:
        until = max(window.due, left.moment) + rule.digest.every
        yield from journal.set_window(rule.id, key, window, until)
    joined = left.ruling.joins
    if joined is None or rule.mode == "shadow":
        return []
    yield from journal.gather(joined, left.event)
    if not left.ruling.full:
        return []
    expires = left.moment + rule.ttl if rule.ttl else None
    closed = yield from journal.close(joined, left.moment, expires)
    return [closed] if closed else []
