"""Log lines: one fact each, no secret, no terminal escape, libraries included."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.daemon.logging import configure_logging


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    structlog.reset_defaults()
    root.handlers[:] = before[1]
    root.setLevel(before[0])


def _fail(text: str) -> None:
    raise ValueError(text)


def _facts(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_fact_is_one_line_of_json_for_machines() -> None:
    out = io.StringIO()
    configure_logging("auto", "info", stream=out)
    structlog.get_logger("x").info("run.step", run="r1", text="Анна\n2", empty=None, n=5)
    (fact,) = _facts(out)
    assert fact.pop("timestamp").endswith("Z")
    assert fact == {
        "event": "run.step", "level": "info", "run": "r1", "text": "Анна\n2", "n": 5,
    }  # fmt: skip
    assert "Анна" in out.getvalue()


def test_a_fact_is_plain_text_for_people() -> None:
    out = Terminal()
    configure_logging("auto", "info", stream=out)
    structlog.get_logger().warning("run.dead", reason="time out", empty="", n=1)
    line = out.getvalue().split(" ", 1)[1]
    assert line == 'warning run.dead reason="time out" empty="" n=1\n'


@pytest.mark.parametrize(("format", "is_json"), [("json", True), ("console", False)])
def test_the_format_may_be_said(format: str, is_json: bool) -> None:
    out = Terminal() if is_json else io.StringIO()
    configure_logging(format, "info", stream=out)
    structlog.get_logger().info("x")
    assert out.getvalue().startswith("{") is is_json


def test_what_is_below_the_level_is_not_written() -> None:
    out = io.StringIO()
    configure_logging("json", "warning", stream=out)
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")
    assert [fact["event"] for fact in _facts(out)] == ["loud"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_secret_is_written_wherever_it_lies(format: str) -> None:
    out = io.StringIO()
    configure_logging(format, "info", lambda text: text.replace("hunter2", "***"), out)
    log = structlog.get_logger()
    log.info("x", text="a hunter2 b", listed=["hunter2", 1], mapped={"hunter2": {"in": "hunter2"}})
    log.info("y", error=ValueError("hunter2"), path=Path("hunter2"))
    try:
        _fail("hunter2")
    except ValueError:
        log.exception("failed")
    logging.getLogger("lib").warning("with %s", "hunter2")
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("***") >= 6


def test_no_terminal_escape_is_written_for_people() -> None:
    out = Terminal()
    configure_logging("auto", "info", stream=out)
    log = structlog.get_logger()
    log.info("x", name="\x1b[31mred\x9b\nnew line")
    try:
        _fail("\x1b[2J")
    except ValueError:
        log.exception("failed")
    assert "\x1b" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
    assert r'name="\x1b[31mred\x9b\x0anew line"' in out.getvalue()
    assert r"ValueError: \x1b[2J" in out.getvalue()
    assert "Traceback (most recent call last):\n" in out.getvalue()


def test_what_libraries_warn_of_becomes_a_fact() -> None:
    out = io.StringIO()
    configure_logging("json", "info", stream=out)
    library = logging.getLogger("some.library")
    library.info("not this")
    library.warning("slow: %d s", 5)
    library.log(45, "odd level")
    try:
        _fail("inside")
    except ValueError:
        library.exception("failed")
    slow, odd, failed = _facts(out)
    assert (slow["event"], slow["level"], slow["library"], slow["text"]) == (
        "library.log", "warning", "some.library", "slow: 5 s",
    )  # fmt: skip
    assert odd["text"] == "odd level"
    assert "ValueError: inside" in failed["exception"]
