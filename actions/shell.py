"""The `shell` action: one program, started from a list of arguments, never through a shell."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import pwd
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import IO, Annotated, Any, ClassVar, Literal

import anyio
import pydantic

from engine.action import (
    OUTPUT_LIMIT,
    Action,
    Call,
    Field,
    Params,
    Written,
    json_or_none,
    printable,
)
from engine.errors import ActionFailed
from engine.model import Reason

_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_INHERITED = ("PATH", "HOME", "LANG", "TZ")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What systemd tells the daemon is not for its children: they would answer in the daemon's name.
_KEPT_BACK = ("RULEWAVE_", "LISTEN_", "WATCHDOG_", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")
_PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY)


def _without_nul(text: str) -> str:
    """The text as it is; arguments and variables end at a NUL, so none may hold one."""
    if "\0" in text:
        raise ValueError("a NUL character cannot be handed to a program")
    return text


def _variable_name(name: str) -> str:
    """The name of an environment variable as it is."""
    if not name or "=" in name:
        raise ValueError(f"{name!r} is no name for an environment variable")
    return _without_nul(name)


_Argument = Annotated[str, pydantic.AfterValidator(_without_nul)]
_Name = Annotated[str, pydantic.AfterValidator(_variable_name)]


class StdinText(Params):
    """A text of one's own for the program to read."""

    text: Annotated[str, Field(Written.TEXT), pydantic.Field(description="What it reads.")]


class ShellParams(Params):
    """Which program to start, with what, as whom.

    The program (first item of `run`) should be written out in the rule: whoever can choose it
    can run anything. It must not be empty, and nothing may hold a NUL.
    """

    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    run: Annotated[
        list[_Argument | pydantic.StrictInt],
        Field(Written.ARGV),
        pydantic.Field(
            min_length=1,
            description="The program and its arguments, one item each; no shell reads them.",
        ),
    ]
    env: Annotated[
        dict[_Name, _Argument],
        Field(Written.TEXT, secrets=True),
    ] = pydantic.Field(
        default_factory=dict, description="Environment variables to add.", repr=False
    )
    stdin: Annotated[
        Literal["event", "none"] | StdinText,
        Field(Written.TEXT),
        pydantic.Field(description="What it reads: `event` (as JSON), `none`, or `{text: …}`."),
    ] = "none"
    cwd: Annotated[
        _Argument | None, pydantic.Field(description="The folder in which it starts.")
    ] = None
    user: Annotated[
        _Argument | None,
        pydantic.Field(description="The user it runs as; the daemon must be root for that."),
    ] = None

    @pydantic.field_validator("run")
    @classmethod
    def _names_a_program(cls, run: list[str | int]) -> list[str | int]:
        if not str(run[0]).strip():
            raise ValueError("the program (first item) must not be empty")
        return run

    @property
    def arguments(self) -> list[str]:
        """The arguments as the program gets them."""
        return [str(argument) for argument in self.run]


class _Listener(asyncio.SubprocessProtocol):
    """Hears a program out: keeps the beginning of its output, drops the rest."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.truncated = False
        self.ended = asyncio.Event()
        self.silent = asyncio.Event()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output[fd]
        self.truncated |= len(kept) + len(data) > OUTPUT_LIMIT
        kept += data[: OUTPUT_LIMIT - len(kept)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        del exc
        self._open.discard(fd)
        if not self._open:
            self.silent.set()

    def process_exited(self) -> None:
        self.ended.set()

    def text(self, fd: int) -> str:
        """What was kept of one stream."""
        return self.output[fd].decode("utf-8", "replace")


_LONGEST_TARGET = 80
_Started = tuple[asyncio.SubprocessTransport, _Listener]


class Shell(Action[ShellParams]):
    """Starts a program in a process group of its own, which ends when the program or its time does."""

    name = "shell"
    params = ShellParams
    timeout: ClassVar[timedelta] = timedelta(seconds=60)
    mercy: ClassVar[float] = 2.0
    """Seconds between asking a group to end (SIGTERM) and ending it (SIGKILL)."""
    patience: ClassVar[float] = 0.5
    """Seconds to wait for more output once the program has ended."""

    def target(self, connection: str | None, origin: str | None) -> str:
        """Each program has a lane of its own, so that one that hangs holds up no other."""
        program = f" {printable(origin)}" if origin else ""
        return f"{super().target(connection, None)}{program}"[:_LONGEST_TARGET]

    def safe_to_repeat(self, params: ShellParams) -> bool:
        """No: nobody knows what a program does twice."""
        del params
        return False

    def describe(self, params: ShellParams) -> str:
        """The command line, quoted as one would type it; no environment."""
        return f"run {printable(shlex.join(params.arguments))}"

    async def run(self, params: ShellParams, call: Call) -> dict[str, Any]:
        """Start the program, hear it out, and judge it by its exit code."""
        identity = _identity(params.user)
        settings = {"env": _environment(params, call, identity), "cwd": params.cwd}
        await call.irrevocable()
        with _reading(params.stdin, call.event) as stdin:
            start = _start(params, stdin, settings | _switch(identity))
            transport, listener = await self._started(asyncio.ensure_future(start))
        try:
            await self._hear_out(transport, listener)
        finally:
            transport.close()
        return _judged(params, transport.get_returncode(), listener)

    async def _started(self, start: asyncio.Future[_Started]) -> _Started:
        """The program under way.

        A cancel in the middle of the start would end the program alone, not its group; so the
        start is always finished, and then ended properly.
        """
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True), contextlib.suppress(ActionFailed):
                transport, listener = await start
                with contextlib.closing(transport):
                    await self._end(transport.get_pid(), listener)
            raise

    async def _hear_out(self, transport: asyncio.SubprocessTransport, listener: _Listener) -> None:
        """Wait for the program's end; whatever happens, nothing of its group outlives this."""
        group = transport.get_pid()
        try:
            await listener.ended.wait()
        except BaseException:
            # Cancelled: time is up, or a person said so.
            with anyio.CancelScope(shield=True):
                await self._end(group, listener)
            raise
        finally:
            _signal(group, signal.SIGKILL)
        # Who left the group and holds the pipe open is not waited for.
        with anyio.move_on_after(self.patience):
            await listener.silent.wait()

    async def _end(self, group: int, listener: _Listener) -> None:
        """Ask, wait a little, insist; the program is reaped when this returns."""
        try:
            _signal(group, signal.SIGTERM)
            with anyio.move_on_after(self.mercy):
                await listener.ended.wait()
        finally:
            # Also where a second cancel cut the mercy short; being killed takes a moment.
            _signal(group, signal.SIGKILL)
            with anyio.move_on_after(self.mercy):
                await listener.ended.wait()


