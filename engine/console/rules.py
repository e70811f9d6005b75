"""What people ask about the rules of a running daemon: to read them anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from engine.clock import to_iso
from engine.reloading.reloader import Reloader

Answer = Callable[[Mapping[str, str]], Awaitable[Any]]


_TOLD = ("added", "changed", "removed", "renamed", "connections", "followups")


def _before(moment: int, report: Mapping[str, Any]) -> dict[str, Any]:
    """The files are watched: what is asked for may have happened a moment ago."""
    return {"at": to_iso(moment), **{name: report[name] for name in _TOLD}}


def rule_answers(reloader: Reloader) -> dict[tuple[str, str], Answer]:
    """Who answers what."""

    async def reload(params: Mapping[str, str]) -> dict[str, Any]:
        """What a reload changed; with `plan` what it would, or what the rules of a `draft` would."""
        draft = params.get("draft")
        if params.get("plan"):
            report = await reloader.plan(Path(draft) if draft else None)
        else:
            report = await reloader.reload()
        before = None if report.changes or draft else reloader.last
        return {**report.as_json(), "before": _before(*before) if before else None}

    return {("rules", "reload"): reload}
