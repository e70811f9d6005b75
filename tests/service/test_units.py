"""`rulewave systemd`: units that systemd's own tools find nothing wrong with."""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

import pytest
from cli.commands import Done, Place
from service.units import INSTALLED, score, verify, written

from engine.cli.units import CONSOLE, INTAKE, SERVICE, Installation, doubts, render
from engine.daemon.paths import find_control
from engine.errors import UserError

_ALLOWED = 1.5


def _lines(text: str) -> list[str]:
    return text.splitlines()


@pytest.mark.parametrize(
    "installation",
    [
        INSTALLED,
        replace(INSTALLED, user="www-data"),
        replace(INSTALLED, user="www-data", database=Path("/srv/rulewave/rulewave.db")),
        replace(INSTALLED, listen="[::1]:8787", console_listen="unix:/run/rulewave console.sock"),
        replace(INSTALLED, rules=Path('/etc/100% "my" rules/$HOME \\ rules.yaml')),
        replace(INSTALLED, secrets_dir=Path("/etc/my secrets"), rules=Path("/home/me/rules")),
    ],
    ids=["usual", "user", "elsewhere", "addresses", "odd-names", "spaces"],
)
def test_systemd_finds_nothing_wrong_with_the_units_and_their_sandbox_is_tight(
    installation: Installation, tmp_path: Path
) -> None:
    service, *sockets = written(tmp_path, render(installation))
    assert verify(service, *sockets) == (0, "")
    assert float(score(service)) <= _ALLOWED


def test_a_mistake_in_a_unit_would_be_found(tmp_path: Path) -> None:
    files = render(INSTALLED)
    files[SERVICE] = files[SERVICE].replace("KillMode=mixed", "KillMode=gently")
    assert "kill mode" in verify(*written(tmp_path, files))[1]


def test_the_units_name_the_paths_of_this_installation(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "secrets").mkdir()
    for name in ("smtp_password", "no secret"):
        (tmp_path / "secrets" / name).write_text("x")
    place.more["RULEWAVE_SECRETS_DIR"] = "secrets"
    place.more["RULEWAVE_LISTEN"] = "127.0.0.1:9797"
    place.more["RULEWAVE_CONSOLE_LISTEN"] = "127.0.0.1:9798"
    done = place.call("systemd", "--dir", str(tmp_path), "--user", "nobody")
    assert (done.code, done.out.split()) == (
        0, [f"{tmp_path}/{name}" for name in (SERVICE, INTAKE, CONSOLE)],
    )  # fmt: skip
    service = _lines((tmp_path / SERVICE).read_text())
    assert {
        f"ExecStart={Path(sys.executable).with_name('rulewave')} serve",
        f"ExecReload={Path(sys.executable).with_name('rulewave')} reload",
        f"Environment=RULEWAVE_RULES={tmp_path}/rules.yaml",
        f"Environment=RULEWAVE_DATABASE=sqlite:///{tmp_path}/rw.db",
        f"LoadCredential=webhook_secret:{tmp_path}/secrets/webhook_secret",
        f"LoadCredential=smtp_password:{tmp_path}/secrets/smtp_password",
        f"ReadWritePaths={tmp_path}",
        "User=nobody",
    } <= set(service)
    assert not [line for line in service if "no secret" in line or "DynamicUser" in line]
    assert "ListenStream=127.0.0.1:9797" in _lines((tmp_path / INTAKE).read_text())
    assert "ListenStream=127.0.0.1:9798" in _lines((tmp_path / CONSOLE).read_text())


def test_without_a_folder_the_units_are_printed_under_their_names(tmp_path: Path) -> None:
    printed = Place(tmp_path).call("systemd", *_STANDARD).out
    texts = re.split(r"^# (\S+)\n", printed, flags=re.MULTILINE)[1:]
    assert texts[::2] == [SERVICE, INTAKE, CONSOLE]
    for text in texts[1::2]:
        unit = ConfigParser(strict=False, interpolation=None)
        unit.read_string(text)
        assert unit.has_section("Install")
        assert "#" not in text


_STANDARD = (
    "--database", "sqlite:////var/lib/rulewave/rulewave.db",
    "--listen", "127.0.0.1:8787", "--console-listen", "127.0.0.1:8788",
)  # fmt: skip


