"""The shell action with real programs: what they are given, and what they give back."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actions.shell import Shell, ShellParams
from engine.action import OUTPUT_LIMIT, Call
from engine.errors import ActionFailed


def ran(*run: str, call: Call | None = None, **params: Any) -> dict[str, Any]:
    """The result of one try."""
    shell = ShellParams(run=list(run), **params)
    return asyncio.run(Shell().run(shell, call or Call("key-1")))


def failure(*run: str, call: Call | None = None, **params: Any) -> ActionFailed:
    """How one try fails."""
    with pytest.raises(ActionFailed) as caught:
        ran(*run, call=call, **params)
    return caught.value


def python(program: str) -> tuple[str, str, str]:
    """The command line of a little program."""
    return sys.executable, "-c", program


def test_a_program_gets_its_arguments_as_they_are() -> None:
    arguments = ["--option", "-rf", "a b", "$(id)", "`id`", ";", "|", "*", "", "ü\n'\""]
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    assert ran(*python(program), *arguments)["json"] == arguments


def test_a_number_is_an_argument_like_any_other() -> None:
    assert ShellParams(run=["sleep", 5]).arguments == ["sleep", "5"]


def test_the_result_holds_exit_code_output_and_json() -> None:
    assert ran("sh", "-c", "echo '{\"a\": 1}'; echo warn >&2") == {
        "exit_code": 0,
        "stdout": '{"a": 1}\n',
        "stderr": "warn\n",
        "json": {"a": 1},
        "truncated": False,
    }
    assert ran("echo", "no json")["json"] is None


@pytest.mark.parametrize(("code", "retry"), [(1, False), (2, False), (75, True), (127, False)])
def test_the_exit_code_decides_about_another_try(code: int, retry: bool) -> None:
    error = failure("sh", "-c", f"echo first >&2; echo 'why\a' >&2; exit {code}")
    assert error.message == f"sh ended with exit code {code}: why\\x07"
    assert (error.reason, error.retry, error.unknown) == ("exit_code", retry, False)


def test_a_program_ended_by_a_signal_has_failed() -> None:
    error = failure("sh", "-c", "kill -9 $$")
    assert error.message == "sh was ended by signal 9"
    assert (error.reason, error.retry) == ("exit_code", False)


@pytest.mark.parametrize(
    ("run", "params", "message"),
    [
        (["no-such-program-anywhere"], {}, "No such file"),
        (["/etc/hostname"], {}, "Permission denied|Exec format"),
        (["true"], {"cwd": "/no/such/folder"}, "/no/such/folder"),
        (["echo", "\ud800"], {}, "surrogates not allowed"),
        (["true"], {"user": "no-such-user"}, "no user 'no-such-user'"),
    ],
)
def test_what_cannot_be_started_is_a_bad_parameter(
    run: list[str], params: dict[str, str], message: str
) -> None:
    error = failure(*run, **params)
    assert (error.reason, error.retry, error.unknown) == ("bad_parameters", False, False)
    with pytest.raises(ActionFailed, match=message):
        raise error


def test_a_file_that_is_no_program_is_a_bad_parameter(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("neither script nor binary")
    file.chmod(0o755)
    assert "Exec format error" in failure(str(file)).message


@pytest.mark.parametrize(
    "values",
    [
        {"run": []},
        {"run": [""]},
        {"run": ["  ", "x"]},
        {"run": "ls -l"},
        {"run": ["echo", "nul\0"]},
        {"run": ["ec\0ho"]},
        {"run": ["echo", True]},
        {"run": ["echo"], "env": {"A=B": "x"}},
        {"run": ["echo"], "env": {"": "x"}},
        {"run": ["echo"], "env": {"A": "x\0"}},
        {"run": ["echo"], "env": {"A\0": "x"}},
        {"run": ["echo"], "cwd": "/tmp\0"},
        {"run": ["echo"], "stdin": "everything"},
        {"run": ["echo"], "shell": "true"},
    ],
)
def test_nonsense_is_refused_before_anything_is_started(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ShellParams(**values)


def environment(
    monkeypatch: pytest.MonkeyPatch, daemon: Mapping[str, str], call: Call, **params: Any
) -> dict[str, str]:
    """What a program finds in its environment, where the daemon's own is this."""
    for name, value in daemon.items():
        monkeypatch.setenv(name, value)
    found: dict[str, str] = ran("env", call=call, **params)
    return dict(line.split("=", 1) for line in str(found["stdout"]).splitlines())


