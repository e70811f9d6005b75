"""The daemon from start to stop: in this process, on real sockets and a real journal."""

from __future__ import annotations

import asyncio
import resource
import socket
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from daemon.in_process import RULES, Running, Site, body, daemon, tell
from ledgers import PATIENCE
from wire import SECRET

from engine.daemon import service
from engine.daemon.assembly import make_secrets
from engine.daemon.service import run_service
from engine.errors import UserError


def test_an_event_walks_the_whole_road_and_is_counted(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        assert await running.post(body("anna")) == 202
        assert await running.post(body("anna")) == 200
        assert await running.get("/readyz") == (200, '{"notes":[],"problems":[],"ready":true}\n')
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        _, figures = await running.get("/metrics")
        assert 'rulewave_intake_total{outcome="accepted"} 1.0' in figures
        assert 'rulewave_intake_total{outcome="duplicate"} 1.0' in figures
        assert 'rulewave_runs_total{outcome="succeeded"} 1.0' in figures
        assert "rulewave_backlog 0.0" in figures

    tell(Site(tmp_path), story)


WAITING = """
version: 1
rules:
  - id: later
    on: user.created
    do: [{after: 1h, cancel_on: user.deleted, log: {text: x}}]
"""


def test_runs_that_end_without_a_try_are_counted_too(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        await running.post(body("anna"))
        await running.until("/metrics", 'rulewave_runs_total{outcome="succeeded"} 1.0')
        await running.post(body("anna", "user.deleted"))
        await running.until("/metrics", 'rulewave_runs_total{outcome="cancelled"} 1.0')

    tell(Site(tmp_path, rules=WAITING), story)


def test_what_guards_the_doors_is_masked_wherever_it_turns_up(tmp_path: Path) -> None:
    settings = Site(tmp_path, options={"console_password": "open sesame"}).settings
    masked = make_secrets(settings).mask(f"{SECRET} and open sesame")
    assert masked == "••• and •••"


def test_a_daemon_keeps_watch_over_clocks_retention_and_what_is_due(tmp_path: Path) -> None:
    async def story(running: Running) -> None:
        watching = {job.id for job in running.engine.alarm._scheduler.get_jobs()}
        assert watching >= {"clocks", "retention", "reread", "reconcile"}

    tell(Site(tmp_path), story)


def test_a_daemon_may_open_as_many_files_as_the_machine_allows_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def story(running: Running) -> None:
        assert running.engine.reloader.standing.decides
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)

    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        tell(Site(tmp_path), story)
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
        async with daemon(Site(tmp_path, rules=rules)) as running:
            await running.post(body("anna"))
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

    tell(site, story)
    assert not site.control.exists()
    tell(site, story)


def test_a_control_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(site.control))

    async def story(running: Running) -> None:
        assert (await running.get("/healthz"))[0] == 200

    tell(site, story)


def test_a_file_in_the_place_of_the_control_socket_is_never_removed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.control.write_text("mine")
    with pytest.raises(UserError, match=r"control\.sock is in the way"):
        tell(site, _nothing)
    assert site.control.read_text() == "mine"


async def _nothing(_running: Running) -> None:
    raise AssertionError


def test_a_second_daemon_on_the_same_database_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def story(_running: Running) -> None:
        with pytest.raises(UserError, match="is locked: another rulewave is using this database"):
            async with daemon(site):
                raise AssertionError

    tell(site, story)


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
    async def told() -> None:
        async with daemon(Site(tmp_path)) as running:

            async def broken() -> int:
                raise ZeroDivisionError

            running.engine.pipeline = _Broken(running.engine.pipeline, broken)  # type: ignore[assignment]
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait([running.serving])

    with pytest.raises(ZeroDivisionError):
        asyncio.run(told())


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
        assert await running.post(body("anna")) == 202
        await running.until("/readyz", "the journal can't be written")
        statements["set_decider"] = whole
        await running.until("/metrics", 'rulewave_runs{state="succeeded"} 1.0')
        assert (await running.get("/readyz"))[0] == 200

    tell(Site(tmp_path), story)
