"""What a test gives: events as a panel sends them, restarts of the daemon, changes of the rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.clock import from_iso, to_iso
from engine.errors import UserError
from engine.rules import codes, names, shapes
from engine.rules.case_renewals import Written, settle_renewals
from engine.rules.case_terms import Setting, Times
from engine.rules.cases import Given, Happens, Reloads, Restarts
from engine.rules.model import Rule
from engine.rules.patterns import is_known, unknown_event
from engine.rules.report import Report
from engine.rules.ruling import compile_rule, id_of
from engine.rules.wording import did_you_mean, shown
from engine.sources import own
from engine.sources.samples import NEWEST_PANEL, sample

_MILLISECOND = 1000
_KINDS = ("event", "restart", "reload")
EVENT_KEYS = frozenset({"at", "event", "data", "meta", "panel", "raised"})
_ENTRY_KEYS = EVENT_KEYS | {"restart", "reload"}
_RELOAD_KEYS = frozenset({"add", "change", "remove"})


def compile_given(
    raw: Mapping[str, Any], setting: Setting, times: Times, panel: str, report: Report
) -> tuple[list[Given], list[bytes]]:
    """All that is given, as far as it can be read, and the states that are known before."""
    items = raw.get("given")
    if items is None:
        return [], []  # a rule that goes by the clock needs nothing
    at = report.at("given")
    if not isinstance(items, list):
        at.error(codes.WRONG_VALUE, f"given is a list, not {shown(items)}")
        return [], []
    sources = dict(setting.sources)
    found: list[Given] = []
    story: list[Written] = []
    for number, item in enumerate(items):
        one = _one(item, setting, sources, times, panel, at.at(number))
        if isinstance(one, Happens):
            story.append(Written(one, item, at.at(number)))
        found += [one] if one else []
    happens, known = settle_renewals(story, times.start)
    sent: set[bytes] = set()
    told_apart = (_told_apart(one, sent) for one in happens)
    return [next(told_apart) if isinstance(one, Happens) else one for one in found], known


def _one(
    raw: Any,
    setting: Setting,
    sources: dict[str, Any],
    times: Times,
    panel: str,
    report: Report,
) -> Given | None:
    kinds = [kind for kind in _KINDS if kind in raw] if isinstance(raw, Mapping) else []
    if not kinds and isinstance(raw, Mapping) and not _ENTRY_KEYS.issuperset(raw):
        names.check_keys(raw, _ENTRY_KEYS, report)
        return None
    if len(kinds) != 1:
        message = "what is given is one of event, restart and reload"
        report.error(codes.WRONG_VALUE, message, "{at: 5m, event: user.created}")
        return None
    moment = times.moment(raw.get("at", "0s"), report.at("at"), what="at")
    if moment is None:
        return None
    if kinds[0] == "event":
        return _event(raw, setting, times, moment, panel, report)
    names.check_keys(raw, ("at", kinds[0]), report)
    if kinds[0] == "restart":
        return _restart(raw["restart"], moment, report.at("restart"))
    return _reload(raw["reload"], setting, sources, moment, report.at("reload"))


# ---------------------------------------------------------------- events


def _event(
    raw: Mapping[str, Any], setting: Setting, times: Times, moment: int, panel: str, report: Report
) -> Happens | None:
    names.check_keys(raw, EVENT_KEYS, report)
    name = raw["event"]
    if not isinstance(name, str) or "*" in name:
        report.at("event").error(codes.WRONG_VALUE, f"{shown(name)} is no event type")
        return None
    parts = {}
    for key in ("data", "meta"):
        if raw.get(key) is None:
            continue
        if not isinstance(raw[key], Mapping):
            report.at(key).error(codes.WRONG_VALUE, f"{key} is a mapping, not {shown(raw[key])}")
            return None
        parts[key] = raw[key]
    panel = panel_of(raw, report) or panel or NEWEST_PANEL
    raised = moment
    if "raised" in raw:
        found = times.moment(raw["raised"], report.at("raised"), what="raised")
        raised = moment if found is None else found
    if name.startswith(own.OWN):
        return _own_event(name, parts.get("data", {}), moment, report)
    body = _body(name, setting, parts, panel, times.start, raised, report)
    return None if body is None else Happens(moment, name, body)


def panel_of(raw: Mapping[str, Any], report: Report) -> str:
    """The panel's version; 2.2 without quotes is a number to YAML."""
    written = raw.get("panel")
    if isinstance(written, int | float) and not isinstance(written, bool):
        return str(written)
    return shapes.text(raw, "panel", report)


def _own_event(name: str, data: Mapping[str, Any], moment: int, report: Report) -> Happens | None:
    if name not in own.EVENTS:
        report.at("event").error(codes.UNKNOWN_EVENT, *unknown_event(name))
        return None
    blank: dict[str, Any] = {"text": "", "number": 0, "boolean": False, "list": []}
    whole = {key: blank[one.kind] for key, one in own.EVENTS[name].fields.items()}
    return Happens(moment, name, b"", {**whole, **data})


