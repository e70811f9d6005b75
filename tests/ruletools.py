"""Small real actions, and short ways to load rules and to read what is wrong with them."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from engine.action import Action, Call, Connection, Field, Html, Line, Params, Text, Written
from engine.errors import Problem
from engine.rules.loading import Loaded, load
from engine.rules.secrets import Secrets

FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures"
SAY = "do: [{say: {text: hi}}]"
GOOD = f"version: 1\nrules:\n  - id: good\n    on: user.*\n    {SAY}\n"


class SayParams(Params):
    """What to say."""

    text: Text
    html: Html = ""
    title: Line | None = None
    level: Literal["info", "loud"] = "info"
    times: Annotated[int, Field(Written.TEXT)] = 1


class Say(Action[SayParams]):
    """Gives back what it was to say."""

    name = "say"
    params = SayParams

    def describe(self, params: SayParams) -> str:
        return params.text

    async def run(self, params: SayParams, call: Call) -> dict[str, Any]:
        return {"text": params.text}


class Attachment(Params):
    """A nested model with a mark of its own."""

    name: Line
    content: Annotated[str, Field(Written.LITERAL)] = ""


class PostBox(Connection):
    """Where letters go."""

    kind: Literal["box"] = "box"
    host: str
    port: int = 25
    password: str | None = None


class LetterParams(Params):
    """Whom to write what."""

    to: Annotated[str | list[str], Field(Written.LINE, recipient=True)]
    subject: Line = ""
    attach: Annotated[list[Attachment], Field(Written.TEXT)] = pydantic.Field(default_factory=list)
    connection: str | None = None


class Letter(Action[LetterParams]):
    """Writes to somebody by a connection."""

    name = "letter"
    params = LetterParams
    kinds = {"box": PostBox}  # noqa: RUF012  # declared as ClassVar in the base
    needs_connection = True

    def describe(self, params: LetterParams) -> str:
        return str(params.to)

    async def run(self, params: LetterParams, call: Call) -> dict[str, Any]:
        return {}


class Host(Connection):
    """A host to call."""

    kind: Literal["host"] = "host"
    url: str


class FetchParams(Params):
    """What to fetch."""

    get: Annotated[str, Field(Written.URL, secrets=True)]
    headers: Annotated[dict[str, str], Field(Written.LINE, secrets=True)] = pydantic.Field(
        default_factory=dict
    )
    data: Annotated[Any, Field(Written.EXPRESSION)] = pydantic.Field(default=None, alias="json")
    connection: str | None = None

    @pydantic.model_validator(mode="after")
    def _no_ftp(self) -> FetchParams:
        if self.get.startswith("ftp:"):
            raise ValueError("ftp is not spoken here")
        return self


class Fetch(Action[FetchParams]):
    """Calls a URL."""

    name = "fetch"
    params = FetchParams
    kinds = {"host": Host}  # noqa: RUF012  # declared as ClassVar in the base

    def describe(self, params: FetchParams) -> str:
        return params.get

    async def run(self, params: FetchParams, call: Call) -> dict[str, Any]:
        return {}


ACTIONS = {action.name: action for action in (Say(), Letter(), Fetch())}


def secrets(**values: str) -> Secrets:
    """Secrets out of an environment."""
    return Secrets(None, None, {f"RULEWAVE_SECRET_{name.upper()}": v for name, v in values.items()})


def load_text(folder: Path, text: str, name: str = "rules.yaml", **values: str) -> Loaded:
    """Load one file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(path, actions=ACTIONS, secrets=secrets(**values))


def told(problems: tuple[Problem, ...]) -> list[str]:
    """Problems as printed, without the file's folder."""
    return [str(problem).replace(problem.file, Path(problem.file).name) for problem in problems]


def rule(body: str) -> str:
    """A file with one rule `r` on `user.*`, whose further lines are `body`."""
    lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    return f"version: 1\nrules:\n  - id: r\n    on: user.*\n{lines}"


SAY = "do: [{say: {text: hi}}]"


def load_rule(tmp_path: Path, on: str, body: str, head: str = "") -> Loaded:
    """What comes of one rule; `body` begins in line 5, or later after lines of `head`."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return load_text(tmp_path, f"version: 1\n{head}rules:\n  - id: r\n    on: {on}\n{lines}\n")


def load_condition(tmp_path: Path, on: str, condition: str, head: str = "") -> Loaded:
    """What comes of a rule with this condition."""
    return load_rule(tmp_path, on, f"when: >-\n  {condition}\n{SAY}", head)
