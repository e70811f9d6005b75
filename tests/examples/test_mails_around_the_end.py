"""The example rules that mail users before and after the end of their subscription."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples.business import PANELS, open_business

from engine.clock import DAY, from_iso, to_iso
from engine.model import State

pytestmark = pytest.mark.anyio

_ANNA = "anna@example.org"
_TOMORROW = "Example VPN: your subscription ends tomorrow"
_SOON = "Example VPN: three days left"
_HOURS = "Example VPN: three hours left"
_ENDED = "Example VPN: your subscription has ended"
_MISSED = "We miss you, anna_k"
_NOBODY: list[dict[str, Any]] = [{"email": None}, {"tag": "TEST"}]
_END = "2026-01-08T09:00:00.000Z"
"""Three days after the bench's start."""
_ENDED_AT = "2026-01-05T08:59:40.000Z"
"""When the sample of an ended user ended."""


@pytest.mark.parametrize("panel", PANELS)
async def test_expires_tomorrow_mails_the_user_on_every_panel(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_24_hours", panel=panel)
        await shop.bench.until("1h")
        assert shop.mails == [(_ANNA, _TOMORROW)]
        assert "your subscription ends on 06 January 2026 at 10:00." in shop.text


@pytest.mark.parametrize("nobody", _NOBODY)
async def test_expires_tomorrow_leaves_out_who_has_no_address_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_24_hours", **nobody)
        await shop.bench.until("1h")
        assert shop.mails == []


@pytest.mark.parametrize("panel", PANELS)
async def test_expires_tomorrow_is_dropped_for_who_renewed_while_mail_was_down(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        shop.mailbox.answer = "451 come back later"
        await shop.bench.event("user.expires_in_24_hours", panel=panel)
        await shop.at("2m", "user.modified", panel=panel)
        shop.mailbox.answer = "250 taken"
        await shop.bench.until("1d")
        assert shop.mails == []
        assert await shop.ends("expires-tomorrow") == [(State.CANCELLED, "no_longer_matches")]


@pytest.mark.parametrize("panel", PANELS)
async def test_expires_soon_reminds_at_three_days_and_at_three_hours(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_72_hours", panel=panel)
        await shop.bench.until("2d")
        assert shop.mails == [(_ANNA, _SOON)]
        await shop.bench.event("user.expires_in_24_hours", panel=panel, expireAt=_END)
        await shop.bench.until("68h")
        assert shop.subjects == [_SOON, _TOMORROW]
        await shop.bench.until("70h")
        assert shop.subjects == [_SOON, _TOMORROW, _HOURS]
        assert "ends today at 10:00" in shop.text


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("end", ["user.modified", "user.deleted"])
async def test_expires_soon_stops_for_who_renews_or_is_deleted(
    tmp_path: Path, panel: str, end: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_72_hours", panel=panel)
        await shop.at("1h", end, panel=panel)
        await shop.bench.until("4d")
        assert shop.subjects == [_SOON]
        assert (await shop.ends("expires-soon"))[1:] == [(State.CANCELLED, "cancelled_by_event")]


async def test_expires_soon_stops_where_the_end_was_moved_nearer(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_72_hours")
        nearer = to_iso((from_iso(_END) or 0) - DAY)
        await shop.at("1h", "user.modified", expireAt=nearer)
        await shop.bench.until("4d")
        assert shop.subjects == [_SOON]


async def test_expires_soon_says_nothing_to_a_trial_that_began_today(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        today = to_iso(shop.bench.clock.now())
        await shop.bench.event("user.expires_in_72_hours", createdAt=today)
        await shop.bench.until("4d")
        assert shop.mails == []


@pytest.mark.parametrize("nobody", _NOBODY)
async def test_expires_soon_leaves_out_who_has_no_address_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_72_hours", **nobody)
        await shop.bench.until("4d")
        assert shop.mails == []


async def test_expires_soon_does_not_remind_after_the_end(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expires_in_72_hours")
        await shop.bench.until("1h")
        clock = shop.bench.clock
    clock.move(3 * DAY)  # the daemon is away
    async with open_business(tmp_path, clock=clock) as shop:
        await shop.bench.until("4d")
        assert shop.mails == []
        assert (await shop.ends("expires-soon"))[1:] == [(State.EXPIRED, "too_late")]


@pytest.mark.parametrize("panel", PANELS)
async def test_has_ended_mails_an_hour_after_the_end(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired", panel=panel)
        await shop.bench.until("59m")
        assert shop.mails == []
        await shop.bench.until("2h")
        assert shop.mails == [(_ANNA, _ENDED)]


@pytest.mark.parametrize("panel", PANELS)
async def test_has_ended_is_not_sent_to_who_pays_within_the_hour(
    tmp_path: Path, panel: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired", panel=panel)
        await shop.at("50m", "user.modified", panel=panel)
        await shop.bench.until("5d")
        assert shop.mails == []


async def test_has_ended_is_not_sent_to_who_was_locked_out(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired")
        await shop.at("10m", "user.disabled", expireAt=_ENDED_AT)
        await shop.bench.until("5d")
        assert shop.mails == []
        assert (await shop.ends("has-ended"))[1:] == [(State.CANCELLED, "no_longer_matches")]


@pytest.mark.parametrize("nobody", _NOBODY)
async def test_has_ended_and_win_back_leave_out_who_has_no_address_and_test_users(
    tmp_path: Path, nobody: dict[str, Any]
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired", **nobody)
        await shop.bench.until("5d")
        assert shop.mails == []


@pytest.mark.parametrize("panel", PANELS)
async def test_win_back_asks_once_three_days_after_the_end(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired", panel=panel)
        await shop.at("1d", "user.expired_24_hours_ago", panel=panel)
        await shop.bench.until("71h")
        assert shop.subjects == [_ENDED]
        await shop.bench.until("30d")
        assert shop.subjects == [_ENDED, _MISSED]
        assert "your subscription ended 3 days ago." in shop.text


@pytest.mark.parametrize("panel", PANELS)
@pytest.mark.parametrize("end", ["user.modified", "user.enabled", "user.deleted"])
async def test_win_back_is_not_sent_to_who_is_back_or_deleted(
    tmp_path: Path, panel: str, end: str
) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired", panel=panel)
        await shop.at("2d", end, panel=panel)
        await shop.bench.until("5d")
        assert shop.subjects == [_ENDED]
        assert (await shop.ends("win-back"))[1:] == [(State.CANCELLED, "cancelled_by_event")]


async def test_win_back_does_not_ask_who_was_locked_out(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired")
        await shop.at("1d", "user.disabled", expireAt=_ENDED_AT)
        await shop.bench.until("5d")
        assert (await shop.ends("win-back"))[1:] == [(State.CANCELLED, "no_longer_matches")]


async def test_win_back_asks_again_after_another_end(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired")
        await shop.at("1d", "user.modified")
        await shop.at("31d", "user.expired")
        await shop.bench.until("40d")
        assert shop.subjects.count(_MISSED) == 1
