"""`rulewave explain`: what each rule says to an event, from which values, and what comes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.asking import NoJournal, ask
from engine.cli.options import AsJson, Database
from engine.cli.printing import print_json
from engine.cli.telling import print_explanation
from engine.errors import UserError


def explain(
    event: Annotated[
        str, typer.Argument(help="A file with a body, - for standard input, or an event's id.")
    ],
    rule: Annotated[str | None, typer.Option(help="Only what this rule says.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also each rule that does not listen to it.")
    ] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Say what each rule makes of an event, and why. Stores nothing, does nothing."""
    told = _told(event, database)
    if rule is not None:
        told = told | {"rules": _only(rule, told["rules"])}
    if as_json:
        print_json(told)
    else:
        print_explanation(told, everything=everything or rule is not None)


def _told(event: str, database: str | None) -> Any:
    body = _body(event)
    if body is None:
        return ask("events", "explain", {"id": event}, database)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise UserError("this is no event: the body is not UTF-8") from error
    try:
        return ask("events", "explain", {"body": text}, database)
    except NoJournal as error:
        return _alone(body, str(error))


def _body(event: str) -> bytes | None:
    if event == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(event).read_bytes()
    except FileNotFoundError:
        if "/" in event or "." in event:
            raise UserError(f"there is no file {event}") from None
        return None
    except OSError as error:
        raise UserError(f"{event} can't be read: {error.strerror}") from error


def _alone(body: bytes, reason: str) -> Any:
    """By the rules alone: a file can be explained where nothing is known of anybody."""
    from engine.cli.check import rules_at_hand
    from engine.clock import SystemClock
    from engine.deciding.rulebook import Rulebook
    from engine.rehearsal.recalling import recall_alone
    from engine.rehearsal.showing import explanation

    loaded, actions, _ = rules_at_hand()
    book = Rulebook(loaded.ruleset)
    note = f"nothing is known of what came before: {reason}"
    return explanation(recall_alone(book, body, SystemClock().now(), note), book, actions)


def _only(rule: str, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [line for line in lines if line["rule"] == rule]
    if not found:
        # It may have had another name then.
        known = ", ".join(line["rule"] for line in lines) or "there was none"
        raise UserError(f"this event is not judged by a rule {rule}, but by: {known}")
    return found
