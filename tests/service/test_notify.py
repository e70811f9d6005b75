"""The daemon tells systemd how it is: ready, alive, reloading, stopping."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from cli.commands import Place
from journeys.harness.waiting import until
from ledgers import Gate, ledger
from service.manager import mailbox, newest, serving, stop

from engine.daemon.heartbeat import feed, writer_answers
from engine.daemon.notify import Notifier
from engine.journal import rules

RULES = """version: 1
rules:
  - {id: fails, on: user.limited, do: [{log: {text: "{{ user.nothing }}"}}]}
  - id: shows
    on: user.created
    do:
      - shell: {run: [sh, -c, "env > printed && mv printed environment"]}
"""


def _place(folder: Path) -> Place:
    place = Place(folder)
    (folder / "rules.yaml").write_text(RULES)
    return place


@pytest.mark.parametrize("abstract", [False, True])
def test_the_daemon_says_ready_when_it_answers_and_stopping_when_it_stops(
    tmp_path: Path, abstract: bool
) -> None:
    with mailbox(tmp_path, abstract=abstract) as manager:
        with serving(_place(tmp_path), NOTIFY_SOCKET=manager.address) as daemon:
            manager.until("READY=1")
            assert manager.heard[0].startswith("EXTEND_TIMEOUT_USEC=")
            assert manager.until("STATUS=") == "STATUS=rules: 2, backlog: 0, dead letters: 0"
            stop(daemon)
        heard = manager.rest()
    assert heard[-2:] == ["STOPPING=1", "STATUS=stopping"]
    assert heard.count("READY=1") == 1


def test_the_status_counts_dead_letters(tmp_path: Path) -> None:
    with mailbox(tmp_path) as manager:
        place = _place(tmp_path)
        with serving(place, NOTIFY_SOCKET=manager.address) as daemon:
            manager.until("READY=1")
            place.more["RULEWAVE_LISTEN"] = newest(place, "daemon.ready")["intake"]
            assert place.call("send", "user.limited").code == 0
            dead = ("runs", "list", "--state", "dead", "--json")
            until(lambda: place.call(*dead).json, "a dead letter")
            stop(daemon)
        manager.rest()
        with serving(place, NOTIFY_SOCKET=manager.address, RULEWAVE_LISTEN="127.0.0.1:0") as daemon:
            manager.until("READY=1")
            assert manager.until("STATUS=") == "STATUS=rules: 2, backlog: 0, dead letters: 1"
            stop(daemon)


def test_a_reload_by_command_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    with mailbox(tmp_path) as manager:
        place = _place(tmp_path)
        with serving(place, NOTIFY_SOCKET=manager.address) as daemon:
            manager.until("READY=1")
            until(lambda: newest(place, "daemon.ready"), "its address")
            assert place.call("reload").code == 0
            manager.until("RELOADING=1")
            manager.until("READY=1")
            stop(daemon)


def test_a_watched_daemon_gives_signs_of_life_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with (
        mailbox(tmp_path) as manager,
        serving(_place(tmp_path), NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="400000") as daemon,
    ):
        manager.until("READY=1")
        for _ in range(3):
            manager.until("WATCHDOG=1")
        stop(daemon)


def test_a_daemon_that_nobody_watches_gives_no_signs_of_life(tmp_path: Path) -> None:
    with mailbox(tmp_path) as manager:
        watch = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
        with serving(_place(tmp_path), NOTIFY_SOCKET=manager.address, **watch) as daemon:
            manager.until("READY=1")
            manager.until("STATUS=")
            stop(daemon)
        assert "WATCHDOG=1" not in manager.rest()


def test_programs_inherit_nothing_that_systemd_told_the_daemon(tmp_path: Path) -> None:
    with mailbox(tmp_path) as manager:
        place = _place(tmp_path)
        told = {
            "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "LISTEN_FDS": "1",
            "LISTEN_PID": "1", "LISTEN_FDNAMES": "intake",
        }  # fmt: skip
        with serving(place, **told) as daemon:
            manager.until("READY=1")
            place.more["RULEWAVE_LISTEN"] = newest(place, "daemon.ready")["intake"]
            assert place.call("send", "user.created").code == 0
            until((tmp_path / "environment").exists, "the program's end")
            stop(daemon)
    names = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert "RULEWAVE_IDEMPOTENCY_KEY" in names
    assert not names & told.keys()


def test_what_systemd_told_is_taken_out_of_the_environment() -> None:
    environ = {
        "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }  # fmt: skip
    assert Notifier.take(environ) == Notifier("/run/x", 30.0)
    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "30 s"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_socket_or_a_watchdog_nothing_is_told(environ: dict[str, str]) -> None:
    notifier = Notifier.take(environ)
    assert notifier == Notifier()
    notifier.tell("READY=1")


def test_a_manager_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).tell("READY=1")


def test_a_reload_is_told_with_its_moment_and_ends_ready_even_when_it_fails(
    tmp_path: Path,
) -> None:
    with mailbox(tmp_path) as manager:
        before = time.monotonic_ns() // 1000
        with pytest.raises(ValueError, match="bad"), Notifier(manager.address).reloading():
            reloading, moment = manager.next()
            raise ValueError("bad")
        after = time.monotonic_ns() // 1000
        assert reloading == "RELOADING=1"
        name, _, value = moment.partition("=")
        assert name == "MONOTONIC_USEC"
        assert before <= int(value) <= after
        assert manager.next() == ["READY=1"]


def test_more_time_is_asked_for_again_and_again_while_a_start_lasts(tmp_path: Path) -> None:
    async def start() -> None:
        async with Notifier(manager.address).extending(0.03):
            for _ in range(3):
                assert await asyncio.to_thread(manager.next) == ["EXTEND_TIMEOUT_USEC=30000"]

    with mailbox(tmp_path) as manager:
        asyncio.run(start())


def test_the_watchdog_is_fed_only_when_the_journal_answers(tmp_path: Path) -> None:
    answers = iter([True, False, False, True])
    told: list[bool] = []

    async def alive() -> bool:
        try:
            told.append(next(answers))
        except StopIteration:
            await asyncio.Event().wait()
        return told[-1]

    async def watch() -> None:
        feeding = asyncio.create_task(feed(Notifier(manager.address), alive, 0.01))
        assert await asyncio.to_thread(manager.next) == ["WATCHDOG=1"]
        assert await asyncio.to_thread(manager.next) == ["WATCHDOG=1"]
        assert told == [True, False, False, True]
        feeding.cancel()

    with mailbox(tmp_path) as manager:
        asyncio.run(watch())
        assert manager.rest() == ["WATCHDOG=1"] * 2


def test_a_writer_that_hangs_does_not_answer_and_one_that_goes_on_does(tmp_path: Path) -> None:
    async def ask() -> None:
        gate = Gate()
        assert await writer_answers(book.journal, 20)
        held = asyncio.create_task(book.journal.write(gate.hold(rules.set_clock("x", 1))))
        await asyncio.to_thread(gate.entered.wait, 20)
        assert not await writer_answers(book.journal, 0.01)
        gate.opened.set()
        await held
        assert await writer_answers(book.journal, 20)

    with ledger(tmp_path) as book:
        asyncio.run(ask())


def test_a_journal_that_cannot_store_answers_too(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        book.journal.close()
        assert asyncio.run(writer_answers(book.journal, 20))
