"""The embedded driver: shared commits, each call for itself, and honest answers when a disk fails."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import textwrap
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ledgers import Gate, Ledger, all_of, event, ledger, on_thread

from engine.errors import JournalUnavailable
from engine.journal import events, rules
from engine.journal.operations import Ask, Op, Rows, ask_one, load_statements, play
from engine.journal.sqlite import SqliteJournal


def _clock(name: str) -> Generator[Ask, Rows, None]:
    yield from rules.set_clock(name, 1)


def _failing(name: str) -> Generator[Ask, Rows, None]:
    yield from rules.set_clock(name, 1)
    raise ValueError(name)


async def _behind(opened: Ledger, first: Op[Any], *rest: Op[Any]) -> list[Any]:
    """What calls are answered that wait together behind a first one, which holds the writer."""
    gate = Gate()
    waiting = [asyncio.ensure_future(opened.journal.write(gate.hold(first)))]
    await asyncio.to_thread(on_thread(gate.entered))
    waiting += [asyncio.ensure_future(opened.journal.write(op)) for op in rest]
    await asyncio.to_thread(lambda: None)
    gate.opened.set()
    return await asyncio.gather(*waiting, return_exceptions=True)


@contextmanager
def _full_disk(opened: Ledger) -> Iterator[None]:
    """No file of this process may grow beyond what the journal's log has now."""
    size = opened.path.with_name(opened.path.name + "-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("waiting", "commits"), [(200, 1), (256, 1), (257, 2), (300, 2)])
def test_up_to_256_calls_that_wait_together_share_one_commit(
    tmp_path: Path, waiting: int, commits: int
) -> None:
    with ledger(tmp_path) as opened:
        opened.write(_clock("zero"))
        before = opened.commits()
        rest = [_clock(f"c{n}") for n in range(waiting)]
        answers = asyncio.run(_behind(opened, _clock("first"), *rest))
        assert answers == [None] * (waiting + 1)
        assert opened.commits() - before == 1 + commits
        assert opened.rows("select count(*) from clocks") == [(2 + waiting,)]


def test_one_call_that_fails_does_not_spoil_those_that_share_its_commit(tmp_path: Path) -> None:
    ops = (_clock("first"), _clock("good"), _failing("bad"), all_of("no_such"), _clock("also good"))
    with ledger(tmp_path) as opened:
        first, good, bad, unknown, also = asyncio.run(_behind(opened, *ops))
        assert first is good is also is None
        assert isinstance(bad, ValueError)
        assert isinstance(unknown, KeyError)
        assert set(opened.read(rules.clocks())) == {"first", "good", "also good"}


def test_what_is_committed_is_on_disk(tmp_path: Path) -> None:
    asked = {name: f"pragma {name}" for name in ("synchronous", "journal_mode")}
    with ledger(tmp_path, asked) as opened:
        found = [opened.write(ask_one(name)) for name in asked]
    assert found == [{"synchronous": 2}, {"journal_mode": "wal"}]


def test_a_failed_commit_is_told_to_all_who_shared_it_and_nothing_is_kept(tmp_path: Path) -> None:
    async def story(opened: Ledger) -> list[Any]:
        gate = Gate()
        ops = [gate.hold(_clock("one")), _clock("two"), _failing("three")]
        waiting = [asyncio.ensure_future(opened.journal.write(op)) for op in ops]
        await asyncio.to_thread(on_thread(gate.entered))
        with _full_disk(opened):
            gate.opened.set()
            return await asyncio.gather(*waiting, return_exceptions=True)

    with ledger(tmp_path) as opened:
        opened.write(_clock("before"))
        answers = asyncio.run(story(opened))
        assert {type(answer) for answer in answers} == {JournalUnavailable}
        assert set(opened.read(rules.clocks())) == {"before"}


def test_writing_goes_on_as_soon_as_there_is_room_again(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        opened.write(_clock("before"))
        for _ in range(3):
            with _full_disk(opened), pytest.raises(JournalUnavailable):
                opened.write(_clock("lost"))
        opened.write(_clock("after"))
        assert set(opened.read(rules.clocks())) == {"before", "after"}


def test_a_full_database_refuses_what_does_not_fit_and_keeps_what_does(tmp_path: Path) -> None:
    statements = {
        "cap": "pragma max_page_count = 1",
        "uncap": "pragma max_page_count = 1000000",
        "fill": "insert into rejected (source, stored, code, body)"
        " values ('x', 1, 'x', hex(zeroblob(100000)))",
    }
    with ledger(tmp_path, statements) as opened:
        opened.write(all_of("cap"))
        with pytest.raises(JournalUnavailable, match="full"):
            opened.write(all_of("fill"))
        opened.write(_clock("fits"))
        opened.write(all_of("uncap"))
        opened.write(all_of("fill"))
        assert opened.rows("select count(*) from rejected") == [(1,)]
        assert set(opened.read(rules.clocks())) == {"fits"}


def test_when_sqlite_itself_rolls_back_nobody_who_shared_it_is_told_that_all_is_well(
    tmp_path: Path,
) -> None:
    statements = {"undo": "insert or rollback into versions values ('h', 'r', 1, null)"}
    ops = (_clock("zero"), _clock("one"), all_of("undo"), _clock("two"))
    with ledger(tmp_path, statements) as opened:
        answers = asyncio.run(_behind(opened, *ops))
        assert [type(answer) for answer in answers] == [type(None), *[JournalUnavailable] * 3]
        assert set(opened.read(rules.clocks())) == {"zero"}


def test_a_damaged_file_is_an_unavailable_journal(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        opened.store(*(event(f"e{n}") for n in range(50)))
    raw = bytearray((tmp_path / "rulewave.db").read_bytes())
    ((root,),) = opened.rows("select rootpage from sqlite_master where name = 'events'")
    raw[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    (tmp_path / "rulewave.db").write_bytes(raw)
    with ledger(tmp_path) as opened, pytest.raises(JournalUnavailable, match="malformed"):
        opened.read(events.by_seq(1))


def test_readers_see_only_what_is_committed(tmp_path: Path) -> None:
    async def story(opened: Ledger) -> tuple[dict[str, int], dict[str, int]]:
        gate = Gate()
        writing = asyncio.ensure_future(opened.journal.write(gate.hold_after(_clock("new"))))
        await asyncio.to_thread(on_thread(gate.entered))
        before = await opened.journal.read(rules.clocks())
        gate.opened.set()
        await writing
        return before, await opened.journal.list(rules.clocks())

    with ledger(tmp_path) as opened:
        assert asyncio.run(story(opened)) == ({}, {"new": 1})


def test_a_long_list_keeps_no_reader_and_no_writer_waiting(tmp_path: Path) -> None:
    async def story(opened: Ledger) -> dict[str, int]:
        gate = Gate()
        listing = asyncio.ensure_future(opened.journal.list(gate.hold(rules.clocks())))
        await asyncio.to_thread(on_thread(gate.entered))
        await opened.journal.write(_clock("meanwhile"))
        read = await opened.journal.read(rules.clocks())
        gate.opened.set()
        await listing
        return read

    with ledger(tmp_path) as opened:
        assert asyncio.run(story(opened)) == {"meanwhile": 1}


def test_a_reader_cannot_leave_anything_behind(tmp_path: Path) -> None:
    with ledger(tmp_path) as opened:
        opened.read(_clock("written by a reader"))
        with pytest.raises(ValueError, match="reading"):
            opened.read(_failing("reading"))
        assert opened.read(rules.clocks()) == {}


def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    async def story(opened: Ledger) -> list[Any]:
        gate = Gate()
        ops = [gate.hold(_clock("one")), _clock("two"), _clock("three")]
        waiting = [asyncio.ensure_future(opened.journal.write(ops[0]))]
        await asyncio.to_thread(on_thread(gate.entered))
        waiting += [asyncio.ensure_future(opened.journal.write(op)) for op in ops[1:]]
        await asyncio.to_thread(lambda: None)
        closing = asyncio.ensure_future(asyncio.to_thread(opened.journal.close))
        gate.opened.set()
        await closing
        return await asyncio.gather(*waiting)

    with ledger(tmp_path) as opened:
        assert asyncio.run(story(opened)) == [None, None, None]
        assert opened.rows("select count(*) from clocks") == [(3,)]
        with pytest.raises(JournalUnavailable, match="the journal is closed"):
            opened.write(_clock("late"))


def test_a_caller_that_went_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async def leave(opened: Ledger, gate: Gate) -> None:
        leaving = asyncio.ensure_future(opened.journal.write(gate.hold(_clock("left"))))
        other = asyncio.ensure_future(opened.journal.write(_clock("cancelled")))
        await asyncio.to_thread(on_thread(gate.entered))
        other.cancel()
        leaving.cancel()  # and then its loop closes, before the writer has an answer

    async def stay(opened: Ledger) -> None:
        gate = Gate()
        cancelled = asyncio.ensure_future(opened.journal.write(gate.hold(_clock("stays"))))
        await asyncio.to_thread(on_thread(gate.entered))
        cancelled.cancel()
        gate.opened.set()
        await opened.journal.write(_clock("last"))
        assert cancelled.cancelled()

    with ledger(tmp_path) as opened:
        gate = Gate()
        asyncio.run(leave(opened, gate))
        gate.opened.set()
        asyncio.run(stay(opened))
        assert set(opened.read(rules.clocks())) == {"left", "cancelled", "stays", "last"}


def test_a_writer_that_dies_says_so_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    def deadly() -> Generator[Ask, Rows, None]:
        yield from rules.set_clock("never", 1)
        raise SystemExit("the writer is killed")

    opened = Ledger(tmp_path / "rulewave.db")
    kept, *answers = asyncio.run(_behind(opened, _clock("kept"), *(deadly() for _ in range(300))))
    assert kept is None
    assert {type(answer) for answer in answers} == {JournalUnavailable}
    with pytest.raises(JournalUnavailable, match="the writer is killed"):
        opened.write(_clock("late"))
    opened.journal.close()
    assert [str(error) for error in opened.fatal] == ["the writer is killed"]
    assert opened.rows("select rule from clocks") == [("kept",)]


def test_a_journal_that_cannot_be_opened_refuses_every_call(tmp_path: Path) -> None:
    fatal: list[BaseException] = []
    journal = SqliteJournal(tmp_path / "no" / "x.db", load_statements("sqlite"), fatal.append)
    for call in (journal.write, journal.read, journal.list):
        with pytest.raises(JournalUnavailable, match="unable to open database file"):
            asyncio.run(call(rules.clocks()))
    journal.close()
    assert len(fatal) == 1


def test_an_operation_is_sent_the_rows_of_each_statement_and_ends_with_its_result() -> None:
    asked = []

    def execute(wish: Ask) -> Rows:
        asked.append((wish.name, dict(wish.params)))
        return [{"seq": len(asked)}] if wish.name == "by_seq" else []

    def op() -> Generator[Ask, Rows, tuple[Any, Any]]:
        one = yield from ask_one("by_seq", seq=4)
        two = yield from ask_one("nothing")
        return one, two

    assert play(op(), execute) == ({"seq": 1}, None)
    assert asked == [("by_seq", {"seq": 4}), ("nothing", {})]


_FSYNC_FAILS = """
    import asyncio, ctypes, platform, struct, sys
    from pathlib import Path
    from engine.errors import JournalUnavailable
    from engine.journal import rules
    from engine.journal.opening import prepare
    from engine.journal.operations import load_statements
    from engine.journal.sqlite import SqliteJournal

    def break_fsync():
        # A filter in the kernel: from here on fsync and fdatasync fail with EIO.
        calls = {"x86_64": (74, 75)}.get(platform.machine(), (82, 83))
        code = [(0x20, 0, 0, 0)]
        code += [(0x15, 1, 0, calls[0]), (0x15, 0, 1, calls[1])]
        code += [(0x06, 0, 0, 0x00050005), (0x06, 0, 0, 0x7FFF0000)]
        program = b"".join(struct.pack("HBBI", *line) for line in code)
        kept = ctypes.create_string_buffer(program)
        header = struct.pack("HxxxxxxP", len(code), ctypes.addressof(kept))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0) == 0, ctypes.get_errno()

    path = Path(sys.argv[1])
    prepare(path)
    break_fsync()
    fatal = []
    journal = SqliteJournal(path, load_statements("sqlite"), fatal.append)
    for name in ("one", "two"):
        try:
            asyncio.run(journal.write(rules.set_clock(name, 1)))
        except JournalUnavailable as error:
            print(name, error)
    journal.close()
    print("fatal", fatal[0].sqlite_errorname)
"""


def test_a_failed_fsync_is_the_end_of_writing(tmp_path: Path) -> None:
    program = textwrap.dedent(_FSYNC_FAILS)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "rulewave.db")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "one disk I/O error", "two disk I/O error", "fatal SQLITE_IOERR_FSYNC",
    ]  # fmt: skip
