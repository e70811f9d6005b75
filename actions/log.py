"""The `log` action: one line in the daemon's own log."""

from __future__ import annotations

import logging
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from engine.action import Action, Call, Field, Params, Written, printable

# A line longer than this is cut: what a sender writes may not decide how much we log.
_LONGEST = 8 * 1024


class LogParams(Params):
    """What to write, and how loudly."""

    text: Annotated[
        str,
        Field(Written.TEXT),
        pydantic.Field(description="What to write; control characters come out escaped."),
    ]
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        pydantic.Field(description="How loudly: `debug`, `info`, `warning` or `error`."),
    ] = "info"


class Log(Action[LogParams]):
    """Writes one line into the daemon's log."""

    name = "log"
    params = LogParams
    pausable: ClassVar[bool] = False

    def describe(self, params: LogParams) -> str:
        """The level and the text."""
        return f"log {params.level}: {printable(params.text)}"

    async def run(self, params: LogParams, call: Call) -> dict[str, Any]:
        """Write the line; there is nothing that could fail, and nothing to give back."""
        # Imported here: structlog alone takes a tenth of a second.
        import structlog

        await call.irrevocable()
        structlog.get_logger("rulewave").log(
            logging.getLevelNamesMapping()[params.level.upper()],
            "action.log",
            text=printable(call.mask(params.text), _LONGEST),
        )
        return {}
