"""The catalogue knows which panel sends what."""

from __future__ import annotations

import pytest
from panel_deliveries import PANELS

from engine.errors import UserError
from engine.sources import catalogue


def test_the_shipped_catalogue_is_the_one_that_was_researched() -> None:
    assert catalogue._FILE.read_bytes() == (PANELS / "catalogue.json").read_bytes()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.5.6", (1, 5, 6)),
        ("2.2", (2, 2, 6)),
        ("2.8", (2, 8, 1)),
        ("3.3", (3, 3, 2)),
        ("3", (3, 3, 2)),
        ("9.9", (9, 9, 0)),
    ],
)
def test_a_version_without_a_patch_is_its_newest(text: str, version: catalogue.Version) -> None:
    assert catalogue.version(text) == version


@pytest.mark.parametrize("text", ["", "v3", "3.", "3.3.2.1", "３", "99999"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no panel version"):
        catalogue.version(text)


@pytest.mark.parametrize(
    ("payload", "version", "generation"),
    [
        ("user", "0.6.0", "v1"),
        ("user", "1.5.6", "v1"),
        ("user", "1.6", "v1.6"),
        ("user", "2.2", "v2.0"),
        ("user", "2.8", "v2.3"),
        ("user", "3.3", "v2"),
        ("node", "2.4", "v2.0"),
        ("node", "2.6", "v2.5"),
        ("node", "2.7", "v2"),
        ("envelope", "2.4", "v1"),
        ("envelope", "2.5", "v2"),
        ("torrent_blocker", "3.3", "v2"),
    ],
)
def test_each_version_has_its_generation(payload: str, version: str, generation: str) -> None:
    assert catalogue.generation(payload, catalogue.version(version)) == generation


def test_fields_know_from_when_till_when_they_are_sent() -> None:
    fields = {field.name: field for field in catalogue.fields("user", "v2.3")}
    assert fields["subLastUserAgent"].is_in((2, 6, 4))
    assert not fields["subLastUserAgent"].is_in((2, 7, 0))
    node = {field.name: field for field in catalogue.fields("node", "v2.0")}
    assert not node["tags"].is_in((2, 2, 6))
    assert node["tags"].is_in((2, 3, 0))


def test_events_that_no_panel_ever_sent_are_marked() -> None:
    events = catalogue.events()
    assert not events["node.restarted"].emitted
    assert events["node.created"].emitted
    assert events["user.expires_in_24_hours"].span() == "1.5.0 to before 2.8.0"
