"""An expression cut at its outermost operator, so that a trace can show what each part came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.rules.expressions import Expression, NotJMESPathError, Token, tokens

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_JOINS = {"and_expression": ("and", "&&"), "or_expression": ("or", "||")}
_OPENING = {"lparen", "lbracket", "lbrace", "filter"}
_CLOSING = {"rparen", "rbracket", "rbrace"}


@dataclass(frozen=True, slots=True)
class Operands:
    """An operator (`&&`, `||`, `!`, `==`, …) and what it joins; no operator, no parts."""

    operator: str = ""
    parts: tuple[Expression, ...] = ()


@lru_cache(maxsize=1024)
def operands(expression: Expression) -> Operands:
    """What the outermost operator joins, as written; the parts give the whole again."""
    tree, bare = expression.tree, _without_parentheses(expression.text)
    if tree["type"] == "not_expression":
        parts = _compiled([bare.removeprefix("!")])
        same = [part.tree for part in parts] == tree["children"]
        return Operands("!", parts) if same else Operands()
    if tree["type"] == "comparator":
        word, operator = tree["value"], _COMPARISONS[tree["value"]]
    elif tree["type"] in _JOINS:
        word, operator = _JOINS[tree["type"]]
    else:
        return Operands()
    cuts = [token for token in _outermost(bare) if token.type == word]
    parts = _compiled(_between(bare, cuts[-1:] if tree["type"] == "comparator" else cuts))
    return Operands(operator, parts) if len(parts) > 1 and _joined(parts, tree) else Operands()


def _between(text: str, cuts: list[Token]) -> Iterator[str]:
    begin = 0
    for cut in cuts:
        yield text[begin : cut.start]
        begin = cut.end
    yield text[begin:]


def _compiled(texts: Iterable[str]) -> tuple[Expression, ...]:
    try:
        return tuple(Expression(_without_parentheses(text)) for text in texts)
    except NotJMESPathError:
        return ()


def _joined(parts: tuple[Expression, ...], tree: dict[str, Any]) -> bool:
    joined, *others = (part.tree for part in parts)
    for other in others:
        joined = {**tree, "children": [joined, other]}
    return joined == tree


def _outermost(text: str) -> Iterator[Token]:
    """The tokens that stand in no parentheses or brackets."""
    depth = 0
    for token in tokens(text):
        depth -= token.type in _CLOSING
        if depth == 0 and token.type != "eof":
            yield token
        depth += token.type in _OPENING


def _without_parentheses(text: str) -> str:
    """The text without parentheses that hold all of it."""
    bare = text.strip()
    while [token.type for token in _outermost(bare)] == ["lparen", "rparen"]:
        bare = bare[1:-1].strip()
    return bare
