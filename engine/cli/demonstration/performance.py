"""The whole performance: opens the stage, plays the script, tells it, and stays as long as wished."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from engine.cli.demonstration.acting import Actor
from engine.cli.demonstration.checking import surplus
from engine.cli.demonstration.script import SCENES
from engine.cli.demonstration.stage import Stage, open_stage
from engine.cli.demonstration.telling import WIDTH, Teller, Terminal
from engine.clock import SystemClock, to_iso
from engine.daemon.service import stop_on_signals
from engine.running.clocks import next_tick

_LOOK_EVERY = 0.2
_COMMANDS = (
    ("rulewave events list", "what came in"),
    ("rulewave followups list", "what is still to come, and can be cancelled"),
    ("rulewave dead list", "what failed; `dead show ID` tells all of it"),
    ("rulewave runs list", "what was done; `runs show ID` tells each try"),
    ("rulewave send user.expires_in_24_hours --set data.email=you@example.org", "one more"),
)


async def perform(*, stay: bool) -> bool:
    """Play the demo; whether everything in it happened."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with open_stage(stop) as stage:
        story = asyncio.create_task(_tell(stage, stay=stay))
        stopped = asyncio.create_task(stop.wait())
        either: set[asyncio.Future[Any]] = {story, stopped, stage.over}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if story.done():
            return await _stay(stage, stop, well=story.result()) if stay else story.result()
        story.cancel()
        with suppress(asyncio.CancelledError):
            await story
        return False


def _teller(stage: Stage) -> Teller:
    console = Terminal(highlight=False)
    console.width = min(console.width, WIDTH)
    return Teller(console, stage.engine.desk.library.book)


async def _tell(stage: Stage, *, stay: bool) -> bool:
    teller, actor = _teller(stage), Actor(stage)
    _introduce(teller, stage)
    failures: list[str] = []
    for number, scene in enumerate(SCENES, 1):
        teller.scene(number, scene)
        for beat in scene.beats:
            seen, lacking = await actor.play(beat)
            teller.beat(beat, seen, lacking)
            failures += lacking
    expected = sum(len(beat.expect.mails) for scene in SCENES for beat in scene.beats)
    failures += surplus(len(stage.far.mails), expected)
    _tell_clocks(teller)
    _conclude(teller, failures)
    if stay:
        _invite(teller, stage)
    return not failures


def _introduce(teller: Teller, stage: Stage) -> None:
    teller.say(
        "Rulewave: signed events of a Remnawave panel become mails, calls and programs.", "bold"
    )
    teller.say(
        f"This is a real daemon on SQLite in {stage.folder}. Its rules are rules.example.yaml, "
        "word for word; only the connections lead to a mail server and a web server of this demo."
    )


def _tell_clocks(teller: Teller) -> None:
    """Rules that wait for no event, and when it is their time."""
    teller.say("")
    for rule in teller.book.ruleset.rules:
        for clock in rule.clocks:
            due = next_tick(clock, SystemClock().now())
            moment = f"{to_iso(due)[:16].replace('T', ' ')} UTC" if due else "never"
            teller.say(f"The clock rule {rule.id} is next due at {moment}.")


def _conclude(teller: Teller, failures: list[str]) -> None:
    teller.say("")
    if failures:
        teller.say("✗ Not everything happened:", "bold red")
        for failure in failures:
            teller.say(f"  {failure}", "red")
    else:
        teller.say("✓ Everything happened as the rules say.", "bold green")


def _invite(teller: Teller, stage: Stage) -> None:
    teller.say("")
    teller.say("The daemon is still running. In another terminal:", "bold")
    teller.say("")
    teller.say(f"  source {stage.environment}", "cyan")
    for command, what in _COMMANDS:
        teller.say(f"  {command}", "cyan")
        teller.say(f"      {what}", "dim")
    teller.say("")
    teller.say(f"Console: http://{stage.console}/healthz  and  http://{stage.console}/metrics")
    teller.say("What arrives from now on is shown here. Ctrl-C ends it and removes everything.")


async def _stay(stage: Stage, stop: asyncio.Event, *, well: bool) -> bool:
    """Show what arrives until Ctrl-C."""
    teller, far = _teller(stage), stage.far
    mails, calls = len(far.mails), len(far.calls)
    while not stop.is_set() and not stage.over.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
        for mail in far.mails[mails:]:
            teller.mail(mail)
        for call in far.calls[calls:]:
            teller.call(call)
        mails, calls = len(far.mails), len(far.calls)
    return well
