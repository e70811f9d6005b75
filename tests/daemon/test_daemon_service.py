"""The daemon from start to stop: in this process, on real sockets and a real journal."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ledgers import PATIENCE
from wire import SECRET, head, replies, signed

from engine.daemon import service
from engine.daemon.assembly import Engine, make_secrets
from engine.daemon.service import run_service
from engine.errors import UserError
from engine.settings import Settings, read_settings

RULES = """
version: 1
rules:
  - id: greet
    on: user.created
    do:
      - log: {text: "hello {{ user.username }}"}
"""


@dataclass
class Site:
    """A folder with rules and a database."""

    folder: Path
    rules: str | None = RULES
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """Its settings; the ports are whichever are free."""
        rules = self.folder / "rules.yaml"
        if self.rules is not None:
            rules.write_text(self.rules)
        given = {
            "rules": str(rules), "database": f"sqlite:///{self.folder}/rulewave.db",
            "listen": "127.0.0.1:0", "console_listen": "127.0.0.1:0", "webhook_secret": SECRET,
            "secrets_dir": str(self.folder / "secrets"), "max_age": "off",
        }  # fmt: skip
        return read_settings({}, {**given, **self.options})

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.folder / "control.sock"


@dataclass
class Running:
    """A daemon that is ready, and how to talk to it."""

    engine: Engine
    intake: int
    console: int
    serving: asyncio.Task[None]
    stop: asyncio.Event

    async def post(self, body: bytes) -> int:
        """Deliver a signed body; the status."""
        raw = head("Connection: close", *signed(body), length=len(body)) + body
        (reply,) = replies(await _talk(self.intake, raw))
        return reply.status

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the console; status and text."""
        raw = head("Connection: close", method="GET", path=path)
        (reply,) = replies(await _talk(self.console, raw))
        return reply.status, reply.body.decode()

    async def until(self, path: str, text: str) -> None:
        """Ask until the answer holds the text."""
        async with asyncio.timeout(PATIENCE):
            while text not in (await self.get(path))[1]:
                await asyncio.wait([asyncio.ensure_future(self.stop.wait())], timeout=0.02)


