"""What people ask about the rules of a running daemon: to read them anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from engine.reloading.reloader import Reloader

Answer = Callable[[Mapping[str, str]], Awaitable[Any]]


def rule_answers(reloader: Reloader) -> dict[tuple[str, str], Answer]:
    """Who answers what."""

    async def reload(params: Mapping[str, str]) -> dict[str, Any]:
        """What a reload changed; with `plan` what it would, or what the rules of a `draft` would."""
        if not params.get("plan"):
            return (await reloader.reload()).as_json()
        draft = params.get("draft")
        return (await reloader.plan(Path(draft) if draft else None)).as_json()

    return {("rules", "reload"): reload}
