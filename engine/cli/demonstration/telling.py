"""Tells the story on the terminal: colours and boxes there, plain text elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from engine.cli.demonstration.checking import Seen
from engine.cli.demonstration.farside import HttpCall, Mail
from engine.cli.demonstration.runlines import run_lines
from engine.cli.demonstration.script import Beat, Posting, Scene
from engine.cli.printing import clean
from engine.deciding.rulebook import Rulebook
from engine.rules.patterns import matches

WIDTH = 96
"""Columns at most: longer lines are hard to read."""
_HANG = 9
_ACCEPTED = range(200, 300)
_MARKS = {
    "matched": ("✓", "green"),
    "not matched": ("–", "dim"),
    "could not evaluate": ("!", "red"),
}


class Terminal(Console):
    """Standard output, or what it leads to."""

    def on_broken_pipe(self) -> None:
        """Whoever reads has gone, as in `rulewave demo | head`: an error as any other."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


@dataclass(slots=True)
class Teller:
    """Prints what happened; `book` are the rules that it is told with."""

    console: Console
    book: Rulebook

    def scene(self, number: int, scene: Scene) -> None:
        """The title of a scene."""
        self.console.print()
        title = Text(f"{number}  {scene.title}", style="bold")
        self.console.print(Rule(title, align="left", style="dim"))

    def beat(self, beat: Beat, seen: Seen, lacking: Sequence[str]) -> None:
        """All that came of a beat."""
        self.console.print()
        if beat.says:
            self._line(Text(beat.says, style="italic"), 2)
        if beat.posting:
            self._line(_headline(beat.posting, seen), 2)
        if seen.typed:
            self._line(Text(f"$ {seen.typed}", style="bold cyan"), 2)
        self._lines(self._why(seen.event) if seen.event else (), 2)
        self._runs(seen)
        self._effects(seen)
        for sentence in lacking:
            self._line(Text(f"✗ did not happen: {sentence}", style="bold red"), 4, 2)

    def _runs(self, seen: Seen) -> None:
        """What runs did; an event that the daemon raised itself comes before its first run."""
        raised = dict(seen.own)
        for run in seen.runs:
            event = raised.pop(run["event"], None)
            if event:
                own = (event["type"], "bold cyan"), ("  raised by Rulewave itself", "dim")
                self._line(Text.assemble(*own), 2)
                self._lines(self._why(event), 2)
            self._lines(run_lines(run, self.book.by_id[run["rule"]]))

    def _lines(self, lines: Iterable[Text], hang: int = _HANG) -> None:
        for line in lines:
            self._line(line, 4, hang)

    def _effects(self, seen: Seen) -> None:
        for before, call in zip((None, *seen.calls), seen.calls, strict=False):
            self.call(call, with_body=before is None or before.body != call.body)
        for text in seen.writings:
            self._line(Text.assemble(("log      ", "bold"), clean(text)), 4, _HANG)
        for mail in seen.mails:
            self.mail(mail)

    def mail(self, mail: Mail) -> None:
        """A mail as it arrived."""
        head = [("From", mail.sender), ("To", mail.to), ("Subject", mail.subject)]
        text = Text()
        for name, value in head:
            text.append(f"{name + ':':<9}", style="dim")
            text.append(f"{clean(value)}\n", style="bold" if name == "Subject" else "")
        text.append("\n" + "\n".join(clean(line) for line in mail.text.splitlines()))
        panel = Panel(
            text, title="mail arrived", title_align="left", box=box.ROUNDED, border_style="blue"
        )
        self.console.print(Padding(panel, (0, 0, 0, 4)))

    def call(self, call: HttpCall, *, with_body: bool = True) -> None:
        """An HTTP call that arrived."""
        style = "green" if call.status in _ACCEPTED else "yellow"
        key = (f"  (idempotency key {call.key[:8]}…)", "dim")
        what = f"{call.method} {clean(call.path)} → "
        self._line(
            Text.assemble(("arrived  ", "bold"), what, (str(call.status), style), key), 4, _HANG
        )
        if with_body and call.body:
            self._line(Text(clean(_spaced(call.body)), style="dim"), 4 + _HANG)

    def say(self, text: str, style: str = "") -> None:
        """A line of our own."""
        self._line(Text(text, style=style), 0)

    def _line(self, text: Text, indent: int, hang: int = 0) -> None:
        """A line of the story; what does not fit goes on below, further in by `hang`."""
        width, margin = self.console.width - indent, " " * indent
        first = text.wrap(self.console, width)[0]
        rest = text[len(first.plain) :]
        self._print(Text(margin) + first)
        if rest.plain.strip():
            rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
            for piece in rest.wrap(self.console, width - hang):
                self._print(Text(margin + " " * hang) + piece)

    def _print(self, line: Text) -> None:
        line.rstrip()
        self.console.print(line, soft_wrap=True)

    def _why(self, event: dict[str, Any]) -> Iterator[Text]:
        """What the rules said that listen to the event; the others are only counted."""
        names = [event["type"], *event["aliases"]]
        if event["aliases"]:
            yield Text(f"is also {', '.join(event['aliases'])}", style="dim")
        asked = [one for one in event["rules"] if self._listens(one["rule"], names)]
        for one in asked:
            mark, style = _MARKS.get(one["verdict"], ("!", "red"))
            why = f"{one['verdict']}: {clean(_brief(one['why']))}"
            yield Text.assemble((f"{mark} ", style), (one["rule"], "bold"), " ", (why, style))
        if asked:
            yield Text(
                f"– {len(event['rules']) - len(asked)} rules wait for other events", style="dim"
            )
        else:
            yield Text("– no rule waits for it", style="dim")

    def _listens(self, rule: str, names: Sequence[str]) -> bool:
        patterns = self.book.by_id[rule].on
        return any(matches(pattern, name) for pattern in patterns for name in names)


def _headline(posting: Posting, seen: Seen) -> Text:
    good = seen.status in _ACCEPTED
    return Text.assemble(
        (posting.type, "bold cyan"),
        (f"  signed as panel {posting.panel} does it", "dim") if not posting.forged
        else ("  signed with a wrong secret", "dim"),
        "  →  ",
        (f"{seen.status} {seen.code}", "bold green" if good else "bold yellow"),
    )  # fmt: skip


def _brief(why: str) -> str:
    """The first reason; that all the others hold too needs no words."""
    first, *others = why.split("; ")
    return f"{first}, and {len(others)} more" if others else first


def _spaced(body: str) -> str:
    """A body in which a line can be broken between words."""
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        return body
