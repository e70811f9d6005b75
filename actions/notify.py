"""The `notify` action: a message to any service that Apprise knows, by the URL of that service."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

import pydantic

from engine.action import (
    Action,
    Call,
    Connection,
    Field,
    Flaw,
    Params,
    Written,
    is_written_out,
    printable,
)
from engine.errors import ActionFailed
from engine.model import Reason

if TYPE_CHECKING:
    from apprise import Apprise

_INSTALL = "pip install 'rulewave[notify]'"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WITHOUT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
# These would run a program, or answer for this machine alone: not a service one writes to.
_LOCAL = frozenset({"dbus", "gnome", "kde", "macosx", "qt", "glib", "syslog", "windows"})
_URLS = "The service's URL as Apprise writes it, or a list; whole secrets are best."


class NotifyConnection(Connection):
    """One or more services that hear the same."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    kind: Literal["notify"] = "notify"
    urls: Annotated[str | list[str], pydantic.Field(min_length=1, description=_URLS, repr=False)]

    @classmethod
    def flaws(cls, written: Mapping[str, Any]) -> Iterator[Flaw]:
        """URLs that Apprise can't read."""
        yield from _flaws(written.get("urls"))


class NotifyParams(Params):
    """What to tell which services."""

    model_config = pydantic.ConfigDict(
        hide_input_in_errors=True,
        json_schema_extra={"oneOf": [{"required": [key]} for key in ("connection", "urls")]},
    )

    connection: Annotated[
        str | None, pydantic.Field(description="The connection that gives the URLs.")
    ] = None
    urls: Annotated[
        str | list[str] | None,
        Field(Written.LITERAL, secrets=True),
        pydantic.Field(min_length=1, description=_URLS, repr=False),
    ] = None
    title: Annotated[str, Field(Written.LINE), pydantic.Field(description="Its title.")] = ""
    text: Annotated[
        str, Field(Written.TEXT), pydantic.Field(min_length=1, description="The message, as text.")
    ]

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> NotifyParams:
        if (self.connection is None) == (self.urls is None):
            raise ValueError("notify needs either `connection` or `urls`")
        return self


class Notify(Action[NotifyParams]):
    """Hands a message to Apprise, which blocks, in a thread of its own."""

    name = "notify"
    params = NotifyParams
    kinds: ClassVar[Mapping[str, type[Connection]]] = {"notify": NotifyConnection}
    timeout: ClassVar[timedelta] = timedelta(seconds=60)

    def missing(self) -> str:
        """The extra, where Apprise is not installed."""
        return "" if find_spec("apprise") else _INSTALL

    def flaws(
        self, written: Mapping[str, Any], connection: Mapping[str, Any] | None
    ) -> Iterator[Flaw]:
        """URLs that Apprise can't read."""
        del connection
        yield from _flaws(written.get("urls"))

    def describe(self, params: NotifyParams) -> str:
        """Whereto by the connection's name or the service's, and what."""
        kinds = (found[1] for url in _listed(params.urls) if (found := _SCHEME.match(url)))
        whereto = params.connection or ", ".join(kinds) or "a service"
        return printable(f"notify {whereto}: {params.title or params.text}")

    async def run(self, params: NotifyParams, call: Call) -> dict[str, Any]:
        """Tell all services once; where one of them did not take it, all are told again."""
        urls = params.urls
        if isinstance(call.connection, NotifyConnection):
            urls = call.connection.urls
        if not call.allow_private:
            raise ActionFailed(
                "notify can't tell where a service leads, and the settings forbid private addresses",
                reason=Reason.REFUSED,
            )
        services = await asyncio.to_thread(_services, _listed(urls))
        await call.irrevocable()
        well, said = await asyncio.to_thread(_tell, services, params)
        if not well:
            why = _cleaned(said, _listed(urls)) or "the service did not take it"
            raise ActionFailed(why, retry=True, reason=Reason.REFUSED)
        return {"services": len(services)}


def _listed(urls: str | list[str] | None) -> list[str]:
    """Each URL by itself; one secret may hold several, a line each."""
    texts = [urls] if isinstance(urls, str) else urls or []
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def _flaws(urls: Any) -> Iterator[Flaw]:
    """What is wrong with those that are written out. A URL may hold a password: it is not told."""
    if find_spec("apprise") is None:
        return
    for number, url in enumerate(urls if isinstance(urls, list) else [urls]):
        if is_written_out(url):
            try:
                _services(_listed(url))
            except ActionFailed as failed:
                which = f" (number {number + 1})" if isinstance(urls, list) else ""
                yield Flaw(failed.message + which, "see https://appriseit.com/services", "urls")


def _services(urls: list[str]) -> Apprise:
    """What Apprise makes of the URLs; `ActionFailed` for one that it can't read."""
    known = _schemes()
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(
        app_id="Rulewave",
        async_mode=False,
        storage_mode="memory",
        allow_templates=False,
        service_timeout=0,
    )
    services = Apprise(asset=asset)
    for url in urls:
        scheme = _SCHEME.match(url)
        if scheme is None:
            message = "a service's URL begins with a scheme, as ntfy:// or tgram://"
        elif scheme[1].lower() in _LOCAL:
            message = f"{scheme[1].lower()}:// is no service to write to from here"
        elif scheme[1].lower() not in known:
            message = f"Apprise knows no service {printable(scheme[1], 40)}://"
        else:
            message = f"Apprise can't read the URL of {scheme[1].lower()}://"
            with _listening():
                if services.add(url):
                    continue
        raise ActionFailed(message, reason=Reason.BAD_PARAMETERS)
    if not len(services):
        raise ActionFailed("there is no URL of a service", reason=Reason.BAD_PARAMETERS)
    return services


@cache
def _schemes() -> frozenset[str]:
    """What URLs of services may begin with; loads Apprise, which takes half a second."""
    with warnings.catch_warnings():
        # It asks for modules that Python is about to drop, and can do without them.
        warnings.simplefilter("ignore")
        from apprise.manager_plugins import NotificationManager

        return frozenset(NotificationManager().schemas())  # type: ignore[no-untyped-call]


def _tell(services: Apprise, params: NotifyParams) -> tuple[bool, str]:
    """Whether all took it, and what Apprise said about it. Blocks."""
    with _listening() as said:
        # Nothing of the text is to be read as an escape, or as another format.
        well = services.notify(
            body=params.text, title=params.title, body_format="text", interpret_escapes=False
        )
    return bool(well), said.getvalue()


@contextmanager
def _listening() -> Iterator[io.StringIO]:
    """What Apprise logs in this thread meanwhile; it goes nowhere else."""
    import threading

    said, here = io.StringIO(), threading.get_ident()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.thread == here)
    log = logging.getLogger("apprise")
    log.propagate = False
    # These tell whole URLs, and a token may stand in one.
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.WARNING)
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)


def _cleaned(said: str, urls: list[str]) -> str:
    """Its words on one line, without URLs, nor any part of ours that could be a password."""
    text = _WITHOUT_URL.sub("•••", " ".join(said.split()))
    found = {part for url in urls for part in re.split(r"[:/?&=@,]+", url.partition("://")[2])}
    parts = found | {unquote(part) for part in found}
    for part in sorted((part for part in parts if len(part) > 5), key=len, reverse=True):  # noqa: PLR2004
        text = text.replace(part, "•••")
    return printable(text)
