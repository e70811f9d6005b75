"""An explanation for people: each rule as a tree of what its condition asked and saw."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import typer

from engine.cli.printing import clean, print_facts
from engine.rules.wording import shortened

_WIDTH = 80
MARKS = {"matched": "+", "not matched": "-", "could not evaluate": "!", "held back": "~"}
_STYLES = {
    "matched": "green",
    "not matched": "yellow",
    "could not evaluate": "red",
    "held back": "cyan",
}
_SINCE = {
    "changed": "the rule has changed since; this is as it was",
    "gone": "the rule is gone since; this is as it was",
}
_AS_THINGS_STAND = {
    "matched": "matched",
    "not matched": "not matched, so it would be passed over",
    "could not evaluate": "could not evaluate, which would be a dead letter",
}
_FACTS = ("event", "type", "aliases", "subject", "raised", "previous", "latest")

Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a tree, and what stands below it."""

    text: str
    verdict: str = ""
    below: tuple[Node, ...] = ()


def print_explanation(told: Shown, *, everything: bool) -> None:
    """Rules that listen first; the others in one line, unless all are wished."""
    facts = {name: told[name] for name in _FACTS}
    print_facts(facts | {"aliases": ", ".join(told["aliases"])} | {"judged": _judged(told)})
    for note in _notes(told):
        _print_wrapped("note: ", clean(note))
    typer.echo()
    shown = [line for line in told["rules"] if everything or line["listens"]]
    others = [line["rule"] for line in told["rules"] if line not in shown]
    for line in shown:
        _print_tree(rule_node(line))
    if not told["rules"] and not told["error"]:
        typer.echo("there are no rules")
    if others:
        names = ", ".join(others)
        _print_wrapped("", f"{_count(len(others))} not listen to it: {clean(names)}")


def rule_node(line: Shown) -> Node:
    """What one rule says."""
    below: list[Node] = []
    if line["since"] in _SINCE:
        below.append(Node(_SINCE[line["since"]]))
    if line["held"]:
        below.append(Node(held_why(line)))
    if line["needed"]:
        below.append(Node(f"needed: {line['needed']}"))
    if line["condition"]:
        below.append(_condition(line["condition"]))
    elif not (line["needed"] or line["held"]):
        below.append(Node(line["why"]))
    if line["plan"]:
        below.append(_plan(line["plan"]))
    return Node(f"{line['rule']}: {line['verdict']}", line["verdict"], tuple(below))


def held_why(line: Shown) -> str:
    """Why a match is held back, and until when."""
    held = line["held"]
    until = f", until {held['until']}" if held["until"] and held["by"] != "quiet" else ""
    return str(line["why"]) + until + (f" ({held['run']})" if held["run"] else "")


def _condition(tree: Shown) -> Node:
    verdict = tree["verdict"]
    joined = tuple(_condition(part) for part in tree["parts"])
    if tree["kind"] != "text":
        return Node(f"{tree['kind']}: {verdict}", verdict, joined)
    failed = (Node(tree["error"]),) if tree["error"] else ()
    return Node(f"{tree['text']}: {verdict}", verdict, (*(joined or tuple(_values(tree))), *failed))


def _values(tree: Shown) -> Iterator[Node]:
    sides = [side for side in tree["sides"] if not side["literal"]]
    told = {one["text"]: one for one in (*tree["seen"], *sides) if not one.get("error")}
    for text, one in told.items():
        yield Node(f"{text} is {'absent' if one['absent'] else _written(one['value'])}")
    if tree["text"] not in told and not tree["sides"] and not tree["error"]:
        yield Node(f"it comes to {_written(tree['value'])}")


def _plan(plan: Shown) -> Node:
    steps = tuple(_step(step) for step in plan["steps"])
    made = f"made {plan['run']} ({plan['state']})" if plan["run"] else "would do"
    return Node(f"{made}{': ' + plan['note'] if plan['note'] else ''}", "", steps)


