"""Whether a delivery is genuine: HMAC-SHA256 over the raw bytes, and nothing parsed before."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from engine.errors import RulewaveError

HEADER = b"x-remnawave-signature"
"""Name of the header that carries the signature, in lower case."""

_DIGITS = re.compile(rb"[0-9a-fA-F]{64}")


class Refused(RulewaveError):
    """A delivery that does not prove where it comes from; `status` is the HTTP answer."""

    def __init__(self, code: str, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def sign(body: bytes, secret: str) -> str:
    """The signature of a body as a panel writes it: 64 hex digits in lower case."""
    # The key is the secret as text, not hex-decoded; "surrogatepass" never raises.
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), body, "sha256").hex()


def verify(headers: Sequence[tuple[bytes, bytes]], body: bytes, secrets: Sequence[str]) -> None:
    """Return if one of the secrets made the signature; raise Refused, and nothing else, if not."""
    given = _given(headers).lower()
    genuine = False
    for secret in secrets:  # every one of them: the time must not tell which one fits
        same = hmac.compare_digest(given, sign(body, secret).encode("ascii"))
        # Everybody can sign with an empty secret.
        genuine |= same and bool(secret)
    if not genuine:
        raise Refused("signature_wrong", "the signature does not fit the body")


def _given(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The one signature header, exactly 64 hex digits."""
    values = [value for name, value in headers if name.lower() == HEADER]
    if not values:
        raise Refused("signature_missing", "there is no X-Remnawave-Signature header")
    if len(values) > 1:
        raise Refused("signature_doubled", "more than one X-Remnawave-Signature header", 400)
    if not _DIGITS.fullmatch(values[0]):
        raise Refused("signature_malformed", "X-Remnawave-Signature is not 64 hex digits")
    return values[0]
