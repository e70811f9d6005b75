"""The generated parts of docs/reference/commands.md and settings.md: commands, options, settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from engine import settings as module
from engine.cli.app import app
from engine.clock import DAY
from engine.settings import Places, Settings

_MIB = 2**20


def commands() -> str:
    """Each command with what it takes."""
    root = typer.main.get_command(app)
    return "".join(f"\n### {name}\n\n{_described(one)}" for name, one in all_commands(root))


def all_commands(command: Any, name: str = "rulewave") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in sorted(below.items()):
        yield from all_commands(one, f"{name} {word}")


def settings() -> str:
    """Each setting, in the environment and as an option of `serve`."""
    # Another prefix: what is set on the machine may not get into the page.
    defaults = Settings(webhook_secret="x", _env_prefix="NOTHING_")
    rows = "".join(
        f"| `RULEWAVE_{name.upper()}` | {_kind(info)} | {_default(name, info, defaults)} "
        f"| {'yes' if name in Places.model_fields else ''} | {info.description} |\n"
        for name, info in Settings.model_fields.items()
    )
    head = "| setting | written as | default | commands too | meaning |\n"
    return f"\n{head}| --- | --- | --- | --- | --- |\n{rows}"


def _described(command: Any) -> str:
    rows = "".join(map(_row, command.params))
    table = f"\n| argument or option | default | meaning |\n| --- | --- | --- |\n{rows}"
    return f"{command.help}\n{table if rows else ''}"


def _row(param: Any) -> str:
    if param.opts[0].startswith("-"):
        name = " ".join(f"`{option}`" for option in (*param.opts, *param.secondary_opts))
    else:
        name = f"`{param.metavar or param.name.upper()}`"
    default = param.default if not isinstance(param.default, bool) else None
    shown = "**needed**" if param.required else "" if default is None else f"`{default}`"
    text = (param.help or "").replace("|", "\\|")
    return f"| {name} | {shown} | {text} |\n"


def _kind(info: FieldInfo) -> str:
    readers = {one.func for one in info.metadata if isinstance(one, BeforeValidator)}
    if module._bytes in readers:
        return "size, as `1MiB` or `500KiB`"
    if module._span in readers:
        return "duration, as `30d` or `12h`; `off`"
    if get_origin(info.annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(info.annotation))
    return {bool: "`true`, `false`", int: "number", Path: "path"}.get(info.annotation, "text")  # type: ignore[call-overload, no-any-return]


def _default(name: str, info: FieldInfo, defaults: Settings) -> str:
    if name == "webhook_secret":
        return "**needed**"
    # As above: rules.yaml of the present folder would be found.
    value = info.default if name in Places.model_fields else getattr(defaults, name)
    if value is None:
        return ""
    if _kind(info).startswith("size"):
        value = f"{value // _MIB}MiB"
    elif _kind(info).startswith("duration"):
        value = f"{value // DAY}d"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
