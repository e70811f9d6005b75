"""The rules file of the month: one block a rule, each text with the number of its version in front."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

RULES: Mapping[str, str] = {
    "welcome": """
  - id: welcome
    on: user.created
    when: user.email
    do:
      - MAIL([1] welcome {{ user.username }})
""",
    "how-is-it": """
  - id: how-is-it
    on: user.created
    when: user.email
    do:
      - after: 1h
        if_late: {within: 30m}
        MAIL([1] how is it, {{ user.username }})
""",
    "three-days-left": """
  - id: three-days-left
    on: user.expires_in_72_hours       # the name up to 2.7
    when: [user.email, "time(latest.user.expireAt) <= time(user.expireAt)"]
    do:
      - MAIL([1] three days left, {{ user.username }})
""",
    "one-day-left": """
  - id: one-day-left
    on: user.expiration                # the name from 2.8 on
    when: [user.email, "meta.expiration == `-24`", "time(latest.user.expireAt) <= time(user.expireAt)"]
    do:
      - MAIL([1] one day left, {{ user.username }})
""",
    "last-hours": """
  - id: last-hours
    on: [user.created, user.renewed]
    when: user.email
    do:
      - after: {until: user.expireAt, offset: -6h}
        cancel_on:
          - user.deleted
          - {on: user.renewed, when: user.expireAt != origin.user.expireAt}
        MAIL([1] six hours left, {{ user.username }})
""",
    "win-back": """
  - id: win-back
    on: user.expired
    when: user.email
    do:
      - after: 3d
        cancel_on: [user.renewed, user.deleted]
        when: latest.user.status == 'EXPIRED'
        do:
          - MAIL([1] we miss you, {{ user.username }})
          - after: 7d
            cancel_on: [user.renewed, user.deleted]
            MAIL([1] last call, {{ user.username }})
""",
    "node-down": """
  - id: node-down
    on: node.connection_lost
    do:
      - after: 5m
        cancel_on: node.connection_restored
        do:
          - CALL([1] {{ node.name }} is down)
          - await: node.connection_restored
            within: 1d
            do:
              - CALL([1] {{ node.name }} is back after {{ elapsed | round | int }} s)
            else:
              - CALL([1] {{ node.name }} is gone for good)
""",
    "new-user": """
  - id: new-user
    on: user.created
    do:
      - CALL([1] new {{ user.username }}, {{ user.trafficLimitBytes | gib }} GiB)
""",
    "quota": """
  - id: quota
    on: user.bandwidth_usage_threshold_reached
    do:
      - CALL([1] {{ user.username }} used {{ user.usedPercent | round | int }} %)
""",
    "morning": """
  - id: morning
    on: {cron: "0 9 * * *", timezone: Europe/Berlin}
    do:
      - CALL([1] good morning)
""",
    "tell-owner": """
  - id: tell-owner
    on: rulewave.*
    do:
      - CALL([1] {{ event }} {{ data.rule }})
""",
}
OWNER = "owner"
"""Who gets the calls."""

REAL = """version: 1
connections:
  mail:
    kind: smtp
    host: 127.0.0.1
    port: MAIL_PORT
    tls: none
    username: bot
    password: secret('mail')
    from: bot@example.org
    rate: 20/s
  hooks: {kind: http, url: "http://127.0.0.1:HOOKS_PORT"}
"""
TOLD = """version: 1
connections:
  mail: {kind: phone}
  hooks: {kind: phone}
"""
_REAL_MAIL = r'email: {to: "{{ user.email }}", subject: "\1", text: "-"}'
_REAL_CALL = r'http: {post: /call, connection: hooks, json: {text: "\1"}}'
_TOLD_MAIL = r'tell: {to: "{{ user.email }}", connection: mail, text: "\1"}'
_TOLD_CALL = rf'tell: {{to: {OWNER}, connection: hooks, text: "\1"}}'


def rules_file(head: str, blocks: Iterable[str]) -> str:
    """The whole file; `head` says which connections there are, and so what the steps do."""
    real = head.startswith(REAL[: REAL.index("MAIL_PORT")])
    text = "".join(blocks)
    text = re.sub(r"MAIL\((.*)\)", _REAL_MAIL if real else _TOLD_MAIL, text)
    text = re.sub(r"CALL\((.*)\)", _REAL_CALL if real else _TOLD_CALL, text)
    return f"{head}rules:\n{text}"


def edited(block: str, version: int) -> str:
    """The rule with other texts."""
    return re.sub(r"\[\d+\]", f"[{version}]", block)


def mistyped(block: str) -> str:
    """The rule with a typo."""
    return block.replace("    do:\n", "    od:\n", 1)


def renamed(block: str, id: str) -> str:
    """The rule under another name, and all names that it had."""
    found = re.search(r"id: ([\w-]+)\n(?:    was: \[(.*)\]\n)?", block)
    assert found is not None
    former = ", ".join(filter(None, found.groups()))
    return block.replace(found[0], f"id: {id}\n    was: [{former}]\n", 1)
