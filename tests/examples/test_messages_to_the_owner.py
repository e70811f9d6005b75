"""The example rules that tell the owner of nodes, bills and logins."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples.business import PANELS, SINCE_2_4, open_business

from engine.clock import HOUR
from engine.model import State

pytestmark = pytest.mark.anyio

_LOST, _BACK = "node.connection_lost", "node.connection_restored"
_DOWN = "<b>fra-1</b> has been down since 10:00"
_FAILED, _IN = "service.login_attempt_failed", "service.login_attempt_success"
_GUESSED = "Login from 192.0.2.55 after failed ones. Was it you?"
_BILL = "crm.infra_billing_node_payment_"


@pytest.mark.parametrize("panel", PANELS)
async def test_node_down_is_told_after_five_minutes_and_so_is_its_return(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST, panel=panel)
        await shop.bench.until("4m")
        assert shop.alerts == []
        await shop.bench.until("6m")
        assert shop.alerts == [_DOWN]
        await shop.at("20m", _BACK, panel=panel)
        await shop.at("21m", _BACK, panel=panel)  # panels may say it twice
        await shop.bench.until("2d")
        assert shop.alerts == [_DOWN, "<b>fra-1</b> is back after 20 minutes"]


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("end", [_BACK, "node.disabled", "node.deleted"])
async def test_node_down_is_not_told_of_one_that_is_back_or_taken_out(
    tmp_path: Path, panel: str, end: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST, panel=panel)
        await shop.at("4m", end, panel=panel)
        await shop.bench.until("2d")
        assert shop.alerts == []


async def test_node_down_is_not_told_of_one_that_goes_and_comes_all_night(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        for minute in range(0, 480, 4):
            await shop.at(f"{minute}m", _LOST)
            await shop.at(f"{minute + 3}m", _BACK)
        await shop.bench.until("2d")
        assert shop.alerts == []


async def test_node_down_is_one_story_where_it_is_lost_twice_in_a_row(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST)
        await shop.at("4m", _LOST)
        await shop.bench.until("8m")
        assert shop.alerts == []
        await shop.at("20m", _BACK)
        await shop.bench.until("2d")
        assert shop.alerts == [
            "<b>fra-1</b> has been down since 10:04",
            "<b>fra-1</b> is back after 16 minutes",
        ]


async def test_node_down_tells_once_that_it_is_back_though_it_was_told_twice_that_it_is_lost(
    tmp_path: Path,
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST)
        await shop.at("10m", _LOST)
        await shop.at("20m", _BACK)
        await shop.bench.until("2d")
        again = "<b>fra-1</b> has been down since 10:10"
        assert shop.alerts == [_DOWN, again, "<b>fra-1</b> is back after 10 minutes"]


async def test_node_down_says_nothing_more_of_one_that_was_deleted_meanwhile(
    tmp_path: Path,
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST)
        await shop.at("20m", "node.deleted")
        await shop.at("30m", _BACK)
        await shop.bench.until("2d")
        assert shop.alerts == [_DOWN]


async def test_node_down_keeps_nodes_apart(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        other = "5b9d2f60-5c1e-4d7a-8e35-90a6b1c7d2f4"
        await shop.bench.event(_LOST)
        await shop.at("1m", _LOST, uuid=other, name="ams-1")
        await shop.at("2m", _BACK)
        await shop.bench.until("2d")
        assert shop.alerts == ["<b>ams-1</b> has been down since 10:01"]


async def test_node_down_is_true_also_where_it_is_told_late(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(_LOST)
        await shop.bench.settle()
        clock = shop.bench.clock
    clock.move(HOUR)  # the daemon is away
    async with open_business(tmp_path, clock=clock) as shop:
        await shop.bench.until("2h")
        assert shop.alerts == [_DOWN]


@pytest.mark.parametrize("panel", SINCE_2_4)
async def test_hosting_bill_is_mailed_ahead_on_the_day_and_when_overdue(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        for when in ("in_7_days", "in_24hrs", "due_today", "overdue_24hrs", "overdue_7_days"):
            await shop.bench.event(_BILL + when, panel=panel)
        await shop.bench.until("1h")
        days = ("12", "06", "05", "04")
        due = [f"Hosting bill of fra-1: due {day} January 2026" for day in days]
        due.append("Hosting bill of fra-1: due 29 December 2025")
        assert sorted(shop.mails) == sorted(("owner@example.org", subject) for subject in due)
        assert "Hosting «Nord» wants to be paid for fra-1." in shop.text
        assert "https://billing.example.net/login" in shop.text


async def test_hosting_bill_leaves_out_the_second_reminder(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event(f"{_BILL}in_48hrs")
        await shop.bench.until("1h")
        assert shop.mails == []


@pytest.mark.parametrize("panel", PANELS[1:])
async def test_failed_login_is_handed_to_a_program(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        hostile = "$(reboot) %s; rm -rf /"
        for minute in range(3):
            await shop.at(f"{minute}m", _FAILED, panel=panel, loginAttempt__username=hostile)
        await shop.bench.until("1h")
        run, _ = await shop.runs("failed-login")
        assert run.results["note"]["stdout"] == f"failed logins of {hostile} from 192.0.2.55"
        assert shop.alerts == []


@pytest.mark.parametrize("panel", PANELS[1:])
async def test_failed_login_that_ends_in_a_good_one_is_told_once(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        for minute in range(5):
            await shop.at(f"{minute}m", _FAILED, panel=panel)
        await shop.at("6m", _IN, panel=panel)
        await shop.at("7m", _IN, panel=panel)
        await shop.bench.until("1d")
        assert shop.alerts == [_GUESSED]


async def test_failed_login_is_not_told_of_a_good_one_from_elsewhere_or_much_later(
    tmp_path: Path,
) -> None:
    async with open_business(tmp_path) as shop:
        for minute in range(3):
            await shop.at(f"{minute}m", _FAILED)
        await shop.at("4m", _IN, loginAttempt__ip="203.0.113.5")
        await shop.at("1h", _IN)
        await shop.bench.until("1d")
        assert shop.alerts == []


async def test_failed_login_is_nothing_where_it_is_only_one_now_and_then(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        for minute in range(0, 60, 6):
            await shop.at(f"{minute}m", _FAILED)
        await shop.at("61m", _IN)
        await shop.bench.until("1d")
        assert await shop.runs("failed-login") == []


async def test_failed_login_leaves_no_dead_letters_when_robots_try_all_night(
    tmp_path: Path,
) -> None:
    async with open_business(tmp_path) as shop:
        for number in range(60):
            await shop.at(f"{number}m", _FAILED, loginAttempt__ip=f"192.0.2.{number % 7}")
        await shop.bench.until("1d")
        assert State.DEAD not in {state for state, _ in await shop.ends("failed-login")}
        assert shop.server.requests == []
