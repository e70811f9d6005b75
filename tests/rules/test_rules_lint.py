"""Each thing that the linter finds, with its place, its words and the right spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import load_condition, load_rule, told

from engine.rules.loading import Loaded


def printed(tmp_path: Path, on: str, text: str, when: str = "`true`") -> Loaded:
    """What comes of a rule that says this text."""
    return load_rule(tmp_path, on, f"when: {when!r}\ndo:\n  - say:\n      text: |\n        {text}")


@pytest.mark.parametrize(
    ("on", "condition", "expected"),
    [
        (
            "user.expired",
            "user.emial == 'x'",
            'R035 no panel version sends user.emial; did you mean "user.email"?',
        ),
        (
            "user.expired",
            "data.expire_at == 'x'",
            'R035 no panel version sends data.expire_at; did you mean "data.expireAt"?',
        ),
        (
            "user_hwid_devices.added",
            "data.email",
            'R035 no panel version sends data.email; did you mean "user.email"?',
        ),
        (
            "user.expired",
            "latest.user.statu == 'EXPIRED'",
            'R035 no panel version sends latest.user.statu; did you mean "latest.user.status"?',
        ),
        (
            "user.expired",
            "changed('user.expirAt')",
            'R035 no panel version sends user.expirAt; did you mean "user.expireAt"?',
        ),
        (
            "user.expiration",
            "meta.expires == `5`",
            "R035 no panel version sends meta.expires; there is expiration, notConnectedAfterHours",
        ),
        (
            "user.expired",
            "user.activeInternalSquads[?nam == 'x']",
            (
                "R035 no panel version sends user.activeInternalSquads[].nam; "
                'did you mean "user.activeInternalSquads[].name"?'
            ),
        ),
        (
            "user.expired",
            "user.username.first == 'x'",
            "R035 no panel version sends user.username.first",
        ),
        (
            "user.expired",
            "node.usersOnline == `0`",
            "R035 node.usersOnline is never there: these events have no node",
        ),
        (
            "user.expired",
            "contains(user.email, '@example.org')",
            (
                "R037 user.email may be null, and contains() cannot be asked of a null; "
                "ask for it as well: user.email && …"
            ),
        ),
        (
            "user.expired",
            "lower(user.tag) == 'x'",
            (
                "R037 user.tag may be null, and lower() cannot be asked of a null; "
                "ask for it as well: user.tag && …"
            ),
        ),
        (
            "user.expired",
            "hours_until(previous.user.subRevokedAt) < `5`",
            (
                "R037 previous.user.subRevokedAt may be null, and hours_until() cannot be asked of "
                "a null; ask for it as well: previous.user.subRevokedAt && …"
            ),
        ),
        (
            "[node.created, node.deleted]",
            "user.email",
            "R035 user.email is never there: these events have no user",
        ),
        (
            "user.expired",
            "data.userTraffic.usedTrafficBytes > `5`",
            (
                "R036 only panels 2.3.0 and later send data.userTraffic; "
                "user.userTraffic is the same on every panel"
            ),
        ),
        (
            "user.expired",
            "data.onlineAt",
            (
                "R036 only panels before 2.3.0 send data.onlineAt; "
                "user.onlineAt is the same on every panel"
            ),
        ),
        (
            "user.expired",
            "user.subscriptionUuid == 'x'",
            (
                "R036 only panels before 2.0.0 send user.subscriptionUuid; "
                "default(user.subscriptionUuid, …) covers the others"
            ),
        ),
        (
            "node.modified",
            "node.xrayVersion == 'x'",
            (
                "R036 only panels before 2.7.0 send node.xrayVersion; "
                "node.versions.xray is the same on every panel"
            ),
        ),
        (
            "user.expired",
            "data.trafficLimitBytes > `5`",
            (
                "R036 data.trafficLimitBytes is a text on some panel versions, and is compared with "
                "a number; user.trafficLimitBytes is a number on every panel"
            ),
        ),
        (
            "user.expired",
            "data.trojanPassword",
            (
                "R038 data.trojanPassword carries a credential and is never stored; "
                "defaults: {keep_fields: [trojanPassword]} stores it all the same"
            ),
        ),
        (
            "service.login_attempt_failed",
            "data.loginAttempt.password",
            (
                "R038 data.loginAttempt.password carries a credential and is never stored; "
                "defaults: {keep_fields: [password]} stores it all the same"
            ),
        ),
        (
            "user.*",
            "event == 'user.expires_in_24_hours'",
            (
                "R039 event keeps the name that was sent, and that may be user.expiration in place of "
                "user.expires_in_24_hours; listen to it instead: on: user.expires_in_24_hours finds it "
                "on every panel"
            ),
        ),
        (
            "user.*",
            "contains(['user.deleted', 'user.renewed'], event)",
            (
                "R039 event keeps the name that was sent, and that may be user.modified or user.enabled"
                " in place of user.renewed; listen to it instead: on: user.renewed finds it on every"
                " panel"
            ),
        ),
        (
            "[user.expired, user.limited]",
            "event == 'user.limitd'",
            'R032 no panel sends "user.limitd"; did you mean "user.limited"?',
        ),
        (
            "rulewave.dead_letter",
            "data.raeson == 'refused'",
            'R035 Rulewave sends no data.raeson; did you mean "data.reason"?',
        ),
        (
            "rulewave.started",
            "user.email",
            "R035 user.email is never there: these events have no user",
        ),
        (
            "[rulewave.started, rulewave.on_hold]",
            "event == 'rulewave.start'",
            'R032 Rulewave itself raises no "rulewave.start"; did you mean "rulewave.started"?',
        ),
        (
            "user.expired",
            "steps.call.status == `200`",
            'R040 no earlier step of this rule has the id "call"',
        ),
    ],
)
def test_a_doubt_about_a_condition_is_a_warning_and_the_rule_loads(
    tmp_path: Path, on: str, condition: str, expected: str
) -> None:
    found = load_condition(tmp_path, on, condition)
    assert told(found.problems) == [f"rules.yaml:5:11: {expected}"]
    assert [problem.severity for problem in found.problems] == ["warning"]
    assert found.ruleset.rules


@pytest.mark.parametrize(
    ("on", "text", "expected"),
    [
        (
            "user.expired",
            "Hello {{ user.email }}",
            (
                "R037 user.email may be null, which a text cannot hold; "
                "write {{ user.email | default('…') }}, or ask for it with when: user.email"
            ),
        ),
        (
            "user.expired",
            "{{ user.subRevokedAt | date }}",
            (
                "R037 user.subRevokedAt may be null, which a text cannot hold; write "
                "{{ user.subRevokedAt | default('…') }}, or ask for it with when: user.subRevokedAt"
            ),
        ),
        (
            "user.expired",
            "{{ user.uuid }}",
            (
                "R037 user.uuid may be null (only panels before 3.0.0 send it), which a text cannot "
                "hold; write {{ user.uuid | default('…') }}, or ask for it with when: user.uuid"
            ),
        ),
        (
            "user_hwid_devices.added",
            "{{ data.hwidUserDevice.requestIp | default('?') }}{{ data.hwidUserDevice.userId }}",
            (
                "R036 only panels 2.8.1 and later send data.hwidUserDevice.userId; write "
                "{{ data.hwidUserDevice.userId | default('…') }}, or ask for it with when: "
                "data.hwidUserDevice.userId"
            ),
        ),
        (
            "node.modified",
            "{{ node.provider.name }}",
            (
                "R037 node.provider.name may be null, which a text cannot hold; write "
                "{{ node.provider.name | default('…') }}, or ask for it with when: node.provider.name"
            ),
        ),
        (
            "user.expired",
            "{% if user.expires %}soon{% endif %}",
            'R035 no panel version sends user.expires; did you mean "user.expireAt"?',
        ),
        (
            "user.expired",
            "{{ user.username.upper() }} {{ data.emial | default('x') }}",
            'R035 no panel version sends data.emial; did you mean "data.email"?',
        ),
        (
            "user.expired",
            "{{ steps.cal.status }}",
            'R040 no earlier step of this rule has the id "cal"',
        ),
        (
            "user.*",
            "{% if event in ['user.expiration'] %}x{% endif %}",
            (
                "R039 event keeps the name that was sent, and that may be user.expires_in_72_hours or "
                "user.expires_in_48_hours or user.expires_in_24_hours or user.expired_24_hours_ago in "
                "place of user.expiration; listen to it instead: on: user.expiration finds it on every "
                "panel"
            ),
        ),
    ],
)
def test_a_doubt_about_a_text_is_a_warning_and_the_rule_loads(
    tmp_path: Path, on: str, text: str, expected: str
) -> None:
    found = printed(tmp_path, on, text)
    assert told(found.problems) == [f"rules.yaml:8:17: {expected}"]
    assert [problem.severity for problem in found.problems] == ["warning"]
    assert found.ruleset.rules


def test_every_place_of_a_rule_is_looked_at(tmp_path: Path) -> None:
    found = load_rule(
        tmp_path,
        "user.expired",
        """
        when: {any: [user.a1, {not: [user.a2]}]}
        per: user.a3
        do:
          - say: {text: hi}
            id: first
            when: user.a4
          - fetch:
              get: https://example.org/{{ user.a5 }}
              headers: {X-It: "{{ user.a6 }} {{ steps.first.text }} {{ steps.second.text }}"}
              json: "{a: user.a7}"
          - letter: {to: ["{{ user.a8 }}"], subject: x, attach: [{name: "{{ user.a9 }}"}]}
            id: second
          - after: {until: user.b1}
            cancel_on:
              - {on: user.renewed, when: user.b2 == origin.user.b3}
              - {on: [user.deleted, mine.done], when: user.b4}
            when: user.b5
            say: {text: "{{ user.b6 }}"}
          - after: 1h
            cancel_on: {on: node.deleted, when: user.b7}
            do:
              - after: 1h
                do: [{say: {text: "{{ user.b8 }} {{ steps.second.text }}"}}]
        """,
        "connections: {post: {kind: box, host: x}}\n",
    )
    places = {
        problem.message.rpartition(" ")[2]: (problem.line, problem.column)
        for problem in found.problems
        if "no panel version sends" in problem.message
    }
    text = (tmp_path / "rules.yaml").read_text(encoding="utf-8").splitlines()
    for path, (line, column) in places.items():
        assert path.rpartition(".")[2] in text[line - 1][column - 1 :]
    named = [
        f"user.{name}"
        for name in [
            "a1",
            "a2",
            "a3",
            "a4",
            "a5",
            "a6",
            "a7",
            "a8",
            "a9",
            "b1",
            "b2",
            "b5",
            "b6",
            "b8",
        ]
    ]
    assert set(places) == {*named, "origin.user.b3"}
    others = [
        str(problem.message) for problem in found.problems if "version" not in problem.message
    ]
    assert others == [
        'no earlier step of this rule has the id "second"',
        'no panel sends "mine.done"',
        "user.b7 is never there: these events have no user",
    ]
    assert found.ruleset.rules


def test_a_credential_that_is_kept_is_there(tmp_path: Path) -> None:
    head = "defaults: {keep_fields: [trojanPassword]}\n"
    found = load_condition(tmp_path, "user.expired", "data.trojanPassword", head)
    assert not found.problems


def test_the_mistakes_of_a_rule_that_is_broken_already_are_told_as_well(tmp_path: Path) -> None:
    body = "when: user.emial\nnope: 1\ndo:\n  - 5\n  - say: {text: '{{ user.tga }}'}"
    found = load_rule(tmp_path, "user.expired", body)
    assert [problem.code for problem in found.problems] == ["R035", "R007", "R009", "R035"]


def test_what_a_broken_condition_asks_for_is_not_guessed(tmp_path: Path) -> None:
    body = "when: user.email > 3\ndo: [{say: {text: '{{ user.email }}'}}]"
    found = load_rule(tmp_path, "user.expired", body)
    assert [problem.code for problem in found.problems] == ["R018"]
