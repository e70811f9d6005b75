"""Watches the rules on disk: rings when they say something new and have been still for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from engine.rules.files import find_files

STILL_SECONDS = 0.3
"""An editor, or a `git pull`, writes more than once: read when nothing has changed for so long."""
LOOK_SECONDS = 5.0
"""Not every file system tells of changes, and none tells of a link far up the path."""
_STEP_MS = 100
_MOST_LINKS = 40  # as many as the kernel follows
log = structlog.get_logger("rulewave.reload")

Stamp = tuple[tuple[Any, ...], ...]


def stamp(path: Path) -> Stamp:
    """What changes with any of the files at that path, links followed; never raises."""
    files, problems = find_files(path)
    return (*(_stamp(file) for file in files), *((problem.message,) for problem in problems))


def _stamp(file: Path) -> tuple[Any, ...]:
    try:
        found = file.stat()
    except OSError as error:
        return str(file), error.errno
    return str(file), found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def folders(path: Path) -> frozenset[Path]:
    """The folders in which something may be replaced: of the path, and of each link on it.

    Folders, since an editor that saves by renaming replaces the very file that was watched.
    """
    found: set[Path] = set()
    met: set[Path] = set()
    todo = [(file.absolute(), 0) for file in (path, *find_files(path)[0])]
    while todo:
        here, links = todo.pop()
        if here in met or links > _MOST_LINKS:  # a link may lead back to where it lies
            continue
        met.add(here)
        found |= {here.parent, here}
        for part in (here, *here.parents):
            if part.is_symlink():
                found.add(part.parent)
                leads_to = part.parent / part.readlink() / here.relative_to(part)
                todo.append((leads_to, links + 1))
    return frozenset(folder for folder in found if folder.is_dir())


@dataclass(slots=True)
class Watching:
    """Looks after one path until `stopping`.

    Attributes:
        known: the stamp of what was read last.
        changed: told when there is something else.
        is_watching: notices are waited for, or there will be none.
    """

    path: Path
    known: Callable[[], Stamp]
    changed: Callable[[], None]
    stopping: asyncio.Event
    still: float = STILL_SECONDS
    look: float = LOOK_SECONDS
    is_watching: bool = False
    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Watch."""
        noticing = asyncio.create_task(self._notice())
        try:
            while not self.stopping.is_set():
                await self._until_rung(self.look)
                if await self._settled() != self.known():
                    self.changed()
        finally:
            await asyncio.gather(noticing, return_exceptions=True)

    async def _settled(self) -> Stamp:
        """The stamp, once it stays what it is."""
        seen = await asyncio.to_thread(stamp, self.path)
        while seen != self.known() and not self.stopping.is_set():
            await self._pause(self.still)
            before, seen = seen, await asyncio.to_thread(stamp, self.path)
            if seen == before:
                break
        return seen

    async def _notice(self) -> None:
        """Ring for each notice of the file system; where it gives none, looking has to do."""
        try:
            while not self.stopping.is_set():
                await self._notice_in(await asyncio.to_thread(folders, self.path))
        except (OSError, RuntimeError) as error:
            log.warning("rules.not_watched", path=str(self.path), error=str(error))
            self.is_watching = True

    async def _notice_in(self, places: frozenset[Path]) -> None:
        # Not needed by commands, and slow to import for what it is.
        from watchfiles import awatch

        if not places:
            await self._pause(self.look)
            return
        changes = awatch(
            *places, watch_filter=None, recursive=False, debounce=2 * _STEP_MS, step=_STEP_MS,
            rust_timeout=int(self.look * 1000), yield_on_timeout=True, stop_event=self.stopping,
            ignore_permission_denied=True,
        )  # fmt: skip
        found: Any = {"what came before it was watched"}
        async with aclosing(changes):
            while found is not None:
                coming = asyncio.ensure_future(anext(changes, None))
                await asyncio.sleep(0)  # from here on notices are gathered
                self.is_watching = True
                if found:
                    self._rung.set()
                found = await coming
                if await asyncio.to_thread(folders, self.path) != places:
                    return

    async def _until_rung(self, seconds: float) -> None:
        ring = asyncio.ensure_future(self._rung.wait())
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({ring, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ring.cancel()
            stop.cancel()
        self._rung.clear()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
