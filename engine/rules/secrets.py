"""Secrets by name: where they are looked up, and how their values are kept out of every text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from engine.errors import UserError

MASK = "•••"
_SHORTEST = 4
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


def is_secret_name(name: str) -> bool:
    """Whether a secret may be called so: no path, no blanks."""
    return _NAME.fullmatch(name) is not None


class Secrets:
    """Looks secrets up in the systemd credentials, then in a folder, then in the environment."""

    def __init__(
        self, credentials: Path | None, folder: Path | None, environ: Mapping[str, str]
    ) -> None:
        self._folders = (credentials, folder)
        self._environ = environ
        self._pattern: re.Pattern[str] | None = None
        self._forms: set[str] = set()
        self._handed_out: set[str] = set()

    def get(self, name: str) -> str:
        """The secret's value; `UserError` naming the places looked at where there is none."""
        value = self._find(name)
        if value is None:
            raise UserError(f'the secret "{name}" is nowhere: looked {self._places(name)}')
        self.hide(value)
        return value

    def knows(self, name: str) -> bool:
        """Whether there is such a secret."""
        return self._find(name) is not None

    def mask(self, text: str) -> str:
        """The text with every secret handed out so far replaced, however it was encoded."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def mask_value(self, value: Any) -> Any:
        """The same for every text inside a JSON value, keys included."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask_value(key): self.mask_value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_value(item) for item in value]
        return value

    def _find(self, name: str) -> str | None:
        if not is_secret_name(name):
            return None
        for folder in self._folders:
            if folder is not None and (found := _read(folder / name)) is not None:
                return found
        return self._environ.get(_variable(name))

    def _places(self, name: str) -> str:
        credentials, folder = self._folders
        return (
            f"in the systemd credentials ({credentials or 'none given'}), "
            f"in {folder / name if folder else 'RULEWAVE_SECRETS_DIR (not set)'}, "
            f"and in the environment variable {_variable(name)}"
        )

    def hide(self, value: str) -> None:
        """Mask this value from now on."""
        if value in self._handed_out:
            return
        self._handed_out.add(value)
        self._forms |= _forms(value)
        longest_first = sorted(self._forms, key=len, reverse=True)
        if longest_first:
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))


def _variable(name: str) -> str:
    return "RULEWAVE_SECRET_" + re.sub(r"[.-]", "_", name).upper()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the secret in {path} cannot be read: {error}") from error


def _forms(value: str) -> set[str]:
    """The ways in which a secret can turn up in a text; short ones would mask innocent words."""
    raw = value.encode()
    forms = {value, value.strip(), quote(value, safe=""), quote(value), quote_plus(value)}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    # Base64 of a text that begins with other characters ("user:password") shifts by one or two.
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw).decode()
        begin, end = (0, 2, 3)[shift], len(whole) - (0, 3, 2)[(shift + len(raw)) % 3]
        forms |= {whole[begin:end], whole[begin:end].replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= _SHORTEST and len(value) >= _SHORTEST}
