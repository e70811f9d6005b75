"""Raises the event that the daemon has started."""

from __future__ import annotations

from importlib.metadata import version

import structlog

from engine.daemon.assembly import Engine
from engine.deciding.own import STARTED, own_event
from engine.errors import JournalUnavailable

log = structlog.get_logger("rulewave.daemon")


async def tell_started(engine: Engine) -> None:
    """Raise it, unless there are no rules to decide it by; a start never fails for it."""
    if not engine.decides:
        return
    broken = {problem.rule for problem in engine.problems if problem.severity == "error"}
    data = {
        "version": version("rulewave"),
        "rules": len(engine.desk.library.book.ruleset.rules),
        "broken": len(broken - {None}),
        "backlog": engine.pipeline.backlog,
    }
    now = engine.desk.clock.now()
    try:
        await engine.pipeline.raise_own(*own_event(STARTED, data, once=now, now=now))
    except JournalUnavailable as error:
        log.error("daemon.start_not_told", error=str(error))
