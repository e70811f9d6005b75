"""`rulewave systemd`: the units that run this installation."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.addresses import sqlite_path
from engine.cli.units import Installation, doubts, render
from engine.errors import UserError
from engine.rules.secrets import is_secret_name
from engine.settings import read_places

Text = str | None


def systemd(
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Write the files there: /etc/systemd/system.")
    ] = None,
    user: Annotated[Text, typer.Option(help="Run as this user; else as one of systemd's.")] = None,
    rules: Annotated[Text, typer.Option(help="Rules: a file, or a folder of them.")] = None,
    database: Annotated[Text, typer.Option(help="sqlite:////path/to/rulewave.db")] = None,
    secrets_dir: Annotated[Text, typer.Option(help="Folder of secret files.")] = None,
    listen: Annotated[Text, typer.Option(help="Where the panel posts to.")] = None,
    console_listen: Annotated[Text, typer.Option(help="Console, health and metrics.")] = None,
) -> None:
    """Print the service and its sockets for this installation, or write them to a folder."""
    given = {
        "rules": rules, "database": database, "secrets_dir": secrets_dir,
        "listen": listen, "console_listen": console_listen,
    }  # fmt: skip
    installation = _installation(given, user)
    files = render(installation)
    for doubt in doubts(installation):
        typer.echo(f"warning: {doubt}", err=True)
    if folder is None:
        typer.echo("\n".join(f"# {name}\n{text}" for name, text in files.items()), nl=False)
    else:
        _write(folder, files)


def _installation(given: dict[str, Text], user: Text) -> Installation:
    places = read_places(given)
    if user is not None:
        _known(user)
    return Installation(
        command=_command(),
        program_folders=(Path(sys.prefix), Path(sys.executable).resolve().parent),
        rules=places.rules.absolute(),
        database=sqlite_path(places.database).absolute(),
        secrets_dir=places.secrets_dir.absolute(),
        secrets=_files(places.secrets_dir),
        listen=places.listen,
        console_listen=places.console_listen,
        user=user,
    )


def _command() -> tuple[str, ...]:
    script = Path(sys.executable).with_name("rulewave")
    return (str(script),) if script.exists() else (sys.executable, "-m", "engine.cli")


def _known(user: str) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise UserError(
            f"there is no user {user!r} here; make one: useradd --system {user}"
        ) from None


def _files(folder: Path) -> tuple[str, ...]:
    """The secrets that lie there; what nobody may look into holds none for now."""
    try:
        found = (file.name for file in folder.iterdir() if file.is_file())
        return tuple(name for name in found if is_secret_name(name))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}; run this as root") from error


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            typer.echo(folder / name)
    except OSError as error:
        raise UserError(f"{error.filename} can't be written: {error.strerror}") from error
