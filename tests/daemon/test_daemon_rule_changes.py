"""A live daemon whose rules change while follow-ups wait: each does what its step and its rule say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon.in_process import Running, Site, body, tell

RULES = """version: 1
rules:
  - id: keeps
    on: user.created
    do: [{after: 1h, log: {text: old}}]
  - id: rebinds
    on: user.created
    do: [{after: 1h, on_rule_change: rebind, log: {text: old}}]
  - id: ends
    on: user.created
    do: [{after: 1h, on_rule_change: cancel, log: {text: old}}]
  - id: gets-a-name
    on: user.created
    do: [{after: 1h, log: {text: old}}]
  - id: goes
    on: user.created
    do: [{after: 1h, log: {text: old}}]
"""
CHANGED = (
    RULES[: RULES.index("  - id: goes")]
    .replace("after: 1h", "after: 1s")
    .replace("text: old", "text: new")
    .replace("- id: gets-a-name", "- id: has-a-name\n    was: [gets-a-name]")
)


async def waiting(running: Running) -> dict[str, tuple[str, str | None]]:
    """Rule → state and reason of its follow-up."""
    found: list[dict[str, Any]] = []
    for state in ("pending", "on hold", "cancelled", "succeeded"):
        found += await running.engine.desk.ask("followups", "list", {"state": state})
    return {run["rule"]: (run["state"], run["reason"]) for run in found}


async def reload(running: Running, folder: Path, rules: str) -> None:
    """Other rules, read now."""
    (folder / "rules.yaml").write_text(rules)
    await running.engine.reloader.reload()


def test_follow_ups_keep_go_over_end_are_held_and_take_another_name(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await running.post(body("anna"))
        await running.until("/metrics", 'rulewave_runs{state="pending"} 5.0')
        await reload(running, tmp_path, CHANGED)
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 6.0')
        assert await waiting(running) == {
            "keeps": ("pending", None),
            "rebinds": ("succeeded", None),  # a second after it was planned, by the new version
            "ends": ("cancelled", "rule_changed"),
            "has-a-name": ("pending", None),
            "goes": ("on hold", "rule_gone"),
        }

    async def after(running: Running) -> None:
        assert (await waiting(running))["goes"] == ("on hold", "rule_gone")
        await reload(running, tmp_path, RULES)
        assert (await waiting(running))["goes"] == ("pending", None)
        for rule in ("goes", "keeps"):
            (run,) = await running.engine.desk.ask("followups", "list", {"rule": rule})
            await running.engine.desk.ask("followups", "run-now", {"id": run["id"]})
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 8.0')

    tell(Site(tmp_path, rules=RULES), story)
    tell(Site(tmp_path, rules=CHANGED), after)
