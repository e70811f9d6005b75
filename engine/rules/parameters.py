"""An action's parameters: checked against its model at load, rendered before each try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from engine.action import Action, Field, Params, Written
from engine.errors import ActionFailed, CouldNotEvaluate, UserError
from engine.model import Reason
from engine.rules import codes, names
from engine.rules.compiling import check_name, compile_expression
from engine.rules.marks import LITERAL, slot_of
from engine.rules.mistakes import messages_of, report_mistakes
from engine.rules.model import SecretSource
from engine.rules.programs import fixed_beginning, open_items
from engine.rules.report import Path, Report
from engine.rules.secrets import Secrets
from engine.rules.shapes import check_own_type
from engine.rules.templates import Inspection, Template, inspect, is_template
from engine.rules.urls import OpenOriginError, UrlTemplate
from engine.rules.values import (
    Entries,
    Items,
    Literal,
    NoRecipient,
    Recipient,
    Scope,
    Searched,
    Secret,
    Text,
    Url,
    Value,
    checked_line,
)
from engine.rules.wording import shortened, shown
from engine.sources.masking import SHORTEST
from engine.sources.redaction import sounds_secret

__all__ = [
    "SECRET",
    "CompiledParameters",
    "NoRecipient",
    "Terms",
    "ValueCompiler",
    "compile_parameters",
]

SECRET = re.compile(r"""\s*secret\(\s*(['"])([^'"]*)\1\s*\)\s*""")
_INSIDE = re.compile(r"""\bsecret\(\s*['"]""")
_WHERE = "secrets may stand in connections, http headers, query and auth, and env of shell"
_PLACEHOLDER = "x"
_BARE_NAME = re.compile(
    r"(user|node|data|latest|previous|steps|vars|meta)(\.[A-Za-z_]\w*)+", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What values are compiled under."""

    secrets: Secrets
    vars: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    known: frozenset[str] = names.CONTEXT


@dataclass(frozen=True, slots=True)
class CompiledParameters:
    """The parameters of one step. `authority` is whom it speaks to: the host of its URL, or its program."""

    name: str
    model: type[Params]
    values: Mapping[str, Value]
    authority: str | None
    emits: tuple[str, ...] = ()

    def render(self, context: Mapping[str, Any], secrets: SecretSource) -> Params:
        """The parameters for one try; `ActionFailed` or `NoRecipient` where there are none."""
        scope = Scope(context, secrets)
        rendered = {key: self._value(key, value, scope) for key, value in self.values.items()}
        try:
            return self.model.model_validate(rendered)
        except ValidationError as error:
            message = f"{self.name}: {messages_of(error)}"
            raise ActionFailed(message, reason=Reason.BAD_PARAMETERS) from None

    def _value(self, key: str, value: Value, scope: Scope) -> Any:
        try:
            return value.render(scope)
        except CouldNotEvaluate as error:
            message = f"{self.name}: {key}: {error}"
            raise ActionFailed(message, reason=Reason.TEMPLATE) from error
        except UserError as error:
            message = f"{self.name}: {key}: {error}"
            raise ActionFailed(message, reason=Reason.BAD_PARAMETERS) from error


def compile_parameters(
    action: Action[Any], raw: Any, terms: Terms, report: Report, connection: str | None = None
) -> CompiledParameters | None:
    """What is written below an action's name, compiled; None and the reasons reported.

    `connection` is the connection that the step uses: then its URLs are paths.
    """
    if not isinstance(raw, Mapping):
        message = f"{action.name} needs its parameters below it, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message, "write them as a mapping: key: value")
        return None
    compiler = ValueCompiler(terms, path_only=connection is not None)
    values = compiler.fields(raw, (action.params,), LITERAL, report)
    sample = compiler.sample(raw)
    report_mistakes(action.params, action.name, sample, compiler.dynamic, report)
    authority = compiler.authorities[0] if compiler.authorities else None
    emits = tuple(compiler.emits)
    return CompiledParameters(action.name, action.params, values, authority, emits)


def compile_text(raw: str, terms: Terms, report: Report) -> Template:
    """A template that stands by itself; what is wrong with it is reported."""
    ValueCompiler(terms).value(raw, Field(Written.TEXT), report, ())
    return Template(raw, html=False, address=False, timezone=terms.timezone)


class ValueCompiler:
    """Goes through written values; remembers which of them only show when rendered."""

    def __init__(self, terms: Terms, *, path_only: bool = False) -> None:
        self.terms = terms
        self.path_only = path_only
        self.dynamic: set[Path] = set()
        self.authorities: list[str] = []
        self.emits: list[str] = []
        self._samples: dict[Path, str] = {}

    def fields(
        self,
        raw: Mapping[str, Any],
        models: tuple[type[BaseModel], ...],
        inherited: Field,
        report: Report,
        at: Path = (),
    ) -> dict[str, Value]:
        """Each entry of a mapping, by the mark of the field that it is."""
        found: dict[str, Value] = {}
        special: dict[str, Field] = {}
        for model in models:
            special |= model.marks(raw) if issubclass(model, Params) else {}
        for key, value in raw.items():
            slot = slot_of(models, key)
            mark = special.get(key) or (slot.mark if slot else None) or inherited
            below = slot.models if slot else ()
            compiled = self.value(value, mark, report.at(key), (*at, key), below)
            recipient = mark.recipient and not at
            found[key] = Recipient(compiled) if recipient else compiled
        return found

    def value(
        self,
        raw: Any,
        mark: Field,
        report: Report,
        at: Path,
        models: tuple[type[BaseModel], ...] = (),
    ) -> Value:
        """One value; what is wrong with it is reported."""
        if isinstance(raw, str):
            return self._text(raw, mark, report, at)
        inner = mark
        if mark.written in {Written.EXPRESSION, Written.ARGV}:
            inner = Field(Written.TEXT, secrets=mark.secrets)
        if isinstance(raw, Mapping):
            return Entries(self.fields(raw, models, inner, report, at))
        if isinstance(raw, list):
            if mark.written is Written.ARGV:
                self.authorities.append(fixed_beginning(raw))
                for number, message, hint in open_items(raw):
                    report.at(number).error(codes.OPEN_PROGRAM, message, hint)
            items = enumerate(raw)
            return Items(
                tuple(self.value(one, inner, report.at(n), (*at, n), models) for n, one in items)
            )
        return Literal(raw)

    def sample(self, raw: Any, at: Path = ()) -> Any:
        """What was written, with harmless texts where only rendering shows the value."""
        if isinstance(raw, Mapping):
            return {key: self.sample(value, (*at, key)) for key, value in raw.items()}
        if isinstance(raw, list):
            return [self.sample(value, (*at, number)) for number, value in enumerate(raw)]
        return self._samples.get(at, raw)

    def _mark_dynamic(self, at: Path, sample: str = _PLACEHOLDER) -> None:
        self.dynamic.add(at)
        self._samples[at] = sample

    def _text(self, raw: str, mark: Field, report: Report, at: Path) -> Value:
        if whole := SECRET.fullmatch(raw):
            return self._secret(whole[2], mark, report, at)
        if mark.written is Written.ARGV:
            return Literal(raw)  # no list: whoever checks the value says so
        if mark.written is Written.EVENT:
            self.emits.append(raw)
            check_own_type(raw, report)
        if mark.written in {Written.LITERAL, Written.EVENT}:
            return self._literal(raw, report)
        if mark.written is Written.EXPRESSION:
            self._mark_dynamic(at)
            expression = compile_expression(raw, report, self.terms.known)
            return Searched(expression) if expression else Literal(raw)
        if _INSIDE.search(re.sub(r"\{\{.*?\}\}", "", raw, flags=re.DOTALL)):
            hint = "inside a text, write {{ secret('name') }}" if mark.secrets else _WHERE
            report.error(codes.SECRET_REFUSED, "secret(…) stands in the middle of a text", hint)
        if mark.written is Written.URL:
            return self._url(raw, mark, report, at)
        return self._written(raw, mark, report, at)

    def _written(self, raw: str, mark: Field, report: Report, at: Path) -> Value:
        line = mark.written in {Written.LINE, Written.ADDRESS}
        # A block text (`|`) always ends with a line break that nobody meant.
        text = raw.rstrip("\n") if line else raw
        if is_template(text):
            self._mark_dynamic(at)
            self._inspect(text, mark, report)
            template = Template(
                text,
                html=mark.written is Written.HTML,
                markdown=mark.written is Written.MARKDOWN,
                address=mark.written is Written.ADDRESS,
                timezone=self.terms.timezone,
            )
            return Text(template, line, mark.secrets)
        if mark.secrets and text and _is_credential(at):
            self.terms.secrets.hide(text)
            hint = "write secret('a_name') instead, and give the value by that name"
            report.warn(codes.WRITTEN_SECRET, "a credential is written out here", hint)
        if _BARE_NAME.fullmatch(text.strip()):
            hint = f"write {{{{ {text.strip()} }}}}"
            report.warn(
                codes.NO_BRACES, "this is sent as it stands, not the value of that name", hint
            )
        if line:
            try:
                checked_line(text)
            except CouldNotEvaluate as error:
                report.error(codes.BAD_PARAMETER, str(error), "write it on one line")
                self.dynamic.add(at)  # said once is enough
        return Literal(text)

    def _literal(self, raw: str, report: Report) -> Value:
        if "{{" in raw and "}}" in raw:
            message = f"this value is taken as it stands: {shortened(raw)}"
            report.error(codes.BAD_TEMPLATE, message, "{{ }} cannot be used here")
        return Literal(raw)

    def _secret(self, name: str, mark: Field, report: Report, at: Path) -> Value:
        self._mark_dynamic(at)
        if not mark.secrets:
            report.error(codes.SECRET_REFUSED, f'the secret "{name}" cannot be used here', _WHERE)
        self._check_secret(name, report)
        return Secret(name, mark.written in {Written.LINE, Written.ADDRESS})

    def _check_secret(self, name: str, report: Report) -> None:
        try:
            short = self.terms.secrets.is_short(name)
        except UserError as error:
            report.warn(codes.SECRET_MISSING, str(error))
            return
        if short:
            message = f'the secret "{name}" has fewer than {SHORTEST} characters'
            hint = "it is shown wherever it turns up, for it would mask innocent words; take a longer one"
            report.warn(codes.SECRET_SHORT, message, hint)

    def _url(self, raw: str, mark: Field, report: Report, at: Path) -> Value:
        text = raw.strip()
        if is_template(text):
            self._mark_dynamic(at, "/x" if self.path_only else "https://example.org/x")
            if self._inspect(text, mark, report).mistakes:
                return Literal(raw)
        template = UrlTemplate.of(text, self.terms.timezone)
        try:
            secret = self.terms.secrets.get
            found = template.authority(self.terms.vars, secret, path=self.path_only)
            if found is not None:
                # Lanes are named after it, in the journal and in metrics.
                known = self.terms.secrets.mask(found) == found
                self.authorities.append(found if known else shortened(template.fixed))
        except OpenOriginError as error:
            report.error(codes.OPEN_ORIGIN, str(error), error.hint)
        except CouldNotEvaluate as error:
            report.error(codes.OPEN_ORIGIN, f"the beginning of the URL: {error}")
        except UserError:
            pass  # A missing secret is reported already, as the warning that it is.
        return Url(template, self.path_only, mark.secrets)

    def _inspect(self, text: str, mark: Field, report: Report) -> Inspection:
        """Report what shows in a template without rendering it."""
        seen = inspect(text)
        many = "\n" in text
        for mistake in seen.mistakes:
            message = mistake.message + (f" (line {mistake.line} of the text)" if many else "")
            report.error(mistake.code, message, mistake.hint)
        for name in sorted(seen.names):
            check_name(name, report, self.terms.known)
        for name in seen.secrets:
            if mark.secrets:
                self._check_secret(name, report)
            else:
                message = f'the secret "{name}" cannot be used here'
                report.error(codes.SECRET_REFUSED, message, _WHERE)
        return seen


def _is_credential(at: Path) -> bool:
    """Whether what stands there opens doors, going by the names on the way to it."""
    return sounds_secret(str(at[-1])) or at[-2:] == ("basic", 1)
