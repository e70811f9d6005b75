"""Plausible `data` and `meta` for made-up events: one shared user, one node, dates relative to now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.clock import DAY, HOUR, to_iso
from engine.sources.catalogue import EventType, Version, dotted
from engine.sources.sample_node import INBOUND, LOGIN_URL, NODE, Facts, node, provider
from engine.sources.sample_user import USER, user

_DAYS_TO_BILL = {
    "in_7_days": 7,
    "in_48hrs": 2,
    "in_24hrs": 1,
    "due_today": 0,
    "overdue_24hrs": -1,
    "overdue_48hrs": -2,
    "overdue_7_days": -7,
}


def facts(event: EventType, version: Version, now: int, offset: int) -> Facts:
    """What `data` of an event of this type may hold, under the names of every panel version.

    `offset` is that of an expiry notice, in hours.
    """
    return _BY_SCOPE[event.scope](event.name, version, now, offset)


def meta(event: EventType, offset: int) -> Facts | None:
    """`meta` of a user's event on panels that send it."""
    if event.name == "user.not_connected":
        return {"notConnectedAfterHours": 24}
    return {"expiration": offset} if event.name == "user.expiration" else None


def _hwid(event: str, version: Version, now: int, offset: int) -> Facts:
    device = {
        "hwid": "a1b2c3d4e5f60718",
        "userUuid": USER["uuid"],
        "userId": USER["id"],
        "platform": "iOS",
        "osVersion": "18.5",
        "deviceModel": "iPhone 15",
        "userAgent": "Happ/2.1.0",
        "requestIp": "198.51.100.23",
        "createdAt": to_iso(now),
        "updatedAt": to_iso(now),
    }
    return {"user": user(event, version, now, offset), "hwidUserDevice": device}


def _service(event: str, version: Version, now: int, _offset: int) -> Facts:
    attempt = {"username": "admin", "ip": "192.0.2.55", "userAgent": "curl/8.5.0"}
    failure = {"description": "Invalid password.", "password": "made-up-password"}
    token = {
        "name": "shop bot",
        "uuid": "d8f3b1a6-0c97-4e52-a6d4-7b2e5f90c138",
        "expireAt": to_iso(now + 365 * DAY),
        "scopes": ["users:read"],
    }
    subpage = {"action": "UPDATED", "uuid": "5c2e9f74-a8b1-4d03-9e67-f0d4b6a3c815"}
    by_event: Mapping[str, Facts] = {
        "service.panel_started": {"panelVersion": dotted(version)},
        "service.login_attempt_failed": {"loginAttempt": attempt | failure},
        "service.login_attempt_success": {"loginAttempt": attempt},
        "service.subpage_config_changed": {"subpageConfig": subpage},
    }
    return by_event.get(event, {"apiToken": token})


def _crm(event: str, _version: Version, now: int, _offset: int) -> Facts:
    days = _DAYS_TO_BILL[event.removeprefix("crm.infra_billing_node_payment_")]
    return {
        "providerName": provider(now)["name"],
        "nodeName": NODE["name"],
        "nextBillingAt": to_iso(now + days * DAY),
        "loginUrl": LOGIN_URL,
    }


def _errors(_event: str, _version: Version, _now: int, _offset: int) -> Facts:
    return {"description": "more users than allowed reached the threshold in one pass"}


def _torrent(event: str, version: Version, now: int, offset: int) -> Facts:
    action = {
        "blocked": True,
        "ip": "203.0.113.77",
        "blockDuration": 3600,
        "willUnblockAt": to_iso(now + HOUR),
        "userId": str(USER["id"]),
        "processedAt": to_iso(now),
    }
    xray = {
        "email": str(USER["id"]),
        "level": 0,
        "protocol": "bittorrent",
        "network": "tcp",
        "source": "203.0.113.77:50123",
        "destination": "198.51.100.9:6881",
        "originalTarget": "198.51.100.9:6881",
        "inboundTag": INBOUND["tag"],
        "outboundTag": "BLOCK",
        "ts": now // 1000,
    }
    return {
        "node": node(event, version, now),
        "user": user(event, version, now, offset),
        "report": {"actionReport": action, "xrayReport": xray},
    }


_BY_SCOPE: Mapping[str, Callable[[str, Version, int, int], Facts]] = {
    "user": user,
    "user_hwid_devices": _hwid,
    "node": lambda event, version, now, _: node(event, version, now),
    "service": _service,
    "crm": _crm,
    "errors": _errors,
    "torrent_blocker": _torrent,
}
