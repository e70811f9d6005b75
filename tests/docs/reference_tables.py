"""The parts of docs/reference that come out of the code; run it to write them anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docs.command_tables import commands, settings
from docs.event_tables import events
from docs.sample_tables import samples
from pydantic import BaseModel

from engine.action import Field, Written
from engine.daemon.registry import find_actions
from engine.rules.codes import CODES
from engine.rules.connections import kinds_of
from engine.rules.marks import LITERAL, slots
from engine.sources.own import EVENTS

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = _REFERENCE / "rules.md"
GENERATED = tuple(
    _REFERENCE / f"{name}.md" for name in ("rules", "settings", "commands", "events", "tests")
)
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(\n<!-- end -->\n)", re.DOTALL)
_WRITTEN = {
    Written.TEXT: "template",
    Written.HTML: "template, escapes for HTML",
    Written.MARKDOWN: "template, escapes for MarkdownV2",
    Written.LINE: "template, one line",
    Written.ADDRESS: "template, addresses",
    Written.ARGV: "template, fixed program",
    Written.URL: "template, fixed host",
    Written.EVENT: "event type",
    Written.EXPRESSION: "JMESPath, or templates",
    Written.LITERAL: "as it stands",
}


def page_as_generated(text: str) -> str:
    """The page with every generated part as the code has it now."""
    parts = {
        "actions": actions, "connections": connections, "codes": codes, "own": own_events,
        "settings": settings, "commands": commands, "events": events, "samples": samples,
    }  # fmt: skip
    return _GENERATED.sub(lambda found: f"{found[1]}{parts[found[2]]()}{found[3]}", text)


def actions() -> str:
    """The parameters of each action."""
    return "".join(
        f"\n### {name}\n\n{_parameters(action.params)}{_nested(action.params)}"
        for name, action in sorted(find_actions().items())
    )


def connections() -> str:
    """What each kind of connection can say."""
    kinds = sorted(kinds_of(find_actions()).items())
    return "".join(f"\n### kind: {kind}\n\n{_settings(model)}" for kind, model in kinds)


def codes() -> str:
    """What each code of a problem means."""
    rows = "".join(f"| {code} | {_cell(meaning)} |\n" for code, meaning in sorted(CODES.items()))
    return f"\n| code | meaning |\n| --- | --- |\n{rows}"


def own_events() -> str:
    """What the daemon raises itself, and what is in it."""
    rows = "".join(f"| `{name}` | {_cell(own.when)} |\n" for name, own in EVENTS.items())
    tables = "".join(
        f"\n### {name}\n\n| field | meaning |\n| --- | --- |\n"
        + "".join(f"| `data.{key}` | {_cell(one.meaning)} |\n" for key, one in own.fields.items())
        for name, own in EVENTS.items()
    )
    return f"\n| event | when |\n| --- | --- |\n{rows}{tables}"


def _parameters(model: type[BaseModel], inherited: Field = LITERAL) -> str:
    rows = "".join(_row(model, name, info, inherited) for name, info in model.model_fields.items())
    return f"| parameter | default | written as | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _row(model: type[BaseModel], name: str, info: Any, inherited: Field) -> str:
    shown = info.alias or name
    mark = slots(model)[shown].mark or inherited
    written = _WRITTEN[mark.written] + (", secrets" if mark.secrets else "")
    return f"| `{shown}` | {_default(info)} | {written} | {_cell(info.description)} |\n"


def _settings(model: type[BaseModel]) -> str:
    """Of a connection every text may hold secrets and vars, so that goes without a column."""
    rows = "".join(
        f"| `{info.alias or name}` | {_default(info)} | {_cell(info.description)} |\n"
        for name, info in model.model_fields.items()
        if name not in {"kind", "rate"}
    )
    return f"| setting | default | meaning |\n| --- | --- | --- |\n{rows}"


def _default(info: Any) -> str:
    if info.is_required():
        return "**needed**"
    value = info.get_default(call_default_factory=True)
    return "" if value is None or value in ("", (), {}) else f"`{str(value).lower()}`"


def _nested(model: type[BaseModel]) -> str:
    """The mappings that may stand inside a parameter."""
    return "".join(
        f"\nInside `{name}`:\n\n{_parameters(inner, slot.mark or LITERAL)}"
        for name, slot in slots(model).items()
        for inner in slot.models
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for page in GENERATED:
        page.write_text(page_as_generated(page.read_text(encoding="utf-8")), encoding="utf-8")
