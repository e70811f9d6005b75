"""The user of made-up events, and what each event says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.clock import DAY, HOUR, MINUTE, SECOND, to_iso
from engine.sources.catalogue import Version
from engine.sources.sample_node import INBOUND, NODE, Facts

_GIB = 1024**3
USER: Facts = {
    "id": 4217,
    "uuid": "1f6c8e2a-7b45-4a93-9d0e-c3b5a7f81264",
    "subscriptionUuid": "90d4b7e3-1c68-4f2a-a5b9-6e8d3c0f7152",
    "shortUuid": "Hk4tWz8_pN-2QxLe",
    "username": "anna_k",
    "status": "ACTIVE",
    "trafficLimitBytes": 100 * _GIB,
    "trafficLimitStrategy": "MONTH",
    "subLastUserAgent": "Happ/1.9.4",
    "subRevokedAt": None,
    "trojanPassword": "made-up-trojan-password",
    "vlessUuid": "a7d2c5f8-3e90-4b16-8c4d-b1f06e9a2735",
    "ssPassword": "made-up-ss-password",
    "description": "Анна К., family plan",
    "tag": "VIP",
    "telegramId": 512345678,
    "email": "anna@example.org",
    "hwidDeviceLimit": 3,
    "lastTriggeredThreshold": 0,
    "subscriptionUrl": "https://sub.example.org/Hk4tWz8_pN-2QxLe",
    "externalSquadUuid": None,
    "activeUserInbounds": [INBOUND],
    "activeInternalSquads": [{"uuid": "6e0b9d47-f1a2-4c35-b8e6-d37c2a5f9081", "name": "Standard"}],
}
_TRAFFIC: Facts = {
    "usedTrafficBytes": 30 * _GIB,
    "lifetimeUsedTrafficBytes": 855 * _GIB,
    "lastConnectedNodeUuid": NODE["uuid"],
}
_UNUSED: Facts = {
    "usedTrafficBytes": 0,
    "lifetimeUsedTrafficBytes": 0,
    "onlineAt": None,
    "firstConnectedAt": None,
    "lastConnectedNodeUuid": None,
    "lastConnectedNode": None,
    "subLastUserAgent": None,
    "subLastOpenedAt": None,
    "lastTrafficResetAt": None,
}


def user(event: str, version: Version, now: int, offset: int) -> Facts:
    """The user under the names of every panel version; `offset` is that of an expiry notice."""
    dates = {
        "createdAt": to_iso(now - 290 * DAY),
        "firstConnectedAt": to_iso(now - 290 * DAY + 15 * MINUTE),
        "lastTrafficResetAt": to_iso(now - 9 * DAY),
        "subLastOpenedAt": to_iso(now - 15 * HOUR),
        "onlineAt": to_iso(now - 80 * SECOND),
        "updatedAt": to_iso(now),
        "expireAt": to_iso(now + 30 * DAY),
        "lastConnectedNode": {
            "nodeName": NODE["name"],
            "countryCode": NODE["countryCode"],
            "connectedAt": to_iso(now - 80 * SECOND),
        },
    }
    found = USER | _TRAFFIC | dates | _user_change(event, now, offset)
    if version < (2, 0, 0):
        del found["lastConnectedNode"]  # 1.x has it on some events only
    return found | {"userTraffic": found}


def _user_change(event: str, now: int, offset: int) -> Facts:
    """What an event says about its user."""
    if event == "user.expiration" or event.startswith(("user.expires_in", "user.expired_")):
        status = "ACTIVE" if offset < 0 else "EXPIRED"
        return {"status": status, "expireAt": to_iso(now - offset * HOUR)}
    change = _USER_CHANGES.get(event)
    return change(now) if change else {}


_USER_CHANGES: Mapping[str, Callable[[int], Facts]] = {
    "user.created": lambda now: _UNUSED | {"createdAt": to_iso(now)},
    "user.not_connected": lambda now: _UNUSED | {"createdAt": to_iso(now - DAY)},
    "user.expired": lambda now: {"status": "EXPIRED", "expireAt": to_iso(now - 20 * SECOND)},
    "user.disabled": lambda _: {"status": "DISABLED"},
    "user.limited": lambda _: {"status": "LIMITED", "usedTrafficBytes": 101 * _GIB},
    "user.revoked": lambda now: {"subRevokedAt": to_iso(now)},
    "user.traffic_reset": lambda now: {"usedTrafficBytes": 0, "lastTrafficResetAt": to_iso(now)},
    "user.first_connected": lambda now: {
        "usedTrafficBytes": 5_100_000,
        "lifetimeUsedTrafficBytes": 5_100_000,
        "firstConnectedAt": to_iso(now),
        "onlineAt": to_iso(now),
    },
    "user.bandwidth_usage_threshold_reached": lambda _: {
        "lastTriggeredThreshold": 80,
        "usedTrafficBytes": 82 * _GIB,
    },
}