def _signal(group: int, number: signal.Signals) -> None:
    """Signal a whole process group, if anything is left of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _identity(user: str | None) -> pwd.struct_passwd | None:
    """The account to run as, or None for our own."""
    if user is None:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise ActionFailed(
            f"there is no user {printable(user)!r} here", reason=Reason.BAD_PARAMETERS
        ) from error


def _switch(identity: pwd.struct_passwd | None) -> dict[str, Any]:
    """How a child becomes that account: its user and its groups, not ours."""
    if identity is None:
        return {}
    groups = os.getgrouplist(identity.pw_name, identity.pw_gid)
    return {"user": identity.pw_uid, "group": identity.pw_gid, "extra_groups": groups}


def _environment(
    params: ShellParams, call: Call, identity: pwd.struct_passwd | None
) -> dict[str, str]:
    """What the program finds in its environment; nothing that systemd meant for the daemon."""
    ours = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    theirs = (
        {"HOME": identity.pw_dir, "USER": identity.pw_name, "LOGNAME": identity.pw_name}
        if identity
        else {}
    )
    merged = {"PATH": _PATH} | ours | dict(call.environment) | theirs
    kept = {name: value for name, value in merged.items() if not name.startswith(_KEPT_BACK)}
    return kept | params.env | {"RULEWAVE_IDEMPOTENCY_KEY": call.key}


@contextlib.contextmanager
def _reading(
    stdin: Literal["event", "none"] | StdinText, event: Mapping[str, Any]
) -> Iterator[IO[bytes] | int]:
    """What the program reads, as an open file.

    A file in memory: a program that never reads it can neither block nor fail us.
    """
    if stdin == "none":
        yield subprocess.DEVNULL
        return
    text = (
        json.dumps(event, separators=(",", ":"), default=dict) if stdin == "event" else stdin.text
    )
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(text.encode("utf-8", "replace"))
        file.seek(0)
        yield file


async def _start(
    params: ShellParams, stdin: IO[bytes] | int, settings: Mapping[str, Any]
) -> _Started:
    """Start the program, or say why it cannot be started."""
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            _Listener, *params.arguments, stdin=stdin, start_new_session=True, **settings
        )
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        raise ActionFailed(
            f"cannot start {printable(params.arguments[0])}: {_cause(error)}",
            retry=number in _PASSING,
            reason=Reason.FAILED if number in _PASSING else Reason.BAD_PARAMETERS,
        ) from error


def _cause(error: Exception) -> str:
    """Why a program could not be started; names the file, where there is one."""
    if not isinstance(error, OSError) or not error.strerror:
        return printable(str(error))
    name = f": {error.filename}" if error.filename else ""
    return printable(f"{error.strerror}{name}")


def _judged(params: ShellParams, code: int | None, listener: _Listener) -> dict[str, Any]:
    """The result of exit code 0, or the failure that any other one means."""
    if code:
        end = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = listener.text(2).strip().rpartition("\n")[2]
        said = f": {printable(last)}" if last else ""
        raise ActionFailed(
            f"{printable(params.arguments[0])} {end}{said}",
            retry=code == _TRY_AGAIN,
            reason=Reason.EXIT_CODE,
        )
    stdout = listener.text(1)
    return {
        "exit_code": code,
        "stdout": stdout,
        "stderr": listener.text(2),
        "json": json_or_none(stdout),
        "truncated": listener.truncated,
    }
