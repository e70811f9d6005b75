"""The rules of the demo: the example as it is shipped, its connections led to this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from engine.daemon.registry import find_actions
from engine.errors import UserError
from engine.rules.loading import load
from engine.rules.secrets import Secrets

EXAMPLE = "rules.example.yaml"
_CHECKOUT = Path(__file__).parents[3]
_CONNECTIONS = re.compile(r"^connections:\n(?:(?:#.*\n|\n)*[ \t].*\n)*", re.MULTILINE)


def example_text(places: Iterable[Traversable] | None = None) -> str:
    """`rules.example.yaml`: as installed with the package, else as it lies in the checkout."""
    for place in places or (resources.files("engine.cli"), _CHECKOUT):
        file = place.joinpath(EXAMPLE)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise UserError(f"{EXAMPLE} is missing; install Rulewave again")


def write_rules(folder: Path, *, smtp_port: int, http_port: int) -> None:
    """Write the demo's rules: the example, with its connections led here."""
    text = example_text()
    whole = folder / EXAMPLE
    whole.write_text(text, encoding="utf-8")
    nowhere = Secrets(None, None, {})
    known = load(whole, actions=find_actions(), secrets=nowhere).ruleset.connections
    led = {name: _led_here(name, spec.raw, smtp_port, http_port) for name, spec in known.items()}
    whole.write_text(with_connections(text, led), encoding="utf-8")


def with_connections(text: str, connections: Mapping[str, Any]) -> str:
    """The rules file with other connections, and nothing else changed."""
    # JSON is YAML, too; a function, so that no backslash in it is read as a group.
    block = f"connections: {json.dumps(connections, ensure_ascii=False)}\n"
    return _CONNECTIONS.sub(lambda _: block, text, count=1)


def _led_here(name: str, raw: Mapping[str, Any], smtp_port: int, http_port: int) -> dict[str, Any]:
    # No rate: nobody who watches a demo wants to wait for it.
    kept = {key: raw[key] for key in ("kind", "from") if key in raw}
    if raw["kind"] == "smtp":
        return kept | {"host": "127.0.0.1", "port": smtp_port, "tls": "none"}
    if raw["kind"] == "telegram":
        bot = {"token": raw["token"], "chat": raw["chat"], "rate": "100/s"}
        return kept | bot | {"api": f"http://127.0.0.1:{http_port}/{name}"}
    return kept | {"url": f"http://127.0.0.1:{http_port}/{name}"}
