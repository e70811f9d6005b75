"""The log action, and how texts of strangers are made fit to print."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from actions.log import Log, LogParams
from engine.action import Call, json_or_none, printable


def logged(**params: str) -> dict[str, object]:
    with capture_logs() as lines:
        assert asyncio.run(Log().run(LogParams(**params), Call("k"))) == {}
    (line,) = lines
    return dict(line)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_text_is_logged_at_its_level(level: str) -> None:
    line = {"event": "action.log", "text": "hello", "log_level": level}
    assert logged(text="hello", level=level) == line


def test_the_level_is_info_unless_said() -> None:
    assert logged(text="x")["log_level"] == "info"
    with pytest.raises(ValidationError):
        LogParams(text="x", level="fatal")


def test_a_text_cannot_forge_lines_or_colours() -> None:
    text = "one\ntwo\r\x1b[31mred\x00\u202egnol\u2028 grün"
    shown = "one\\ntwo\\r\\x1b[31mred\\x00\\u202egnol\\u2028 grün"
    assert logged(text=text)["text"] == shown


def test_private_words_are_masked() -> None:
    call = Call("k", mask=lambda text: text.replace("https://sub.example/x", "***"))
    with capture_logs() as lines:
        asyncio.run(Log().run(LogParams(text="see https://sub.example/x"), call))
    assert lines[0]["text"] == "see ***"


def test_a_long_text_is_cut() -> None:
    assert len(str(logged(text="x" * 100_000)["text"])) == 8 * 1024


def test_a_description_is_one_line() -> None:
    assert Log().describe(LogParams(text="a\nb")) == "log info: a\\nb"
    assert Log().safe_to_repeat(LogParams(text="a"))


def test_printable_marks_what_it_cut() -> None:
    assert printable("abcdef", 4) == "abc…"
    assert printable("abcd", 4) == "abcd"


@pytest.mark.parametrize("text", ["", "{", "NaN", '"\\udc00"', "[" * 200_000, "1" * 9999])
def test_what_is_no_json_that_can_be_stored_is_none(text: str) -> None:
    assert json_or_none(text) is None


def test_json_is_read() -> None:
    assert json_or_none(' {"a": [1, "\\ud83d\\ude00"]} ') == {"a": [1, "😀"]}
