"""Which texts may name something: an event type, or the subject that it is about."""

from __future__ import annotations

import re
from typing import TypeGuard

MAX_LENGTH = 200
"""Characters; longer ones do not fit every database's index."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_identifier(value: object) -> TypeGuard[str]:
    """A text that is not empty, not too long, and free of control characters (NUL cannot be stored)."""
    return isinstance(value, str) and 0 < len(value) <= MAX_LENGTH and not _CONTROL.search(value)
