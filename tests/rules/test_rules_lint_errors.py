"""What the linter finds that keeps a rule from loading, with the right spelling."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruletools import load_condition, told

ERRORS = [
    (
        "user.expired",
        "user.expireAt < now",
        (
            "R029 < and > compare user.expireAt by alphabet, not as a time or number; "
            "write time(user.expireAt) and time(now)"
        ),
    ),
    (
        "user.expired",
        "lower(user.username) > upper(user.status)",
        "R029 < and > compare this text by alphabet, not as a time or number",
    ),
    (
        "user.expired",
        "data.usedTrafficBytes > data.lifetimeUsedTrafficBytes",
        (
            "R029 < and > compare data.usedTrafficBytes by alphabet, not as a time or number; "
            "write user.usedTrafficBytes and user.lifetimeUsedTrafficBytes"
        ),
    ),
    (
        "user.expired",
        (
            "default(data.usedTrafficBytes, data.userTraffic.usedTrafficBytes) > `5` && "
            "!(user.hwidDeviceLimit < `3`)"
        ),
        (
            "R034 user.hwidDeviceLimit may be null, which makes this true under not; "
            "ask for it as well: user.hwidDeviceLimit != `null` && …"
        ),
    ),
    (
        "node.modified",
        "!(user || node.usedPercent >= `80`)",
        (
            "R034 node.usedPercent may be null, which makes this true under not; "
            "ask for it as well: node.usedPercent != `null` && …"
        ),
    ),
    (
        "user.expired",
        "!(previous.user.usedTrafficBytes > `0`)",
        (
            "R034 previous.user.usedTrafficBytes may be null, which makes this true under not; "
            "ask for it as well: previous.user.usedTrafficBytes != `null` && …"
        ),
    ),
    (
        "user.expired",
        "user.status == `3`",
        "R033 user.status is a text, and is compared with a number; write '3' for the text",
    ),
    (
        "user.expired",
        "user.trafficLimitBytes == '0'",
        'R033 "0" is a text, and is compared with a number; write `0` for the number',
    ),
    (
        "user.expired",
        "user.expireAt > `5`",
        "R033 user.expireAt is a text, and is compared with a number; write time(user.expireAt)",
    ),
    (
        "user.expired",
        "`5` != lower(user.tag)",
        "R033 this is a text, and is compared with a number; write '5' for the text",
    ),
    (
        "user.expired",
        "user.activeInternalSquads[?name == `1`]",
        (
            "R033 user.activeInternalSquads[].name is a text, and is compared with a number; "
            "write '1' for the text"
        ),
    ),
]


@pytest.mark.parametrize(("on", "condition", "expected"), ERRORS)
def test_an_error_keeps_the_rule_out_and_shows_the_right_spelling(
    tmp_path: Path, on: str, condition: str, expected: str
) -> None:
    found = load_condition(tmp_path, on, condition)
    errors = told(found.errors)
    assert errors == [f"rules.yaml:5:11: {expected}"]
    assert found.broken == {"r"}
