"""Which items of a program's arguments must be fixed: no value of an event may choose what runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from engine.rules.templates import inspect, is_template

# Programs that run what stands behind such an option.
_COMMAND = re.compile(r"-[a-zA-Z]*c")
_OPTIONS = {
    **dict.fromkeys(
        ("sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "python", "python3", "su"), _COMMAND
    ),
    **dict.fromkeys(("perl", "ruby", "node"), re.compile(r"-[a-zA-Z]*e")),
    "php": re.compile(r"-r"),
}


def open_items(run: Sequence[Any]) -> Iterator[tuple[int, str, str]]:
    """Items that a value could change, and that decide what runs: number, message, hint."""
    if run and not _fixed(run[0]):
        hint = "write the program out; values may follow as arguments"
        yield 0, "a value would choose the program", hint
    for number, item in enumerate(run):
        option = _OPTIONS.get(str(item).rpartition("/")[2])
        if option is None:
            continue
        scripts = (
            at + 1
            for at in range(number + 1, len(run) - 1)
            if isinstance(run[at], str) and option.fullmatch(run[at])
        )
        script = next(scripts, None)
        if script is not None and not _fixed(run[script]):
            message = f"{item} would run what a stranger wrote, if the value holds a command"
            right = f"""[{item}, {run[script - 1]}, '… "$1"', x, "{{{{ … }}}}"]"""
            yield script, message, f"hand the value over beside it: {right}, or in env"
            return


def fixed_beginning(run: Sequence[Any]) -> str:
    """The program and the arguments behind it up to the first that a value could change."""
    return " ".join(str(item) for item in takewhile(_fixed, run))


def _fixed(item: Any) -> bool:
    """Whether an item depends on nothing but vars."""
    if not isinstance(item, str) or not is_template(item):
        return True
    return inspect(item).names <= {"vars"}
