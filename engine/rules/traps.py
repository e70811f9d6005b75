"""The ways in which JMESPath says something else than its author meant, found word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.rules import codes
from engine.rules.expressions import Token, tokens

_ORDERS = {"lt", "gt", "lte", "gte"}
_COMPARES = _ORDERS | {"eq", "ne"}
_NAME = "unquoted_identifier"
_NAMES = {_NAME, "quoted_identifier"}
_OPENS = {"filter", "lbracket", "lbrace", "lparen"}
_CLOSES = {"rbracket", "rbrace", "rparen"}
_GOES_ON = {"dot", "lbracket", "lparen", "filter", "flatten"}
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_OTHERS = {
    "in": "write contains(['A', 'B'], user.status)",
    "like": "write contains(x, 'part') or matches(x, 'regex')",
    "is": "write == `null` or != `null`",
}


@dataclass(frozen=True, slots=True)
class Trap:
    """What is wrong, how it is written right, and the name taken for a field."""

    code: str
    message: str
    hint: str
    name: str = ""


def find_traps(text: str, names: frozenset[str]) -> list[Trap]:
    """Every trap in an expression; `names` are the names that stand for something."""
    words = tokens(text)
    inner = _inner(words)
    found: list[Trap] = []
    for number, word in enumerate(words):
        if word.type in _COMPARES:
            found += _around(words, number, inner[number], names)
        elif word.type == "not":
            found += _negated(words, number, text)
        elif word.type == "literal" and word.text.startswith("`"):
            found += _not_json(word)
    return list(dict.fromkeys(found))


def spelling_hint(text: str, column: int) -> str:
    """The right spelling where a text that is no JMESPath looks like another language."""
    rest = text[column - 1 :]
    if rest.startswith("=") or text[max(0, column - 2) :].startswith("= "):
        return "two equals signs compare: =="
    word = re.match(r"\w+", rest)
    if word and word[0] in _WORDS:
        return f"JMESPath writes {_WORDS[word[0]]} for {word[0]}"
    if rest.startswith(("{{", "{%")) or "{{" in text:
        return "conditions are JMESPath, without {{ }}"
    return _other_hint(text, column, rest, word[0] if word else "")


def _other_hint(text: str, column: int, rest: str, word: str) -> str:
    if re.search(r"(^|\W)not\s+$", text[: column - 1], re.IGNORECASE):
        return "write !(…), or  not: …  as a key"
    if word in _OTHERS:
        return _OTHERS[word]
    if re.match(r"\s*[-+*/]\s*[\w(]", rest):
        return "JMESPath does not calculate: hours_until(x) and days_since(x) tell how far off a time is"
    if rest.startswith(("\u2018", "\u2019", "\u201c", "\u201d")):
        return "these are typographic quotes; texts stand in straight ones: 'text'"
    return ""


def _inner(words: list[Token]) -> list[bool]:
    """For each word, whether bare names there are fields of something else than the root."""
    stack, inside, found = [], False, []
    for number, word in enumerate(words):
        found.append(inside)
        if word.type in _OPENS:
            stack.append(inside)
            after_dot = number > 0 and words[number - 1].type == "dot"
            inside = inside or word.type == "filter" or (word.type != "lparen" and after_dot)
        elif word.type in _CLOSES and stack:
            inside = stack.pop()
        elif word.type in {"pipe", "expref"}:
            inside = True
    return found


def _around(words: list[Token], number: int, inner: bool, names: frozenset[str]) -> Iterator[Trap]:
    """What stands on both sides of a comparison."""
    orders = words[number].type in _ORDERS
    before = words[number - 1] if number else None
    after = words[number + 1] if number + 1 < len(words) else None
    joined = number > 1 and words[number - 2].type in {"dot", "colon", "lbracket"}
    # `status == 'A'` means a field on its left, if a wrong one; the check of names says so.
    left = not (before and after and before.type == _NAME and after.type == "literal")
    if before and not joined and left:
        yield from _operand(before, orders, inner, names)
    goes_on = len(words) > number + 2 and words[number + 2].type in _GOES_ON
    if after and (not goes_on or after.type == "number"):
        yield from _operand(after, orders, inner, names)


def _operand(word: Token, orders: bool, inner: bool, names: frozenset[str]) -> Iterator[Trap]:
    if word.type == "number":
        yield Trap(
            codes.BARE_NUMBER, f"the number {word.text} needs backticks", f"write `{word.text}`"
        )
    elif word.type in _NAMES:
        yield from _field(word, inner, names)
    elif word.type == "literal" and word.text.startswith("'") and orders:
        message = f"< and > compare {word.text} by alphabet, not as a time or number"
        hint = f"compare times with time(…), and numbers in backticks, not {word.text}"
        yield Trap(codes.ORDERS_TEXT, message, hint)


def _field(word: Token, inner: bool, names: frozenset[str]) -> Iterator[Trap]:
    bare = word.text.strip('"')
    if bare in {"true", "false", "null"}:
        yield _compares(word, f"write `{bare}` for the value {bare}")
    elif word.type == "quoted_identifier" or (bare.isupper() if inner else bare not in names):
        yield _compares(word, f"write '{bare}' for the text")


def _compares(word: Token, hint: str) -> Trap:
    return Trap(
        codes.COMPARES_FIELD,
        f"{word.text} is the name of a field there",
        hint,
        word.text.strip('"'),
    )


def _negated(words: list[Token], number: int, text: str) -> Iterator[Trap]:
    """`!a.b` is `(!a).b`."""
    at = number + 1
    if at >= len(words) or words[at].type not in _NAMES | {"current"}:
        return
    at = _skip_brackets(words, at + 1)
    if at >= len(words) or words[at].type != "dot":
        return
    while at < len(words) and words[at].type == "dot":
        at = _skip_brackets(words, at + 2)
    path = text[words[number + 1].start : words[min(at, len(words)) - 1].end]
    wrong = text[words[number].start : words[number + 1].end]
    yield Trap(
        codes.NOT_OF_PATH,
        f"!{path} means ({wrong}){path[len(words[number + 1].text) :]}, which is never true",
        f"write !({path})",
    )


def _skip_brackets(words: list[Token], at: int) -> int:
    while at < len(words) and words[at].type in {"lbracket", "filter", "flatten"}:
        if words[at].type == "flatten":
            at += 1
            continue
        depth = 1
        while depth and at + 1 < len(words):
            at += 1
            depth += (words[at].type in {"lbracket", "filter"}) - (words[at].type == "rbracket")
        at += 1
    return at


def _not_json(word: Token) -> Iterator[Trap]:
    bare = word.text.strip("`").strip()
    try:
        json.loads(bare)
    except ValueError:
        yield Trap(codes.COMPARES_FIELD, f"{word.text} is not JSON", f"write '{bare}' for the text")
