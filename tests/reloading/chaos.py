"""A world that changes at random: rules are edited, broken, renamed, switched off; events come, time goes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from reloading.cutting import cut_off
from running.bench import Bench, Told, open_bench

from engine.clock import MINUTE, ManualClock
from engine.errors import JournalUnavailable, UserError

USERS = ("anna", "ben", "cleo")
SOONEST = 30
"""The least delay (minutes) of any follow-up."""
TEXT = """
  - id: {id}
    was: [{was}]
    on: user.expired
    mode: {mode}
    do:
      - {kind}: {wanted}
        cancel_on: user.deleted
        on_rule_change: {how}
        do:
          - {action}: {{text: "{id} {edit}"}}
          - {{after: 40m, cancel_on: user.deleted, tell: {{text: nested}}}}
      - tell: {{text: first}}
"""


@dataclass(slots=True)
class Written:
    """A rule as it stands in the file, and what of it is in force (None: nothing)."""

    id: str
    was: list[str] = field(default_factory=list)
    edit: int = 0
    mode: str = "live"
    how: str = "keep"
    minutes: int = SOONEST
    awaits: bool = False
    broken: bool = False
    there: bool = True
    in_force: str | None = None
    id_in_force: str = ""

    def text(self) -> str:
        """The rule for the file."""
        if not self.there:
            return ""
        span = f"{self.minutes}m"
        return TEXT.format(
            id=self.id, was=", ".join(self.was), mode=self.mode, how=self.how, edit=self.edit,
            kind="await" if self.awaits else "after",
            wanted=f"user.modified\n        within: {span}" if self.awaits else span,
            action="tlel" if self.broken else "tell",
        )  # fmt: skip

    def change(self, random: Random) -> None:
        """Do something to it that a person might do at night."""
        match random.choice(("edit", "edit", "mode", "how", "break", "there", "rename", "was")):
            case "edit":
                self.edit += 1
                self.minutes = random.choice((SOONEST, 60, 90))
            case "mode":
                self.mode = "off" if self.mode == "live" else "live"
            case "how":
                self.how = random.choice(("keep", "rebind", "cancel"))
            case "break":
                self.broken = not self.broken
            case "there":
                self.there = not self.there
            case "rename" if self.id == self.id_in_force:
                self.was.append(self.id)
                self.id = f"{self.id}x"
            case "was" if self.id == self.id_in_force:
                self.was.clear()

    def read(self) -> None:
        """What is in force after a reading."""
        if not self.there:
            self.in_force = None
        elif not self.broken:
            self.in_force, self.id_in_force = self.mode, self.id


@dataclass(slots=True)
class Chaos:
    """One journal through several lives."""

    folder: Path
    random: Random
    rules: list[Written] = field(
        default_factory=lambda: [
            Written("a"),
            Written("b", how="rebind"),
            Written("c", awaits=True),
        ]
    )
    clock: ManualClock | None = None
    told: list[Told] = field(default_factory=list)
    seen: int = 0

    def text(self) -> str:
        """The file."""
        text = "version: 1\nrules:\n" + "".join(rule.text() for rule in self.rules)
        return text.rstrip() + " []\n" if text.endswith("rules:\n") else text

    async def live(self, steps: int) -> None:
        """One life; it ends without warning."""
        self._read()
        async with self._open() as bench:
            self.clock = bench.clock
            try:
                for _ in range(steps):
                    await self._step(bench)
            finally:
                self.told += bench.tell.told

    @asynccontextmanager
    async def end(self) -> AsyncIterator[Bench]:
        """The last life: all rules are read once more, everything settles."""
        self._read()
        async with self._open() as bench:
            await bench.settle()
            await bench.reloader.reload()
            await bench.settle()
            self.told += bench.tell.told
            yield bench

    def _open(self) -> AbstractAsyncContextManager[Bench]:
        return open_bench(self.folder, self.text(), clock=self.clock, broken=True)

    def _read(self) -> None:
        for rule in self.rules:
            rule.read()

    async def _step(self, bench: Bench) -> None:
        step = self.random.choice(
            (self._event, self._event, self._event, self._time, self._time, self._settle,
             self._reload, self._reload, self._reload, self._cut_reload, self._person)
        )  # fmt: skip
        await step(bench)
        self._nothing_of_a_rule_that_is_away_ran(bench)

    async def _event(self, bench: Bench) -> None:
        type = self.random.choice(("expired", "expired", "expired", "modified", "deleted"))
        early = self.random.choice((0, 0, 3)) * MINUTE
        bench.clock.move(MINUTE)
        raised = f"{max(0, bench.clock.now() - early - bench.moment('0s')) // MINUTE}m"
        # A body that came before is stored once: the moment tells them apart.
        await bench.event(
            f"user.{type}", username=self.random.choice(USERS), raised=raised,
            description=str(bench.clock.now()),
        )  # fmt: skip

    async def _time(self, bench: Bench) -> None:
        minutes = (bench.clock.now() - bench.moment("0s")) // MINUTE
        await bench.until(f"{minutes + self.random.choice((5, 20, 60))}m")

    async def _settle(self, bench: Bench) -> None:
        await bench.decide()
        if self.random.random() < 0.5:
            await bench.settle()

    async def _reload(self, bench: Bench) -> None:
        await bench.settle()  # so that what ran before is not taken for what ran after
        self._nothing_of_a_rule_that_is_away_ran(bench)
        bench.clock.move(1)
        self._change()
        await bench.reload(self.text())
        self._read()

    async def _cut_reload(self, bench: Bench) -> None:
        """The journal is away from some moment on, and back; then the daemon tries again."""
        await bench.settle()
        self._nothing_of_a_rule_that_is_away_ran(bench)
        bench.clock.move(1)
        self._change()
        writes = self.random.randrange(6)
        again = self.random.random() < 0.5
        with pytest.MonkeyPatch.context() as patch:
            cut_off(bench, patch, writes)
            with suppress(JournalUnavailable):
                await bench.reload(self.text())
        if again:
            await bench.reloader.reload()
        if again or writes:  # the first of all writes says what is in force
            self._read()

    def _change(self) -> None:
        for _ in range(self.random.choice((1, 1, 2, 3))):
            self.random.choice(self.rules).change(self.random)

    async def _person(self, bench: Bench) -> None:
        """Somebody releases, hurries or cancels something."""
        found = await bench.desk.ask("followups", "list", {})
        if not found:
            return
        verb = self.random.choice(("release", "release", "run-now", "cancel"))
        id = self.random.choice(found)["id"]
        try:
            await bench.desk.ask("followups", verb, {"id": id, "ids": id})
        except UserError:  # it stands otherwise
            return

    def _nothing_of_a_rule_that_is_away_ran(self, bench: Bench) -> None:
        """Since it was asked last: no rule came or went meanwhile."""
        away = {rule.id[0] for rule in self.rules if rule.in_force != "live"}
        ran = query(
            self.folder,
            "select r.rule, r.path from attempts a join runs r on r.id = a.run"
            " where r.path != '' and r.released = 0 and a.number > 0 and a.started > ?",
            self.seen,
        )
        assert [row for row in ran if row[0][0] in away] == []
        self.seen = bench.clock.now()


def query(folder: Path, text: str, *values: object) -> list[Any]:
    """Rows of the journal."""
    with closing(sqlite3.connect(folder / "bench.db")) as database:
        return database.execute(text, values).fetchall()
