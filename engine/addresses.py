"""Addresses as people write them in settings: where to listen, and where the journal lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

_SHAPES = 'write "127.0.0.1:8787", "[::1]:8787", ":8787", "unix:/path" or "fd://3"'
_TCP = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+(?:%\w+)?)\]|(?P<host>[\w.-]*)):(?P<port>\d{1,5})", re.ASCII
)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """One of three: a path, an inherited descriptor, or host and port ("" = all interfaces)."""

    host: str = ""
    port: int = 0
    path: str | None = None
    fd: int | None = None

    def __str__(self) -> str:
        """As it is written in the settings."""
        if self.path is not None:
            return f"unix:{self.path}"
        if self.fd is not None:
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Address:
    """The address that the text means, or UserError."""
    if text.startswith("unix:/"):
        return Address(path=text.removeprefix("unix:"))
    number = text.removeprefix("fd://")
    if number != text and number.isascii() and number.isdigit():
        return Address(fd=int(number))
    match = _TCP.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise UserError(f"{text!r} is no address to listen on; {_SHAPES}")
    return Address(host=match["six"] or match["host"], port=int(match["port"]))


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:////var/lib/…` (absolute) or `sqlite:///…` (relative)."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or len(url) == len(prefix):
        message = (
            f"the database {url!r} can't be used; write sqlite:////path/to/rulewave.db "
            "(PostgreSQL comes with a later version)"
        )
        raise UserError(message)
    return Path(url.removeprefix(prefix))
