"""Lets a story happen to the production engine, on the bench's virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from http_servers import Request, http_server, reply
from journeys.month.model import Effect
from journeys.month.post import Post, post_office
from journeys.month.rules import OWNER, REAL, RULES, TOLD, edited, mistyped, renamed, rules_file
from journeys.month.story import START, Sent, Story
from running.bench import START as BENCH_START
from running.bench import Bench, Phone, TellParams, body, open_bench

from engine.action import Call
from engine.clock import HOUR, SECOND, ManualClock, to_datetime, to_iso
from engine.errors import ActionFailed
from engine.model import Reason
from engine.running.alarm import Alarm
from engine.running.clocks import Clocks

_GIB = 1024**3


class _Same(list[Any]):
    """A script of which every line is the same."""

    def __init__(self, line: Any) -> None:
        super().__init__([line])

    def pop(self, _: Any = 0) -> Any:
        return self[0]


@dataclass
class Life:
    """The daemon of a story, over all its restarts.

    Attributes:
        post: the real mail server; None where mails are only told of.
    """

    folder: Path
    story: Story
    clock: ManualClock
    head: str
    post: Post | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    good: dict[str, str] = field(default_factory=dict)
    done: list[Effect] = field(default_factory=list)
    away: bool = False
    cuts: int = 0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _bench: Bench | None = None
    _clocks: Clocks | None = None
    _bodies: dict[Sent, bytes] = field(default_factory=dict)

    @property
    def bench(self) -> Bench:
        """The life that is."""
        assert self._bench is not None
        return self._bench

    # --------------------------------------------------------------------------- starts and ends

    async def start(self) -> None:
        """Begin a life."""
        opening = open_bench(
            self.folder, rules_file(self.head, self.blocks.values()), clock=self.clock,
            environ=self.secrets, real=self.post is not None, broken=True,
        )  # fmt: skip
        bench = self._bench = await self._stack.enter_async_context(opening)
        bench.tell.script = _Same(self._told)
        self._clocks = Clocks(
            bench.journal, bench.library, Alarm(self.clock), self.clock, bench.pipeline.raise_own
        )
        await self._tick()

    async def stop(self) -> None:
        """End it."""
        await self._stack.aclose()

    async def _told(self, params: TellParams, call: Call) -> dict[str, Any]:
        assert isinstance(call.connection, Phone)
        if self.away and params.to != OWNER:
            raise ActionFailed("nobody answers", retry=True, reason=Reason.CONNECTION)
        self.done.append(Effect(str(params.to), params.text, self.clock.now()))
        return {}

    async def called(self, request: Request, writer: Any) -> None:
        """A call came."""
        text = json.loads(request.body)["text"]
        self.done.append(Effect(OWNER, text, self.clock.now()))
        await reply()(request, writer)

    # ------------------------------------------------------------------------------ time goes by

    async def live(self) -> None:
        """Let the whole story happen."""
        self.blocks = {rule: RULES[rule] for rule in self.story.rules}
        await self.start()
        for at, _, what, arguments in self._happenings():
            if what != "_cut_off":
                await self._until(at)
            await getattr(self, what)(*arguments)
            if arguments[:1] and arguments[0] in self.story.cut:
                continue  # accepted, and there it ends
            await self.bench.settle()
        await self._until(self.story.end)

    def _happenings(self) -> list[tuple[int, float, str, tuple[Any, ...]]]:
        sent = [(one.arrived, 1, "_deliver", (one, 202)) for one in self.story.in_order()]
        again = [(at, 2, "_deliver", (one, 200)) for at, one in self.story.again]
        acts = [
            (at, 1.5 if what == "cut off" else 0, "_" + what.replace(" ", "_"), arguments)
            for at, what, arguments in self.story.acts
        ]
        hours = range(START, self.story.end, HOUR)
        ticks = [(at, 3, "_tick", ()) for at in hours if _is_nine(at) and self._runs(at)]
        every = chain(sent, again, acts, ticks)
        return sorted(every, key=lambda one: one[:2])

    def _runs(self, at: int) -> bool:
        return self.story.is_awake(at) == at

    async def _until(self, at: int) -> None:
        seconds = (at - BENCH_START) / SECOND
        await self.bench.until(f"{seconds:.6f}s")

    async def _tick(self) -> None:
        assert self._clocks is not None
        await self._clocks.tick()

    # --------------------------------------------------------------------------------- the panel

    async def _deliver(self, sent: Sent, status: int) -> None:
        if sent not in self._bodies:
            self._bodies[sent] = _body(sent)
        answer = await self.bench.deliver(self._bodies[sent])
        assert answer.status == status, (sent, answer)

    # ---------------------------------------------------------------------- people and machines

    async def _edit(self, rule: str, version: str) -> None:
        await self._save(rule, edited(self.blocks[rule], int(version)))

    async def _typo(self, rule: str) -> None:
        self.good[rule] = self.blocks[rule]
        for _ in range(2):  # saved twice, in despair
            await self._save(rule, mistyped(self.blocks[rule]))
            assert self.bench.reloader.standing.broken
            self.blocks[rule] = self.good[rule]
        self.blocks[rule] = mistyped(self.good[rule])

    async def _mend(self, rule: str) -> None:
        await self._save(rule, self.good.pop(rule))

    async def _remove(self, rule: str) -> None:
        self.good[rule] = self.blocks.pop(rule)
        await self._reload()

    async def _put_back(self, rule: str) -> None:
        await self._save(rule, self.good.pop(rule))

    async def _release(self, rule: str) -> None:
        await self.bench.desk.ask("followups", "release", {"rule": rule})

    async def _rename(self, rule: str, name: str) -> None:
        await self._save(rule, renamed(self.blocks[rule], name))

    async def _half_written(self) -> None:
        """An editor that saves in two bites, and a look between them."""
        whole = rules_file(self.head, self.blocks.values())
        for text in ("", whole[: len(whole) // 2].rpartition("\n")[0] + "\n    when: [", whole):
            self.clock.move(SECOND)
            self.bench.file.write_text(text, "utf-8")
            await self.bench.reloader.reload()
            await self.bench.settle()
        assert self.bench.reloader.standing.well

    async def _reboot(self, span: str) -> None:
        """The process ends, and is started later."""
        await self.stop()
        self.clock.move(int(span))
        await self.start()

    async def _cut_off(self, span: str) -> None:
        """In one life of two, it had at least decided."""
        self.cuts += 1
        if self.cuts % 2:
            await self.bench.decide()
        await self._reboot(span)

    async def _mail_away(self) -> None:
        self.away = True
        if self.post is not None:
            self.post.leave()

    async def _mail_back(self) -> None:
        self.away = False
        if self.post is not None:
            self.post.away = False

    async def _rotate(self, password: str) -> None:
        assert self.post is not None
        self.post.leave()
        self.post.away, self.post.password = False, password
        self.secrets["RULEWAVE_SECRET_MAIL"] = password
        assert (await self._reload()).standing.well

    async def _save(self, rule: str, block: str) -> None:
        self.blocks[rule] = block
        await self._reload()

    async def _reload(self) -> Any:
        return await self.bench.reload(rules_file(self.head, self.blocks.values()))


@asynccontextmanager
async def told_life(folder: Path, story: Story) -> AsyncIterator[Life]:
    """A life in which nothing is really sent."""
    life = Life(folder, story, ManualClock(START), TOLD)
    try:
        yield life
    finally:
        await life.stop()


@asynccontextmanager
async def real_life(folder: Path, story: Story) -> AsyncIterator[Life]:
    """A life with a real mail server and a real place to call."""
    clock, password = ManualClock(START), "password-of-spring"
    life = Life(folder, story, clock, REAL, secrets={"RULEWAVE_SECRET_MAIL": password})
    async with post_office(clock, password) as post, http_server(life.called) as hooks:
        life.post = post
        life.head = REAL.replace("MAIL_PORT", str(post.port)).replace("HOOKS_PORT", str(hooks.port))
        try:
            yield life
        finally:
            await life.stop()


def _is_nine(at: int) -> bool:
    return to_datetime(at).astimezone(ZoneInfo("Europe/Berlin")).hour == 9


def _body(sent: Sent) -> bytes:
    if sent.type.startswith("node."):
        named: Mapping[str, Any] = {"name": sent.who, "uuid": f"node-{sent.who}"}
    else:
        named = {
            "username": sent.who, "email": sent.email, "status": sent.status,
            "expireAt": to_iso(sent.ends),
        }  # fmt: skip
    return body(sent.type, sent.raised, sent.panel, **named)
