"""The example rules that copy users, tell of the daemon itself, and show that it is alive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from examples.business import EXAMPLE, PANELS, Business, open_business

from engine.deciding.own import EVENTS, ON_HOLD, STARTED, own_event
from engine.model import State
from engine.running.clocks import clock_event

pytestmark = pytest.mark.anyio


def _copies(shop: Business) -> list[tuple[str, str]]:
    return [(call.method, call.target) for call in shop.calls("/crm")]


@pytest.mark.parametrize("panel", PANELS)
async def test_crm_copy_follows_a_user_from_first_to_last(tmp_path: Path, panel: str) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", panel=panel)
        await shop.at("1d", "user.modified", panel=panel, email="new@example.org")
        await shop.at("2d", "user.deleted", panel=panel)
        await shop.bench.until("3d")
        path = "/crm/customers/anna_k"
        assert _copies(shop) == [("PUT", path), ("PUT", path), ("DELETE", path)]
        copy = json.loads(shop.calls("/crm")[1].body)
        assert copy == {
            "email": "new@example.org",
            "ends": "2026-02-05T09:00:00.000Z",
            "limit": 100 * 1024**3,
        }


async def test_crm_copy_sends_a_user_without_an_address_as_null(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.created", email=None)
        await shop.bench.until("1h")
        assert json.loads(shop.calls("/crm")[0].body)["email"] is None


async def test_crm_copy_is_tried_again_with_what_is_true_by_then(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.broken["crm"] = 503
        await shop.bench.event("user.created")
        await shop.at("1m", "user.modified", email="new@example.org")
        shop.broken.clear()
        tried = len(shop.calls("/crm"))
        await shop.bench.until("20h")
        later = [json.loads(call.body)["email"] for call in shop.calls("/crm")[tried:]]
        assert set(later) == {"new@example.org"}
        assert set(await shop.ends("crm-copy")) == {(State.SUCCEEDED, None)}


async def test_crm_copy_does_not_bring_back_who_was_deleted(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.broken["crm"] = 503
        await shop.bench.event("user.created")
        await shop.at("1m", "user.deleted")
        shop.broken["crm"] = 404  # it never got there
        await shop.bench.until("20h")
        assert shop.calls("/crm")[-1].method == "DELETE"
        assert {state for state, _ in await shop.ends("crm-copy")} == {State.SUCCEEDED}


async def _refused(shop: Business, count: int = 1) -> None:
    """The mail server takes none of these mails."""
    shop.mailbox.answer = "550 no such user"
    for number in range(count):
        await shop.bench.event("user.expires_in_24_hours", username=f"user{number}")


async def test_tell_the_owner_of_a_dead_letter_although_mail_is_down(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await _refused(shop)
        await shop.bench.until("1m")
        (alert,) = shop.alerts
        assert alert.startswith("Rule expires-tomorrow failed for user0: ")
        assert "no such user" in alert
        assert alert.rstrip().endswith("All of it: rulewave dead list")


async def test_tell_the_owner_once_of_many_failures_of_one_rule(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await _refused(shop, 40)
        await shop.bench.event("user.limited")
        await shop.bench.until("1h")
        assert len(shop.alerts) == 2
        many, one = sorted(shop.alerts)
        assert many.startswith("40 times, the last one: Rule expires-tomorrow failed for user39: ")
        assert one.startswith("Rule traffic failed for ")


async def test_tell_the_owner_what_failed_where_it_was_about_nobody(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.mailbox.answer = "550 no"
        await shop.bench.event("crm.infra_billing_node_payment_due_today")
        await shop.bench.until("1m")
        (alert,) = shop.alerts
        assert "failed for crm.infra_billing_node_payment_due_today: " in alert


async def test_tell_the_owner_of_what_else_befell_a_rule_that_fails(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        data = {"rule": "expires-tomorrow", "count": 3, "reason": "rule_off"}
        now = shop.bench.clock.now()
        await shop.bench.pipeline.raise_own(*own_event(ON_HOLD, data, once=now, now=now))
        await shop.bench.until("1s")
        await _refused(shop)
        await shop.bench.until("1m")
        assert [alert.split()[0] for alert in shop.alerts] == ["3", "Rule"]


async def test_tell_the_owner_of_a_rule_that_cannot_be_evaluated(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        id = await shop.bench.event("service.login_attempt_failed", loginAttempt=None)
        await shop.bench.until("1m")
        (alert,) = shop.alerts
        assert alert.startswith("Rule failed-login could not be evaluated for service.login_")
        assert f"rulewave explain {id}" in alert


async def test_tell_the_owner_of_a_broken_rule(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        rules = shop.bench.file.read_text("utf-8")
        await shop.bench.reload(rules.replace("on: user.expired", "no: user.expired", 1))
        await shop.bench.until("1m")
        (alert,) = shop.alerts
        assert alert.startswith("The rules have a mistake; what was good before goes on: ")


async def test_tell_the_owner_of_follow_ups_on_hold(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("user.expired")
        await shop.bench.settle()
        rules = shop.bench.file.read_text("utf-8")
        await shop.bench.reload(rules.replace("- id: win-back", "- id: win-back\n    mode: off"))
        await shop.bench.until("1m")
        assert [alert.rstrip() for alert in shop.alerts] == [
            "1 follow-ups of win-back are on hold: the rule is gone or off"
        ]


async def test_tell_the_owner_that_the_daemon_has_started(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        data = {"version": "1.0", "rules": 14, "broken": 0, "backlog": 0}
        now = shop.bench.clock.now()
        await shop.bench.pipeline.raise_own(*own_event(STARTED, data, once=now, now=now))
        await shop.bench.until("1m")
        assert [a.rstrip() for a in shop.alerts] == ["Rulewave 1.0 has started with 14 rules"]


def test_tell_the_owner_has_words_for_every_event_of_the_daemon() -> None:
    rules = EXAMPLE.read_text("utf-8")
    assert [event for event in EVENTS if f"event == '{event}' -%}}" not in rules] == []


async def test_tell_the_owner_writes_to_the_log_where_the_chat_is_down_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_business(tmp_path) as shop:
        shop.broken["ops"] = 404
        await _refused(shop)
        await shop.bench.until("1h")
        assert len(shop.alerts) == 1, "and no alarm about the alarm"
        assert "rulewave.dead_letter could not be told: " in capsys.readouterr().out


async def test_tell_the_owner_nothing_of_the_heartbeat(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        shop.broken["watch"] = 404
        await _tick(shop)
        await shop.bench.until("1h")
        assert await shop.ends("heartbeat") == [(State.DEAD, "http_status")]
        assert shop.alerts == []


async def _tick(shop: Business) -> None:
    now = shop.bench.clock.now()
    await shop.bench.pipeline.raise_own(clock_event("heartbeat", now, now), b"tick")


async def test_heartbeat_calls_the_watch(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await _tick(shop)
        await shop.bench.until("1m")
        assert [(c.method, c.target) for c in shop.server.requests] == [("GET", "/watch/heartbeat")]


async def test_heartbeat_beats_every_quarter_of_an_hour_and_by_no_event(tmp_path: Path) -> None:
    async with open_business(tmp_path) as shop:
        await shop.bench.event("service.panel_started")
        await shop.bench.until("1h")
        assert shop.server.requests == []
        (clock,) = shop.bench.library.book.by_id["heartbeat"].clocks
        assert clock.every == 15 * 60_000_000
