"""A backtest for people and for programs: the difference first, then the counts of each rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from engine.cli.printing import clean, counted, print_table
from engine.clock import to_iso
from engine.rehearsal.backtesting import Comparison, Deed

Shown = dict[str, Any]
_COLUMNS = ("rule", "done", "would be", "no more", "new")


def as_json(found: Comparison, rule: str | None, most: int) -> Shown:
    """For `rulewave backtest --json`."""
    gone, new = _of(found.gone, rule), _of(found.new, rule)
    return {
        "since": to_iso(found.since),
        "until": to_iso(found.until),
        "events": found.events,
        "differs": bool(gone or new),
        "rules": _counts(found, rule),
        "no_more": [_line(found, deed) for deed in gone[:most]],
        "new": [_line(found, deed) for deed in new[:most]],
        "dead_letters": [
            {"rule": name, "message": message, "count": count}
            for (name, message), count in found.dead.most_common()
        ],
        "assumed_results": [
            {"rule": name, "step": step, "count": count}
            for (name, step), count in found.assumed.most_common()
        ],
        "failed_then": found.failed,
        "still_waiting": found.waiting,
        "without_body": found.skipped,
    }


def _rules_of(found: Comparison) -> list[str]:
    """The rules that were played, and those that did something then."""
    return [*dict.fromkeys((*found.rules, *(deed.rule for deed in found.gone)))]


def print_comparison(found: Comparison, rule: str | None, most: int) -> None:
    """What differs, then the counts, then what is to be known about them."""
    gone, new = _of(found.gone, rule), _of(found.new, rule)
    if not gone and not new:
        typer.echo("no difference: what would be done is what was done")
    _print_deeds("would be done no more", found, gone, most)
    _print_deeds("would be done newly", found, new, most)
    typer.echo()
    rows = [_row(line) for line in _counts(found, rule)]
    print_table(rows, _COLUMNS, "nothing was done, and nothing would be")
    typer.echo()
    for note in _notes(found):
        typer.echo(clean(note))


def _print_deeds(title: str, found: Comparison, deeds: Sequence[Deed], most: int) -> None:
    if not deeds:
        return
    typer.echo(f"{title}: {len(deeds)}")
    rows = [_line(found, deed) for deed in deeds[:most]]
    print_table(rows, ("at", "rule", "does", "event", "subject"), "")
    if len(deeds) > most:
        typer.echo(f"… and {len(deeds) - most} more (--limit)")


def _of(deeds: Sequence[Deed], rule: str | None) -> list[Deed]:
    return [deed for deed in deeds if rule is None or deed.rule == rule]


def _line(found: Comparison, deed: Deed) -> Shown:
    told = found.told.get(deed.origin)
    return {
        "at": to_iso(deed.at),
        "rule": deed.rule,
        "does": deed.what,
        "event": told.type if told else "",
        "event_id": deed.origin,
        "subject": (told.subject if told else "") or deed.key,
    }


def _counts(found: Comparison, rule: str | None) -> list[Shown]:
    gone = Counter(deed.rule for deed in found.gone)
    new = Counter(deed.rule for deed in found.new)
    lines = [
        {
            "rule": name,
            "done": found.same[name] + gone[name],
            "would": found.same[name] + new[name],
            "no_more": gone[name],
            "new": new[name],
        }
        for name in _rules_of(found)
        if rule is None or name == rule
    ]
    return sorted(lines, key=lambda line: -(line["no_more"] + line["new"]))


def _row(line: Shown) -> Shown:
    return {"rule": line["rule"], "done": line["done"], "would be": line["would"],
            "no more": line["no_more"], "new": line["new"]}  # fmt: skip


def _notes(found: Comparison) -> Iterator[str]:
    yield f"{counted(found.events, 'event')}, {to_iso(found.since)} to {to_iso(found.until)}; nothing was done"
    yield "what was held back or waiting before then is not known here: everything begins anew"
    for (rule, message), count in found.dead.most_common(5):
        yield f"{counted(count, 'dead letter')} there would be of {rule}: {message}"
    for (rule, step), count in found.assumed.most_common(5):
        often = counted(count, "time")
        yield f"{often} the result of {step} in {rule} is not known, and taken for empty"
    if found.failed:
        yield f"{counted(found.failed, 'step')} of those that were done failed then; here all go well"
    if found.waiting:
        yield f"{counted(found.waiting, 'run')} would still be waiting"
    if found.skipped:
        yield f"{counted(found.skipped, 'event')} left out: what was said is no longer kept"
