"""Raises the event that the daemon has started."""

from __future__ import annotations

from importlib.metadata import version

import structlog

from engine.daemon.assembly import Engine
from engine.deciding.own import STARTED, own_event
from engine.errors import JournalUnavailable
from engine.reloading.standing import WHOLE

log = structlog.get_logger("rulewave.daemon")


async def tell_started(engine: Engine) -> None:
    """Raise it, unless there are no rules to decide it by; a start never fails for it."""
    standing = engine.reloader.standing
    if not standing.decides:
        return
    data = {
        "version": version("rulewave"),
        "rules": len(standing.ruleset.rules),
        "broken": sum(rule != WHOLE for rule in standing.broken),
        "backlog": engine.pipeline.backlog,
    }
    now = engine.desk.clock.now()
    try:
        await engine.pipeline.raise_own(*own_event(STARTED, data, once=now, now=now))
    except JournalUnavailable as error:
        log.error("daemon.start_not_told", error=str(error))
