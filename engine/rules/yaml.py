"""YAML read into plain data with the place of every key and value; only this file knows the library."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from engine.errors import Problem
from engine.rules import codes
from engine.rules.wording import shortened

MAX_BYTES = 5 * 1024 * 1024
MAX_VALUES = 500_000
MAX_DEPTH = 100

Path = tuple[str | int, ...]
# Escapes can spell what no database and no wire takes.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CORE = "tag:yaml.org,2002:"
_QUOTE = "put the whole text in quotes"
_BARE_TEMPLATE = re.compile(r"[:\-\[,]\s+\{\{")
_HINTS = {
    "mapping values are not allowed here": f'a text with ": " in it needs quotes; {_QUOTE}',
    "found character '\\t'": "indent with spaces, not with tabs",
    "found character '@'": _QUOTE,
    "found character '`'": _QUOTE,
    "found character '%'": _QUOTE,
    "expected alphabetic or numeric character": f"* and & are special in YAML; {_QUOTE}",
    "found undefined alias": f"* is special in YAML; {_QUOTE}",
    "found another document": "put everything into one document, without a second ---",
    "found unexpected end of stream": "is a quote or bracket left open?",
    "found '<stream end>'": "is a quote or bracket left open?",
    "expected <block end>": "is the indentation the same as in the lines above?",
    "could not find expected ':'": "a key needs a colon and a space after it",
    "maximum depth": "nest less deeply",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem inside the document, and the path of the key that it spoils."""

    path: Path
    problem: Problem


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML text says: plain data, and where each part of it stands.

    `data` is None where the text is no YAML at all (then `problems` says why) or is empty.
    `faults` are the problems that spoil only a part.
    """

    data: Any
    problems: tuple[Problem, ...]
    faults: tuple[Fault, ...]
    root: Any = None

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of the value at this path, or of its key.

        Where the path leads nowhere, the place of the nearest part that exists.
        """
        node, place = self.root, _place(self.root)
        for number, part in enumerate(path):
            found = _step(node, part)
            if found is None:
                break
            name, node = found
            at_key = key and number == len(path) - 1
            place = _place(name if at_key or _is_empty(node) else node)
        return place


class _RefusedError(Exception):
    """The document as a whole is too much."""

    def __init__(self, node: Any, message: str) -> None:
        super().__init__(message)
        self.node = node


def read(text: str, file: str) -> Document:
    """The document in `text`; never raises. `file` is the name used in problems."""
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        problem = Problem(file, 0, 0, codes.UNREADABLE, "the file is larger than 5 MiB")
        return Document(None, (problem,), ())
    try:
        root = _compose(text)
        reader = _Reader(file)
        data = reader.value(root, (), ()) if root is not None else None
    except _RefusedError as error:
        line, column = _place(error.node)
        problem = Problem(file, line, column, codes.REFUSED_YAML, str(error))
        return Document(None, (problem,), ())
    except RecursionError:
        problem = Problem(file, 0, 0, codes.REFUSED_YAML, "the document is nested too deeply")
        return Document(None, (problem,), ())
    except YAMLError as error:
        return Document(None, (_syntax(error, text, file),), ())
    faults = tuple(reader.faults)
    return Document(data, tuple(fault.problem for fault in faults), faults, root)


def _compose(text: str) -> Any:
    loader = YAML(typ="safe", pure=True)
    loader.max_depth = MAX_DEPTH
    # An anchor name used twice is legal YAML: the last one counts.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return loader.compose(text)
        except (AttributeError, AssertionError, IndexError, TypeError, ValueError) as error:
            # Broken directives and escapes make the library stumble over itself.
            raise YAMLError(f"{type(error).__name__} in the parser") from error


