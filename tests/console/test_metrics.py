"""The figures: counted as they happen, asked for when somebody looks, never growing without end."""

from __future__ import annotations

import asyncio

from engine.console.metrics import Metrics, Numbers
from engine.errors import JournalUnavailable


async def _numbers() -> Numbers:
    return Numbers(backlog=7, runs={"pending": 2, "on hold": 1})


def _lines(metrics: Metrics) -> list[str]:
    return asyncio.run(metrics.render(_numbers)).decode().splitlines()


def test_answers_are_counted_by_outcome() -> None:
    metrics = Metrics()
    for code in ("accepted", "accepted", "signature_wrong"):
        metrics.answered(code)
    lines = _lines(metrics)
    assert 'rulewave_intake_total{outcome="accepted"} 2.0' in lines
    assert 'rulewave_intake_total{outcome="signature_wrong"} 1.0' in lines


def test_outcomes_beyond_a_reasonable_number_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.answered(f"code_{number}")
    metrics.answered("code_0")
    lines = _lines(metrics)
    assert 'rulewave_intake_total{outcome="code_0"} 2.0' in lines
    assert 'rulewave_intake_total{outcome="other"} 68.0' in lines


def test_ended_runs_are_counted_by_their_state() -> None:
    metrics = Metrics()
    metrics.run_ended("succeeded")
    metrics.run_ended("no such state")
    lines = _lines(metrics)
    assert 'rulewave_runs_total{outcome="succeeded"} 1.0' in lines
    assert 'rulewave_runs_total{outcome="other"} 1.0' in lines


def test_runs_and_backlog_are_what_the_journal_says_now() -> None:
    lines = _lines(Metrics())
    assert "rulewave_backlog 7.0" in lines
    assert 'rulewave_runs{state="pending"} 2.0' in lines
    assert 'rulewave_runs{state="on hold"} 1.0' in lines
    assert 'rulewave_runs{state="dead"} 0.0' in lines


def test_where_the_journal_cannot_be_asked_its_figures_are_unknown_and_the_rest_is_shown() -> None:
    async def away() -> Numbers:
        raise JournalUnavailable("database away")

    metrics = Metrics()
    metrics.answered("not_stored")
    text = asyncio.run(metrics.render(away)).decode()
    assert "rulewave_backlog NaN" in text
    assert 'rulewave_runs{state="pending"} NaN' in text
    assert 'rulewave_intake_total{outcome="not_stored"} 1.0' in text


def test_paused_targets_are_named_up_to_a_limit_and_gone_when_they_open() -> None:
    metrics = Metrics()

    def lines(*paused: str) -> list[str]:
        async def numbers() -> Numbers:
            return Numbers(0, {}, paused)

        return asyncio.run(metrics.render(numbers)).decode().splitlines()

    assert 'rulewave_target_paused{target="mail"} 1.0' in lines("mail")
    many = lines(*(f"t{number}" for number in range(40)))
    assert 'rulewave_target_paused{target="t31"} 1.0' in many
    assert 'rulewave_target_paused{target="other"} 8.0' in many
    assert not any(line.startswith("rulewave_target_paused{") for line in lines())
