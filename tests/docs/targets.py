"""Pages on targets (mail, Telegram): their rules, led to a server of ours, and their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.fenced import blocks
from running.bench import Bench

from engine.model import Run, State

DONE, AGAIN, DEAD = "done", "tried again", "dead letter"
_OUTCOMES = {State.SUCCEEDED: DONE, State.PENDING: AGAIN, State.DEAD: DEAD}


def rules_of(page: Path, changes: Mapping[str, str]) -> str:
    """The rules file of a page, with each of these texts replaced: each must be there."""
    (block,) = (found for found in blocks(page) if found.info == ("yaml", "rules.yaml"))
    text = block.text
    for old, new in changes.items():
        assert old in text, f"{old} is not in {block}"
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Case:
    """One row of the table of answers: its cells without their marks."""

    first: str
    second: str
    outcome: str
    message: str


def cases(page: Path, heading: str) -> list[Case]:
    """The rows of the table below a heading of the page."""
    _, found, rest = page.read_text("utf-8").partition(f"## {heading}\n")
    assert found, heading
    rows = [line for line in rest.split("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    return [Case(*(cell.strip().strip("`") for cell in row.split("|")[1:5])) for row in rows]


async def outcome(bench: Bench, rule: str) -> tuple[str, Run]:
    """How the run of a rule stands after its first try, in the words of the pages."""
    await bench.settle()
    run = await bench.run(rule)
    return _OUTCOMES[run.state], run
