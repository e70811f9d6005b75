"""The example rules that mail users about their connection, traffic, devices and torrents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples.business import PANELS, SINCE_2_4, open_business

from engine.model import State

pytestmark = pytest.mark.anyio

_ANNA = "anna@example.org"
_HELP = "Example VPN: can we help you to connect?"
_DEVICES = "Example VPN: all your devices are in use"
_TORRENTS = "Example VPN: please no torrents"
_NOBODY: list[dict[str, Any]] = [{"email": None}, {"tag": "TEST"}]
_DEVICES_NOBODY = [{f"user__{name}": value for name, value in one.items()} for one in _NOBODY]


@pytest.mark.parametrize("panel", PANELS[1:])
async def test_never_connected_offers_help_after_a_day(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", panel=panel)
        await shop.bench.until("23h")
        assert shop.mails == []
        await shop.bench.until("3d")
        assert shop.mails == [(_ANNA, _HELP)]
        link = "https://shop.example.org" if panel == "1.6" else "https://sub.example.org/Hk4t"
        assert link in shop.text


async def test_never_connected_sends_the_link_that_holds_by_now(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created")
        new = {"subscriptionUrl": "https://sub.example.org/new", "firstConnectedAt": None}
        await shop.at("1h", "user.revoked", **new)
        await shop.bench.until("2d")
        assert "https://sub.example.org/new" in shop.text


async def test_never_connected_keeps_quiet_on_panels_that_cannot_tell(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", panel="1.5")
        await shop.bench.until("2d")
        assert shop.mails == []


@pytest.mark.parametrize("panel", PANELS[1:])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("user.first_connected", "cancelled_by_event"),
        ("user.deleted", "cancelled_by_event"),
        ("user.disabled", "no_longer_matches"),
    ],
)
async def test_never_connected_leaves_who_connected_or_is_gone(
    tmp_path: Path, panel: str, end: str, reason: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", panel=panel)
        await shop.at("5h", end, panel=panel, firstConnectedAt=None)
        await shop.bench.until("2d")
        assert shop.mails == []
        assert (await shop.ends("never-connected"))[1:] == [(State.CANCELLED, reason)]


async def test_never_connected_believes_any_event_that_shows_a_connection(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created")
        await shop.at("5h", "user.modified")  # its user is online; the first connection got lost
        await shop.bench.until("2d")
        ends = await shop.ends("never-connected")
        assert ends[1:] == [(State.CANCELLED, "no_longer_matches")]


@pytest.mark.parametrize("nobody", _NOBODY)
async def test_never_connected_leaves_out_who_has_no_address_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", **nobody)
        await shop.bench.until("2d")
        assert shop.mails == []


@pytest.mark.parametrize("panel", PANELS[1:])
async def test_traffic_warns_before_it_is_used_up(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.bandwidth_usage_threshold_reached", panel=panel)
        await shop.bench.until("1h")
        assert shop.mails == [(_ANNA, "Example VPN: 82 % of your traffic is used")]
        assert "you have used 82 of 100 GiB" in shop.text
        assert "offline" not in shop.text


@pytest.mark.parametrize("panel", PANELS)
async def test_traffic_tells_on_every_panel_that_it_is_used_up(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.limited", panel=panel)
        await shop.bench.until("1h")
        assert shop.mails == [(_ANNA, "Example VPN: 101 % of your traffic is used")]
        assert "You are offline until you get more." in shop.text


@pytest.mark.parametrize("nobody", [*_NOBODY, {"trafficLimitBytes": 0}])
async def test_traffic_leaves_out_who_has_no_address_or_no_limit_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.bandwidth_usage_threshold_reached", **nobody)
        await shop.bench.until("1h")
        assert shop.mails == []


@pytest.mark.parametrize("panel", SINCE_2_4)
async def test_device_limit_tells_that_all_devices_are_in_use(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        shop.devices = 3
        await shop.bench.event("user_hwid_devices.added", panel=panel)
        await shop.bench.until("1h")
        assert shop.mails == [(_ANNA, _DEVICES)]
        assert "iPhone 15 was added. All\n3 devices" in shop.text
        (asked,) = shop.calls("/panel")
        who = "4217" if panel == "3.3" else "1f6c8e2a-7b45-4a93-9d0e-c3b5a7f81264"
        assert asked.target == f"/panel/api/hwid/devices/{who}"


async def test_device_limit_keeps_quiet_while_there_is_room(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.devices = 2
        await shop.bench.event("user_hwid_devices.added")
        await shop.bench.until("1h")
        assert shop.mails == []


@pytest.mark.parametrize("limit", [None, 0, 1])
async def test_device_limit_does_not_ask_about_who_has_no_limit_or_a_single_device(
    tmp_path: Path, limit: int | None
) -> None:
    async with open_business(tmp_path) as shop:
        shop.devices = 3
        await shop.bench.event("user_hwid_devices.added", user__hwidDeviceLimit=limit)
        await shop.bench.until("1h")
        assert (shop.mails, shop.calls("/panel")) == ([], [])


@pytest.mark.parametrize("nobody", _DEVICES_NOBODY)
async def test_device_limit_leaves_out_who_has_no_address_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        shop.devices = 3
        await shop.bench.event("user_hwid_devices.added", **nobody)
        await shop.bench.until("1h")
        assert shop.mails == []


async def test_device_limit_names_a_device_that_has_no_name(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.devices = 3
        await shop.bench.event("user_hwid_devices.added", hwidUserDevice__deviceModel=None)
        await shop.bench.until("1h")
        assert "A new device was added." in shop.text


@pytest.mark.parametrize("panel", ["2.7", "2.8", "3.3"])
async def test_torrent_reports_are_logged_and_mailed_once_for_each_block(
    tmp_path: Path, panel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("torrent_blocker.report", panel=panel)
        await shop.at("30m", "torrent_blocker.report", panel=panel)
        await shop.bench.until("59m")
        assert shop.mails == [(_ANNA, _TORRENTS)]
        assert "05 January 2026, 11:00" in shop.text
        await shop.at("2h", "torrent_blocker.report", panel=panel)
        await shop.bench.until("3h")
        assert shop.subjects == [_TORRENTS, _TORRENTS]
        assert capsys.readouterr().out.count("anna_k used torrents on fra-1") == 3


@pytest.mark.parametrize(
    "report", [*_DEVICES_NOBODY, {"report__actionReport__blocked": False}], ids=str
)
async def test_torrent_mails_nobody_who_is_not_blocked_or_has_no_address_nor_test_users(
    tmp_path: Path, report: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("torrent_blocker.report", **report)
        await shop.bench.until("1h")
        assert shop.mails == []
        assert await shop.ends("torrent") == [(State.SUCCEEDED, None)]
