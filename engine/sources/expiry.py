"""The two ways in which panels name an expiry notice: by event type, or by an offset in `meta`."""

from __future__ import annotations

import re

EXPIRATION = "user.expiration"
"""Newer panels: one event type, and `meta.expiration` in signed hours (negative = before)."""

_OLD_NAME = re.compile(
    r"user\.(?:expires_in_(?P<before>[1-9]\d{0,5})_hours|expired_(?P<after>[1-9]\d{0,5})_hours_ago)",
    re.ASCII,
)


def offset_of(event_type: str) -> int | None:
    """Signed hours in an older name; None for any other event type."""
    named = _OLD_NAME.fullmatch(event_type)
    if named is None:
        return None
    return -int(named["before"]) if named["before"] else int(named["after"])


def name_of(offset: int) -> str:
    """The older name of an offset in hours, which must not be 0."""
    return f"user.expires_in_{-offset}_hours" if offset < 0 else f"user.expired_{offset}_hours_ago"


def whole_hours(value: object) -> int | None:
    """A `meta.expiration` as a number of hours other than 0, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Beyond six digits no older name exists; this also keeps off NaN and infinities.
    return int(value) if 0 < abs(value) < 1_000_000 and value == int(value) else None  # noqa: PLR2004
