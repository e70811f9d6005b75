"""The mail itself, made of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any

from actions.email.addresses import CONTROL, addresses, unencoded
from actions.email.parameters import MOST_ATTACHED, Attachment, EmailParams, SmtpConnection

_LONGEST_LINE = 998  # of RFC 5322


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail ready to go, and its envelope.

    `utf8` says that some address cannot be written in ASCII, so the server must know SMTPUTF8.
    """

    id: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    utf8: bool


def compose(
    params: EmailParams, settings: SmtpConnection, key: str, contents: Sequence[bytes], date: str
) -> Mail:
    """The mail that the parameters ask for.

    Args:
        key: idempotency key, which makes the Message-ID.
        contents: what the attachments hold, in their order.
        date: for the header, as RFC 5322 writes it.

    Raises ValueError where no valid mail can be made.
    """
    sender = _sender(params, settings)
    shown = {"To": params.to, "Cc": params.cc, "Reply-To": params.reply_to}
    lists = {"From": [sender], **{name: addresses(text) for name, text in shown.items()}}
    bcc = addresses(params.bcc)
    everybody = [*lists["To"], *lists["Cc"], *bcc]
    identity = f"<{key}@{sender.domain}>"
    message = EmailMessage(policy=_Policy())
    headers = {name: found for name, found in lists.items() if found} | {
        "Subject": unencoded(params.subject.strip()),
        "Date": date,
        "Message-ID": identity,
        "Auto-Submitted": "auto-generated",
    }
    for name, value in (headers | _more(params)).items():
        message[name] = value
    _fill(message, params, contents)
    named = [address for found in (*lists.values(), bcc) for address in found]
    utf8 = not all(address.addr_spec.isascii() for address in named)
    recipients = dict.fromkeys(address.addr_spec for address in everybody)
    content = message.as_bytes(policy=_Policy(utf8=utf8))
    return Mail(identity, sender.addr_spec, tuple(recipients), content, utf8)


def _sender(params: EmailParams, settings: SmtpConnection) -> Address:
    """Who the mail is from: the step says it, or the connection, or our name at the server."""
    written = params.sender or settings.sender or settings.username or ""
    found = addresses([written])
    if not found:
        raise ValueError("neither the step nor its connection says who the mail is `from`")
    return found[0]


def _more(params: EmailParams) -> dict[str, str]:
    """The headers that the step adds."""
    return {name: unencoded(value.strip()) for name, value in params.headers.items()}


def _fill(message: EmailMessage, params: EmailParams, contents: Sequence[bytes]) -> None:
    """Text, HTML, or both as alternatives; then the attachments."""
    if params.text is None:
        message.set_content(params.html, subtype="html")
    else:
        message.set_content(params.text)
        if params.html is not None:
            message.add_alternative(params.html, subtype="html")
    if sum(map(len, contents)) > MOST_ATTACHED:
        raise ValueError(f"the attachments are larger than {MOST_ATTACHED >> 20} MiB")
    for attachment, content in zip(params.attach, contents, strict=True):
        _attach(message, attachment, content)


def _attach(message: EmailMessage, attachment: Attachment, content: bytes) -> None:
    """One file more."""
    maintype, _, subtype = attachment.content_type.partition("/")
    # A text of ours is UTF-8; what a file is written in, we cannot know.
    known = maintype == "text" and attachment.text is not None
    message.add_attachment(
        content,
        maintype=maintype,
        subtype=subtype,
        filename=attachment.name,
        params={"charset": "utf-8"} if known else {},
    )


class _Policy(EmailPolicy):
    """RFC 5322 with CRLF, and nothing but ASCII in the body.

    A header that fits is left unfolded: Python's folding turns a long word, such as the address
    in `List-Unsubscribe`, into an encoded one that nobody can follow.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"linesep": "\r\n", "cte_type": "7bit"} | settings))

    def fold_binary(self, name: str, value: Any) -> bytes:
        """The header's bytes, after a last look for line breaks."""
        line = f"{name}: {value}"
        if CONTROL.search(line.replace("\t", " ")):
            raise ValueError(f'the header "{name}" holds a line break')
        if line.isascii() and len(line) <= _LONGEST_LINE:
            return line.encode("ascii") + b"\r\n"
        return super().fold_binary(name, value)
