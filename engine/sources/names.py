"""The event types that one event answers to: the one sent, and its aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.clock import from_iso
from engine.sources import expiry, views

RENEWED = "user.renewed"
"""No panel sends it: a `user.modified` or `user.enabled` that moves `expireAt` to later."""
RENEWING = ("user.modified", "user.enabled")
"""The event types that may be a renewal."""


def names(body: Mapping[str, Any], previous: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The sent event type first, then its aliases.

    `previous` is the body of the last state known of the same subject. Never raises on a JSON
    object; one without an event type has no name.
    """
    event = body.get("event")
    if not isinstance(event, str):
        return ()
    if event == expiry.EXPIRATION:
        offset = expiry.whole_hours((views.meta(body) or {}).get("expiration"))
        return (event,) if offset is None else (event, expiry.name_of(offset))
    if expiry.offset_of(event) is not None:
        return event, expiry.EXPIRATION
    if event in RENEWING and previous is not None and _moved_on(previous, body):
        return event, RENEWED
    return (event,)


def why_no_renewal(body: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """Why an event that may be a renewal is none; "" for one that can't be, or is one."""
    if body.get("event") not in RENEWING or RENEWED in names(body, previous):
        return ""
    if previous is None:
        return "no earlier state of the user is known"
    if end_of(previous) is None or end_of(body) is None:
        return "expireAt is not known before and after"
    return "expireAt is not later than before"


def _moved_on(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the user's end is later than it was, both known."""
    old, new = end_of(before), end_of(after)
    return old is not None and new is not None and new > old


def end_of(body: Mapping[str, Any]) -> int | None:
    """When the event's user ends (µs); None where that is not known or unreadable."""
    user = views.payload(body, "user")
    return from_iso(user.get("expireAt")) if user else None
