"""The settings: environment variables `RULEWAVE_…`, or the options of `serve` of the same names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.addresses import parse_listen, sqlite_path
from engine.clock import SECOND
from engine.errors import UserError

_SIZES = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}  # fmt: skip
_SIZE = re.compile(r"(\d+)\s*([a-z]*)", re.ASCII)
_MOST_BODY = 2**30
CREDENTIAL = "webhook_secret"
SYSTEM_RULES = Path("/etc/rulewave/rules.yaml")


def _bytes(value: Any) -> Any:
    found = _SIZE.fullmatch(str(value).strip().lower())
    if found is None or found[2] not in _SIZES:
        raise ValueError("write a size such as 1MiB or 500KiB")
    return int(found[1]) * _SIZES[found[2]]


def _span(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if str(value).strip().lower() == "off":
        return None
    # Only here and in the rules' durations; 10 ms that most commands do not pay.
    from pytimeparse.timeparse import timeparse

    text = str(value).strip()
    seconds = None if text.replace(".", "").isdigit() else timeparse(text)
    if not seconds or seconds < 0:
        raise ValueError("write a duration such as 30d, 12h or 90s, or off")
    return int(seconds * SECOND)


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return value


def _checked(read: Callable[[str], object], text: str) -> str:
    """The text, if it can be read so."""
    try:
        read(text)
    except UserError as error:
        raise ValueError(str(error)) from None
    return text


Bytes = Annotated[int, BeforeValidator(_bytes)]
P = TypeVar("P", bound="Places")
Span = Annotated[int | None, BeforeValidator(_span)]


class Places(BaseSettings):
    """Where things lie: what commands need to know too."""

    model_config = SettingsConfigDict(
        env_prefix="RULEWAVE_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    rules: Path = Field(default=SYSTEM_RULES, description="a rules file, or a folder of them")
    database: str = Field(
        default="sqlite:////var/lib/rulewave/rulewave.db", description="the journal"
    )
    secrets_dir: Path = Field(default=Path("/etc/rulewave/secrets"), description="secret files")
    listen: str = Field(default="127.0.0.1:8787", description="where the panel posts to")
    console_listen: str = Field(default="127.0.0.1:8788", description="console and metrics")

    @field_validator("database")
    @classmethod
    def _known_database(cls, value: str) -> str:
        return _checked(sqlite_path, value)

    @field_validator("listen", "console_listen")
    @classmethod
    def _known_address(cls, value: str) -> str:
        return _checked(parse_listen, value)

    @field_validator("rules")
    @classmethod
    def _local_rules(cls, value: Path) -> Path:
        here = Path("rules.yaml")
        return here if value == SYSTEM_RULES and here.exists() else value


class Settings(Places):
    """All settings of the daemon. Spans are microseconds; None means off."""

    webhook_secret: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        validate_default=True,
        repr=False,
        description="the panel's WEBHOOK_SECRET_HEADER; several with commas",
    )
    console_password: str | None = Field(default=None, repr=False, description="for the console")
    max_body: Bytes = Field(default=2**20, ge=1024, le=_MOST_BODY, description="largest delivery")
    max_age: Span = Field(default=None, validate_default=True, description="oldest event, or off")
    max_backlog: int = Field(default=1_000_000, ge=1, description="most undecided events")
    retention: Span = Field(default=None, validate_default=True, description="how long to keep")
    role: Literal["all"] = Field(default="all", description="this version knows all")
    log_format: Literal["auto", "console", "json"] = Field(default="auto", description="the log")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level logged"
    )
    allow_private_targets: bool = Field(default=True, description="may rules call private hosts")

    @field_validator("max_age", "retention", mode="before")
    @classmethod
    def _thirty_days(cls, value: Any) -> Any:
        return "30d" if value is None else value

    @field_validator("webhook_secret")
    @classmethod
    def _some_secret(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(
                "no webhook secret is set: it is the panel's WEBHOOK_SECRET_HEADER, here or in "
                "the systemd credential webhook_secret"
            )
        if any(not secret for secret in value):
            raise ValueError("an empty secret would let everybody in")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


def read_settings(environ: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Settings:
    """The settings, options before environment; UserError lists every mistake at once."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    if not environ.get("RULEWAVE_WEBHOOK_SECRET") and "webhook_secret" not in given:
        given |= _credential(environ)
    return _read(Settings, given)


def read_places(options: Mapping[str, Any] | None = None) -> Places:
    """Where things lie; UserError lists every mistake at once."""
    return _read(Places, {k: v for k, v in (options or {}).items() if v is not None})


def _read(kind: type[P], given: Mapping[str, Any]) -> P:
    try:
        return kind(**given)
    except ValidationError as error:
        raise UserError("\n".join(_mistake(item) for item in error.errors())) from None


def credentials_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where systemd put this unit's credentials."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def _credential(environ: Mapping[str, str]) -> dict[str, str]:
    folder = credentials_folder(environ)
    file = folder / CREDENTIAL if folder else None
    if file is None or not file.is_file():
        return {}
    try:
        return {"webhook_secret": file.read_text().strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the credential {file} can't be read: {error}") from None


def _mistake(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    return f"RULEWAVE_{name.upper()} (--{name.replace('_', '-')}): {message}"


def read_secrets(secret: str | None) -> tuple[str, ...]:
    """The signing secrets alone: as given, or of the settings."""
    given = {"webhook_secret": secret} if secret else {}
    return read_settings(os.environ, given).webhook_secret
