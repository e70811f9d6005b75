"""Promise 11 on a real daemon: no secret in log, store, command, console or child."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from leaks.farside import echo, mail
from leaks.journey import (
    BEARER,
    DECOY,
    HEADER,
    LINK,
    RULES,
    SECRETS,
    SHELL,
    SMTP,
    Seen,
    Site,
    live,
)

from engine.sources.masking import forms


@pytest.fixture(scope="module", params=["json", "console"])
def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    """All that was seen of a daemon's life; the parameter is the format of its log."""
    folder = tmp_path_factory.mktemp("site")
    with echo() as http, mail() as mailbox:
        rules = RULES.format(host="127.0.0.1", http=http.port, mail=mailbox.port, folder=folder)
        site = Site(folder, rules=rules, format=request.param)
        site.furnish(http.port)
        seen = Seen(http.said, mailbox.said, mailbox.logins)
        seen.host = site.authority
        live(site, seen, whole=request.param == "json")
        yield seen


def _leaks(found: dict[str, str], values: tuple[str, ...]) -> set[tuple[str, str]]:
    """Which value stands where, in whatever form."""
    return {
        (name, form)
        for name, text in found.items()
        for value in values
        for form in forms(value)
        if form in text
    }


def test_no_secret_shows_in_the_log_the_commands_and_the_console(seen: Seen) -> None:
    assert _leaks(seen.public, SECRETS) == set()


def test_no_secret_lies_in_any_byte_of_the_journal(seen: Seen) -> None:
    assert _leaks(seen.stored, SECRETS) == set()
    assert LINK in "".join(seen.stored.values())


def test_a_host_that_is_secret_names_no_lane(seen: Seen) -> None:
    assert _leaks({**seen.public, **seen.stored}, (seen.host,)) == set()
    assert "http://{{ secret('authority') }}/" in "".join(seen.stored.values())


def test_private_fields_reach_the_far_side_and_are_masked_for_people(seen: Seen) -> None:
    assert any(LINK in said for said in seen.http)
    assert any(LINK in line for line in seen.mail)
    assert _leaks(seen.public, (LINK,)) == set()


def test_secrets_reach_the_far_side_from_the_first_place_that_has_them(seen: Seen) -> None:
    assert any(f"Bearer {BEARER}" in said for said in seen.http)
    assert any(HEADER in said for said in seen.http)
    assert any(f"\0fine\0{SMTP}" in line for line in seen.logins)
    assert not any(DECOY in said for said in (*seen.http, *seen.logins))


def test_what_tells_of_a_failure_holds_no_secret_of_it(seen: Seen) -> None:
    told = "".join(said for said in seen.http if "/told" in said)
    assert "535" in told
    assert "•••" in told
    assert not any(form in told for form in forms(SMTP))


def test_a_program_gets_its_own_secrets_and_none_of_the_daemons(seen: Seen) -> None:
    assert SHELL in seen.environ
    names = {part.partition("=")[0] for part in seen.environ.split("\0")}
    assert names <= {
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "PWD",
        "KEY",
        "NUMBER",
        "RULEWAVE_IDEMPOTENCY_KEY",
        "",
    }
    assert _leaks({"cmdline": seen.cmdline}, SECRETS) == set()
