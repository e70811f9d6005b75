"""A month made up by chance: customers, nodes, what arrives late or twice, edits, reboots, outages."""

from __future__ import annotations

from random import Random

from journeys.month.rules import RULES
from journeys.month.story import NEVER, Customer, Sent, Story, day

from engine.clock import DAY, HOUR, MINUTE, SECOND

_TELLING = "tell-owner"
_LAST_ACT = 22


def made_up(seed: int) -> Story:
    """The month of that number, always the same."""
    chance = Random(seed)
    story = Story(end=day(26))
    _machines(story, chance)
    most = sorted(chance.sample([rule for rule in RULES if rule != _TELLING], 6))
    story.rules = (*most, _TELLING)
    for rule in chance.sample(most, 4):
        _edits(story, chance, rule)
    sendings = [*_customers(story, chance), *_nodes(story, chance)]
    for raised, type, who, fields in sendings:
        if raised > story.end - HOUR:
            continue
        late = chance.choice((0, 0, 0, 1, 2, 300, 900)) * SECOND
        story.send(raised, type, who, late=late, **fields)
    sent = story.in_order()
    _cuts(story, chance, sent)
    for one in chance.sample(sent, len(sent) // 6):
        again = story.is_awake(one.arrived + chance.randint(1, 90_000) * SECOND)
        if again < story.end:
            story.again.append((again, one))
    return story


def _moment(chance: Random, first: float, last: float) -> int:
    """Some whole second between two days."""
    return day(0) + chance.randint(int(first * 86_400), int(last * 86_400)) * SECOND


def _machines(story: Story, chance: Random) -> None:
    """Reboots, and two outages of the mail server; on days of their own."""
    days = chance.sample(range(1, _LAST_ACT), 5)
    for number in days:
        start = _moment(chance, number, number + 0.5)
        story.reboot(start, start + chance.choice((20, 600, 7200, 30_000)) * SECOND)
    for first in (chance.randint(4, 12), chance.randint(15, 20)):
        start = _moment(chance, first + 0.3, first + 0.6)
        story.mail_away(start, start + chance.randint(1, 6 * 3600) * SECOND)


def _cuts(story: Story, chance: Random, sent: list[Sent]) -> None:
    """The process dies with events in its journal; where nothing else arrives in that time."""
    for one in chance.sample(sent, len(sent) // 20):
        until = one.arrived + chance.randint(2, 900) * SECOND
        quiet = [*(other.arrived for other in sent if other != one), *_happenings(story)]
        if not any(one.arrived - HOUR <= at <= until + MINUTE for at in quiet):
            story.cut_off(one, until)


def _happenings(story: Story) -> list[int]:
    """Whatever else happens, and when."""
    downs = [moment for down in story.down for moment in down]
    return [*(at for at, _, _ in story.acts), *downs]


def _edits(story: Story, chance: Random, rule: str) -> None:
    """What the owner does to one rule, one thing after the other."""
    name, at = rule, day(1)
    while True:
        at += chance.randint(2 * 3600, 12 * 86_400) * SECOND
        until = at + chance.randint(1, 2 * 86_400) * SECOND
        at, until = story.is_awake(at) + SECOND, story.is_awake(until) + 2 * SECOND
        if until > day(_LAST_ACT):
            return
        match chance.choice(("edit", "typo", "remove", "rename")):
            case "edit":
                story.edit(at, rule)
            case "typo":
                story.typo(at, rule, until, name)
            case "remove" if rule != "morning":
                story.remove(at, rule, until, story.is_awake(until + HOUR), name)
            case "rename":
                name = f"{rule}-{len(story.acts)}"
                story.rename(at, rule, name)
        at = until + HOUR


def _customers(story: Story, chance: Random) -> list[tuple[int, str, str, dict[str, object]]]:
    found = []
    for number in range(5):
        name = f"user-{number}"
        since, plan = _moment(chance, 0.1, 5), chance.randint(4 * 24, 12 * 24) * HOUR
        pays = sorted(
            since + plan + chance.randint(-4 * 86_400, 11 * 86_400) * SECOND
            for _ in range(chance.choice((0, 0, 1, 1, 2)))
        )
        leaves = _moment(chance, 15, 24) if chance.random() < 0.2 else NEVER
        by = chance.choice(("user.modified", "user.enabled"))
        email = None if number == 4 else f"{name}@example.org"
        customer = Customer(name, since, plan, email, tuple(pays), leaves, by)
        for raised, type, ends, status in customer.events(story.end):
            fields: dict[str, object] = {"email": email, "ends": ends, "status": status}
            found.append((raised, type, name, fields))
    return found


def _nodes(story: Story, chance: Random) -> list[tuple[int, str, str, dict[str, object]]]:
    found: list[tuple[int, str, str, dict[str, object]]] = []
    for node in ("fra-1",):
        at = _moment(chance, 0, 5)
        while at < story.end:
            found.append((at, "node.connection_lost", node, {}))
            at += chance.choice((2 * MINUTE, 4 * MINUTE, HOUR, 9 * HOUR, 2 * DAY))
            found.append((at, "node.connection_restored", node, {}))
            at += chance.randint(3600, 6 * 86_400) * SECOND
    return found
