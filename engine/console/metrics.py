"""The figures at `/metrics`, in a registry of their own, with labels that cannot grow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from engine.errors import JournalUnavailable
from engine.model import State

_MOST_OUTCOMES = 32
_MOST_TARGETS = 32
_UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Events not yet decided, runs by state, the targets that are paused, and rules by kind."""

    backlog: int
    runs: Mapping[str, int] = field(default_factory=dict)
    paused: Sequence[str] = ()
    rules: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """Counts answers and ended runs, and asks for the rest when somebody looks."""

    def __init__(self) -> None:
        # Two registries: prometheus_client would not have `rulewave_runs` beside `…_runs_total`.
        counts = self._counts = CollectorRegistry()
        gauges = self._gauges = CollectorRegistry()
        self._seen: set[str] = set()
        self._intake = Counter(
            "rulewave_intake", "Answers to deliveries.", ["outcome"], registry=counts
        )
        self._ended = Counter("rulewave_runs", "Runs that ended.", ["outcome"], registry=counts)
        self._backlog = Gauge(
            "rulewave_backlog", "Events stored and not yet decided.", registry=gauges
        )
        self._runs = Gauge(
            "rulewave_runs",
            "Runs in the journal, by state; dead ones that were dropped aside.",
            ["state"],
            registry=gauges,
        )
        self._paused = Gauge(
            "rulewave_target_paused",
            "Targets that keep failing and are paused; 1 each.",
            ["target"],
            registry=gauges,
        )

        self._rules = Gauge(
            "rulewave_rules",
            "Rules in force: live, in shadow or off; and those with an error, in force or not.",
            ["state"],
            registry=gauges,
        )
        self._reloads = Counter(
            "rulewave_reloads", "Reloads of the rules.", ["outcome"], registry=counts
        )

        self._outcomes = Counter(
            "rulewave_outcomes",
            "What rules said to events; of those held back, by what.",
            ["verdict", "held_by"],
            registry=counts,
        )

    def judged(self, verdict: str, held_by: str) -> None:
        """Count what a rule said to an event, other than that it did not match."""
        self._outcomes.labels(verdict, held_by).inc()

    def answered(self, code: str) -> None:
        """Count an answer to a delivery."""
        self._intake.labels(self._bounded(code)).inc()

    def run_ended(self, state: str) -> None:
        """Count the end of a run."""
        self._ended.labels(_known(state)).inc()

    def reloaded(self, *, well: bool) -> None:
        """Count a reload, with errors in what was read or without."""
        self._reloads.labels("well" if well else "with_errors").inc()

    async def render(self, numbers: Callable[[], Awaitable[Numbers]]) -> bytes:
        """The exposition in Prometheus' text format; NaN where the journal cannot be asked."""
        try:
            asked = await numbers()
        except JournalUnavailable:
            self._backlog.set(_UNKNOWN)
            for state in State:
                self._runs.labels(state.value).set(_UNKNOWN)
        else:
            self._backlog.set(asked.backlog)
            for state in State:
                self._runs.labels(state.value).set(asked.runs.get(state.value, 0))
            for kind, number in asked.rules.items():
                self._rules.labels(kind).set(number)
            self._show_paused(asked.paused)
        return generate_latest(self._counts) + generate_latest(self._gauges)

    def _show_paused(self, targets: Sequence[str]) -> None:
        """One line a target; those beyond the limit are counted together."""
        self._paused.clear()
        for target in targets[:_MOST_TARGETS]:
            self._paused.labels(target).set(1)
        if beyond := len(targets[_MOST_TARGETS:]):
            self._paused.labels("other").set(beyond)

    def _bounded(self, code: str) -> str:
        """The code, or "other" once there are more of them than anybody would tell apart."""
        if len(self._seen) < _MOST_OUTCOMES:
            self._seen.add(code)
        return code if code in self._seen else "other"


def _known(state: str) -> str:
    return state if state in tuple(State) else "other"
