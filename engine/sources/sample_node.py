"""The node of made-up events, and what each event says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.clock import DAY, HOUR, to_iso
from engine.sources.catalogue import Version

Facts = dict[str, Any]
"""What a payload may hold, under the names of every panel version."""

_GIB = 1024**3
_NODE_UUID = "4b9d2f60-5c1e-4d7a-8e35-90a6b1c7d2f4"
_PROFILE_UUID = "8a60c9e1-2f4b-4c8d-b7a3-5e1d9f0c6b72"
_PROVIDER_UUID = "c5e7a912-6d3f-4b08-9a4c-1f2e8d7b6035"
LOGIN_URL = "https://billing.example.net/login"
INBOUND: Facts = {
    "uuid": "e3a1f7c4-9b52-4d60-8f1e-27c6d5a40b98",
    "profileUuid": _PROFILE_UUID,
    "tag": "fra-reality",
    "type": "vless",
    "network": "raw",
    "security": "reality",
    "port": 443,
    "rawInbound": {
        "tag": "fra-reality",
        "protocol": "vless",
        "streamSettings": {"realitySettings": {"privateKey": "made-up-private-key"}},
    },
}
NODE: Facts = {
    "uuid": _NODE_UUID,
    "id": 12,
    "name": "fra-1",
    "address": "fra1.example.net",
    "port": 2222,
    "proxyUrl": None,
    "isConnected": True,
    "isConnecting": False,
    "isDisabled": False,
    "lastStatusMessage": None,
    "xrayVersion": "25.3.6",
    "nodeVersion": "2.2.3",
    "xrayUptime": 86113,
    "usersOnline": 37,
    "isTrafficTrackingActive": True,
    "trafficResetDay": 1,
    "trafficLimitBytes": 5000 * _GIB,
    "trafficUsedBytes": 1500 * _GIB,
    "notifyPercent": 80,
    "note": None,
    "viewPosition": 1,
    "countryCode": "DE",
    "consumptionMultiplier": 1,
    "nodeConsumptionMultiplier": 1,
    "cpuCount": 2,
    "cpuModel": "AMD EPYC 7543 32-Core Processor",
    "totalRam": "3.82 GB",
    "tags": ["EU"],
    "integrationUuids": [],
    "ips": [{"ip": "203.0.113.7", "status": "INBOUND"}],
    "excludedInbounds": [],
    "activeConfigProfileUuid": _PROFILE_UUID,
    "activeInbounds": [INBOUND],
    "configProfile": {
        "activeConfigProfileUuid": _PROFILE_UUID,
        "activeInbounds": [INBOUND],
    },
    "providerUuid": _PROVIDER_UUID,
    "activePluginUuid": None,
    "versions": {"xray": "26.3.27", "node": "3.3.2"},
    "system": {
        "info": {
            "arch": "x64",
            "cpus": 2,
            "cpuModel": "AMD EPYC 7543 32-Core Processor",
            "memoryTotal": 4102324224,
            "hostname": "fra1",
            "platform": "linux",
            "release": "6.1.0-32-amd64",
            "type": "Linux",
            "version": "#1 SMP",
            "networkInterfaces": ["eth0", "lo"],
        },
        "stats": {
            "memoryFree": 1830055936,
            "memoryUsed": 2272268288,
            "uptime": 1655366.32,
            "loadAvg": [0.12, 0.2, 0.18],
            "interface": {
                "interface": "eth0",
                "rxBytesPerSec": 197.8,
                "txBytesPerSec": 210.5,
                "rxTotal": 918273645546,
                "txTotal": 1830046723417,
            },
        },
    },
}
_DOWN: Facts = {
    "isConnected": False,
    "usersOnline": 0,
    "xrayUptime": 0,
    "system": None,
}


def node(event: str, version: Version, now: int) -> Facts:
    """The node under the names of every panel version."""
    dates = {
        "lastStatusChange": to_iso(now - HOUR),
        "createdAt": to_iso(now - 400 * DAY),
        "updatedAt": to_iso(now),
    }
    found = NODE | dates | {"provider": provider(now)} | _node_change(event, now)
    if version < (2, 5, 0):
        found["consumptionMultiplier"] = 1_000_000_000  # billionths
    up = found["isConnected"]
    return found | {"isNodeOnline": up, "isXrayRunning": up}


def _node_change(event: str, now: int) -> Facts:
    """What an event says about its node."""
    change: Mapping[str, Facts] = {
        "node.connection_lost": _DOWN
        | {
            "lastStatusChange": to_iso(now),
            "lastStatusMessage": "connect ECONNREFUSED 203.0.113.7:2222",
        },
        "node.connection_restored": {"lastStatusChange": to_iso(now)},
        "node.created": _DOWN
        | {
            "lastStatusChange": None,
            "trafficUsedBytes": 0,
            "versions": None,
            "createdAt": to_iso(now),
        },
        "node.disabled": _DOWN | {"isDisabled": True, "lastStatusChange": to_iso(now)},
        "node.traffic_notify": {"trafficUsedBytes": 4100 * _GIB},
    }
    return change.get(event, {})


def provider(now: int) -> Facts:
    """Who the node is rented from."""
    return {
        "uuid": _PROVIDER_UUID,
        "name": "Hosting «Nord»",
        "faviconLink": None,
        "loginUrl": LOGIN_URL,
        "createdAt": to_iso(now - 400 * DAY),
        "updatedAt": to_iso(now - 400 * DAY),
    }
