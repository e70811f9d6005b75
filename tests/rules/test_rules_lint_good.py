"""Good rules are left alone: a false alarm is worse than a miss."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from ruletools import load_text, told

SAY = "do: [{say: {text: hi}}]"


@pytest.mark.parametrize(
    ("on", "condition"),
    [
        ("user.expired", "time(user.expireAt) < time(now)"),
        ("user.expired", "user.usedPercent > `80`"),
        ("user.expired", "user.usedPercent && !(user.usedPercent > `80`)"),
        ("user.expired", "!(user.usedPercent == `null` || user.usedPercent > `80`)"),
        ("user.expired", "!(user.usedPercent > `80`) && user.usedPercent != `null`"),
        ("user.expired", "!(default(user.usedPercent, `0`) > `80`)"),
        ("user.expired", "!(user.trafficLimitBytes > `0`)"),
        ("user.expired", "user.email && !contains(user.email, '@')"),
        ("user.expired", "changed('user.expireAt') && !(previous.user.trafficLimitBytes > `5`)"),
        ("user.renewed", "!(previous.user.trafficLimitBytes > `5`)"),
        ("user.expired", "(data.usedTrafficBytes || data.userTraffic.usedTrafficBytes) != `null`"),
        ("user.expired", "default(user.uuid, user.key) == 'x'"),
        ("user.expired", "user.activeInternalSquads[?name == 'a'].uuid | [0]"),
        ("user.expired", "length(user.activeInternalSquads) > `2`"),
        ("user.expired", "user.userTraffic.usedTrafficBytes > bytes('10 GiB')"),
        ("user.expired", "data.status == 'ACTIVE' && data.email && data.id"),
        ("user.expiration", "meta.expiration == `-24`"),
        ("user.not_connected", "meta.notConnectedAfterHours > `24`"),
        ("user.*", "event == 'user.expired' || event == 'user.modified'"),
        ("'*'", "user.email || node.name || data.loginAttempt.ip || data.nodeName"),
        ("user_hwid_devices.added", "data.user.username == user.username && user.email"),
        ("torrent_blocker.report", "user.email && node.name && data.report.actionReport.blocked"),
        ("node.modified", "node.versions.xray == '1' || node.system.info.cpus > `2`"),
        ("node.modified", "contains(node.tags, 'eu') && node.tags[0] == 'eu'"),
        ("service.panel_started", "data.panelVersion == '3.3.0'"),
        ("crm.infra_billing_node_payment_due_today", "data.nodeName && data.providerName"),
        ("rulewave.dead_letter", "data.rule == 'x' && data.tries > `3` && matches(data.step, 'x')"),
        ("rulewave.*", "data.reason || data.why || data.backlog > `100`"),
        ("[rulewave.started, user.expired]", "data.version || data.email || user.email"),
        ("{every: 1h}", "data.rule && vars.x"),
        ("user.expired", "latest.user.status == 'EXPIRED' && latest.event != 'user.deleted'"),
        ("user.expires_in_12_hours", "user.email"),
        ("user.expired", "rule.id == 'r' && key && scope == 'user'"),
    ],
)
def test_a_good_condition_is_left_alone(tmp_path: Path, on: str, condition: str) -> None:
    text = (
        f"version: 1\nrules:\n  - id: r\n    on: {on}\n    when: >-\n      {condition}\n    {SAY}\n"
    )
    assert told(load_text(tmp_path, text).problems) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ user.username }} {{ user.expireAt | date }} {{ key }} {{ now | ago }}",
        "{{ user.email | default('none') }} {{ user.email or 'none' }}",
        "{% if user.email %}{{ user.email }}{% else %}none{% endif %}",
        "{% if not user.email %}none{% else %}{{ user.email }}{% endif %}",
        "{% if user.tag is none %}none{% else %}{{ user.tag }}{% endif %}",
        "{% if user.tag != none and user.tag == 'VIP' %}{{ user.tag }}{% endif %}",
        "{{ user.email if user.email else 'none' }}",
        "{{ default(user.email, 'none') }} {{ user.username.upper() }}",
        "{% for squad in user.activeInternalSquads | default([]) %}{{ squad.name }}{{ loop.index }}{% endfor %}",
        "{% set mail = user.email %}{{ mail | default('none') }}",
        "{{ user.usedTrafficBytes | gib }} of {{ user.trafficLimitBytes | human_bytes }}",
        "{% if previous %}{{ previous.user.status }}{% endif %}",
        "{% if data.usedTrafficBytes %}{{ data.usedTrafficBytes }}{% endif %}",
        "{{ vars.brand }} {{ rule.id }} {{ data | tojson }}",
    ],
)
def test_a_good_text_is_left_alone(tmp_path: Path, text: str) -> None:
    body = f"version: 1\nrules:\n  - id: r\n    on: user.expired\n    do:\n      - say:\n          text: |\n            {text}\n"
    assert told(load_text(tmp_path, body).problems) == []


def test_what_a_rule_or_a_step_asks_for_may_be_used_in_its_texts(tmp_path: Path) -> None:
    rules = """
    version: 1
    connections: {post: {kind: box, host: x}}
    rules:
      - id: r
        on: user.expired
        when: {all: [data.email, {not: user.tag == `null`}]}
        do:
          - say: {text: "{{ user.email }} {{ data.email }} {{ user.tag }}"}
          - say: {text: "{{ user.description }}"}
            when: user.description
          - letter: {to: "{{ user.telegramId }}", subject: "{{ user.telegramId }}"}
          - after: {until: user.expireAt}
            when: user.subRevokedAt
            cancel_on: {on: user.renewed, when: origin.user.email == user.email}
            do: [{say: {text: "{{ user.subRevokedAt }} {{ user.email }}"}}]
          - say: {text: x}
            id: call
          - after: 1h
            say: {text: "{{ steps.call.text }}"}
    """
    assert told(load_text(tmp_path, textwrap.dedent(rules)).problems) == []
