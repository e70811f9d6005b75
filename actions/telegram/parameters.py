"""What a telegram step and its connection may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import pydantic

from engine.action import Connection, Field, Params, Written

_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]+", re.ASCII)
_MOST_BUTTONS = 100
_WRITTEN = {"html": Written.HTML, "markdown": Written.MARKDOWN, "plain": Written.TEXT}


def _checked_token(token: str) -> str:
    """A token as @BotFather gives it: it becomes part of a URL."""
    if not _TOKEN.fullmatch(token):
        raise ValueError("a bot's token looks like 123456789:AAE-some_letters")
    return token


def _checked_chat(chat: int | str) -> int | str:
    """A chat's number, or its public @name."""
    text = str(chat).strip()
    if isinstance(chat, bool) or not _CHAT.fullmatch(text):
        raise ValueError("a chat is a number like -1001234567890, or a public name like @channel")
    return text if text.startswith("@") else int(text)


def _checked_api(url: str) -> str:
    """Where the Bot API is: scheme, host, and perhaps the beginning of the path."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or "@" in url:
        raise ValueError("the API's URL begins with https:// or http:// and a host")
    _ = parts.port  # raises ValueError for what is no port
    return url.rstrip("/")


def _checked_link(url: str) -> str:
    """What a button opens."""
    if urlsplit(url).scheme not in {"http", "https", "tg"}:
        raise ValueError("a button opens a URL that begins with https://, http:// or tg://")
    return url


def _in_rows(buttons: Any) -> Any:
    """A button that is in no row gets one of its own."""
    if not isinstance(buttons, list | tuple):
        return buttons
    return [row if isinstance(row, list | tuple) else [row] for row in buttons]


class TelegramConnection(Connection):
    """A bot, and the chat that it usually writes to."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    kind: Literal["telegram"] = "telegram"
    usual_rate: ClassVar[str | None] = "20/min"
    token: Annotated[
        str,
        pydantic.AfterValidator(_checked_token),
        pydantic.Field(description="The bot's token, as a secret.", repr=False),
    ]
    chat: Annotated[
        int | str | None,
        pydantic.AfterValidator(lambda chat: None if chat is None else _checked_chat(chat)),
        pydantic.Field(description="The chat to write to where a step names none: number, @name."),
    ] = None
    api: Annotated[
        str,
        pydantic.AfterValidator(_checked_api),
        pydantic.Field(description="Where the Bot API is, for a server of one's own.", repr=False),
    ] = "https://api.telegram.org"
    verify: Annotated[
        bool | str,
        pydantic.Field(
            description="Whether to verify the certificate; or a file with authorities to trust."
        ),
    ] = True


class Button(Params):
    """A button below the message that opens a link."""

    text: Annotated[
        str, Field(Written.LINE), pydantic.Field(min_length=1, description="What stands on it.")
    ]
    url: Annotated[
        str,
        Field(Written.LINE),
        pydantic.AfterValidator(_checked_link),
        pydantic.Field(description="What it opens."),
    ]


class TelegramParams(Params):
    """What to write to which chat."""

    connection: Annotated[
        str | None, pydantic.Field(description="The bot that writes it, where there are several.")
    ] = None
    to: Annotated[
        int | str | None,
        Field(Written.LINE, recipient=True),
        pydantic.Field(
            description="A connection's name, a chat's number, or a public `@name`. Without it, the"
            " connection's `chat`."
        ),
    ] = None
    text: Annotated[
        str,
        Field(Written.HTML),
        pydantic.Field(
            description="The message. Values are escaped, as `format` asks; over 4,096 characters"
            " it becomes several."
        ),
    ]
    format: Annotated[
        Literal["html", "markdown", "plain"],
        pydantic.Field(description="`html`, `markdown` (Telegram's MarkdownV2) or `plain`."),
    ] = "html"
    buttons: Annotated[
        tuple[tuple[Button, ...], ...],
        pydantic.BeforeValidator(_in_rows, json_schema_input_type=list[Button | list[Button]]),
        pydantic.Field(description="Buttons below it, one a row; a list inside makes one row."),
    ] = ()
    topic: Annotated[
        int | None,
        Field(Written.LINE),
        pydantic.Field(description="The number of the topic, in a group that has topics."),
    ] = None

    @classmethod
    def marks(cls, written: Mapping[str, Any]) -> Mapping[str, Field]:
        """Values in the text are escaped for the format that is written beside it."""
        format = written.get("format", "html")
        fits = isinstance(format, str) and format in _WRITTEN
        return {"text": Field(_WRITTEN[format])} if fits else {}

    @pydantic.field_validator("to")
    @classmethod
    def _somebody(cls, to: int | str | None, known: pydantic.ValidationInfo) -> int | str | None:
        """The name of its own connection stays as it is; of one that is not there others tell."""
        connection = known.data.get("connection")
        named = isinstance(to, str) and connection is None and _NAME.fullmatch(to)
        return to if to is None or to == connection or named else _checked_chat(to)

    @pydantic.model_validator(mode="after")
    def _few_buttons(self) -> TelegramParams:
        if sum(len(row) for row in self.buttons) > _MOST_BUTTONS:
            raise ValueError(f"a message has at most {_MOST_BUTTONS} buttons")
        return self

    @property
    def chat(self) -> int | str | None:
        """The chat that the step itself names."""
        return None if self.to == self.connection else self.to