def _body(
    name: str,
    setting: Setting,
    parts: Mapping[str, Any],
    panel: str,
    start: int,
    raised: int,
    report: Report,
) -> bytes | None:
    """The body that a panel of that version sends; its dates are those of the start."""
    moment = to_iso(raised)
    if not is_known(name):
        if name not in _listened_for(setting):
            report.at("event").warn(codes.UNKNOWN_EVENT, *unknown_event(name))
        value = {"event": name, "timestamp": moment, "data": {}, **parts}
        return json.dumps(value, ensure_ascii=False).encode()
    try:
        wanted = {"timestamp": moment, **parts}
        return sample(name, panel=panel, now=start, overrides=wanted).body
    except UserError as error:
        report.at("event").error(codes.BAD_TEST, str(error))
        return None


def _listened_for(setting: Setting) -> set[str]:
    """Event types that rules name: those are doubted there, once."""
    found: set[str] = set()
    for source in setting.sources.values():
        listed = source.get("on") if isinstance(source, Mapping) else None
        names = listed if isinstance(listed, list) else [listed]
        found |= {one for one in names if isinstance(one, str)}
    return found


def _told_apart(one: Happens, sent: set[bytes]) -> Happens:
    """Two events given alike are two events, and no redelivery: a millisecond apart."""
    if one.own is not None:
        return one
    body = one.body
    while body in sent:
        value = json.loads(body)
        moment = _later(str(value["timestamp"]))
        body = json.dumps(value | {"timestamp": moment}, ensure_ascii=False).encode()
    sent.add(body)
    return Happens(one.at, one.type, body)


def _later(timestamp: str) -> str:
    return to_iso((from_iso(timestamp) or 0) + _MILLISECOND)


# ---------------------------------------------------------------- restarts and reloads


def _restart(raw: Any, moment: int, report: Report) -> Restarts | None:
    down_for: int | None = 0
    if isinstance(raw, Mapping):
        names.check_keys(raw, ("down_for",), report)
        raw = raw.get("down_for", "0s")
        report = report.at("down_for")
    elif raw is None or raw is True:
        return Restarts(moment, 0)
    down_for = shapes.span(raw, report, what="down_for")
    return None if down_for is None else Restarts(moment, down_for)


def _reload(
    raw: Any, setting: Setting, sources: dict[str, Any], moment: int, report: Report
) -> Reloads | None:
    """What the rules are changed to. Later changes build on earlier ones."""
    if not isinstance(raw, Mapping):
        message = f"reload says what is changed, not {shown(raw)}"
        report.error(codes.WRONG_VALUE, message, "{change: {node-down: {mode: off}}}")
        return None
    names.check_keys(raw, _RELOAD_KEYS, report)
    remove = shapes.texts(raw, "remove", report)
    changes = {} if raw.get("change") is None else raw["change"]
    if not isinstance(changes, Mapping):
        report.at("change").error(codes.WRONG_VALUE, "change maps a rule's id to what changes")
        changes = {}
    for name in (*remove, *changes):
        if name not in sources:
            at = report.at("change", name) if name in changes else report.at("remove")
            message = f"there is no rule {shown(name)} by then"
            at.error(codes.BAD_TEST, message, did_you_mean(str(name), sources), key=True)
    for name, change in changes.items():
        if not isinstance(change, Mapping):
            message = f"a change is a mapping of keys of the rule, not {shown(change)}"
            report.at("change", name).error(codes.WRONG_VALUE, message)
    written = [
        (_changed(sources[name], change), report.at("change", name))
        for name, change in changes.items()
        if name in sources and isinstance(change, Mapping) and isinstance(sources[name], Mapping)
    ]
    added = [] if raw.get("add") is None else raw["add"]
    listed = added if isinstance(added, list) else [added]
    written += [(one, report.at("add", number)) for number, one in enumerate(listed)]
    rules = [rule for source, at in written if (rule := _rule(source, setting, at)) is not None]
    for name in (*remove, *changes):
        sources.pop(name, None)
    sources.update({name: source for source, _ in written if (name := id_of(source))})
    return Reloads(moment, tuple(rules), frozenset((*remove, *changes)))


def _changed(source: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The rule with other keys; what is null is left out."""
    return {key: value for key, value in {**source, **change}.items() if value is not None}


def _rule(source: Any, setting: Setting, report: Report) -> Rule | None:
    """The rule; what is wrong with it is a mistake of the test, and stands where that says it."""
    rule, problems = compile_rule(source, setting.shared, lambda _path, _key: report.place())
    report.problems.extend(
        replace(problem, rule=None) for problem in problems if problem.severity == "error"
    )
    return rule
