"""Secrets by name: where they are looked up, and how their values are kept out of every text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.sources.masking import CUT, MASK, SHORTEST, forms, mask
from engine.sources.redaction import rebuilt

__all__ = ["MASK", "Secrets", "is_secret_name"]

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
        self._hidden: frozenset[str] = frozenset()

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

    def is_short(self, name: str) -> bool:
        """Whether it is too short to be masked; `UserError` where there is no such secret."""
        value = self._find(name)
        return len(self.get(name) if value is None else value) < SHORTEST

    def mask(self, text: str) -> str:
        """The text with every secret handed out so far replaced, however it was encoded."""
        return mask(text, self._hidden)

    def mask_value(self, value: Any, *, cut: bool = False) -> Any:
        """The same for every text and number inside a JSON value, keys included.

        `cut` says that texts may end in the middle of a secret.
        """

        def keys(each: Mapping[str, Any]) -> dict[str, Any]:
            return {self.mask(str(key)): self._masked_number(item) for key, item in each.items()}

        def text(each: str) -> str:
            return self.mask(each + CUT).removesuffix(CUT) if cut else self.mask(each)

        return rebuilt(value, keys, text, lambda each: list(map(self._masked_number, each)))

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
        """Mask this value from now on, unless it is so short that it would mask innocent words."""
        if len(value) >= SHORTEST and value not in self._hidden:
            self._hidden |= forms(value)

    def _masked_number(self, value: Any) -> Any:
        """A secret of digits comes back from JSON as a number."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return MASK if number and str(value) in self._hidden else value


def _variable(name: str) -> str:
    return "RULEWAVE_SECRET_" + re.sub(r"[.-]", "_", name).upper()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the secret in {path} cannot be read: {error}") from error
