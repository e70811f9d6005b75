"""Pure: what holds a match back. In this order: threshold, throttle, digest, concurrency, quiet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.clock import to_datetime
from engine.model import NEVER, Holding, Place, Reason, UnderWay, Window
from engine.rules.durations import spoken
from engine.rules.model import AfterStep, Digest, Quiet, Rule

_MOST_RECORDED = 20


@dataclass(frozen=True, slots=True)
class Held:
    """Why a match is held back, and until when: None where that depends on what happens.

    `by` is threshold, throttle, digest, concurrency, quiet or shadow; `run` the run that waits.
    """

    by: str
    message: str
    until: int | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a match.

    Attributes:
        held: why it is held back; None where its run begins at once.
        makes: whether there is a run of its own, due at `due`, for which it waits with `reason`.
        joins: the run of the digest that gathers it; `full`: which goes at once by this.
        takes: the place of a throttle that it takes.
        cancels: runs that it puts an end to.
        after: what it leaves to the next match.
    """

    after: Holding
    held: Held | None = None
    makes: bool = True
    due: int = 0
    reason: str | None = None
    joins: str | None = None
    full: bool = False
    takes: Place | None = None
    cancels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Match:
    """A match under way through what may hold it back."""

    rule: Rule
    run: str
    now: int
    state: Holding


def as_of(rule: Rule, now: int, state: Holding) -> Holding:
    """What still counts at a moment of what earlier matches left."""
    if rule.threshold is not None:
        first = now - rule.threshold.within
        state = replace(state, counted=tuple(at for at in state.counted if at >= first))
    if rule.throttle is not None:
        after = now - rule.throttle.window
        state = replace(state, places=tuple(one for one in state.places if one.at > after))
    window = state.window
    if window is not None and window.due <= now:
        state = replace(state, window=replace(window, open=False))
    return state


def rule_on(rule: Rule, run: str, now: int, state: Holding) -> Ruling:
    """What becomes of a match of `rule` at the moment `now`, whose run would be `run`.

    `state` is what earlier matches of the same key left, as of that moment (`as_of`), without what
    has ended since.
    """
    match = _Match(rule, run, now, state)
    ruling = _threshold(match)
    return _shadowed(match, ruling) if rule.mode == "shadow" else ruling


def _threshold(match: _Match) -> Ruling:
    limit, state = match.rule.threshold, match.state
    if limit is None:
        return _throttle(match)
    counted = (*state.counted, match.now)
    if len(counted) >= limit.at_least:
        return _throttle(replace(match, state=replace(state, counted=())))
    message = f"{len(counted)} of {limit.at_least} within {spoken(limit.within)}"
    return _back(replace(state, counted=counted), Held("threshold", message))


def _throttle(match: _Match) -> Ruling:
    limit, state = match.rule.throttle, match.state
    if limit is None:
        return _digest(match)
    places = state.places
    if len(places) < limit.count:
        ruling = _digest(match)
        if not (ruling.makes or ruling.joins):
            return ruling
        run = ruling.joins or match.run
        taken = Place(match.now, run, attempted=False, open=(run,))
        return _taking(ruling, (*places, taken))
    until = places[len(places) - limit.count].at + limit.window
    message = f"throttled ({limit.count} per {spoken(limit.window)})"
    return _back(state, Held("throttle", message, until))


def _digest(match: _Match) -> Ruling:
    digest, state, now = match.rule.digest, match.state, match.now
    if digest is None:
        return _concurrency(match)
    window = state.window
    if window and window.open and window.count < digest.max:
        grown = replace(window, count=window.count + 1)
        full = grown.count >= digest.max and not _is_quiet(match.rule.quiet, now)
        if full:
            grown = replace(grown, due=now)
        held = Held("digest", f"gathered, {grown.count} by now", grown.due, window.run)
        after = replace(state, window=grown)
        return Ruling(after, held, makes=False, joins=window.run, full=full)
    due = _next_due(digest, window, now)
    if due <= now:
        sent = Window(match.run, now, 1, open=False, sent=True)
        ruling = _concurrency(replace(match, state=replace(state, window=sent)))
        if not ruling.makes:
            return replace(ruling, after=replace(ruling.after, window=window))
        return ruling
    quiet = match.rule.quiet
    if quiet is not None and (end := _quiet_end(quiet, due)) is not None and quiet.hold:
        due = end
    opened = Window(match.run, due, 1, open=True, sent=True)
    after = replace(state, window=opened)
    held = Held("digest", "gathered, the first one", due, match.run)
    return Ruling(after, held, due=due, reason=Reason.DIGEST.value, joins=match.run)


def _taking(ruling: Ruling, places: tuple[Place, ...]) -> Ruling:
    return replace(ruling, after=replace(ruling.after, places=places), takes=places[-1])


def _next_due(digest: Digest, last: Window | None, now: int) -> int:
    if digest.at is not None:
        # APScheduler is slow to import, and few rules need it.
        from engine.calendar import next_cron

        return next_cron(digest.at, digest.timezone, now) or now
    if last is None:
        return now + digest.wait
    # One that was not sent was to keep its distance from the one before it.
    return max(now + digest.wait, last.due + digest.every if last.sent else last.due)


