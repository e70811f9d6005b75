"""`check`, `send`, `sign`, `verify`, `serve`, and what all commands have in common."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.commands import SECRET, Place, command, serving
from panel_deliveries import deliveries
from wire import Listener, Store

from engine.cli import send
from engine.sources import catalogue
from engine.sources.signature import sign

BROKEN = """version: 1
rules:
  - {id: fine, on: user.expired, do: [{log: {text: x}}]}
  - id: bad
    on: user.expired
    do: [{lgo: {text: "x"}}]
  - {id: worse, on: user.expired, when: data.status == "ACTIVE", do: [{log: {text: x}}]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -------------------------------------------------------------------------------- check


def test_check_of_good_rules_is_exit_0(place: Place) -> None:
    file = place.folder / "rules.yaml"
    good = [line for line in file.read_text().splitlines(keepends=True) if "fails" not in line]
    file.write_text("".join(good))
    done = place.call("check")
    assert (done.code, done.out) == (0, "2 rules in order, 0 errors, 0 warnings\n")


def test_check_prints_every_problem_with_its_place(place: Place) -> None:
    (place.folder / "b.yaml").write_text(BROKEN)
    done = place.call("check", "b.yaml")
    assert done.code == 1
    first, second, summary = done.out.splitlines()
    assert first == 'b.yaml:6:11: R015 there is no action "lgo"; did you mean "log"?'
    assert second.startswith("b.yaml:7:41: R017 ")
    assert summary == "1 rule in order, 2 not, 2 errors, 0 warnings"


def test_check_for_machines(place: Place) -> None:
    (place.folder / "b.yaml").write_text(BROKEN)
    done = place.call("check", "b.yaml", "--json")
    assert done.code == 1
    assert done.json["rules"] == ["fine"]
    assert done.json["problems"][0] == {
        "file": "b.yaml", "line": 6, "column": 11, "code": "R015", "severity": "error",
        "message": 'there is no action "lgo"', "hint": 'did you mean "log"?', "rule": "bad",
    }  # fmt: skip
    github = place.call("check", "b.yaml", "--github").out.splitlines()
    assert github[0] == (
        '::error file=b.yaml,line=6,col=11::R015 there is no action "lgo"; did you mean "log"?'
    )


def test_check_only_warns_about_a_missing_secret(place: Place) -> None:
    (place.folder / "b.yaml").write_text("""version: 1
rules:
  - id: r
    on: user.expired
    do: [{http: {post: "https://example.org/x", auth: {bearer: "secret('gone')"}}}]
""")
    done = place.call("check", "b.yaml")
    assert done.code == 0
    assert 'the secret "gone" is nowhere' in done.out
    assert done.out.endswith("1 rule in order, 0 errors, 1 warning\n")


def test_check_only_warns_about_what_no_panel_sends(place: Place) -> None:
    rule = "version: 1\nrules:\n- {id: r, on: user.expired, when: user.emial, do: [{log: {text: x}}]}\n"
    (place.folder / "b.yaml").write_text(rule)
    done = place.call("check", "b.yaml")
    assert done.code == 0
    assert done.out.splitlines() == [
        'b.yaml:3:35: R035 no panel version sends user.emial; did you mean "user.email"?',
        "1 rule in order, 0 errors, 1 warning",
    ]


@pytest.mark.parametrize("path", ["nowhere.yaml", "rw", "empty.yaml"])
def test_check_of_what_cannot_be_read_is_exit_1(place: Place, path: str) -> None:
    (place.folder / "rw").mkdir()
    (place.folder / "empty.yaml").touch()
    done = place.call("check", path)
    assert done.code == 1
    assert path in done.out
    assert "Traceback" not in done.err


def test_check_of_a_folder_reads_every_file(place: Place) -> None:
    folder = place.folder / "rules.d"
    folder.mkdir()
    for name in ("a", "b"):
        rule = f"version: 1\nrules: [{{id: {name}, on: user.expired, do: [{{log: {{text: x}}}}]}}]"
        (folder / f"{name}.yaml").write_text(rule)
    assert place.call("check", "rules.d").out == "2 rules in order, 0 errors, 0 warnings\n"


# ------------------------------------------------------------------------- sign and verify


@pytest.fixture
def body(place: Place) -> Path:
    file = place.folder / "body.json"
    file.write_bytes('{"event":"user.created","data":{"note":"Анна 🚀"}}'.encode())
    return file


def test_sign_prints_what_a_panel_would_send(place: Place, body: Path) -> None:
    expected = sign(body.read_bytes(), SECRET)
    assert place.call("sign", str(body)).out == f"{expected}\n"
    assert place.call("sign", "-", stdin=body.read_bytes()).out == f"{expected}\n"
    other = sign(body.read_bytes(), "another")
    assert place.call("sign", str(body), "--secret", "another").out == f"{other}\n"


def test_verify_says_that_a_real_delivery_is_genuine(place: Place) -> None:
    delivery = deliveries()[-1]
    file = place.folder / "real.json"
    file.write_bytes(delivery.body)
    headers = {name.decode().lower(): value.decode() for name, value in delivery.headers}
    signature = headers["x-remnawave-signature"]
    rotated = {"RULEWAVE_WEBHOOK_SECRET": f"{SECRET},{delivery.secret}"}
    done = place.call("verify", str(file), "--signature", signature, environ=rotated)
    assert (done.code, done.out) == (0, "the signature fits: this delivery is genuine\n")


@pytest.mark.parametrize(
    ("change", "signature", "secret", "hint"),
    [
        (b"\n", "{}", SECRET, "without the line break at the end of the file it fits"),
        (b"", " {} ", SECRET, "there are spaces around the signature"),
        (b"", "{}", f"{SECRET}x", "the body must be the very bytes that were sent"),
        (b"", "0" * 64, f"{SECRET} ", "the body must be the very bytes"),
        (b"", "sha256={}", SECRET, "the body must be the very bytes"),
    ],
)
def test_verify_says_what_may_be_the_matter(
    place: Place, body: Path, change: bytes, signature: str, secret: str, hint: str
) -> None:
    good = sign(body.read_bytes(), SECRET)
    body.write_bytes(body.read_bytes() + change)
    done = place.call(
        "verify", str(body), "--signature", signature.format(good),
        environ={"RULEWAVE_WEBHOOK_SECRET": secret},
    )  # fmt: skip
    assert done.code == 1
    assert hint in done.err
    assert "Traceback" not in done.err


def test_verify_takes_a_signature_that_is_no_text(place: Place, body: Path) -> None:
    done = place.call("verify", str(body), "--signature", b"\xff\xfe")
    assert done.code == 1
    assert "not 64 hex digits" in done.err


@pytest.mark.parametrize("file", ["nowhere.json", "."])
def test_a_file_that_cannot_be_read_is_one_clear_message(place: Place, file: str) -> None:
    done = place.call("sign", file)
    assert done.code == 1
    assert done.err.startswith(f"{file} can't be read: ")


@pytest.mark.parametrize("secret", ["", ","])
def test_without_a_secret_nothing_is_signed(place: Place, body: Path, secret: str) -> None:
    done = place.call("sign", str(body), environ={"RULEWAVE_WEBHOOK_SECRET": secret})
    assert done.code == 1
    assert "RULEWAVE_WEBHOOK_SECRET" in done.err
    assert "Traceback" not in done.err


# -------------------------------------------------------------------------------- send


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(secret=SECRET)


@pytest.fixture(scope="module")
def url(store: Store) -> Iterator[str]:
    with Listener(store.intake()) as listener:
        host, port = listener.address
        yield f"http://{host}:{port}/webhook"


@pytest.mark.parametrize("panel", ["1.5.6", "2.2", "2.3", "3.3"])
def test_every_event_of_a_panel_can_be_sent(url: str, store: Store, panel: str) -> None:
    known = [
        event for event in catalogue.events().values() if event.is_in(catalogue.version(panel))
    ]
    assert len(known) > 15
    for event in known:
        now = 1_767_603_600_000_000 + len(store.deliveries) * 1000
        sent = send.post(event.name, panel, {}, url, SECRET, now)
        assert (sent.event_type, sent.status) == (event.name, 202)
        assert json.loads(store.deliveries[-1].body)["event"] == event.name


def test_send_prints_the_answer(place: Place, url: str) -> None:
    done = place.call("send", "user.created", "--url", url, "--set", "data.email=a@b.c")
    assert (done.code, done.err) == (0, "")
    assert done.out == 'user.created: 202 {"event_id": "e1", "status": "accepted"}\n'


def test_send_says_where_a_panel_has_another_name_for_it(place: Place, url: str) -> None:
    done = place.call("send", "user.expires_in_48_hours", "--url", url)
    assert done.code == 0
    assert done.out.startswith("user.expiration: 202 ")
    assert "sent as user.expiration with meta.expiration -48" in done.err


def test_send_many_sends_events_of_their_own(place: Place, url: str, store: Store) -> None:
    before = len(store.deliveries)
    done = place.call("send", "user.created", "--url", url, "--count", "5", "--rate", "500")
    assert (done.code, done.out) == (0, f"5 events sent to {url}\n")
    assert len({delivery.body for delivery in store.deliveries[before:]}) == 5


def test_send_that_is_refused_is_exit_1(place: Place, url: str) -> None:
    done = place.call("send", "user.created", "--url", url, "--secret", "another", "--count", "2")
    assert done.code == 1
    assert done.out.count("user.created: 401 ") == 2
    assert done.out.endswith("2 events sent, 2 of them refused\n")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("user.expirde",), 'no panel sends "user.expirde"; did you mean "user.expired"?'),
        (("user.created", "--panel", "9.x"), '"9.x" is no panel version'),
        (("user.created", "--set", "email"), "--set email: write it as data.email="),
        (("user.created", "--set", "=x"), "--set =x: write it as data.email="),
        (("user.created", "--url", "ftp://host/"), "ftp://host/ is no address to post to"),
        (("user.created", "--url", "http://127.0.0.1:x/"), "http://127.0.0.1:x/ is no address"),
        (("user.created", "--url", "http://[::1"), "http://[::1 is no address to post to"),
        (("user.created", "--url", "http://host/a b"), "http://host/a b is no address to post to"),
        (("user.created", "--url", "http://127.0.0.1:1/"), "http://127.0.0.1:1/ can't be reached"),
        (("crm.infra_billing_node_payment_in_7_days", "--panel", "1.5.6"), "panel 1.5.6 does not"),
    ],
)  # fmt: skip
def test_send_tells_what_is_wrong_in_one_line(
    place: Place, args: tuple[str, ...], told: str
) -> None:
    done = place.call("send", *args)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(told)
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "value", ["null", "5", '"a\\nb"', "Анна", "NaN", "[1]", '"2026-01-05T09:00:00.000Z"']
)
def test_send_posts_whatever_timestamp_is_wished(place: Place, url: str, value: str) -> None:
    done = place.call("send", "user.created", "--url", url, "--set", f"timestamp={value}")
    assert done.code == 0, done.err


