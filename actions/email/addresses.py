"""Mail addresses: read strictly, so that no two servers can read them differently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.headerregistry import Address

from engine.action import printable

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What may stand in no header."""
_MAILBOX = re.compile(
    r"""\s* (?: (?: "(?P<quoted>[^"\\]*)" | (?P<plain>[^"<>@,;]*?) ) \s* <(?P<angled>[^<>\s]+)>
              | (?P<bare>[^<>"\s,;]+) ) \s*""",
    re.VERBOSE,
)
# No quoted local parts, comments or encoded words: mail servers disagree on where these end.
_ADDRESS = re.compile(r"(?P<user>[^\s@<>()\[\]\\,;:\"]{1,64})@(?P<domain>[\w.-]{1,253})")


def addresses(text: str | list[str]) -> list[Address]:
    """The mailboxes in a text with commas, or in a list that holds one each."""
    if isinstance(text, list):
        return [mailbox for item in text for mailbox in mailboxes(item, most=1)]
    return list(mailboxes(text))


def mailboxes(text: str, most: int | None = None) -> Iterator[Address]:
    """`a@b, Anna <c@d>` one by one; ValueError for what is not one."""
    if CONTROL.search(text):
        raise ValueError("a mail address may hold no line break or other control character")
    place = count = 0
    while text[place:].strip():
        found = _MAILBOX.match(text, place)
        count += 1
        if not found or text[found.end() : found.end() + 1] not in {"", ","}:
            raise ValueError(f"{printable(text, 80)!r} is no mail address")
        if most is not None and count > most:
            raise ValueError(f"{printable(text, 80)!r} is more than one mail address")
        yield _mailbox(found)
        place = found.end() + 1


def _mailbox(found: re.Match[str]) -> Address:
    """One mailbox, its domain in the letters that DNS knows."""
    address = found["angled"] or found["bare"]
    parts = _ADDRESS.fullmatch(address)
    name = (found["quoted"] or found["plain"] or "").strip()
    if not parts or "=?" in address or ".." in f".{parts['user']}.":
        raise ValueError(f"{printable(address, 80)!r} is no mail address")
    return Address(unencoded(name), parts["user"], _domain(parts["domain"]))


def _domain(domain: str) -> str:
    """The domain as ASCII."""
    if domain.isascii():
        return domain
    import idna

    return idna.encode(domain, uts46=True).decode("ascii")


def unencoded(text: str) -> str:
    """The text without what a reader would take for an encoded word, and decode."""
    return text.replace("=?", "= ?")
