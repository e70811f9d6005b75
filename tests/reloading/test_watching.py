"""Whatever way a file is changed, it is noticed, and read once it is still."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from ledgers import PATIENCE

from engine.reloading.watching import Stamp, Watching, folders, stamp

pytestmark = pytest.mark.anyio


class Watcher:
    """Watches a path, and counts what it would read; notices alone can tell it of a change."""

    def __init__(self, path: Path, *, look: float = 3600.0, still: float = 0.05) -> None:
        self.path = path
        self.seen: Stamp = stamp(path)
        self.read: list[str] = []
        self.stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self.watching = Watching(
            path, lambda: self.seen, self._note, self.stopping, still=still, look=look
        )

    def _note(self) -> None:
        self.seen = stamp(self.path)
        files = [self.path] if self.path.is_file() else sorted(self.path.glob("*.y*ml"))
        self.read.append(" ".join(file.read_text() for file in files))
        self._changed.set()

    async def sees(self, change: Callable[[], object]) -> str:
        """Make a change, and wait until it was noticed; what is read then."""
        self._changed.clear()
        change()
        async with asyncio.timeout(PATIENCE):
            await self._changed.wait()
        return self.read[-1]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.watching.run())
        async with asyncio.timeout(PATIENCE):
            while not self.watching.is_watching:
                await asyncio.wait([self._task], timeout=0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stopping.set()
        async with asyncio.timeout(PATIENCE):
            await self._task


def replace(path: Path, text: str) -> None:
    """Save as most editors do: a new file, renamed over the old one."""
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text)
    beside.rename(path)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "rules.yaml"
    path.parent.mkdir()
    path.write_text("first")
    return path


async def test_a_file_that_is_written_in_place_is_noticed(rules: Path) -> None:
    async with Watcher(rules) as watcher:
        assert await watcher.sees(lambda: rules.write_text("second")) == "second"


async def test_a_file_that_is_renamed_over_is_noticed_each_time(rules: Path) -> None:
    async with Watcher(rules) as watcher:
        for text in ("second", "third", "fourth"):
            assert await watcher.sees(lambda text=text: replace(rules, text)) == text  # type: ignore[misc]


async def test_a_link_that_is_swapped_is_noticed(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(name)
    data, rules = tmp_path / "..data", tmp_path / "rules.yaml"
    data.symlink_to("one")
    rules.symlink_to("..data/rules.yaml")

    def swap(name: str) -> None:
        (tmp_path / "..new").symlink_to(name)
        (tmp_path / "..new").rename(data)

    async with Watcher(rules) as watcher:
        assert await watcher.sees(lambda: swap("two")) == "two"
        assert await watcher.sees(lambda: swap("three")) == "three"
        # What the link led to at first is not forgotten, nor is what it leads to now.
        changed = tmp_path / "three" / "rules.yaml"
        assert await watcher.sees(lambda: changed.write_text("3")) == "3"


async def test_the_far_end_of_a_link_is_watched(tmp_path: Path, rules: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(rules)
    async with Watcher(link) as watcher:
        assert await watcher.sees(lambda: replace(rules, "second")) == "second"


async def test_a_linked_folder_on_the_way_may_be_swapped(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(name)
    (tmp_path / "current").symlink_to("one")

    def swap() -> None:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")

    async with Watcher(tmp_path / "current" / "rules.yaml") as watcher:
        assert await watcher.sees(swap) == "two"


async def test_files_of_a_folder_may_come_change_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    one, two = folder / "1.yaml", folder / "2.yml"
    one.write_text("one")
    async with Watcher(folder) as watcher:
        assert await watcher.sees(lambda: two.write_text("two")) == "one two"
        assert await watcher.sees(lambda: replace(one, "uno")) == "uno two"
        assert await watcher.sees(two.unlink) == "uno"


async def test_a_file_that_goes_and_comes_back_is_noticed(rules: Path) -> None:
    async with Watcher(rules) as watcher:
        await watcher.sees(rules.unlink)
        assert await watcher.sees(lambda: rules.write_text("back")) == "back"


async def test_where_no_notice_comes_a_look_finds_it(tmp_path: Path, rules: Path) -> None:
    aside = tmp_path / "aside"
    async with Watcher(rules, look=0.05) as watcher:

        def anew() -> None:
            rules.parent.rename(aside)
            shutil.copytree(aside, rules.parent)
            rules.write_text("anew")

        assert await watcher.sees(anew) == "anew"


async def test_a_file_is_not_read_before_it_is_still(rules: Path) -> None:
    async with Watcher(rules, still=0.5) as watcher:
        with rules.open("w") as file:

            def write() -> None:
                for part in ("half", " and", " half"):
                    file.write(part)
                    file.flush()
                    os.fsync(file.fileno())

            assert await watcher.sees(write) == "half and half"
        assert len(watcher.read) == 1


async def test_what_says_nothing_new_is_not_read(rules: Path) -> None:
    async with Watcher(rules) as watcher:
        (rules.parent / "notes.txt").write_text("beside")
        await watcher.sees(lambda: replace(rules, "second"))
        assert watcher.read[-1] == "second"
        (rules.parent / "notes.txt").write_text("beside once more")
        assert await watcher.sees(lambda: replace(rules, "third")) == "third"
        assert watcher.read.count("second") == 1


def test_a_stamp_tells_of_whatever_cannot_be_read(tmp_path: Path) -> None:
    empty = stamp(tmp_path)
    (tmp_path / "rules.yaml").symlink_to("rules.yaml")
    assert stamp(tmp_path) != empty
    assert stamp(tmp_path / "rules.yaml") != stamp(tmp_path / "none.yaml")


def test_a_link_that_leads_to_itself_ends_the_search(tmp_path: Path) -> None:
    link = tmp_path / "rules.yaml"
    link.symlink_to("rules.yaml")
    assert tmp_path in folders(link)
    (tmp_path / "deeper").symlink_to("deeper/x")
    assert tmp_path in folders(tmp_path / "deeper")


async def test_where_the_file_system_gives_no_notice_looking_goes_on(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object, **__: object) -> None:
        raise OSError(24, "inotify watch limit reached")

    watcher = Watcher(rules, look=0.05)
    monkeypatch.setattr(Watching, "_notice_in", refuses)
    async with watcher:
        assert await watcher.sees(lambda: rules.write_text("second")) == "second"