def _syntax(error: YAMLError, text: str, file: str) -> Problem:
    """One problem for the place where the text stops being YAML."""
    line, column, message = 1, 1, shortened(str(error), 200)
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = shortened(str(error.problem or error.context), 200)
    elif (offset := getattr(error, "position", None)) is not None:
        before = text[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
    hint = next((hint for part, hint in _HINTS.items() if part in message), "")
    lines = text.splitlines()
    if line <= len(lines) and _BARE_TEMPLATE.search(lines[line - 1]):
        hint = 'a text that begins with {{ stands in quotes: "{{ … }} …"'
    message = message.replace("<stream end>", "end of the file").replace("\\x00", "end of the file")
    return Problem(file, line, column, codes.NOT_YAML, f"this is not YAML: {message}", hint)


class _Reader:
    """Nodes into plain data; gathers what is wrong on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self._count = 0

    def value(self, node: Any, path: Path, above: tuple[int, ...]) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _RefusedError(node, f"more than {MAX_VALUES} values, aliases counted in full")
        if id(node) in above:
            self._fault(node, path, "an anchor that contains itself")
            return None
        if len(above) > MAX_DEPTH:
            raise _RefusedError(node, "the document is nested too deeply")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._check_tag(node, path)
        if isinstance(node, SequenceNode):
            inside = (*above, id(node))
            return [
                self.value(item, (*path, number), inside) for number, item in enumerate(node.value)
            ]
        return self._mapping(node, path, (*above, id(node)))

    def _mapping(self, node: Any, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, Any] = {}
        for name, value in node.value:
            key = self._key(name, path)
            if key is None:
                continue
            if key in first:
                self._doubled(name, first[key], (*path, key))
                continue
            first[key] = name
            found[key] = self.value(value, (*path, key), above)
        return found

    def _key(self, node: Any, path: Path) -> str | None:
        if not isinstance(node, ScalarNode):
            hint = f"a text that begins with {{{{ needs quotes; {_QUOTE}"
            self._fault(node, path, "a list or mapping stands where a key is expected", hint)
            return None
        if _tag(node) == "merge":
            self._fault(node, (*path, node.value), "<< is not part of YAML 1.2")
            return None
        if _tag(node) == "null":
            self._fault(node, path, "a key is missing before the colon")
            return None
        return str(node.value)

    def _doubled(self, node: Any, first: Any, path: Path) -> None:
        line, column = _place(first)
        message = f'"{shortened(str(path[-1]))}" stands here a second time'
        hint = f"it is already there in line {line}, column {column}; keep one of them"
        self._fault(node, path, message, hint, codes.DOUBLED_KEY)

    def _scalar(self, node: Any, path: Path) -> Any:
        self._check_tag(node, path)
        if _UNSTORABLE.search(node.value):
            self._fault(node, path, "a NUL or half of a character pair stands in this text")
            return None
        try:
            return _plain(_tag(node), node.value)
        except ValueError:
            message = f'"{shortened(node.value)}" cannot be read as a number'
            self._fault(node, path, message, f"if it is a text, {_QUOTE}")
            return None

    def _check_tag(self, node: Any, path: Path) -> None:
        if _tag(node) not in _TAGS:
            message = f"{shortened(str(node.tag))} is a YAML tag, and tags are not used in rules"
            self._fault(node, path, message, f"a text that begins with ! needs quotes; {_QUOTE}")

    def _fault(
        self, node: Any, path: Path, message: str, hint: str = "", code: str = codes.REFUSED_YAML
    ) -> None:
        line, column = _place(node)
        self.faults.append(Fault(path, Problem(self.file, line, column, code, message, hint)))


# Times and `=` are texts to us: a date in a rule is compared with what events carry.
_TAGS = {"str", "int", "float", "bool", "null", "timestamp", "value", "seq", "map", "merge"}
_TRUE = {"true", "yes", "on", "y"}


def _tag(node: Any) -> str:
    tag = str(node.tag)
    return tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _plain(tag: str, text: str) -> Any:
    """The value of a scalar; `ValueError` where its tag and its text disagree."""
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in _TRUE
    if tag == "int":
        return _integer(text)
    if tag == "float":
        number = float(text.replace("_", ""))
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    bare = digits.lstrip("+-")
    base = {"0x": 16, "0b": 2, "0o": 8}.get(bare[:2], 10)
    return int(digits, base)


def _step(node: Any, part: str | int) -> tuple[Any, Any] | None:
    """Key node and value node of one step down, or None where there is none."""
    if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, MappingNode):
        return next(_entries(node, str(part)), None)
    return None


def _entries(node: Any, key: str) -> Iterator[tuple[Any, Any]]:
    return ((name, value) for name, value in node.value if getattr(name, "value", None) == key)


def _is_empty(node: Any) -> bool:
    """Whether nothing is written there: the library places that at the next word."""
    return isinstance(node, ScalarNode) and bool(node.start_mark.index == node.end_mark.index)


def _place(node: Node | None) -> tuple[int, int]:
    if node is None:
        return 1, 1
    return node.start_mark.line + 1, node.start_mark.column + 1
