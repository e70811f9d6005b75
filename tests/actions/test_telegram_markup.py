"""HTML that Telegram would refuse is found while the rules are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import told

from engine.daemon.registry import find_actions
from engine.rules.loading import load
from engine.rules.secrets import Secrets

HEAD = """version: 1
connections: {ops: {kind: telegram, token: "secret('t')", chat: 1}}
rules:
  - id: r
    on: user.expired
    do:
      - telegram: {to: ops, text: TEXT}
"""


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "rules.yaml"
    path.write_text(HEAD.replace("TEXT", f"'{text}'"))
    known = Secrets(None, None, {"RULEWAVE_SECRET_T": "123456:abcdefgh"})
    return told(load(path, actions=find_actions(), secrets=known).problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("traffic < 10", "Telegram does not take a bare <; write &lt;"),
        ("you & me", "Telegram does not take a bare &; write &amp;"),
        ("<h1>big</h1>", "Telegram knows no tag <h1>; there is a, b, blockquote, "),
        ("<b>open {{ user.username }}", "<b> is never closed; write </b> behind it"),
        ("<b><i>x</b></i>", "</b> closes what is not open; write <b> before it"),
    ],
)
def test_what_telegram_refuses_is_told_with_a_way_out(
    tmp_path: Path, text: str, problem: str
) -> None:
    (found,) = problems(tmp_path, text)
    assert problem in found


@pytest.mark.parametrize(
    "text",
    [
        "<b>{{ user.username }}</b> has {{ user.trafficLimitBytes }} % &lt; 10 &amp; &#8364;",
        '<a href="https://example.org/?a=1&amp;b=2">here</a> <tg-spoiler>x</tg-spoiler>',
        "{% if user.trafficLimitBytes < 10 %}<b>{% endif %}x{% if user.trafficLimitBytes < 10 %}</b>{% endif %}",
        "{{ user.trafficLimitBytes < 10 and user.username }}",
    ],
)
def test_what_telegram_takes_is_fine(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []
