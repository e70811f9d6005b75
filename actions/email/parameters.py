"""What an email step may say, and what is wrong before anybody is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from actions.email.addresses import CONTROL, addresses, mailboxes
from engine.action import Connection, Field, Params, Written, printable

MOST_ATTACHED = 20 * 1024 * 1024
"""Bytes of all attachments together."""
_NAME = re.compile(r"[!-9;-~]+")
# What says who, when and how is written by us, or by the servers on the way.
_OURS = re.compile(
    r"from|sender|to|cc|bcc|reply-to|subject|date|message-id|mime-version|auto-submitted"
    r"|return-path|received|dkim-signature|(content|resent|arc)-.*",
    re.IGNORECASE,
)
_TYPE = r"^(application|audio|font|image|text|video)/[A-Za-z0-9.+-]+$"


def _checked_addresses(text: str | list[str]) -> str | list[str]:
    """Mail addresses as written."""
    addresses(text)
    return text


def _checked_sender(text: str) -> str:
    """One mail address as written."""
    if not list(mailboxes(text, most=1)):
        raise ValueError("the sender is empty")
    return text


def _checked_line(text: str) -> str:
    """The text as it is; one line."""
    if CONTROL.search(text):
        raise ValueError("no line break or other control character may stand here")
    return text


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that neither break out of their line nor override ours."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{printable(name)!r} is no name of a header")
        if _OURS.fullmatch(name):
            raise ValueError(f'the header "{name}" is set by Rulewave itself')
        _checked_line(value)
    return headers


_OneLine = Annotated[str, pydantic.AfterValidator(_checked_line)]
_Sender = Annotated[str, pydantic.AfterValidator(_checked_sender)]
_Written = Annotated[str | list[str], pydantic.AfterValidator(_checked_addresses)]
_LINE = Field(Written.LINE)
_ADDRESS = Field(Written.ADDRESS)


class SmtpConnection(Connection):
    """A mail server, and who we are there."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    kind: Literal["smtp"] = "smtp"
    host: Annotated[str, pydantic.Field(min_length=1, description="The mail server.")]
    port: Annotated[
        int | None,
        pydantic.Field(ge=1, le=65535, description="587, or 465 for `tls`, 25 for `none`."),
    ] = None
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        pydantic.Field(description="`starttls`, `tls` from the first byte, or `none`."),
    ] = "starttls"
    username: Annotated[str | None, pydantic.Field(description="Who we are there.")] = None
    password: Annotated[
        str | None, pydantic.Field(description="The password, as a secret.", repr=False)
    ] = None
    sender: Annotated[
        _Sender | None, pydantic.Field(alias="from", description="The sender of every mail.")
    ] = None
    verify: Annotated[
        bool | str,
        pydantic.Field(
            description="Whether to verify the certificate; or a file with authorities to trust."
        ),
    ] = True


class Attachment(Params):
    """A file that goes with the mail: a text, or a file of this machine."""

    name: Annotated[_OneLine, _LINE, pydantic.Field(min_length=1, description="Its name.")]
    content_type: Annotated[
        str, pydantic.Field(pattern=_TYPE, description="Its type, as `text/csv`.")
    ] = "application/octet-stream"
    text: Annotated[str | None, Field(Written.TEXT), pydantic.Field(description="Its content.")] = (
        None
    )
    path: Annotated[
        str | None, pydantic.Field(description="A file whose content it takes; no template.")
    ] = None

    @pydantic.model_validator(mode="after")
    def _one_content(self) -> Attachment:
        if (self.text is None) == (self.path is None):
            raise ValueError("an attachment has either `text` or `path`")
        return self

    def read(self) -> bytes:
        """The content; OSError where the file cannot be read."""
        if self.path is None:
            return (self.text or "").encode()
        with Path(self.path).open("rb") as file:
            return file.read(MOST_ATTACHED + 1)


class EmailParams(Params):
    """Who gets which mail."""

    to: Annotated[
        _Written,
        Field(Written.ADDRESS, recipient=True),
        pydantic.Field(description="Recipients: `a@b.org, Anna <c@d.org>`, or a list."),
    ]
    cc: Annotated[_Written, _ADDRESS, pydantic.Field(description="Who gets a copy.")] = ""
    bcc: Annotated[_Written, _ADDRESS, pydantic.Field(description="Who gets a copy unseen.")] = ""
    subject: Annotated[_OneLine, _LINE, pydantic.Field(description="The subject.")]
    text: Annotated[
        str | None, Field(Written.TEXT), pydantic.Field(description="The mail as plain text.")
    ] = None
    html: Annotated[
        str | None, Field(Written.HTML), pydantic.Field(description="The mail as HTML.")
    ] = None
    attach: Annotated[
        tuple[Attachment, ...], pydantic.Field(description="Files that go with it.")
    ] = ()
    reply_to: Annotated[_Written, _ADDRESS, pydantic.Field(description="Who gets the answer.")] = ""
    headers: Annotated[
        dict[str, str],
        _LINE,
        pydantic.AfterValidator(_checked_headers),
    ] = pydantic.Field(default_factory=dict, description="More headers, as `List-Unsubscribe`.")
    connection: Annotated[
        str | None, pydantic.Field(description="The mail server to send it by.")
    ] = None
    sender: Annotated[
        _Sender | None,
        _ADDRESS,
        pydantic.Field(alias="from", description="The sender, in place of the connection's."),
    ] = None

    @pydantic.model_validator(mode="after")
    def _something_to_say(self) -> EmailParams:
        if self.text is None and self.html is None:
            raise ValueError("a mail needs `text`, `html`, or both")
        return self
