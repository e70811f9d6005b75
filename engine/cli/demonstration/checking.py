"""Pure: what has come of a beat, and what of the expected is still missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.cli.demonstration.farside import HttpCall, Mail
from engine.cli.demonstration.script import Expect


@dataclass(frozen=True, slots=True)
class Seen:
    """What has come of a beat.

    Attributes:
        status: of the answer to the delivery.
        code: what the answer's body says.
        event: as `rulewave events show` has it, once it is stored.
        runs: as `rulewave runs show` has them: those that are new, or went on, in this beat.
        own: the daemon's own events that new runs are about, by id, as `rulewave events show`.
        typed: the command that was given.
        writings: what `log` actions wrote.
    """

    status: int | None = None
    code: str = ""
    event: dict[str, Any] | None = None
    runs: tuple[dict[str, Any], ...] = ()
    mails: tuple[Mail, ...] = ()
    calls: tuple[HttpCall, ...] = ()
    writings: tuple[str, ...] = ()
    own: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    typed: str = ""

    @property
    def matched(self) -> tuple[str, ...]:
        """The rules that matched."""
        outcomes = self.event["rules"] if self.event else []
        return tuple(one["rule"] for one in outcomes if one["verdict"] == "matched")

    @property
    def printed(self) -> tuple[str, ...]:
        """What programs printed."""
        results = [result for run in self.runs for result in run["results"].values()]
        return tuple(str(result["stdout"]) for result in results if "stdout" in result)


def missing(expect: Expect, seen: Seen) -> list[str]:
    """What has not happened (yet), one sentence each; [] where all is well."""
    return [
        *_missing_decision(expect, seen),
        *_missing_arrivals(expect, seen),
        *_missing_words(expect, seen),
    ]


def _missing_decision(expect: Expect, seen: Seen) -> Iterator[str]:
    if expect.status != seen.status:
        yield f"the delivery was answered {seen.status}, not {expect.status}"
    if seen.event is not None and not seen.event["decision"]:
        yield "the event is not decided"
    elif set(expect.matched) != set(seen.matched):
        wanted, found = (", ".join(sorted(x)) or "none" for x in (expect.matched, seen.matched))
        yield f"rules that matched: {found}; expected: {wanted}"
    states = [(run["rule"], run["state"]) for run in seen.runs]
    for rule, state in expect.runs:
        if (rule, state) not in states:
            yield f"no run of {rule} is {state}"


def _missing_arrivals(expect: Expect, seen: Seen) -> Iterator[str]:
    for to, subject in expect.mails:
        if not any(to in mail.recipients and subject in mail.subject for mail in seen.mails):
            yield f"no mail to {to} about “{subject}” arrived"
    for path, status in expect.calls:
        if not any((call.path, call.status) == (path, status) for call in seen.calls):
            yield f"no call of {path} was answered {status}"


def _missing_words(expect: Expect, seen: Seen) -> Iterator[str]:
    for text in expect.printed:
        if not any(text in printed for printed in seen.printed):
            yield f"no program printed “{text}”"
    for text in expect.unstored:
        if seen.event is None or text in str(seen.event["body"]):
            yield "the stored event holds a credential"
    for text in expect.logged:
        if not any(text in written for written in seen.writings):
            yield f"the log does not say “{text}”"


def surplus(mails: int, expected: int) -> list[str]:
    """Whether more mails arrived than the whole story asks for."""
    return [f"{mails} mails arrived, {expected} were due"] if mails > expected else []
