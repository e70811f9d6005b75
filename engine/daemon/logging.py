"""Log lines: one fact each, JSON for machines, plain text on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from engine.rehearsal.silence import drop_rehearsed

Fact = MutableMapping[str, Any]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))}
_TRACE_CONTROL = {number: text for number, text in _CONTROL.items() if number != ord("\n")}


def configure_logging(
    format: str, level: str, mask: Callable[[str], str] | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog, and send the libraries' warnings the same way.

    Args:
        format: auto, console or json.
        level: the least level that is written.
        mask: masks secrets in a text.
    """
    out = stream or sys.stderr
    plain = format == "console" or (format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        drop_rehearsed,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _Masker(mask),
    ]
    renderer: structlog.typing.Processor = _plain
    if not plain:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


class _Masker:
    """The last one before the line is written: no secret, no terminal escape."""

    def __init__(self, mask: Callable[[str], str] | None) -> None:
        self._mask = mask

    def __call__(self, _logger: Any, _method: str, fact: Fact) -> dict[str, Any]:
        return {key: self._clean(value) for key, value in fact.items() if value is not None}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask(value) if self._mask else value
        if isinstance(value, Mapping):
            return {self._clean(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, int | float):
            return value
        return self._clean(str(value))


def _plain(_logger: Any, _method: str, fact: Fact) -> str:
    moment, level, event = (fact.pop(key, "") for key in ("timestamp", "level", "event"))
    trace = fact.pop("exception", None)
    rest = " ".join(f"{key}={_shown(value)}" for key, value in fact.items())
    line = f"{moment} {level:<7} {event} {rest}".rstrip()
    return f"{line}\n{str(trace).translate(_TRACE_CONTROL)}" if trace else line


def _shown(value: Any) -> str:
    text = str(value).translate(_CONTROL)
    return f'"{text}"' if " " in text or not text else text


class _Bridge(logging.Handler):
    """What libraries log becomes a fact of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        level = record.levelname.lower()
        log.log(
            _LEVELS.get(level, 40), "library.log", library=record.name, text=record.getMessage(),
            exc_info=record.exc_info,
        )  # fmt: skip
