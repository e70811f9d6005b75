"""The `email` action: one mail over SMTP, sent once."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.errors import MessageError
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, ClassVar

from actions.email.connections import Connections
from actions.email.message import Mail, compose
from actions.email.parameters import Attachment, EmailParams, SmtpConnection
from engine.action import Action, Call, Connection, Flaw, is_public, printable
from engine.errors import ActionFailed
from engine.model import Reason

if TYPE_CHECKING:
    from aiosmtplib import SMTP, SMTPResponseException

__all__ = ["Attachment", "Email", "EmailParams", "SmtpConnection"]


class Email(Action[EmailParams]):
    """Sends one mail. Connections are opened at need, and shared by all runs."""

    name = "email"
    params = EmailParams
    kinds: ClassVar[Mapping[str, type[Connection]]] = {"smtp": SmtpConnection}
    needs_connection: ClassVar[bool] = True
    timeout: ClassVar[timedelta] = timedelta(seconds=60)

    def __init__(self, idle: float = 30.0) -> None:
        self._connections = Connections(idle)

    def safe_to_repeat(self, params: EmailParams) -> bool:
        """No: a mail that went out twice is read twice."""
        del params
        return False

    async def start(self, stack: AsyncExitStack) -> None:
        """Promise to close the connections."""
        stack.push_async_callback(self._connections.close)

    def flaws(
        self, written: Mapping[str, Any], connection: Mapping[str, Any] | None
    ) -> Iterator[Flaw]:
        """A mail says something."""
        del connection
        if written.get("text") is None and written.get("html") is None:
            yield Flaw("a mail needs text, html, or both", "write text: what it says")

    def describe(self, params: EmailParams) -> str:
        """To whom, and the subject."""
        to = params.to if isinstance(params.to, str) else ", ".join(params.to)
        return printable(f"mail to {to}: {params.subject}")

    async def run(self, params: EmailParams, call: Call) -> dict[str, Any]:
        """Send the mail once; DATA is where it cannot be taken back any more."""
        settings = call.connection
        if not isinstance(settings, SmtpConnection):
            raise ActionFailed("a mail needs an smtp connection", reason=Reason.BAD_PARAMETERS)
        mail = await asyncio.to_thread(_composed, params, settings, call.key)
        if not mail.recipients:
            raise ActionFailed("there is nobody to send it to", reason=Reason.NO_RECIPIENT)
        delivery = _Delivery(settings.host, mail, call)
        with delivery.judging_errors():
            if not call.allow_private:
                await _refuse_private(settings.host)
            async with self._connections.lease(settings, call.timeout) as client:
                return await delivery.over(client)


def _composed(params: EmailParams, settings: SmtpConnection, key: str) -> Mail:
    """The mail, attachments read."""
    try:
        contents = [attachment.read() for attachment in params.attach]
        return compose(params, settings, key, contents, formatdate(usegmt=True))
    except (OSError, ValueError, MessageError) as error:
        raise ActionFailed(
            f"no mail can be made of this: {printable(str(error))}", reason=Reason.BAD_PARAMETERS
        ) from error


async def _refuse_private(host: str) -> None:
    """Where private addresses may not be called, neither may a mail server's."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    if not all(is_public(str(entry[4][0])) for entry in found):
        raise ActionFailed(
            f"{host} is at a private address, which the settings forbid to call",
            reason=Reason.REFUSED,
        )


@dataclass(slots=True)
class _Delivery:
    """One try to hand a mail over: knows whether the mail itself has begun to leave."""

    host: str
    mail: Mail
    call: Call
    began: bool = False

    async def over(self, client: SMTP) -> dict[str, Any]:
        """Hand the mail over for all recipients that the server accepts."""
        mail, seconds = self.mail, self.call.timeout
        encoding = "utf-8" if mail.utf8 else "ascii"
        await client.mail(
            mail.sender, options=self._options(client), encoding=encoding, timeout=seconds
        )
        refused = await self._refused(client, encoding)
        await self.call.irrevocable()
        self.began = True
        response = await client.data(mail.content, timeout=seconds)
        return {
            "message_id": mail.id,
            "accepted": [address for address in mail.recipients if address not in refused],
            "refused": {address: _said(error) for address, error in refused.items()},
            "response": printable(f"{response.code} {response.message}"),
        }

    def _options(self, client: SMTP) -> list[str]:
        """What MAIL says beside the sender."""
        if self.mail.utf8 and not client.supports_extension("smtputf8"):
            raise ActionFailed(
                f"an address is not ASCII, and {self.host} does not offer SMTPUTF8",
                reason=Reason.REFUSED,
            )
        size = [f"SIZE={len(self.mail.content)}"] if client.supports_extension("size") else []
        return [*size, *(["SMTPUTF8", "BODY=8BITMIME"] if self.mail.utf8 else [])]

    async def _refused(self, client: SMTP, encoding: str) -> dict[str, SMTPResponseException]:
        """The recipients that the server does not take; not all of them, or it is a failure."""
        from aiosmtplib import SMTPRecipientRefused

        refused: dict[str, SMTPResponseException] = {}
        for address in self.mail.recipients:
            try:
                await client.rcpt(address, encoding=encoding, timeout=self.call.timeout)
            except SMTPRecipientRefused as error:
                refused[address] = error
        if len(refused) == len(self.mail.recipients):
            # What may pass is worth another try, for as many as it may reach.
            raise min(refused.values(), key=lambda error: error.code)
        return refused

    @contextmanager
    def judging_errors(self) -> Iterator[None]:
        """What a failed delivery means."""
        from aiosmtplib import SMTPException, SMTPResponseException

        try:
            yield
        except SMTPResponseException as error:
            raise self._answered(error) from error
        except TimeoutError as error:
            raise self._lost("no answer in time", Reason.TIMEOUT) from error
        except OSError as error:
            raise self._lost(_happened(error), Reason.CONNECTION) from error
        except (SMTPException, ValueError) as error:
            raise ActionFailed(
                f"{self.host} cannot be used: {printable(str(error))}", reason=Reason.REFUSED
            ) from error

    def _answered(self, error: SMTPResponseException) -> ActionFailed:
        """The server said no, for now (4xx) or for good (5xx)."""
        from aiosmtplib import SMTPAuthenticationError

        if not 400 <= error.code < 600:  # noqa: PLR2004 - the protocol's own numbers
            return self._lost(f"an answer that is none: {_said(error)}", Reason.CONNECTION)
        login = isinstance(error, SMTPAuthenticationError)
        what = "did not accept the username and password" if login else "answered"
        return ActionFailed(
            f"{self.host} {what}: {_said(error)}",
            retry=error.code < 500,  # noqa: PLR2004 - the protocol's own number
            reason=Reason.REFUSED,
        )

    def _lost(self, what: str, reason: Reason) -> ActionFailed:
        """The conversation ended without an answer; once the mail was under way, who knows."""
        return ActionFailed(f"{self.host}: {what}", retry=True, unknown=self.began, reason=reason)


def _said(error: SMTPResponseException) -> str:
    """What the server said, on one line."""
    return printable(f"{error.code} {error.message}")


def _happened(error: OSError) -> str:
    """What went wrong on the way, in the system's own words where it has some."""
    cause = error.__cause__
    known = error if error.errno else cause if isinstance(cause, OSError) else None
    # Those of TLS and of name resolution say more in their text than by their number.
    plain = known is not None and type(known) in {OSError, ConnectionRefusedError}
    said = os.strerror(known.errno) if plain and known and known.errno else ""
    return said or printable(str(error))
