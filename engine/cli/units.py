"""The texts of the systemd units for one installation."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.addresses import parse_listen
from engine.daemon.addresses import BACKLOG
from engine.daemon.paths import STATE_ROOT
from engine.errors import UserError
from engine.settings import CREDENTIAL

SERVICE, INTAKE, CONSOLE = "rulewave.service", "rulewave.socket", "rulewave-console.socket"
OTHER_SETTINGS = Path("/etc/rulewave/rulewave.env")
_PLAIN = re.compile(r"[\w@:=,.+/%-]+", re.ASCII)
_HOMES = tuple(map(Path, ("/home", "/root", "/run/user")))
_TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp")))  # noqa: S108 - where nothing may be installed

_LIFE = """\
KillMode=mixed
Restart=always
RestartSec=1
RestartPreventExitStatus=1 2
TimeoutStopSec=20
WatchdogSec=30
LimitNOFILE=65536
TasksMax=512
MemoryMax=1G
UMask=0077"""

_SANDBOX = """\
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM"""


@dataclass(frozen=True, slots=True)
class Installation:
    """What differs from one machine to the next; `user` None leaves the choice to systemd."""

    command: tuple[str, ...]
    program_folders: tuple[Path, ...]
    rules: Path
    database: Path
    secrets_dir: Path
    secrets: tuple[str, ...]
    listen: str
    console_listen: str
    user: str | None = None

    @property
    def state(self) -> Path | None:
        """The database's folder below /var/lib, which systemd makes and gives to the user."""
        folder = self.database.parent
        return folder.relative_to(STATE_ROOT) if STATE_ROOT in folder.parents else None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that the service must get at."""
        return (*self.program_folders, self.rules, self.database.parent)


def render(installation: Installation) -> dict[str, str]:
    """File name → text; UserError where no unit can be written."""
    if installation.user is None and installation.state is None:
        raise UserError(
            f"{installation.database} lies outside of /var/lib, and a user that systemd makes up "
            "owns nothing there; name the owner of that folder with --user"
        )
    return {
        SERVICE: _service(installation),
        INTAKE: _socket("deliveries of the panel", "intake", installation.listen),
        CONSOLE: _socket("console and metrics", "console", installation.console_listen),
    }


def doubts(installation: Installation) -> Iterator[str]:
    """What the service will not get at, with its way out."""
    for path in sorted(set(installation.paths)):
        if _below(path, _TEMPORARY):
            yield f"{path} is in a temporary folder, and a service has its own; move it"
        elif installation.user is None and _below(path, _HOMES):
            yield (
                f"{path} is in a home folder, which is closed to the service's own user; "
                "move it (/opt/rulewave is a good place), or name its owner with --user"
            )


def _service(installation: Installation) -> str:
    serve, reload = (_command(installation, verb) for verb in ("serve", "reload"))
    home = any(_below(path, _HOMES) for path in installation.paths)
    return _unit({
        "Unit": [
            "Description=Rulewave, automation for Remnawave panels",
            "After=network-online.target",
            "Wants=network-online.target",
            "StartLimitIntervalSec=0",
        ],
        "Service": [
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={serve}",
            f"ExecReload={reload}",
            f"Sockets={INTAKE} {CONSOLE}",
            *_environment(installation),
            *(f"LoadCredential={_credential(installation, name)}" for name in _needed(installation)),
            *_whom(installation),
            *_LIFE.splitlines(),
            f"ProtectHome={'read-only' if home else 'yes'}",
            *_SANDBOX.splitlines(),
        ],
        "Install": ["WantedBy=multi-user.target"],
    })  # fmt: skip


def _command(installation: Installation, verb: str) -> str:
    words = (*installation.command, verb)
    return " ".join(_word(word).replace("$", "$$") for word in words)


def _environment(installation: Installation) -> Iterator[str]:
    settings = {
        "RULES": installation.rules,
        "DATABASE": f"sqlite:///{installation.database}",
        "SECRETS_DIR": installation.secrets_dir,
    }
    for name, value in settings.items():
        yield f"Environment={_word(f'RULEWAVE_{name}={value}')}"
    yield f"EnvironmentFile=-{OTHER_SETTINGS}"


def _needed(installation: Installation) -> list[str]:
    return sorted({CREDENTIAL, *installation.secrets})


def _credential(installation: Installation, name: str) -> str:
    # systemd takes what is behind the colon as it stands: quotes would become part of it.
    return _percent(_printable(f"{name}:{installation.secrets_dir / name}"))


def _whom(installation: Installation) -> Iterator[str]:
    """As whom it runs, and where it may write."""
    yield from ["DynamicUser=yes"] if installation.user is None else [f"User={installation.user}"]
    state = installation.state
    if state is None:
        yield f"ReadWritePaths={_word(str(installation.database.parent))}"
    else:
        yield f"StateDirectory={_word(str(state))}"
        yield "StateDirectoryMode=0700"
        yield f"RuntimeDirectory={_word(str(state))}"


def _socket(what: str, name: str, listen: str) -> str:
    return _unit({
        "Unit": [f"Description=Rulewave, {what}"],
        "Socket": [
            *_stream(listen),
            f"FileDescriptorName={name}",
            f"Backlog={BACKLOG}",
            f"Service={SERVICE}",
        ],
        "Install": ["WantedBy=sockets.target"],
    })  # fmt: skip


def _stream(listen: str) -> list[str]:
    address = parse_listen(listen)
    if address.path is not None:
        return [f"ListenStream={_percent(_printable(address.path))}", "SocketMode=0660"]
    host = "127.0.0.1" if address.host == "localhost" else address.host
    if address.fd is not None or not address.port or not _numeric(host):
        raise UserError(
            f"a socket unit can't listen on {listen}; write an address in numbers with its port, "
            "as 127.0.0.1:8787, or unix:/path"
        )
    if not host:
        return [f"ListenStream={address.port}"]
    return [f"ListenStream={replace(address, host=host)}"]


def _numeric(host: str) -> bool:
    try:
        return not host or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _below(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _unit(sections: Mapping[str, list[str]]) -> str:
    return "\n".join("\n".join([f"[{name}]", *lines, ""]) for name, lines in sections.items())


def _word(text: str) -> str:
    """One word of a unit file, whatever is in it."""
    shown = _percent(_printable(text))
    if _PLAIN.fullmatch(shown):
        return shown
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise UserError(f"{text!r} can't be written into a unit file; choose another name")
    return text
