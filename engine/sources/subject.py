"""Whom an event is about, and when it was raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.clock import from_iso
from engine.sources import views
from engine.sources.identifiers import is_identifier

# What identifies each, on every panel version.
_IDENTITIES = (("user", "username"), ("node", "uuid"))


def subject(body: Mapping[str, Any]) -> str | None:
    """`user:<username>` where the event has a user, else `node:<uuid>`, else None."""
    for kind, identity in _IDENTITIES:
        found = views.payload(body, kind)
        key = found.get(identity) if found else None
        if is_identifier(key):
            return f"{kind}:{key}"
    return None


def raised(body: Mapping[str, Any]) -> int | None:
    """The event's own timestamp in microseconds; None where it is absent or unreadable."""
    return from_iso(body.get("timestamp"))