def test_a_program_inherits_nothing_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = {
        "RULEWAVE_WEBHOOK_SECRET": "x",
        "NOTIFY_SOCKET": "x",
        "LISTEN_FDS": "1",
        "WATCHDOG_USEC": "1",
        "CREDENTIALS_DIRECTORY": "/run/x",
        "DATABASE_PASSWORD": "x",
        "HOME": "/home/me",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
    }
    passed = {"SSH_AGENT": "y", "RULEWAVE_SECRET_A": "y", "LISTEN_PID": "y"}
    call = Call("key-1", environment=passed)
    found = environment(monkeypatch, daemon, call, env={"TOKEN": "t"})
    assert found.pop("PATH")
    assert found == {
        "HOME": "/home/me",
        "TZ": "UTC",
        "LANG": "C.UTF-8",
        "SSH_AGENT": "y",
        "TOKEN": "t",
        "RULEWAVE_IDEMPOTENCY_KEY": "key-1",
    }


def test_the_idempotency_key_cannot_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "RULEWAVE_IDEMPOTENCY_KEY"
    assert environment(monkeypatch, {}, Call("key-1"), env={name: "x"})[name] == "key-1"


def test_a_path_is_found_even_where_the_daemon_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert ran("true")["exit_code"] == 0


def test_the_event_is_read_as_compact_json() -> None:
    event = {"event": "user.expired", "data": {"username": "ü", "n": 1}}
    result = ran("cat", call=Call("k", event=event), stdin="event")
    assert result["json"] == event
    assert " " not in result["stdout"]


def test_a_text_is_read_also_by_its_file_name() -> None:
    assert ran("cat", "/dev/stdin", stdin={"text": "Grüße\n"})["stdout"] == "Grüße\n"


def test_without_stdin_there_is_nothing_to_read() -> None:
    assert ran("cat")["stdout"] == ""


def test_a_program_that_does_not_read_is_neither_blocked_nor_failed() -> None:
    text = "x" * 5_000_000
    assert ran("true", stdin={"text": text})["exit_code"] == 0
    assert ran("head", "-c", "3", stdin={"text": text})["stdout"] == "xxx"


def test_it_starts_in_its_folder(tmp_path: Path) -> None:
    assert ran("pwd", cwd=str(tmp_path))["stdout"].strip() == str(tmp_path.resolve())


def test_a_flood_of_output_is_drained_and_cut() -> None:
    program = "import sys\nfor _ in range(400): sys.stdout.write('x' * 99_999)\nprint('{}')"
    result = ran(*python(program))
    assert result["stdout"] == "x" * OUTPUT_LIMIT
    assert result["truncated"] is True
    assert result["json"] is None


def test_output_that_is_no_utf8_is_replaced() -> None:
    assert ran("printf", "a\\377b")["stdout"] == "a\ufffdb"


def test_the_point_of_no_return_lies_before_the_start(tmp_path: Path) -> None:
    file = tmp_path / "made"
    seen: list[bool] = []

    async def irrevocable() -> None:
        seen.append(file.exists())

    ran("touch", str(file), call=Call("k", irrevocable=irrevocable))
    assert seen == [False]
    assert file.exists()


def test_a_try_whose_point_of_no_return_cannot_be_recorded_is_not_started(tmp_path: Path) -> None:
    async def refuse() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        ran("touch", str(tmp_path / "made"), call=Call("k", irrevocable=refuse))
    assert not (tmp_path / "made").exists()


def test_another_user_is_taken_with_its_groups_or_not_at_all() -> None:
    nobody = pwd.getpwnam("nobody")
    call = Call("k")
    if os.geteuid() != 0:
        assert failure("id", user="nobody", call=call).reason == "bad_parameters"
        return
    report = ran("sh", "-c", "id -u; id -G; echo $HOME; echo $USER", user="nobody", cwd="/")
    uid, groups, home, name = report["stdout"].splitlines()
    assert int(uid) == nobody.pw_uid
    assert [int(group) for group in groups.split()] == [nobody.pw_gid]
    assert (home, name) == (nobody.pw_dir, "nobody")


def test_a_repeat_is_not_safe_and_a_description_shows_no_environment() -> None:
    params = ShellParams(run=["echo", "a b", "\x1b"], env={"TOKEN": "hunter2"})
    assert not Shell().safe_to_repeat(params)
    assert Shell().describe(params) == "run echo 'a b' '\\x1b'"
    assert "hunter2" not in repr(params)


def test_a_great_event_reaches_the_program_whole() -> None:
    event = {"nodes": ["x" * 1000] * 1000}
    program = "import json, sys; print(len(json.load(sys.stdin)['nodes']))"
    assert ran(*python(program), stdin="event", call=Call("k", event=event))["json"] == 1000
