"""What an http step may say, and what is wrong before anybody is asked."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import pydantic

from engine.action import Connection, Field, Params, Written, printable

_VERBS = ("get", "post", "put", "patch", "delete", "head")
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""What begins a URL that is no path."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"(?P<hundred>[1-5])xx|(?P<low>[1-5][0-9]{2})(?:-(?P<high>[1-5][0-9]{2}))?")
# Where a message ends and whom it is for is not a header's business.
_OURS = (
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)


def _checked_url(url: str) -> str:
    """An absolute http(s) URL, or a path; without anything that could lead elsewhere."""
    if _CONTROL.search(url):
        raise ValueError("a URL may hold no line break or other control character")
    parts = urlsplit(url)
    if any(unquote(segment) in {".", ".."} for segment in parts.path.split("/")):
        raise ValueError('a URL may hold no "." or ".." between slashes')
    if ABSOLUTE.match(url) and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("a URL begins with https:// or http:// and a host")
    _ = parts.port  # raises ValueError for what is no port
    return url


def _checked_base(url: str) -> str:
    """The absolute URL that paths are joined to."""
    if not ABSOLUTE.match(url) or "?" in url or "#" in url:
        raise ValueError("a connection's URL is absolute, and holds no query")
    return _checked_url(url)


def _checked_headers(headers: dict[str, Any]) -> dict[str, Any]:
    """Headers that can neither break out of their line nor change how the message is framed."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{printable(name)!r} is no name of a header")
        if name.lower() in _OURS:
            raise ValueError(f'the header "{name}" is set by Rulewave itself')
        if _CONTROL.search(str(value).replace("\t", " ")):
            raise ValueError(f'the header "{name}" may hold no line break or control character')
    return headers


def statuses(expect: str | int | list[str | int]) -> frozenset[int]:
    """The statuses that `expect` means."""
    entries = expect if isinstance(expect, list) else str(expect).split(",")
    return frozenset(status for entry in entries for status in _range(str(entry).strip()))


def _range(entry: str) -> range:
    """One entry of `expect`: `2xx`, `404` or `200-204`."""
    found = _STATUS.fullmatch(entry)
    if not found:
        raise ValueError(f"{printable(entry)!r} is no status: write 2xx, 404 or 200-204")
    if found["hundred"]:
        return range(int(found["hundred"]) * 100, int(found["hundred"]) * 100 + 100)
    return range(int(found["low"]), int(found["high"] or found["low"]) + 1)


def _checked_expect(expect: str | int | list[str | int]) -> str | int | list[str | int]:
    """What is expected, as written."""
    if not statuses(expect):
        raise ValueError("no status at all is expected")
    return expect


Scalar = str | bool | int | float
Pairs = dict[str, Scalar | list[Scalar]]
_Headers = Annotated[dict[str, Scalar], pydantic.AfterValidator(_checked_headers)]
_Url = Annotated[
    Annotated[str, pydantic.AfterValidator(_checked_url)] | None,
    Field(Written.URL, secrets=True),
    pydantic.Field(description="URL (a path where `connection` gives the host).", repr=False),
]
_Expect = Annotated[str | int | list[str | int], pydantic.AfterValidator(_checked_expect)]
_SECRET = Field(Written.LINE, secrets=True)
_VERIFY = "Whether to verify the certificate; or the file with the authorities to trust."


class Auth(Params):
    """Who we are: a bearer token, or a user and a password."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    bearer: Annotated[
        str | None, pydantic.Field(min_length=1, description="A token.", repr=False)
    ] = None
    basic: Annotated[
        tuple[str, str] | None, pydantic.Field(description="User and password.", repr=False)
    ] = None

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Auth:
        if (self.bearer is None) == (self.basic is None):
            raise ValueError("auth is either {bearer: …} or {basic: [user, password]}")
        if _CONTROL.search(self.bearer or "".join(self.basic or ())):
            raise ValueError("auth may hold no line break or other control character")
        return self

    @property
    def header(self) -> str:
        """The value of `Authorization`."""
        if self.basic is None:
            return f"Bearer {self.bearer}"
        return f"Basic {base64.b64encode(':'.join(self.basic).encode()).decode('ascii')}"


class HttpConnection(Connection):
    """A host that several steps call."""

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    kind: Literal["http"] = "http"
    url: Annotated[
        str,
        pydantic.AfterValidator(_checked_base),
        pydantic.Field(description="Scheme, host and the beginning of every path.", repr=False),
    ]
    auth: Annotated[Auth | None, pydantic.Field(description="Who we are.")] = None
    headers: _Headers = pydantic.Field(
        default_factory=dict, description="Sent with every request.", repr=False
    )
    verify: Annotated[bool | str, pydantic.Field(description=_VERIFY)] = True


class HttpParams(Params):
    """What to ask whom, and which answers are well."""

    model_config = pydantic.ConfigDict(
        hide_input_in_errors=True,
        json_schema_extra={"oneOf": [{"required": [verb]} for verb in _VERBS]},
    )

    get: _Url = None
    post: _Url = None
    put: _Url = None
    patch: _Url = None
    delete: _Url = None
    head: _Url = None
    connection: Annotated[
        str | None, pydantic.Field(description="The connection that gives host and auth.")
    ] = None
    headers: Annotated[
        _Headers,
        _SECRET,
    ] = pydantic.Field(default_factory=dict, description="Headers to send.", repr=False)
    query: Annotated[
        Pairs,
        Field(Written.TEXT, secrets=True),
    ] = pydantic.Field(default_factory=dict, description="Added to the URL.", repr=False)
    json_: Annotated[
        Any,
        Field(Written.EXPRESSION),
        pydantic.Field(
            alias="json",
            description="Sent as JSON: a text is a JMESPath expression, a mapping holds templates.",
        ),
    ] = None
    form: Annotated[
        Pairs | None, Field(Written.TEXT), pydantic.Field(description="Fields, sent as a form.")
    ] = None
    body: Annotated[
        str | None, Field(Written.TEXT), pydantic.Field(description="Sent as it stands.")
    ] = None
    auth: Annotated[
        Auth | None, _SECRET, pydantic.Field(description="Who we are, for this step alone.")
    ] = None
    expect: Annotated[
        _Expect, pydantic.Field(description="What is well: `2xx`, `404`, `200-204`, or a list.")
    ] = "2xx"
    verify: Annotated[bool | str | None, pydantic.Field(description=_VERIFY)] = None

    @pydantic.model_validator(mode="after")
    def _one_request(self) -> HttpParams:
        verbs = [verb for verb in _VERBS if getattr(self, verb) is not None]
        bodies = [body for body in (self.json_, self.form, self.body) if body is not None]
        if len(verbs) != 1:
            raise ValueError(f"exactly one of {', '.join(_VERBS)} is needed")
        if len(bodies) > 1:
            raise ValueError("only one of json, form and body can be sent")
        if bodies and self.verb in {"get", "head"}:
            raise ValueError(f"a {self.verb} request has no body")
        if self.connection is None and not ABSOLUTE.match(self.url):
            raise ValueError("a path needs a `connection` that gives the host")
        return self

    @property
    def verb(self) -> str:
        """Which of the verbs was written."""
        return next(verb for verb in _VERBS if getattr(self, verb) is not None)

    @property
    def url(self) -> str:
        """The URL or path as written."""
        return str(getattr(self, self.verb))
