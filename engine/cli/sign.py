"""`rulewave sign` and `rulewave verify`: to find out why a delivery got 401."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from engine.settings import read_secrets
from engine.sources.signature import HEADER, Refused
from engine.sources.signature import sign as signature_of
from engine.sources.signature import verify as verify_signature

File = Annotated[Path, typer.Argument(help="A file with the body, or - for standard input.")]
Secret = Annotated[str | None, typer.Option(help="Instead of RULEWAVE_WEBHOOK_SECRET.")]


def sign(file: File, secret: Secret = None) -> None:
    """Print the signature that a panel would send with this body."""
    typer.echo(signature_of(_read(file), read_secrets(secret)[0]))


def verify(
    file: File,
    signature: Annotated[str, typer.Option(help="The X-Remnawave-Signature header.")],
    secret: Secret = None,
) -> None:
    """Say whether a signature fits a body, and if not, what may be the matter."""
    body, secrets = _read(file), read_secrets(secret)
    trouble = _trouble(body, signature, secrets)
    if trouble is None:
        typer.echo("the signature fits: this delivery is genuine")
        return
    raise UserError(f"{trouble}\n{_advice(body, signature, secrets)}")


def _trouble(body: bytes, signature: str, secrets: tuple[str, ...]) -> str | None:
    try:
        given = signature.encode("utf-8", "surrogateescape")
        verify_signature([(HEADER, given)], body, secrets)
    except Refused as refused:
        return str(refused)
    return None


def _advice(body: bytes, signature: str, secrets: tuple[str, ...]) -> str:
    trimmed = body.rstrip(b"\r\n")
    if trimmed != body and _trouble(trimmed, signature, secrets) is None:
        return "hint: without the line break at the end of the file it fits; the panel sends none"
    if _trouble(body, signature.strip(), secrets) is None:
        return "hint: there are spaces around the signature"
    return (
        "hint: the body must be the very bytes that were sent (no reformatting), and the secret "
        "the text of WEBHOOK_SECRET_HEADER in the panel's .env, not decoded"
    )


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}") from error
