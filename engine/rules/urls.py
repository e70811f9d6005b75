"""URLs whose scheme, host and port are fixed at load: values can change only what comes after."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from engine.errors import CouldNotEvaluate
from engine.rules.templates import Template, inspect, is_template

_PIECE = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})", re.DOTALL)
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\\\s]+)([/?#].*)?", re.DOTALL)
_SAFE = "!#$%&'()*+,/:;=?@[]~"


class OpenOriginError(ValueError):
    """The beginning of a URL is not fixed, or leads nowhere; `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL as written. `fixed` is the beginning that no value of an event can change."""

    text: str
    fixed: str
    timezone: str

    @classmethod
    def of(cls, text: str, timezone: str) -> UrlTemplate:
        """The URL, its fixed beginning found."""
        return cls(text, "".join(_fixed_pieces(text)), timezone)

    def authority(
        self, variables: Mapping[str, Any], secret: Callable[[str], str], *, path: bool
    ) -> str | None:
        """Host and port, None for a path; `OpenOriginError` where they are not fixed."""
        fixed = self._render(self.fixed, {"vars": variables}, secret)
        if path:
            _check_path(fixed)
            return None
        return _origin(fixed, whole=self.fixed == self.text)[1]

    def render(
        self, context: Mapping[str, Any], secret: Callable[[str], str] | None, *, path: bool
    ) -> str:
        """The URL for one try, safely encoded; `CouldNotEvaluate` where it leads elsewhere."""
        url = self._render(self.text, context, secret)
        try:
            if path:
                _check_path(url)
                return quote(url, safe=_SAFE)
            fixed = self._render(self.fixed, context, secret)
            scheme, authority = _origin(fixed, whole=self.fixed == self.text)
        except OpenOriginError as error:
            raise CouldNotEvaluate(str(error)) from error
        beginning = f"{scheme}://{authority}"
        encoded = beginning + quote(url[len(beginning) :], safe=_SAFE)
        parts = urlsplit(encoded)
        if not url.startswith(beginning) or parts.netloc != authority:
            raise CouldNotEvaluate("a value changed the host of the URL")
        return encoded

    def _render(
        self, text: str, context: Mapping[str, Any], secret: Callable[[str], str] | None
    ) -> str:
        if not is_template(text):
            return text
        return Template(text, timezone=self.timezone).render(context, secret)


def _fixed_pieces(text: str) -> Iterator[str]:
    """The pieces up to the first one that depends on more than vars and secrets."""
    for piece in _PIECE.split(text):
        if piece.startswith("{%"):
            return
        if piece.startswith("{{"):
            seen = inspect(piece)
            if seen.mistakes or not seen.names <= {"vars"}:
                return
        yield piece


def _origin(fixed: str, *, whole: bool) -> tuple[str, str]:
    """Scheme and authority of the fixed beginning."""
    match = _ABSOLUTE.fullmatch(fixed)
    if match is None:
        raise OpenOriginError(
            "scheme, host and port of a URL must be written out or come from vars or secrets",
            "begin it like https://example.org/, or name a connection and write a path",
        )
    if match[3] is None and not whole:
        raise OpenOriginError(
            "a value directly after the host could change it", "put a / after the host"
        )
    scheme, authority = match[1], match[2]
    if "@" in authority:
        raise OpenOriginError("a URL holds no user and password", "give them with auth")
    try:
        _ = urlsplit(f"{scheme}://{authority}").port
    except ValueError as error:
        raise OpenOriginError(f"the host of the URL is wrong: {error}") from error
    return scheme, authority


def _check_path(url: str) -> None:
    if not url.startswith("/") or url[1:2] in {"/", "\\"}:
        raise OpenOriginError(
            "with a connection, which gives the host, the URL is a path",
            "begin it with one /",
        )
