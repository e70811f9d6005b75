"""The settings: from options and environment, every mistake at once, secrets from three places."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.clock import DAY, HOUR, SECOND
from engine.errors import UserError
from engine.settings import (
    Settings,
    credentials_folder,
    read_places,
    read_secrets,
    read_settings,
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*os.environ]:
        if name.startswith("RULEWAVE_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _read(**options: Any) -> Settings:
    return read_settings(os.environ, {"webhook_secret": "s3cret", **options})


def test_everything_but_the_secret_has_a_default() -> None:
    settings = _read()
    assert settings.listen == "127.0.0.1:8787"
    assert settings.console_listen == "127.0.0.1:8788"
    assert settings.database == "sqlite:////var/lib/rulewave/rulewave.db"
    assert settings.rules == Path("/etc/rulewave/rules.yaml")
    assert settings.secrets_dir == Path("/etc/rulewave/secrets")
    assert (settings.max_body, settings.max_backlog) == (2**20, 1_000_000)
    assert (settings.max_age, settings.retention) == (30 * DAY, 30 * DAY)
    assert (settings.log_format, settings.log_level) == ("auto", "info")
    assert settings.allow_private_targets
    assert settings.console_password is None


def test_rules_in_the_current_folder_are_taken_where_none_are_named() -> None:
    Path("rules.yaml").touch()
    assert _read().rules == Path("rules.yaml")
    assert _read(rules="/srv/rules").rules == Path("/srv/rules")


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEWAVE_LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("RULEWAVE_MAX_BODY", "2MiB")
    settings = _read(listen="127.0.0.1:2", max_body=None)
    assert (settings.listen, settings.max_body) == ("127.0.0.1:2", 2 * 2**20)


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("1024", 1024), ("2KiB", 2048), ("1 mib", 2**20), ("1GiB", 2**30), ("500kb", 500_000),
     ("3MB", 3_000_000), ("2048b", 2048), (" 1MiB ", 2**20), ("1GB", 10**9)],
)  # fmt: skip
def test_a_size_is_a_number_with_a_unit(text: str, bytes: int) -> None:
    assert _read(max_body=text).max_body == bytes


@pytest.mark.parametrize("text", ["", "1.5MiB", "-1", "many", "1TiB", "1MiBs"])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        _read(max_body=text)
    assert str(refused.value) == (
        "RULEWAVE_MAX_BODY (--max-body): write a size such as 1MiB or 500KiB"
    )


@pytest.mark.parametrize("text", ["1023", "2GiB"])
def test_a_size_beyond_reason_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"RULEWAVE_MAX_BODY .* should be (greater|less) than"):
        _read(max_body=text)


@pytest.mark.parametrize(
    ("text", "span"),
    [("30d", 30 * DAY), ("12h", 12 * HOUR), ("90s", 90 * SECOND), ("1.5h", 90 * 60 * SECOND),
     ("1w", 7 * DAY), ("off", None), ("OFF ", None)],
)  # fmt: skip
def test_a_span_is_a_duration_or_off(text: str, span: int | None) -> None:
    settings = _read(max_age=text, retention=text)
    assert (settings.max_age, settings.retention) == (span, span)


@pytest.mark.parametrize("text", ["30", "1.5", "0s", "-5m", "soon", ""])
def test_another_span_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write a duration such as 30d, 12h or 90s, or off"):
        _read(max_age=text)


def test_a_span_given_as_a_number_is_microseconds() -> None:
    assert _read(max_age=5).max_age == 5


def test_all_mistakes_are_told_at_once_each_with_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEWAVE_MAX_BODY", "huge")
    monkeypatch.setenv("RULEWAVE_LOG_LEVEL", "loud")
    monkeypatch.setenv("RULEWAVE_MAX_BACKLOG", "0")
    monkeypatch.setenv("RULEWAVE_ROLE", "worker")
    monkeypatch.setenv("RULEWAVE_ALLOW_PRIVATE_TARGETS", "perhaps")
    with pytest.raises(UserError) as refused:
        read_settings(os.environ, {"retention": "x"})
    lines = str(refused.value).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == [
        "RULEWAVE_ALLOW_PRIVATE_TARGETS (--allow-private-targets)",
        "RULEWAVE_LOG_LEVEL (--log-level)",
        "RULEWAVE_MAX_BACKLOG (--max-backlog)",
        "RULEWAVE_MAX_BODY (--max-body)",
        "RULEWAVE_RETENTION (--retention)",
        "RULEWAVE_ROLE (--role)",
        "RULEWAVE_WEBHOOK_SECRET (--webhook-secret)",
    ]


def test_levels_and_formats_are_read_in_any_case() -> None:
    settings = _read(log_level="WARNING", log_format="Json")
    assert (settings.log_level, settings.log_format) == ("warning", "json")


def test_a_missing_secret_is_told_with_where_it_comes_from() -> None:
    with pytest.raises(UserError, match="WEBHOOK_SECRET_HEADER, here or in the systemd credential"):
        read_settings(os.environ)


@pytest.mark.parametrize("text", ["a,,b", ",", "a, "])
def test_an_empty_secret_among_others_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="an empty secret would let everybody in"):
        _read(webhook_secret=text)


def test_several_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEWAVE_WEBHOOK_SECRET", "new, old")
    assert read_settings(os.environ).webhook_secret == ("new", "old")
    assert read_secrets(None) == ("new", "old")
    assert read_secrets("given") == ("given",)
    assert _read(webhook_secret=["a", "b"]).webhook_secret == ("a", "b")


def test_the_secret_may_be_a_credential_of_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "webhook_secret").write_text("from the credential\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credentials_folder(os.environ) == tmp_path
    assert read_settings(os.environ).webhook_secret == ("from the credential",)
    monkeypatch.setenv("RULEWAVE_WEBHOOK_SECRET", "from the environment")
    assert read_settings(os.environ).webhook_secret == ("from the environment",)
    assert _read().webhook_secret == ("s3cret",)


def test_a_credential_that_cannot_be_read_is_told_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "webhook_secret").write_bytes(b"\xff\xfe secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(UserError, match="webhook_secret can't be read"):
        read_settings(os.environ)


def test_without_credentials_there_is_no_folder_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert credentials_folder({}) is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(UserError, match="no webhook secret is set"):
        read_settings(os.environ)


def test_no_mistake_and_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEWAVE_CONSOLE_PASSWORD", "pass-word-7")
    assert "s3cret" not in repr(_read())
    assert "pass-word-7" not in repr(_read())
    with pytest.raises(UserError) as refused:
        _read(webhook_secret="s3cret,,", max_body="x")
    assert "s3cret" not in str(refused.value)


def test_commands_need_no_secret_to_know_where_things_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULEWAVE_DATABASE", "sqlite:///here.db")
    places = read_places({"rules": "mine.yaml", "listen": None})
    assert (places.database, places.rules) == ("sqlite:///here.db", Path("mine.yaml"))
    assert places.listen == "127.0.0.1:8787"


def test_addresses_are_judged_with_everything_else() -> None:
    wrong = {"listen": "nonsense", "console_listen": ":99999", "database": "mysql://x"}
    with pytest.raises(UserError) as refused:
        read_settings({}, {"webhook_secret": "s" * 32, **wrong})
    told = str(refused.value).splitlines()
    assert [line.partition(" ")[0] for line in told] == [
        "RULEWAVE_DATABASE",
        "RULEWAVE_LISTEN",
        "RULEWAVE_CONSOLE_LISTEN",
    ]
    assert "'nonsense' is no address to listen on" in told[1]
