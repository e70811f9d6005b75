"""`rulewave schema`: the rules file as JSON Schema, for editors."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of a rules file, for editors and check-jsonschema."""
    from engine.daemon.registry import find_actions
    from engine.rules.schema import rules_schema

    typer.echo(json.dumps(rules_schema(find_actions()), ensure_ascii=False, indent=2))
