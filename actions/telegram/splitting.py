"""Pure: a text in pieces that Telegram takes as one message each, no tag or entity cut in two."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

LIMIT = 4096
"""UTF-16 units of a message, counted as Telegram counts: what is seen, without the tags."""
Format: TypeAlias = Literal["html", "markdown", "plain"]

_TAG = r"""<(?P<ends>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)(?:"[^"]*"|'[^']*'|[^'"<>])*>"""
_HTML = re.compile(
    rf"{_TAG}|(?P<entity>&(?:#[0-9]+|#[xX][0-9A-Fa-f]+|lt|gt|amp|quot);)|.", re.DOTALL
)
# A link is one piece, with the text in it.
_MARKDOWN = re.compile(
    r"\\.|!?\[(?:\\.|[^\]\\])*\]\((?:\\.|[^)\\])*\)|(?P<mark>```|`|\*|__|_|~|\|\|)|.", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is never cut: a tag, an entity, a character. `size` is what is seen of it (UTF-16)."""

    raw: str
    size: int
    opens: str = ""
    closes: str = ""


def split(text: str, format: Format) -> list[str]:
    """The messages, at most `LIMIT` each; ValueError where no place is fit for a cut.

    Cuts are made after a line, else after a word. HTML that is open at a cut is closed, and opened
    again in the next message. MarkdownV2 is cut only where nothing is open. A message that would
    hold nothing but blanks is left out: Telegram takes none.
    """
    tokens = list({"html": _html, "markdown": _markdown, "plain": _plain}[format](text))
    pieces, start, opened = [], 0, list[Token]()
    while start < len(tokens):
        end = _end(tokens, start, opened, keep=format == "markdown")
        inside = tokens[start:end]
        before, opened = opened, _opened(opened, inside)
        if any(token.size and not token.raw.isspace() for token in inside):
            closing = "".join(f"</{token.opens}>" for token in reversed(opened))
            body = "".join(token.raw for token in inside)
            reopening = "".join(token.raw for token in before)
            pieces.append(reopening + body + ("" if format == "markdown" else closing))
        start = end
    return pieces


def _end(tokens: Sequence[Token], start: int, opened: list[Token], *, keep: bool) -> int:
    """Where the message that begins at `start` ends. `keep`: only where nothing is open."""
    size, at, line, word = 0, start, 0, 0
    stack = list(opened)
    anywhere = 0
    while at < len(tokens) and size + tokens[at].size <= LIMIT:
        token = tokens[at]
        size, at = size + token.size, at + 1
        stack = _opened(stack, [token])
        if keep and stack:
            continue
        anywhere = at
        if size * 2 >= LIMIT and token.raw == "\n":
            line = at
        elif size * 2 >= LIMIT and token.raw.isspace():
            word = at
    if at == len(tokens):
        return at
    if not anywhere:
        raise ValueError(
            f"the text is longer than {LIMIT} characters, and all of it is formatted as one piece"
        )
    end = line or word or anywhere
    while end < len(tokens) and tokens[end].closes and not keep:
        end += 1
    return end


def _opened(stack: Sequence[Token], tokens: Sequence[Token]) -> list[Token]:
    """What is open after these tokens."""
    now = list(stack)
    for token in tokens:
        if token.closes and now and now[-1].opens == token.closes:
            now.pop()
        elif token.opens:
            now.append(token)
    return now


def _html(text: str) -> Iterator[Token]:
    for found in _HTML.finditer(text):
        raw = found[0]
        if found["name"]:
            name = found["name"].lower()
            yield Token(raw, 0, closes=name) if found["ends"] else Token(raw, 0, opens=name)
        else:
            yield Token(raw, _units(html.unescape(raw)) if found["entity"] else _units(raw))


def _markdown(text: str) -> Iterator[Token]:
    """Marks count as seen: a message is rather too short than refused."""
    inside = ""
    for found in _MARKDOWN.finditer(text):
        mark, raw = found["mark"] or "", found[0]
        if inside and mark != inside and inside.startswith("`"):
            mark = ""  # code is code, whatever stands in it
        if not mark:
            yield Token(raw, _units(raw))
        elif inside and mark == inside:
            inside = ""
            yield Token(raw, _units(raw), closes=mark)
        elif mark.startswith("`"):
            inside = mark
            yield Token(raw, _units(raw), opens=mark)
        else:
            yield Token(raw, _units(raw), opens=mark, closes=mark)


def _plain(text: str) -> Iterator[Token]:
    return (Token(character, _units(character)) for character in text)


def _units(text: str) -> int:
    """UTF-16 units."""
    return sum(1 + (ord(character) > 0xFFFF) for character in text)  # noqa: PLR2004 - the plane