def test_send_goes_to_where_this_daemon_listens(place: Place, url: str) -> None:
    listen = url.split("/")[2]
    done = place.call("send", "user.created", environ={"RULEWAVE_LISTEN": listen})
    assert done.code == 0
    unix = place.call("send", "user.created", environ={"RULEWAVE_LISTEN": "unix:/x.sock"})
    assert (unix.code, unix.err) == (1, "the daemon listens on unix:/x.sock; say --url\n")


# ------------------------------------------------------------------------------- serve


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"RULEWAVE_WEBHOOK_SECRET": ""}, ["RULEWAVE_WEBHOOK_SECRET"]),
        ({"RULEWAVE_MAX_AGE": "x", "RULEWAVE_MAX_BODY": "y"}, ["RULEWAVE_MAX_AGE", "RULEWAVE_MAX_BODY"]),
        ({"RULEWAVE_LISTEN": "nonsense"}, ["nonsense"]),
        ({"RULEWAVE_DATABASE": "sqlite:////nowhere/at/all/rw.db"}, ["/nowhere/at/all"]),
        ({"RULEWAVE_ROLE": "worker"}, ["RULEWAVE_ROLE"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_the_start(
    place: Place, environ: dict[str, str], told: list[str]
) -> None:
    done = place.call("serve", environ=environ)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert all(each in done.err for each in told)


def test_two_daemons_do_not_share_a_journal(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        done = daemon.call("serve", environ={"RULEWAVE_LISTEN": "127.0.0.1:0"})
        assert done.code == 1
        assert "another rulewave is using this database" in done.err


def test_a_daemon_without_rules_starts_and_says_why_it_decides_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        assert daemon.call("check", "nowhere.yaml").code == 1
    log = [fact["event"] for fact in daemon.log]
    assert log[-1] == "daemon.ready"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_stops_on_signals_with_exit_0(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as daemon:
        daemon.process.send_signal(number)
        daemon.wait_for("daemon.stopping")
    assert not (tmp_path / "control.sock").exists()


# ------------------------------------------------------------------------------ in common


def test_the_version_is_that_of_the_package(place: Place) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert place.call("--version").out == f"rulewave {project['version']}\n"


@pytest.mark.parametrize("args", [(), ("events",), ("runs",), ("followups",)])
def test_a_word_alone_prints_its_help(place: Place, args: tuple[str, ...]) -> None:
    done = place.call(*args)
    assert done.code == 2
    assert "Usage: rulewave" in done.out + done.err


def test_an_error_of_ours_is_exit_3_with_its_traceback(place: Place) -> None:
    broken = (
        "import engine.settings as s\n"
        "def boom(*_): raise ZeroDivisionError('ours')\n"
        "s.read_places = boom\n"
        "from engine.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken, "check"],
        capture_output=True, text=True, check=False, env=place.environ, cwd=place.folder,
    )  # fmt: skip
    assert done.returncode == 3
    assert "ZeroDivisionError: ours" in done.stderr
    assert done.stderr.endswith("this is a bug in Rulewave; the lines above say where\n")


def test_on_a_terminal_lists_are_tables(place: Place) -> None:
    with serving(place.folder) as daemon:
        daemon.send("user.limited")
        daemon.wait_for("run.step", rule="fails", state="dead")
        shown = on_a_terminal(daemon, "runs", "list")
        assert "dead" in shown
        assert "\x1b[31m" in shown
        (run,) = daemon.call("runs", "list", "--json").json
        for args in (
            ("runs", "list"),
            ("runs", "show", run["id"]),
            ("events", "show", run["event"]),
        ):
            shown = on_a_terminal(daemon, *args, width=80)
            assert run["id"] in shown, "whole, to be copied"
        shown = on_a_terminal(daemon, "send", "user.created", "--count", "3", "--rate", "1000")
        assert "sending" in shown


def on_a_terminal(place: Place, *args: str, width: int = 200) -> str:
    """What a command writes to a terminal, errors and all."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb") as screen:
        process = subprocess.Popen(
            command(*args), stdout=theirs, stderr=theirs,
            env=place.environ | {"TERM": "xterm", "COLUMNS": str(width)},
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(screen.fileno(), 65536):
                shown += chunk
        except OSError:  # the terminal is gone with its last writer
            pass
        assert process.wait(60) == 0
    return shown.decode()
