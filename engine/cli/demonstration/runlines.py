"""Pure: what a run did, or waits for, in lines of the story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from engine.cli.printing import clean
from engine.clock import DAY, HOUR, MINUTE, SECOND, from_iso
from engine.deciding.walking import followup_at
from engine.rules.model import ActionStep, Rule
from engine.rules.tree import walk

_Shown = Mapping[str, Any]
_STYLES = {"succeeded": "green", "cancelled": "yellow", "pending": "cyan", "dead": "red"}
_SKIPPED = "skipped"
_PROGRAM = "shell"


def run_lines(run: _Shown, rule: Rule) -> Iterator[Text]:
    """Its tries, or when it is due; a run that only planned follow-ups needs no word."""
    who = f"follow-up of {rule.id}" if run["step"] else rule.id
    actions = {step.path: step.action for step in walk(rule.do) if isinstance(step, ActionStep)}
    for before, one in zip((None, *run["attempts"]), run["attempts"], strict=False):
        action = actions.get(one["step"], "")
        yield Text.assemble((f"{action:<9}", "bold"), *_try(one, before, who))
        if action == _PROGRAM:
            yield from _printed(run)
    if run["step"] and run["state"] == "pending":
        yield Text.assemble((f"{'later':<9}", "bold"), f"{who}: ", *_waiting(run, rule))
    elif run["state"] not in {"succeeded", "pending"}:
        end = clean(run["message"] or run["state"])
        yield Text.assemble(
            (f"{'ended':<9}", "bold"), f"{who}: ", (end, _STYLES.get(run["state"], ""))
        )


def _try(one: _Shown, before: _Shown | None, who: str) -> Iterator[str | tuple[str, str]]:
    message = clean(one["message"]) if one["message"] else ""
    if one["outcome"] == _SKIPPED:
        yield f"passed over by {who}: "
        yield message, "dim"
        return
    again = before if before and before["step"] == one["step"] else None
    yield f"try {one['try']} of {who}{_pause(again, one)}: "
    took = f"{one['outcome']} in {one['seconds']:.2f} s" if one["ended"] else "under way"
    yield took, _STYLES.get(one["outcome"], "yellow")
    yield f", {message}" if message else ""


def _pause(before: _Shown | None, one: _Shown) -> str:
    """How long after the try before."""
    ended = from_iso(before["ended"]) if before else None
    started = from_iso(one["started"])
    if ended is None or started is None:
        return ""
    return f", {(started - ended) / SECOND:.1f} s later"


def _printed(run: _Shown) -> Iterator[Text]:
    for result in run["results"].values():
        if "stdout" in result:
            yield Text(f"{'':<9}it printed: {clean(result['stdout'])}", style="dim")


def _waiting(run: _Shown, rule: Rule) -> Iterator[str | tuple[str, str]]:
    """When it is due, or what it waits for and until when."""
    followup = followup_at(rule, run["step"])
    if followup and followup.awaits:
        yield f"waits for {' or '.join(one.pattern for one in followup.awaits)}, gives up "
    yield _due(run), _STYLES["pending"]


def _due(run: _Shown) -> str:
    """When a follow-up is due, seen from when it was planned."""
    due, created = from_iso(run["due"]), from_iso(run["created"])
    rest = (due or 0) - (created or 0)
    day, time = run["due"][:10], run["due"][11:19]
    moment = f"{day} {time} UTC" if rest >= DAY else f"{time} UTC"
    for size, unit in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        if rest >= size:
            count = rest // size
            return f"in {count} {unit}{'s' if count > 1 else ''}, {moment}"
    return moment
