"""Addresses to listen on: how they are written, bound early, handed over, and refused clearly."""

from __future__ import annotations

import os
import resource
import socket
import stat
from pathlib import Path

import pytest

from engine.daemon import addresses, doors
from engine.daemon.listeners import (
    Address,
    bind,
    parse_listen,
    raise_descriptor_limit,
    take_passed,
)
from engine.errors import UserError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8787", Address(host="127.0.0.1", port=8787)),
        ("[::1]:8787", Address(host="::1", port=8787)),
        (":8787", Address(port=8787)),
        ("intake.example-host:80", Address(host="intake.example-host", port=80)),
        ("unix:/run/rulewave/intake.sock", Address(path="/run/rulewave/intake.sock")),
        ("fd://3", Address(fd=3)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "8787", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:8787", "unix:run/x", "fd://",
     "fd://x", "fd://-1", "http://127.0.0.1:8787", "127.0.0.1:87a", "a b:1", "[127.0.0.1:1"],
)  # fmt: skip
def test_a_wrong_address_is_refused_with_the_right_forms(text: str) -> None:
    with pytest.raises(UserError, match="is no address to listen on; write"):
        parse_listen(text)


def _close(sockets: list[socket.socket]) -> None:
    for listening in sockets:
        listening.close()


def test_a_bound_address_takes_connections_before_anybody_serves() -> None:
    sockets = bind(parse_listen("127.0.0.1:0"))
    socket.create_connection(sockets[0].getsockname()).close()
    _close(sockets)


def test_an_address_without_a_host_means_all_interfaces_on_one_port() -> None:
    sockets = bind(parse_listen(":0"))
    ports = {listening.getsockname()[1] for listening in sockets}
    assert len(ports) == 1
    socket.create_connection(("127.0.0.1", ports.pop())).close()
    _close(sockets)


def test_a_host_name_means_those_of_its_addresses_that_are_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0)),
    ]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: found)
    sockets = bind(parse_listen("both.example:0"))
    assert [listening.getsockname()[0] for listening in sockets] == ["127.0.0.1"]
    _close(sockets)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        bind(parse_listen("192.0.2.1:0"))


def test_a_host_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match=r"cannot listen on nowhere\.invalid:1"):
        bind(parse_listen("nowhere.invalid:1"))


def test_a_port_in_use_is_named_with_a_way_out() -> None:
    sockets = bind(parse_listen("127.0.0.1:0"))
    port = sockets[0].getsockname()[1]
    with pytest.raises(UserError, match="another process listens there already; stop it or choose"):
        bind(parse_listen(f"127.0.0.1:{port}"))
    _close(sockets)


def test_a_privileged_port_is_refused_with_the_right_that_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(addresses.socket.socket, "bind", forbidden)
    with pytest.raises(UserError, match="CAP_NET_BIND_SERVICE"):
        bind(parse_listen("127.0.0.1:80"))


def test_a_unix_socket_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    sockets = bind(parse_listen(f"unix:{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    _close(sockets)


def test_a_unix_socket_may_be_opened_to_others(tmp_path: Path) -> None:
    path = tmp_path / "intake.sock"
    sockets = bind(parse_listen(f"unix:{path}"), mode=0o660)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    _close(sockets)


def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    address = parse_listen(f"unix:{tmp_path}/control.sock")
    _close(bind(address))
    _close(bind(address))


def test_a_socket_that_somebody_answers_on_is_not_replaced(tmp_path: Path) -> None:
    address = parse_listen(f"unix:{tmp_path}/control.sock")
    sockets = bind(address)
    with pytest.raises(UserError, match="another process listens there already"):
        bind(address)
    _close(sockets)


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("precious")
    with pytest.raises(UserError, match="there is a file that is no socket"):
        bind(parse_listen(f"unix:{path}"))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("path", ["/nowhere/control.sock", "/" + "x" * 200])
def test_a_path_that_cannot_be_used_is_refused(path: str) -> None:
    with pytest.raises(UserError, match="cannot listen on unix:/"):
        bind(parse_listen(f"unix:{path}"))


def test_an_inherited_descriptor_is_served_and_kept_from_children() -> None:
    original = socket.create_server(("127.0.0.1", 0))
    fd = os.dup(original.fileno())
    os.set_inheritable(fd, True)
    (listening,) = bind(Address(fd=fd))
    assert listening.getsockname() == original.getsockname()
    assert not os.get_inheritable(fd)
    _close([listening, original])


def test_an_inherited_descriptor_must_be_a_stream_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        with pytest.raises(UserError, match="it is no stream socket"):
            bind(Address(fd=datagram.fileno()))
        datagram.getsockname()
    with (tmp_path / "file").open("w") as file, pytest.raises(UserError, match="cannot listen"):
        bind(Address(fd=file.fileno()))
    with pytest.raises(UserError, match="cannot listen on fd://999999"):
        bind(Address(fd=999_999))


def test_sockets_of_systemd_are_found_by_name_and_the_variables_removed() -> None:
    environ = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "3",
        "LISTEN_FDNAMES": "intake:console",
        "HOME": "/root",
    }
    assert take_passed(environ) == {
        "intake": [Address(fd=3)],
        "console": [Address(fd=4)],
        "unknown": [Address(fd=5)],
    }
    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"},
        {"LISTEN_FDS": "1"},
    ],
)
def test_sockets_meant_for_another_process_are_left_alone(environ: dict[str, str]) -> None:
    assert take_passed(environ) == {}
    assert environ == {}


def test_unnamed_sockets_of_systemd_are_found_too() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    assert take_passed(environ) == {"unknown": [Address(fd=3)]}


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        assert doors.connections_allowed() == min(512, hard) // 2
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert doors.connections_allowed() <= 4096
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_answer_of_two_writes_is_not_held_up_and_an_unread_one_not_kept() -> None:
    (listening,) = bind(parse_listen("127.0.0.1:0"))
    with doors.Door(listening, 10) as door, socket.create_connection(door.getsockname()):
        connection, _ = door.accept()
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        connection.close()
