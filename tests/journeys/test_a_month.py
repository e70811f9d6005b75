"""A month in fast motion: night edits, typos, reboots, upgrades, an outage, and who pays when."""

from __future__ import annotations

from pathlib import Path

import pytest
from journeys.month.chance import made_up
from journeys.month.life import real_life, told_life
from journeys.month.model import Effect, Model, Promise, differences
from journeys.month.story import NEVER, Customer, Story, day

from engine.clock import DAY, HOUR, MINUTE, SECOND

pytestmark = pytest.mark.anyio

PLANS = (5, 6, 8, 9, 11, 14, 17, 19, 21, 24)


def customers() -> list[Customer]:
    """Forty of them, of eight kinds, and a few for the day on which the mail server is away."""
    found = []
    for number in range(40):
        name, plan = f"user-{number:02}", PLANS[(number // 4) % 10] * DAY
        since = day(number % 4, 6, 17 * number)
        ends = since + plan
        email = None if number % 8 == 6 else f"{name}@example.org"
        pays = {
            1: (ends - 50 * HOUR,),  # between the two reminders
            2: (ends - 3 * HOUR,),  # after both
            3: (ends + 2 * DAY,),  # between reminder and win-back
            4: (ends + 5 * DAY,),  # between win-back and last call
            7: (ends + 70 * HOUR, ends + plan + 73 * HOUR),
        }.get(number % 8, ())
        leaves = ends + 30 * HOUR if number % 8 == 5 else NEVER
        by = "user.enabled" if number % 8 in {3, 7} else "user.modified"
        found.append(Customer(name, since, plan, email, pays, leaves, by))
    return found


def customers_of_the_outage() -> list[Customer]:
    noon = day(16, 12)
    return [
        Customer("expired", noon - 15 * DAY, 12 * DAY, "expired@example.org"),
        Customer("expired-pays", noon - 15 * DAY, 12 * DAY, "ep@example.org", (noon + 2 * HOUR,)),
        Customer("ending", noon - 9 * DAY, 10 * DAY, "ending@example.org"),
        Customer("ending-pays", noon - 9 * DAY, 10 * DAY, "p@example.org", (noon + 3 * HOUR,)),
        Customer("first", day(16, 10) - 9 * DAY, 10 * DAY, "first@example.org"),
    ]


def the_month() -> Story:
    story = Story(end=day(48))
    # Known before anything is sent: what arrives while the daemon is down, arrives later.
    story.reboot(day(2, 7), day(2, 7, 20))
    story.reboot(day(3, 10), day(3, 12))
    story.reboot(day(7, 1), day(7, 1, 2))
    story.reboot(day(16, 13), day(16, 13, 3))
    people(story)
    panel(story)
    return story


def people(story: Story) -> None:
    """What the owner does, mostly at night."""
    story.edit(day(1, 2), "welcome")
    story.edit(day(6, 23, 30), "win-back")  # many wait
    story.typo(day(7, 0, 40), "node-down", until=day(7, 3))
    story.acts.append((day(9, 3), "half written", ()))
    story.told += [(day(9, 3), "rulewave.rule_broken ")] * 2
    story.remove(day(11, 12), "win-back", until=day(13, 9), released=day(13, 10))
    story.mail_away(day(16, 10), day(16, 16))
    story.rename(day(16, 12, 30), "win-back", "come-back")  # between two tries
    story.acts.append((day(18, 4), "rotate", ("password-of-summer",)))
    story.rename(day(20, 1), "node-down", "node-away")  # while it waits for a node
    story.edit(day(23, 2), "node-down")


def panel(story: Story) -> None:
    """What the panel sends; every ninth event late, every fifth twice."""
    said = [
        (raised, type, customer, ends, status)
        for customer in [*customers(), *customers_of_the_outage()]
        for raised, type, ends, status in customer.events(story.end)
    ]
    said.sort(key=lambda one: one[0])
    for number, (raised, type, customer, ends, status) in enumerate(said):
        late = (number % 9 == 8) * 4 * MINUTE + number % 3 * SECOND
        story.send(
            raised, type, customer.name, late=late, email=customer.email, ends=ends, status=status
        )
    for number, customer in enumerate(customers()[:12]):
        ends = customer.since + customer.plan
        story.send(
            day(9 + number), "user.bandwidth_usage_threshold_reached", customer.name,
            email=customer.email, ends=ends,
        )  # fmt: skip
    nodes(story)
    sent = story.in_order()
    story.again = [(story.is_awake(one.arrived + HOUR), one) for one in sent[::5]]


def nodes(story: Story) -> None:
    lost, back = "node.connection_lost", "node.connection_restored"
    for node, start, minutes in (
        ("fra-1", day(2, 4), 3),
        ("fra-1", day(7, 1, 10), 40),  # by the last good version
        ("ams-2", day(11, 9), 4),
        ("ams-2", day(16, 11), 120),
        ("fra-1", day(20, 0, 30), 270),
        ("hel-3", day(27), 100 * 24 * 60),  # for good
    ):
        story.send(start, lost, node)
        if start + minutes * MINUTE < story.end:
            story.send(start + minutes * MINUTE, back, node)
    # What says that it is back overtakes what says that it was lost.
    story.send(day(24, 5), lost, "waw-4", late=9 * MINUTE)
    story.send(day(24, 5, 4), back, "waw-4")


async def test_in_a_month_everybody_is_told_what_was_promised_once_and_in_time(
    tmp_path: Path,
) -> None:
    story = the_month()
    promised = Model(story, story.in_order()).promises()
    async with real_life(tmp_path, story) as life:
        await life.live()
        assert life.post is not None
        done = [*life.done, *life.post.taken]
        assert differences(promised, done) == []
        assert not {"dead", "on hold"} & (await life.bench.states()).keys()
        assert life.post.refused > 10  # it was tried, and not in vain
        assert len(life.post.ids) == len(set(life.post.ids))


@pytest.mark.parametrize("seed", range(20))
async def test_in_a_month_made_up_by_chance_too(tmp_path: Path, seed: int) -> None:
    story = made_up(seed)
    promised = Model(story, story.in_order()).promises()
    async with told_life(tmp_path, story) as life:
        await life.live()
        assert differences(promised, life.done) == []
        assert not {"dead", "on hold"} & (await life.bench.states()).keys()


def test_a_model_that_promises_less_or_more_would_be_noticed() -> None:
    kept = Promise("a@example.org", "hello", 5, 9)
    told = Effect("a@example.org", "hello", 7)
    assert differences([kept], [told]) == []
    assert len(differences([kept], [])) == 1
    assert len(differences([kept], [told, told])) == 1
    assert len(differences([kept], [Effect("a@example.org", "hello", 10)])) == 2
    assert differences([Promise("a@example.org", "hello", 5, 9, certain=False)], []) == []
