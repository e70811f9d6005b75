"""Pure: what in the HTML of a text Telegram would refuse, as far as it shows before a value is in it."""

from __future__ import annotations

import re

TAGS = frozenset({
    "a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "span", "strike", "strong",
    "tg-emoji", "tg-spoiler", "u",
})  # fmt: skip
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)(?:\s[^<>]*)?/?>")
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9A-Fa-f]+|lt|gt|amp|quot);")


def wrong_html(text: str) -> tuple[str, str] | None:
    """What is wrong, and a way out; None where nothing shows."""
    plain = _JINJA.sub("x", text)
    for found in _TAG.finditer(plain):
        if found[1].lower() not in TAGS:
            known = ", ".join(sorted(TAGS))
            return f"Telegram knows no tag <{found[1]}>", f"there is {known}"
    rest = _ENTITY.sub("", _TAG.sub("", plain))
    for sign, written in (("<", "&lt;"), ("&", "&amp;")):
        if sign in rest:
            return f"Telegram does not take a bare {sign}", f"write {written}"
    return None if "{%" in text else _unbalanced(plain)


def _unbalanced(plain: str) -> tuple[str, str] | None:
    opened: list[str] = []
    for found in _TAG.finditer(plain):
        name = found[1].lower()
        if not found[0].startswith("</"):
            opened.append(name)
        elif not opened or opened.pop() != name:
            return f"</{name}> closes what is not open", f"write <{name}> before it"
    if opened:
        return f"<{opened[-1]}> is never closed", f"write </{opened[-1]}> behind it"
    return None
