"""What may stand where in an event, over all panel versions."""

from __future__ import annotations

import pytest

from engine.sources import contract, outlook
from engine.sources.contract import FIRST, FUTURE, Shape


def at(event_type: str, path: str) -> Shape:
    """What may stand at a path of such an event."""
    found = outlook.outlook(outlook.scopes((event_type,)))
    for part in path.split("."):
        found = found.fields[part]
    return found


@pytest.mark.parametrize(
    ("event_type", "path", "kinds", "nullable", "versions"),
    [
        ("user.expired", "data.username", {"text"}, False, "of every version"),
        ("user.expired", "data.expireAt", {"time"}, False, "of every version"),
        ("user.expired", "data.email", {"text"}, True, "of every version"),
        ("user.expired", "data.usedTrafficBytes", {"digits"}, False, "before 2.3.0"),
        ("user.expired", "data.trafficLimitBytes", {"digits", "number"}, False, "of every version"),
        ("user.expired", "data.userTraffic", {"object"}, False, "2.3.0 and later"),
        ("user.expired", "data.uuid", {"text"}, False, "before 3.0.0"),
        ("user.expired", "data.subLastUserAgent", {"text"}, True, "before 2.6.5"),
        ("user.expired", "user.usedTrafficBytes", {"number"}, False, "of every version"),
        ("user.expired", "user.trafficLimitBytes", {"number"}, False, "of every version"),
        ("user.expired", "user.id", {"number"}, True, "2.3.0 and later"),
        ("user.expired", "user.subscriptionUuid", {"text"}, False, "before 2.0.0"),
        ("node.modified", "node.versions", {"object"}, True, "2.7.0 and later"),
        ("node.modified", "node.consumptionMultiplier", {"number"}, False, "of every version"),
    ],
)
def test_a_path_has_the_types_of_all_generations_and_the_versions_that_send_it(
    event_type: str, path: str, kinds: set[str], nullable: bool, versions: str
) -> None:
    found = at(event_type, path)
    assert (found.kinds, found.nullable) == (kinds, nullable)
    assert contract.spelt(found.spans) == versions


def test_a_name_and_its_alias_are_sent_by_the_same_versions() -> None:
    both = outlook.scopes(("user.expiration",))
    assert outlook.scopes(("user.expires_in_24_hours",)) == both
    assert both == (("user", (FIRST, FUTURE)),)


def test_an_event_without_a_user_has_none_and_of_an_unknown_one_nothing_is_known() -> None:
    assert at("node.modified", "user").absent
    assert at("mine.done", "user").open
    assert at("mine.done", "data").open


def test_spans_that_touch_are_one() -> None:
    assert contract.join([((2, 0, 0), FUTURE), (FIRST, (2, 0, 0))]) == ((FIRST, FUTURE),)
    assert not contract.covers([(FIRST, (2, 0, 0))], [(FIRST, FUTURE)])
