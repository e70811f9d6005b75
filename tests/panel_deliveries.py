"""The deliveries of real and sample panels that lie beside the repository, byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PANELS = Path(__file__).parents[2] / "shared" / "fixtures" / "remnawave"


@dataclass(frozen=True, slots=True)
class PanelDelivery:
    """One delivery: where it comes from, what came, and the secret that signed it."""

    name: str
    panel: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    secret: str

    def json(self) -> dict[str, Any]:
        """The body as Python's own parser reads it."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@cache
def deliveries() -> tuple[PanelDelivery, ...]:
    """All of them."""
    return (*_samples(), *_real())


def _samples() -> list[PanelDelivery]:
    folder = PANELS / "samples"
    index = json.loads((folder / "index.json").read_text("utf-8"))
    return [
        _delivery(folder, each, each["headers"].items(), each["panel_version"], index["secret"])
        for each in index["samples"]
    ]


def _real() -> list[PanelDelivery]:
    folder = PANELS / "real"
    index = json.loads((folder / "index.json").read_text("utf-8"))
    return [
        _delivery(folder, each, each["headers"], "3.3.2", each["secret"])
        for each in index["deliveries"]
    ]


def _delivery(folder: Path, entry: Any, headers: Any, panel: str, secret: str) -> PanelDelivery:
    return PanelDelivery(
        name=entry["file"],
        panel=panel,
        headers=tuple((name.encode(), value.encode()) for name, value in headers),
        body=(folder / entry["file"]).read_bytes(),
        secret=secret,
    )
