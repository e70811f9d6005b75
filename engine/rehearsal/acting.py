"""Whoever stands in an action's place at a rehearsal: it takes note of the step, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.action import Action, Call, Connection, Params
from engine.model import Run
from engine.rules.model import ActionStep
from engine.rules.secrets import Secrets

UNKNOWN_SECRET = "SECRET"  # noqa: S105  # a word that may stand wherever a secret may


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a step that a rehearsal comes to, at a moment (µs)."""

    run: Run
    step: ActionStep
    params: Params
    key: str
    at: int
    internal: bool = False


Play = Callable[[Try], dict[str, Any]]
"""How a try ends: its result, or `ActionFailed`."""


class StandIn(Action[Params]):
    """In place of an action for one try of one step."""

    def __init__(self, real: Action[Any], play: Callable[[Params, str], dict[str, Any]]) -> None:
        self._real = real
        self._play = play
        self.params = real.params

    def describe(self, params: Params) -> str:
        """What the action itself would say."""
        return self._real.describe(params)

    async def run(self, params: Params, call: Call) -> dict[str, Any]:
        """End as the rehearsal says; what stays inside of Rulewave is done."""
        result = self._play(params, call.key)
        return {**(await self._real.run(params, call)), **result} if self._real.internal else result


class NoSecrets(Secrets):
    """In place of the secrets: a rehearsal needs none, and can't give any away."""

    def __init__(self) -> None:
        super().__init__(None, None, {})

    def get(self, name: str) -> str:
        """A word that may stand wherever a secret may."""
        del name
        return UNKNOWN_SECRET

    def mask(self, text: str) -> str:
        """There is nothing to mask."""
        return text


def performer(play: Play, now: Callable[[], int]) -> Callable[..., Action[Any]]:
    """Puts a stand-in in the place of each action."""

    def perform(run: Run, step: ActionStep, action: Action[Any]) -> Action[Any]:
        def play_it(params: Params, key: str) -> dict[str, Any]:
            return play(Try(run, step, params, key, now(), action.internal))

        return StandIn(action, play_it)

    return perform


def no_connection(name: str) -> Connection:
    """Nobody is called, so nothing is needed of a connection."""
    return Connection(kind=name)