async def _talk(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(PATIENCE):
        got = await reader.read()
    writer.close()
    return got


@asynccontextmanager
async def _daemon(site: Site) -> AsyncIterator[Running]:
    ready: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    ports = [_free_port(), _free_port()]
    settings = site.settings.model_copy(
        update={"listen": f"127.0.0.1:{ports[0]}", "console_listen": f"127.0.0.1:{ports[1]}"}
    )
    serving = asyncio.create_task(run_service(settings, stop=stop, on_ready=ready.set_result))
    await asyncio.wait([ready, serving], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
    if serving.done():
        await serving
    running = Running(ready.result(), *ports, serving, stop)
    try:
        yield running
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([serving])
    await serving


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tell(site: Site, story: Callable[[Running], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with _daemon(site) as running:
            await story(running)

    asyncio.run(tell())


def _body(username: str, type: str = "user.created") -> bytes:
    data = {"username": username}
    made = {"scope": "user", "event": type, "timestamp": "2026-01-05T09:00:00.000Z", "data": data}
    return json.dumps(made).encode()


def test_an_event_walks_the_whole_road_and_is_counted(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        assert await running.post(_body("anna")) == 202
        assert await running.post(_body("anna")) == 200
        assert await running.get("/readyz") == (200, '{"problems":[],"ready":true}\n')
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        _, figures = await running.get("/metrics")
        assert 'rulewave_intake_total{outcome="accepted"} 1.0' in figures
        assert 'rulewave_intake_total{outcome="duplicate"} 1.0' in figures
        assert 'rulewave_runs_total{outcome="succeeded"} 1.0' in figures
        assert "rulewave_backlog 0.0" in figures

    _tell(Site(tmp_path), story)


WAITING = """
version: 1
rules:
  - id: later
    on: user.created
    do: [{after: 1h, cancel_on: user.deleted, log: {text: x}}]
"""


def test_runs_that_end_without_a_try_are_counted_too(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await running.post(_body("anna"))
        await running.until("/metrics", 'rulewave_runs_total{outcome="succeeded"} 1.0')
        await running.post(_body("anna", "user.deleted"))
        await running.until("/metrics", 'rulewave_runs_total{outcome="cancelled"} 1.0')

    _tell(Site(tmp_path, rules=WAITING), story)


def test_what_guards_the_doors_is_masked_wherever_it_turns_up(tmp_path: Path) -> None:
    settings = Site(tmp_path, options={"console_password": "open sesame"}).settings
    masked = make_secrets(settings).mask(f"{SECRET} and open sesame")
    assert masked == "••• and •••"


def test_a_daemon_keeps_watch_over_clocks_retention_and_what_is_due(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        watching = {job.id for job in running.engine.alarm._scheduler.get_jobs()}
        assert watching >= {"clocks", "retention", "reread", "reconcile"}

    _tell(Site(tmp_path), story)


def test_a_daemon_may_open_as_many_files_as_the_machine_allows_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def story(running: Running) -> None:
        assert running.engine.decides
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)

    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        _tell(Site(tmp_path), story)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_stop_hands_back_what_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RUNS_GRACE", 0.1)

    async def story(silent: socket.socket) -> None:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        rules = RULES.replace(
            'log: {text: "hello {{ user.username }}"}', f'http: {{post: "{url}"}}'
        )
        async with _daemon(Site(tmp_path, rules=rules)) as running:
            await running.post(_body("anna"))
            called, _ = await asyncio.get_running_loop().sock_accept(silent)
        called.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        asyncio.run(story(silent))
    with closing(sqlite3.connect(tmp_path / "rulewave.db")) as database:
        (stands,) = database.execute("select state, reason, attempt from runs").fetchall()
    assert stands[0] in {"pending", "queued"}
    assert stands[1:] == ("handed_back", 1)


def test_the_control_socket_is_the_owners_and_goes_with_the_daemon(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def story(_running: Running) -> None:
        assert stat.S_IMODE(site.control.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "rulewave.db").stat().st_mode) == 0o600

    _tell(site, story)
    assert not site.control.exists()
    _tell(site, story)


def test_a_control_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.control))

    async def story(running: Running) -> None:
        assert (await running.get("/healthz"))[0] == 200

    _tell(site, story)


def test_a_file_in_the_place_of_the_control_socket_is_never_removed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.control.write_text("mine")
    with pytest.raises(UserError, match=r"control\.sock is in the way"):
        _tell(site, _nothing)
    assert site.control.read_text() == "mine"


async def _nothing(_running: Running) -> None:
    raise AssertionError


def test_a_daemon_without_rules_takes_events_and_says_that_it_is_not_ready(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        assert await running.post(_body("anna")) == 202
        status, text = await running.get("/readyz")
        assert status == 503
        assert "there are no rules to decide by; events are kept undecided" in text
        assert "rulewave_backlog 1.0" in (await running.get("/metrics"))[1]

    _tell(Site(tmp_path, rules=None), story)


@pytest.mark.parametrize("rules", ["rules: [", "", "version: 1\n", "version: 1\nrules: 5\n"])
def test_a_file_that_is_no_rules_file_leaves_events_undecided(tmp_path: Path, rules: str) -> None:
    async def story(running: Running) -> None:
        assert await running.post(_body("anna")) == 202
        assert (await running.get("/readyz"))[0] == 503
        assert running.engine.problems

    _tell(Site(tmp_path, rules=rules), story)


def test_what_was_kept_undecided_is_decided_when_the_rules_are_there(tmp_path: Path) -> None:
    async def before(running: Running) -> None:
        assert await running.post(_body("anna")) == 202

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')

    _tell(Site(tmp_path, rules=None), before)
    _tell(Site(tmp_path), after)


def test_a_broken_rule_is_left_out_and_the_others_work(tmp_path: Path) -> None:
    broken = RULES + "  - id: broken\n    on: user.created\n    do:\n      - nothing: {}\n"

    async def story(running: Running) -> None:
        assert (await running.get("/readyz"))[0] == 200
        assert [rule.id for rule in running.engine.desk.library.book.ruleset.rules] == ["greet"]
        assert [problem.rule for problem in running.engine.problems] == ["broken"]
        await running.post(_body("anna"))
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')

    _tell(Site(tmp_path, rules=broken), story)


WITH_CONNECTION = """
version: 1
connections:
  far: {kind: http, url: "http://127.0.0.1:1", rate: 20/s}
rules:
  - id: call
    on: user.created
    do:
      - after: 1s
        do:
          - http: {post: /x, connection: far}
            retry: {tries: 1}
"""


def test_a_follow_up_goes_on_with_its_rule_when_that_is_gone_but_not_its_connection(
    tmp_path: Path,
) -> None:
    async def before(running: Running) -> None:
        for name in ("anna", "ben"):
            await running.post(_body(name))
        await running.until("/metrics", 'rulewave_runs{state="pending"} 2.0')

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="dead"} 2.0')

    _tell(Site(tmp_path, rules=WITH_CONNECTION), before)
    without = WITH_CONNECTION[: WITH_CONNECTION.index("rules:")] + "rules: []\n"
    _tell(Site(tmp_path, rules=without), after)


def test_a_follow_up_whose_connection_is_gone_is_a_dead_letter(tmp_path: Path) -> None:
    async def before(running: Running) -> None:
        await running.post(_body("anna"))
        await running.until("/metrics", 'rulewave_runs{state="pending"} 1.0')

    async def after(running: Running) -> None:
        await running.until("/metrics", 'rulewave_runs{state="dead"} 1.0')

    _tell(Site(tmp_path, rules=WITH_CONNECTION), before)
    _tell(Site(tmp_path, rules="version: 1\nrules: []\n"), after)


def test_an_empty_list_of_rules_decides_that_nothing_is_to_be_done(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await running.post(_body("anna"))
        await running.until("/metrics", "rulewave_backlog 0.0")
        assert (await running.get("/readyz"))[0] == 200

    _tell(Site(tmp_path, rules="version: 1\nrules: []\n"), story)


def test_a_second_daemon_on_the_same_database_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def story(_running: Running) -> None:
        with pytest.raises(UserError, match="is locked: another rulewave is using this database"):
            async with _daemon(site):
                raise AssertionError

    _tell(site, story)


def test_a_port_in_use_is_refused_and_leaves_nothing_open(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = site.settings.model_copy(
            update={"console_listen": f"127.0.0.1:{taken.getsockname()[1]}"}
        )
        with pytest.raises(UserError, match="another process listens there already"):
            asyncio.run(run_service(settings, stop=asyncio.Event()))
    assert not site.control.exists()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"database": "sqlite:////nowhere/at/all/x.db"}, "folder /nowhere/at/all of the database"),
        ({"database": "sqlite:////proc/x.db"}, "can't be opened"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_refused_in_words(
    tmp_path: Path, options: dict[str, Any], wrong: str
) -> None:
    settings = Site(tmp_path, options=options).settings
    with pytest.raises(UserError, match=wrong):
        asyncio.run(run_service(settings, stop=asyncio.Event()))


def test_a_daemon_whose_decider_dies_ends_loudly(tmp_path: Path) -> None:
    async def tell() -> None:
        async with _daemon(Site(tmp_path)) as running:

            async def broken() -> int:
                raise ZeroDivisionError

            running.engine.pipeline = _Broken(running.engine.pipeline, broken)  # type: ignore[assignment]
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait([running.serving])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(tell())


class _Broken:
    """A pipeline whose deciding has a bug."""

    def __init__(self, pipeline: Any, decide: Callable[[], Awaitable[int]]) -> None:
        self.stored, self.decide, self.accept = pipeline.stored, decide, pipeline.accept
        self.backlog = 0
        self.stored.set()


def test_while_the_journal_cannot_be_written_the_daemon_says_so_and_goes_on_after(
    tmp_path: Path,
) -> None:
    async def story(running: Running) -> None:
        journal = running.engine.journal
        statements = journal._writer._statements
        whole = statements["set_decider"]
        statements["set_decider"] = "insert into no_such_table values (:first, :size, :tries)"
        assert await running.post(_body("anna")) == 202
        await running.until("/readyz", "the journal can't be written")
        statements["set_decider"] = whole
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        assert (await running.get("/readyz"))[0] == 200

    _tell(Site(tmp_path), story)