def _step(step: Shown) -> Node:
    if "cancel_on" in step:
        return _followup(step)
    if "control" in step:
        return _control(step)
    text = step["does"] or f"{step['action']}: {step['error']}"
    if step["when"]:
        text += f" (when {step['when']}{_as_things_stand(step)})"
    return Node(text)


def _control(step: Shown) -> Node:
    """A choose with its ways, a loop with its first items, a stop with its reason."""
    text = step["control"] + (f": {step['reason']}" if step.get("reason") else "")
    if step["when"]:
        text += f" (when {step['when']}{_as_things_stand(step)})"
    ways = tuple(_way(way) for way in step["ways"])
    return Node(text, "", (*ways, *((Node(step["error"]),) if step["error"] else ())))


def _as_things_stand(step: Shown) -> str:
    """What a condition says by now; nothing where earlier steps have to run first."""
    verdict = step["verdict"]
    return f": {_AS_THINGS_STAND[verdict]}" if verdict else ", known once the steps above have run"


def _way(way: Shown) -> Node:
    if way["item"] is not None:
        text = f"for {way['item']}"
    else:
        asked = f"when {way['when']}" if way["when"] else "else"
        text = asked + (f": {way['verdict']}" if way["verdict"] else "")
    return Node(text, way["verdict"] or "", tuple(_step(one) for one in way["steps"]))


def _followup(step: Shown) -> Node:
    steps, instead = (tuple(_step(one) for one in step[name]) for name in ("steps", "else"))
    if step["await"]:
        steps = (Node("when it comes", "", steps),) if steps else ()
        instead = (Node("when it does not come", "", instead),) if instead else ()
    below = (*steps, *instead)
    if below:
        asked = (Node(f"only when {step['when']}"),) if step["when"] else ()
        calls = tuple(Node(f"would be cancelled by {_wanted(one)}") for one in step["cancel_on"])
        below = (*asked, *calls, *below)
    return Node(_headline(step), "", below)


def _headline(step: Shown) -> str:
    state = f" ({step['run']}: {step['state']})" if step["run"] else ""
    wanted = " or ".join(_wanted(one) for one in step["await"])
    what = f"waits for {wanted}" if wanted else "follow-up"
    if step["met"]:
        return f"waited for {wanted}, met by {step['met']}{state}"
    if step["due"] is None:
        return f"{what}: {step['error']}"
    return f"{what}{' until' if wanted else ', due'} {step['due']}{state}"


def _wanted(one: Shown) -> str:
    return f"{one['on']}{' when ' + one['when'] if one['when'] else ''}"


def _judged(told: Shown) -> str:
    if told["decided"]:
        return f"as it was decided at {told['now']}"
    return f"by the rules in force, at {told['now']}"


def _notes(told: Shown) -> Iterable[str]:
    if told["rules_changed"]:
        yield "the rules have changed since; it is judged by those of that time"
    if told["error"]:
        yield f"it could not be decided: {told['error']}"
    yield from told["notes"]


def _written(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False))


def _count(number: int) -> str:
    return "1 rule does" if number == 1 else f"{number} rules do"


def _print_tree(node: Node) -> None:
    if sys.stdout.isatty():
        _print_rich(node)
    else:
        _print_plain(node, 0)


def _print_plain(node: Node, depth: int) -> None:
    mark = f"{MARKS[node.verdict]} " if node.verdict in MARKS else ""
    _print_wrapped("  " * depth + mark, clean(node.text))
    for child in node.below:
        _print_plain(child, depth + 1)


def _print_wrapped(begin: str, text: str) -> None:
    hang = " " * (len(begin) + 2)
    typer.echo(textwrap.fill(text, _WIDTH, initial_indent=begin, subsequent_indent=hang))


def _print_rich(node: Node) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def grown(one: Node) -> Tree:
        tree = Tree(Text(clean(one.text), style=_STYLES.get(one.verdict, "")))
        tree.children.extend(grown(child) for child in one.below)
        return tree

    Console().print(grown(node))
