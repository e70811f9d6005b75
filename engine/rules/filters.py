"""The filters of templates: dates, spans, sizes, JSON, and the one that replaces null."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from engine.clock import SECOND, to_datetime
from engine.errors import CouldNotEvaluate
from engine.rules.durations import spoken
from engine.rules.functions import moment
from engine.rules.wording import shown

TIMEZONE = "_timezone"
_GIB = 1024**3
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@pass_context
def date(
    context: Context,
    value: Any,
    format: str = "%Y-%m-%d %H:%M",
    timezone: str | None = None,
    locale: str | None = None,
) -> str:
    """A time as text in the given strftime format.

    `{{ user.expireAt | date('%d.%m.%Y', timezone='Europe/Berlin') }}`; without `timezone`, in that of the rule. With `locale='ru'` the names of days and months are of that language. Takes ISO texts and seconds since 1970.
    """
    zone = _zone(timezone or str(context.get_all().get(TIMEZONE, "UTC")))
    try:
        moment = to_datetime(_moment(value, "date")).astimezone(zone)
        return moment.strftime(_in_words(format, moment, locale) if locale else format)
    except (OverflowError, ValueError) as error:
        raise CouldNotEvaluate(f"date: {shown(value)} cannot be shown: {error}") from error


def _in_words(format: str, moment: datetime, locale: str) -> str:
    """The format with the names of days and months as that language has them."""
    # Imported here: it is big, and few rules need it.
    from babel import Locale, UnknownLocaleError, dates

    try:
        language = Locale.parse(locale, sep="-" if "-" in locale else "_")
    except (UnknownLocaleError, ValueError) as error:
        message = f"date: there is no locale {shown(locale)}; write one like de or pt_BR"
        raise CouldNotEvaluate(message) from error
    names: dict[str, Callable[[], Any]] = {
        "A": lambda: dates.get_day_names("wide", locale=language)[moment.weekday()],
        "a": lambda: dates.get_day_names("abbreviated", locale=language)[moment.weekday()],
        "B": lambda: dates.get_month_names("wide", locale=language)[moment.month],
        "b": lambda: dates.get_month_names("abbreviated", locale=language)[moment.month],
        "x": lambda: dates.format_date(moment, "short", locale=language),
        "X": lambda: dates.format_time(moment, "short", tzinfo=moment.tzinfo, locale=language),
        "c": lambda: dates.format_datetime(moment, "medium", tzinfo=moment.tzinfo, locale=language),
    }

    def named(found: re.Match[str]) -> str:
        name = names.get(found[1])
        return str(name()).replace("%", "%%") if name else found[0]

    return re.sub(r"%(.)", named, format)


@pass_context
def ago(context: Context, value: Any) -> str:
    """Seconds as `5 minutes`; a time as `5 minutes ago` or `in 5 minutes`, seen from now."""
    if _is_number(value):
        return spoken(round(value * SECOND))
    distance = moment(context.get_all().get("now"), "now") - moment(value, "ago")
    return f"{spoken(distance)} ago" if distance >= 0 else f"in {spoken(-distance)}"


def gib(value: Any) -> str:
    """Bytes as a number of GiB, at most two decimals, without the unit: `10`, `1.5`."""
    return _short(_number(value, "gib") / _GIB)


def human_bytes(value: Any) -> str:
    """Bytes in the unit that reads best: `512 B`, `1.5 GiB`."""
    number = float(_number(value, "human_bytes"))
    unit = 0
    while abs(number) >= 1024 and unit < len(_SIZES) - 1:  # noqa: PLR2004  # that is what Ki means
        number, unit = number / 1024, unit + 1
    return f"{_short(number)} {_SIZES[unit]}"


def tojson(value: Any, indent: int | None = None) -> str:
    """The value as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise CouldNotEvaluate(f"tojson: {error}") from error


def urlquote(value: Any) -> str:
    """The text safe inside a URL: everything but letters, digits and `_.-~` is encoded."""
    return quote(str(value), safe="")


def default(value: Any, instead: Any = "", also_empty: bool = False) -> Any:
    """`instead` where the value is null or there is none; with `also_empty`, where it is empty."""
    if value is None or isinstance(value, Undefined) or (also_empty and not value):
        return instead
    return value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "date": date,
    "ago": ago,
    "gib": gib,
    "human_bytes": human_bytes,
    "tojson": tojson,
    "urlquote": urlquote,
}


def _moment(value: Any, of: str) -> int:
    return round(value * SECOND) if _is_number(value) else moment(value, of)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any, of: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise CouldNotEvaluate(f"{of}: {shown(value)} is no number") from error


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise CouldNotEvaluate(f"date: there is no time zone {shown(name)}") from error


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