def test_the_secrets_themselves_are_not_in_the_units(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.call("systemd", *_STANDARD)
    assert done.code == 0
    assert place.environ["RULEWAVE_WEBHOOK_SECRET"] not in done.out


def test_the_service_is_restarted_except_where_a_person_must_mend_something() -> None:
    service = render(INSTALLED)[SERVICE]
    for line in ("Type=notify", "Restart=always", "RestartPreventExitStatus=1 2", "WatchdogSec=30"):
        assert line in _lines(service)
    assert service.index("StartLimitIntervalSec=0") < service.index("[Service]")


def test_a_database_outside_of_the_state_folder_needs_an_owner() -> None:
    elsewhere = replace(INSTALLED, database=Path("/srv/rulewave.db"))
    with pytest.raises(UserError, match="--user"):
        render(elsewhere)
    assert "ReadWritePaths=/srv" in _lines(render(replace(elsewhere, user="nobody"))[SERVICE])


@pytest.mark.parametrize("listen", ["fd://3", "panel.example.org:8787", "127.0.0.1:0"])
def test_an_address_that_a_socket_unit_cannot_have_is_refused(listen: str) -> None:
    with pytest.raises(UserError, match=f"can't listen on {listen}"):
        render(replace(INSTALLED, listen=listen))


@pytest.mark.parametrize(
    ("listen", "stream"),
    [
        ("localhost:8787", "127.0.0.1:8787"),
        (":8787", "8787"),
        ("[::1]:8787", "[::1]:8787"),
        ("unix:/run/100%.sock", "/run/100%%.sock"),
    ],
)
def test_addresses_are_written_as_systemd_reads_them(listen: str, stream: str) -> None:
    text = render(replace(INSTALLED, listen=listen))[INTAKE]
    assert f"ListenStream={stream}" in _lines(text)


def test_a_credential_is_written_as_systemd_reads_it() -> None:
    spaced = replace(INSTALLED, secrets_dir=Path("/etc/my 5% secrets"))
    line = "LoadCredential=smtp_password:/etc/my 5%% secrets/smtp_password"
    assert line in _lines(render(spaced)[SERVICE])


def test_a_line_break_in_a_path_is_refused() -> None:
    with pytest.raises(UserError, match="unit file"):
        render(replace(INSTALLED, rules=Path("/etc/a\nExecStart=/bin/sh")))


def test_an_installation_that_the_service_cannot_see_is_doubted() -> None:
    hidden = replace(
        INSTALLED, program_folders=(Path("/home/anna/rulewave"),), rules=Path("/tmp/rules.yaml")
    )
    home, temporary = doubts(hidden)
    assert "/home/anna/rulewave is in a home folder" in home
    assert "/tmp/rules.yaml is in a temporary folder" in temporary
    assert len(list(doubts(replace(hidden, user="anna")))) == 1
    assert list(doubts(INSTALLED)) == []
    assert "ProtectHome=read-only" in _lines(render(hidden)[SERVICE])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--user", "nobody-of-that-name"), "useradd --system nobody-of-that-name"),
        (("--user", "nobody", "--dir", "/proc/nowhere"), "can't be written"),
        ((), "--user"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_1(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    standing = ("--listen", "127.0.0.1:8787", "--console-listen", "127.0.0.1:8788")
    done: Done = Place(tmp_path).call("systemd", *standing, *words)
    assert (done.code, done.out) == (1, "")
    assert message in done.err.splitlines()[-1]


def test_commands_find_the_daemon_of_the_unit(tmp_path: Path) -> None:
    database = "sqlite:////var/lib/rulewave/rulewave.db"
    beside = Path("/var/lib/rulewave/control.sock")
    assert find_control(database, {}, runtime=tmp_path) == beside
    (tmp_path / "rulewave").mkdir()
    (tmp_path / "rulewave" / "control.sock").touch()
    assert find_control(database, {}, runtime=tmp_path) == tmp_path / "rulewave" / "control.sock"
    told = {"RUNTIME_DIRECTORY": "/run/other"}
    assert find_control(database, told, runtime=tmp_path) == Path("/run/other/control.sock")
    other = find_control("sqlite:////srv/x.db", {}, runtime=tmp_path)
    assert other == Path("/srv/control.sock")