def _concurrency(match: _Match) -> Ruling:
    ruling = admit(match.rule, match.state.under_way)
    if ruling.held is not None and not ruling.makes:
        return replace(ruling, after=match.state)
    if ruling.held is not None:
        held = replace(ruling.held, run=match.run)
        return replace(ruling, after=_begun(match, match.state), held=held)
    left = match.state.without(ruling.cancels)
    quiet = _quiet(replace(match, state=left))
    if not quiet.makes:  # nothing begins, so nothing gives way
        return replace(quiet, after=match.state)
    return replace(quiet, cancels=ruling.cancels)


def admit(rule: Rule, others: Collection[UnderWay]) -> Ruling:
    """What a rule's `concurrency` says to a run while `others` of its key are under way."""
    none = Holding()
    mode = rule.concurrency
    if mode == "restart":
        return Ruling(none, cancels=tuple(one.run for one in others))
    ahead = [one for one in others if one.steps or mode == "drop"]
    if mode == "parallel" or not ahead:
        return Ruling(none)
    if mode == "drop":
        message = f"{ahead[-1].run} is still under way (concurrency: drop)"
        return _back(none, Held("concurrency", message))
    message = f"waits until {ahead[-1].run} has ended (concurrency: queue)"
    held = Held("concurrency", message)
    return Ruling(none, held, due=NEVER, reason=Reason.CONCURRENCY.value)


def _quiet(match: _Match) -> Ruling:
    quiet = match.rule.quiet
    # Follow-ups are asked when they are due: what begins with them alone disturbs nobody yet.
    acts = any(not isinstance(step, AfterStep) for step in match.rule.do)
    end = _quiet_end(quiet, match.now) if quiet is not None and acts else None
    if quiet is None or end is None:
        return Ruling(_begun(match, match.state), due=match.now)
    message = quiet_words(quiet, end)
    if not quiet.hold:
        return _back(match.state, Held("quiet", message, end))
    held = Held("quiet", message, end, match.run)
    return Ruling(_begun(match, match.state), held, due=end, reason=Reason.QUIET.value)


def _quiet_end(quiet: Quiet, moment: int) -> int | None:
    # APScheduler, which it comes with, is slow to import, and few rules need it.
    from engine.calendar import quiet_until

    return quiet_until(moment, (quiet.start, quiet.end), quiet.days, quiet.timezone)


def quiet_end(rule: Rule, quiet: Quiet | None, moment: int) -> tuple[Quiet, int] | None:
    """The quiet time that a moment lies in, a follow-up's own or its rule's, and its end."""
    found = [
        (one, end)
        for one in (quiet, rule.quiet)
        if one is not None and (end := _quiet_end(one, moment)) is not None
    ]
    return max(found, key=lambda pair: (not pair[0].hold, pair[1]), default=None)


def _is_quiet(quiet: Quiet | None, moment: int) -> bool:
    return quiet is not None and quiet.hold and _quiet_end(quiet, moment) is not None


def _begun(match: _Match, state: Holding) -> Holding:
    return replace(state, under_way=(*state.under_way, UnderWay(match.run, steps=True)))


def _back(after: Holding, held: Held) -> Ruling:
    return Ruling(after, held, makes=False)


def _shadowed(match: _Match, ruling: Ruling) -> Ruling:
    """What would have been: all is counted as if it had happened, and nothing does."""
    if ruling.takes is not None:
        taken = replace(ruling.takes, attempted=True, open=())
        ruling = _taking(ruling, (*ruling.after.places[:-1], taken))
    after = replace(ruling.after, under_way=match.state.under_way)
    held = ruling.held
    would = "would have run" if held is None else f"{held.by}: {held.message}"
    if held is not None and not (ruling.makes or ruling.joins):
        return replace(ruling, after=after)
    shown = Held("shadow", f"shadow: {would}", held.until if held else None)
    return Ruling(after, shown, makes=False, takes=ruling.takes)


def quiet_words(quiet: Quiet, end: int) -> str:
    """Why something is held or dropped, by the clocks on the wall there."""
    from zoneinfo import ZoneInfo

    wall = to_datetime(end).astimezone(ZoneInfo(quiet.timezone)).strftime("%Y-%m-%d %H:%M")
    what = "it is quiet" if quiet.hold else "dropped, for it is quiet"
    return f"{what} until {wall} ({quiet.timezone})"


def recorded(state: Holding) -> dict[str, Any]:
    """The state as a decision record keeps it, so that it can be decided again."""
    shown: dict[str, Any] = {}
    if state.counted:
        shown["counted"] = list(state.counted)
    if state.places:
        shown["places"] = [[one.at, one.run] for one in state.places]
    if state.window is not None:
        one = state.window
        shown["window"] = [one.run, one.due, one.count, one.open, one.sent]
    if state.under_way:
        known = state.under_way[-_MOST_RECORDED:]
        shown["under_way"] = [[one.run, one.steps] for one in known]
    return shown


def remembered(record: Mapping[str, Any]) -> Holding:
    """The state out of a decision record."""
    window = record.get("window")
    return Holding(
        counted=tuple(record.get("counted", ())),
        places=tuple(Place(at, run, attempted=True) for at, run in record.get("places", ())),
        window=Window(*window) if window else None,
        under_way=tuple(UnderWay(run, steps) for run, steps in record.get("under_way", ())),
    )
