"""Programs of the shell action end with their try: cancelled, cut short, or left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from actions.shell import Shell, ShellParams, _Listener, _start, _Started
from engine.action import Call
from engine.errors import ActionFailed


class Fifo:
    """A pipe with a name, by which a program tells that it is there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fifo"
        os.mkfifo(self.path)
        # Open for both, so that it does not end between two writers.
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)

    async def line(self) -> str:
        """The next line that somebody writes."""
        with anyio.fail_after(10):
            await anyio.wait_readable(self._file)
        return self._file.readline().decode().strip()

    def close(self) -> None:
        """Remove the pipe."""
        self._file.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    made = Fifo(tmp_path)
    yield made
    made.close()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until_gone(pid: int) -> None:
    """Wait until a process is no more."""
    with anyio.fail_after(10):
        while alive(pid):
            await anyio.lowlevel.checkpoint()


class Heard(Shell):
    """Tells when it listens to the program it started."""

    def __init__(self) -> None:
        self.listening = asyncio.Event()

    async def _hear_out(self, transport: asyncio.SubprocessTransport, listener: _Listener) -> None:
        self.listening.set()
        await super()._hear_out(transport, listener)


async def cancelled(script: str, fifo: Fifo, mercy: float = 60) -> tuple[int, float]:
    """Start a script, cancel it when it says its process number; that, and how long it took."""
    action = Heard()
    action.mercy = mercy  # type: ignore[misc]
    params = ShellParams(run=["sh", "-c", script, "sh", str(fifo.path)])
    attempt = asyncio.create_task(action.run(params, Call("k")))
    pid = int(await fifo.line())
    await action.listening.wait()
    began = time.monotonic()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    return pid, time.monotonic() - began


def test_a_cancelled_program_is_asked_to_end(tmp_path: Path, fifo: Fifo) -> None:
    note = tmp_path / "note"
    script = f"trap 'echo asked > {note}; exit 0' TERM; echo $$ > $1; while :; do sleep 0.01; done"

    async def scenario() -> None:
        pid, _ = await cancelled(script, fifo)
        assert not alive(pid)

    asyncio.run(scenario())
    assert note.read_text() == "asked\n"


def test_a_program_that_ignores_being_asked_is_ended_with_its_group(fifo: Fifo) -> None:
    script = (
        "trap '' TERM; (trap '' TERM; exec sleep 600) & echo $! > $1; while :; do sleep 0.01; done"
    )

    async def scenario() -> None:
        child, took = await cancelled(script, fifo, mercy=0.1)
        assert took >= 0.1
        await until_gone(child)

    asyncio.run(scenario())


def test_a_time_limit_of_anyio_ends_the_program_too(fifo: Fifo) -> None:
    params = ShellParams(run=["sh", "-c", "echo $$ > $1; exec sleep 600", "sh", str(fifo.path)])

    async def scenario() -> None:
        async def cut_short() -> None:
            with anyio.move_on_after(30) as scope:
                scopes.append(scope)
                await Shell().run(params, Call("k"))

        scopes: list[anyio.CancelScope] = []
        attempt = asyncio.create_task(cut_short())
        pid = int(await fifo.line())
        scopes[0].cancel()
        await attempt
        assert not alive(pid)

    asyncio.run(scenario())


ASKED = "trap 'echo asked > $1' TERM; echo $$ > $1; while :; do sleep 0.01; done"


def test_a_second_cancel_does_not_leave_the_program_behind(fifo: Fifo) -> None:
    async def scenario() -> None:
        action = Heard()
        action.mercy = 60  # type: ignore[misc]
        params = ShellParams(run=["sh", "-c", ASKED, "sh", str(fifo.path)])
        attempt = asyncio.create_task(action.run(params, Call("k")))
        pid = int(await fifo.line())
        await action.listening.wait()
        attempt.cancel()
        assert await fifo.line() == "asked"
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await until_gone(pid)

    asyncio.run(scenario())


@pytest.mark.parametrize("twice", [False, True])
def test_a_cancel_in_the_middle_of_the_start_ends_the_group_too(fifo: Fifo, twice: bool) -> None:
    script = "(trap '' TERM; exec sleep 600) & " + ASKED.replace("$$", "$!")

    async def scenario() -> None:
        action, connected = Shell(), asyncio.Event()
        action.mercy = 60 if twice else 0.1  # type: ignore[misc]

        async def start() -> _Started:
            params = ShellParams(run=["sh", "-c", script, "sh", str(fifo.path)])
            started = await _start(params, subprocess.DEVNULL, {})
            await connected.wait()
            return started

        attempt = asyncio.create_task(action._started(asyncio.ensure_future(start())))
        child = int(await fifo.line())
        attempt.cancel()
        connected.set()
        assert await fifo.line() == "asked"
        if twice:
            attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await until_gone(child)

    asyncio.run(scenario())


def test_a_cancel_in_the_middle_of_a_start_that_fails_is_still_a_cancel() -> None:
    async def scenario() -> None:
        fail = asyncio.Event()

        async def start() -> _Started:
            await fail.wait()
            raise ActionFailed("cannot start")

        attempt = asyncio.create_task(Shell()._started(asyncio.ensure_future(start())))
        await anyio.lowlevel.checkpoint()
        attempt.cancel()
        fail.set()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    asyncio.run(scenario())


def test_what_a_program_leaves_behind_ends_with_it(fifo: Fifo) -> None:
    async def scenario() -> None:
        script = "sleep 600 & echo $! > $1"
        params = ShellParams(run=["sh", "-c", script, "sh", str(fifo.path)])
        attempt = asyncio.create_task(Shell().run(params, Call("k")))
        child = int(await fifo.line())
        assert (await attempt)["exit_code"] == 0
        await until_gone(child)

    asyncio.run(scenario())


def test_who_left_the_group_and_holds_the_pipe_open_is_not_waited_for(
    tmp_path: Path, fifo: Fifo
) -> None:
    ready = tmp_path / "ready"
    away = f"touch {ready}; echo $$ > $1; exec sleep 600"
    script = f"setsid sh -c '{away}' sh $1 & while [ ! -e {ready} ]; do :; done; echo said"

    async def scenario() -> None:
        params = ShellParams(run=["sh", "-c", script, "sh", str(fifo.path)])
        attempt = asyncio.create_task(Shell().run(params, Call("k")))
        child = int(await fifo.line())
        try:
            with anyio.fail_after(30):
                assert (await attempt)["stdout"] == "said\n"
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)

    asyncio.run(scenario())
