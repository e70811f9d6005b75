"""Long texts become several messages: nothing lost, nothing too long, nothing cut in two."""

from __future__ import annotations

import re

import pytest
from bot_api import units, visible, well_formed
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.telegram.splitting import LIMIT, split

_RUNS = st.one_of(
    st.sampled_from(
        ["word ", "line\n", "\n", " ", "😀", "&amp;", "&lt;", "&#128512;", "&", ";", "é"]
    ),
    st.text("abc <>&\n😀ü", max_size=5).map(
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    ),
)


def _repeated(pair: tuple[str, int]) -> str:
    return pair[0] * pair[1]


_LEAF = st.tuples(_RUNS, st.integers(0, 3000)).map(_repeated)
_HTML = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        inner.map(lambda text: f"<b>{text}</b>"),
        inner.map(lambda text: f'<a href="https://example.org/?a=1&amp;b=2">{text}</a>'),
        inner.map(lambda text: f"<pre>{text}</pre>"),
    ),
    max_leaves=6,
)


def _without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


@settings(max_examples=60, deadline=None)
@given(_HTML)
def test_html_stays_whole_in_every_message(text: str) -> None:
    pieces = split(text, "html")
    assert all(0 < units(visible(piece)) <= LIMIT for piece in pieces)
    assert all(well_formed(piece) for piece in pieces)
    # A message of nothing but blanks is left out, so that they alone may be missing.
    told = "".join(visible(piece) for piece in pieces)
    assert _without_blanks(told) == _without_blanks(visible(text))


@settings(max_examples=60, deadline=None)
@given(st.lists(_LEAF, max_size=6).map("".join))
def test_plain_text_stays_as_it_is(text: str) -> None:
    pieces = split(text, "plain")
    assert all(0 < units(piece) <= LIMIT for piece in pieces)
    assert _without_blanks("".join(pieces)) == _without_blanks(text)


@pytest.mark.parametrize("format", ["html", "plain", "markdown"])
def test_nothing_is_missing_where_every_message_says_something(format: str) -> None:
    text = "".join(f"line number {number}\n" for number in range(2000))
    pieces = split(text, format)  # type: ignore[arg-type]
    assert "".join(pieces) == text
    assert all(piece.endswith("\n") for piece in pieces)
    assert len(pieces) == -(-len(text) // LIMIT)


def test_a_text_of_exactly_the_limit_is_one_message() -> None:
    assert split("<b>" + "&amp;" * LIMIT + "</b>", "html") == ["<b>" + "&amp;" * LIMIT + "</b>"]
    assert len(split("😀" * (LIMIT // 2), "plain")) == 1
    assert len(split("😀" * (LIMIT // 2) + "x", "plain")) == 2


def test_words_stay_whole_where_there_are_no_lines() -> None:
    pieces = split("word " * 1000, "plain")
    assert all(piece.endswith("word ") for piece in pieces)


def test_what_is_open_at_a_cut_is_opened_again() -> None:
    link = '<a href="https://example.org/">'
    first, second = split(f"<b>{link}{'x' * 5000}</a></b>", "html")
    assert first == f"<b>{link}{'x' * 4096}</a></b>"
    assert second == f"<b>{link}{'x' * 904}</a></b>"


def test_an_entity_that_telegram_does_not_know_counts_as_it_is_seen() -> None:
    pieces = split("&nbsp;" * 700, "html")
    assert [len(piece) for piece in pieces] == [4096, 104]


def test_markdown_is_cut_only_where_nothing_is_open() -> None:
    bold = f"*{'b' * 3000}*"
    assert split(f"{bold} {bold}", "markdown") == [bold + " ", bold]
    link = f"[{'x' * 3000}](https://example.org/)"
    assert split(link + link, "markdown") == [link, link]
    code = "`" + "*" * 3000 + "`"
    assert split(code + code, "markdown") == [code, code]
    escaped = r"\*" * 3000
    assert "".join(split(escaped, "markdown")) == escaped


def test_markdown_in_one_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="one piece"):
        split(f"*{'b' * 5000}*", "markdown")


@settings(max_examples=60, deadline=None)
@given(st.text("<>/ab\"'=& \n;#1", max_size=3).map(lambda text: text * 2000))
def test_what_is_not_html_at_all_is_cut_all_the_same(text: str) -> None:
    assert all(piece for piece in split(text, "html"))


def test_blanks_alone_are_no_message() -> None:
    assert split(" \n<b> </b>", "html") == []
