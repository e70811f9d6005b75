"""An outcome for people's eyes: private values masked before they are put into words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.deciding.matching import Outcome
from engine.rules.conditions import ABSENT, Judgement, Side
from engine.sources.redaction import mask_private, mask_texts


def masked(outcome: Outcome, private: tuple[str, ...]) -> Outcome:
    """Masked before it is put into words, which shorten: half a link would pass a mask."""
    judgement = outcome.judgement
    return replace(
        outcome,
        said=mask_texts(outcome.said, private),
        key=mask_texts(outcome.key, private),
        judgement=_judgement(judgement, private) if judgement else None,
    )


def _judgement(judgement: Judgement, private: tuple[str, ...]) -> Judgement:
    return replace(
        judgement,
        value=_hidden(judgement.value, private),
        error=mask_texts(judgement.error, private),
        read={path: _hidden(value, private) for path, value in judgement.read.items()},
        parts=tuple(_judgement(part, private) for part in judgement.parts),
        sides=tuple(_side(side, private) for side in judgement.sides),
    )


def _side(side: Side, private: tuple[str, ...]) -> Side:
    if side.is_literal:
        return side
    error = mask_texts(side.error, private)
    return replace(side, value=_hidden(side.value, private), error=error)


def _hidden(value: Any, private: tuple[str, ...]) -> Any:
    return value if value is ABSENT else mask_private(value, private)
