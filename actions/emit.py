"""The `emit` action: raises an event of one's own, to which other rules may answer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pydantic

from engine.action import Action, Call, Field, Params, Written


class EmitParams(Params):
    """What happened, and what there is to know about it."""

    event: Annotated[
        str,
        Field(Written.EVENT),
        pydantic.Field(description="Its type, a name of your own, as `vip.noticed`."),
    ]
    data: Annotated[
        dict[str, Any],
        Field(Written.EXPRESSION),
        pydantic.Field(
            default_factory=dict,
            description="Its data: a text is a JMESPath expression, a mapping holds templates.",
        ),
    ]


class Emit(Action[EmitParams]):
    """Raises an event, once for all tries of a step."""

    name = "emit"
    params = EmitParams
    pausable: ClassVar[bool] = False
    internal: ClassVar[bool] = True

    def describe(self, params: EmitParams) -> str:
        """The event type."""
        return f"emit {params.event}"

    async def run(self, params: EmitParams, call: Call) -> dict[str, Any]:
        """Raise it; the result names it."""
        return {"event_id": await call.raise_event(params.event, params.data)}
