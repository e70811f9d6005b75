"""A body is a JSON object with an event, or it is malformed: nothing else can come out."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel_deliveries import PanelDelivery, deliveries

from engine.sources.body import MAX_DEPTH, Malformed, parse


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    """A body whose data makes it so many levels deep in all."""
    inner = levels - 1
    return f'{{"event":"a.b","data":{opening * inner}{closing * inner}}}'.encode()


def nested_objects(levels: int) -> bytes:
    return nested(levels, opening='{"a":', closing="}").replace(b":}", b":1}", 1)


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_every_body_of_a_panel_parses_to_what_was_sent(delivery: PanelDelivery) -> None:
    assert parse(delivery.body) == delivery.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "not_json", id="empty"),
        pytest.param(b"   ", "not_json", id="blank"),
        pytest.param(b"event=user.created", "not_json", id="a form"),
        pytest.param(b'{"event":"a.b"', "not_json", id="cut short"),
        pytest.param(b'{"event":"a.b"}{}', "not_json", id="two values"),
        pytest.param(b"{'event':'a.b'}", "not_json", id="single quotes"),
        pytest.param(b'{"event":"a\nb"}', "not_json", id="raw line break"),
        pytest.param(b'{"event":"a.b","n":NaN}', "not_json", id="NaN"),
        pytest.param(b'{"event":"a.b","n":-Infinity}', "not_json", id="Infinity"),
        pytest.param(b'{"event":"a.b","n":1e400}', "number_too_large", id="1e400"),
        pytest.param(b'{"event":"a.b","n":-1e400}', "number_too_large", id="-1e400"),
        pytest.param(
            b'{"event":"a.b","n":' + b"9" * 400 + b"}", "number_too_large", id="400 digits"
        ),
        pytest.param(
            b'{"event":"a.b","n":' + b"9" * 9000 + b"}", "number_too_large", id="9000 digits"
        ),
        pytest.param(b'\xff{"event":"a.b"}', "not_utf8", id="0xff"),
        pytest.param(b'{"event":"a.b","x":"\xed\xa0\xbd"}', "not_utf8", id="raw surrogate"),
        pytest.param('{"event":"a.b"}'.encode("utf-16"), "not_utf8", id="UTF-16"),
        pytest.param('{"event":"a.b"}'.encode("utf-8-sig"), "byte_order_mark", id="BOM"),
        pytest.param(b'["event"]', "not_an_object", id="a list"),
        pytest.param(b'"event"', "not_an_object", id="a text"),
        pytest.param(b"null", "not_an_object", id="null"),
        pytest.param(b"{}", "no_event", id="no event"),
        pytest.param(b'{"event":null}', "no_event", id="event null"),
        pytest.param(b'{"event":7}', "no_event", id="event a number"),
        pytest.param(b'{"event":""}', "no_event", id="event empty"),
        pytest.param(b'{"event":["a.b"]}', "no_event", id="event a list"),
        pytest.param(b'{"event":"a\\u0000b"}', "bad_event", id="NUL in event"),
        pytest.param(b'{"event":"a\\nb"}', "bad_event", id="line break in event"),
        pytest.param(b'{"event":"' + b"a" * 201 + b'"}', "bad_event", id="event too long"),
        pytest.param(nested(MAX_DEPTH + 1), "too_deep", id="101 lists"),
        pytest.param(nested_objects(MAX_DEPTH + 1), "too_deep", id="101 objects"),
        pytest.param(nested(100_000), "too_deep", id="100,000 lists"),
        pytest.param(nested_objects(100_000), "too_deep", id="100,000 objects"),
        pytest.param(b"[" * 100_000, "too_deep", id="only opening brackets"),
    ],
)
def test_a_hostile_body_is_malformed(body: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        parse(body)
    assert (refusal.value.code, refusal.value.status) == (code, 400)


@pytest.mark.parametrize("body", [nested(MAX_DEPTH), nested_objects(MAX_DEPTH)])
def test_a_hundred_levels_are_accepted(body: bytes) -> None:
    assert parse(body)["event"] == "a.b"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse(b'{"event":"a.b","data":[' + b",".join([b"[]"] * 500) + b"]}")["event"] == "a.b"


def test_a_long_event_type_just_within_the_bound_is_accepted() -> None:
    assert len(parse(b'{"event":"' + b"a" * 200 + b'"}')["event"]) == 200


def test_large_numbers_that_a_float_can_hold_are_accepted() -> None:
    parsed = parse(b'{"event":"a.b","n":' + b"9" * 308 + b',"f":1.5e308}')
    assert float(parsed["n"]) < sys.float_info.max
    assert parsed["f"] == 1.5e308


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud83d", "�"),
        (r"\uDE00", "�"),
        (r"\ud83d\ude00", "😀"),
        (r"\uD83D\uDE00", "😀"),
        (r"\ud83d\ud83d\ude00", "�😀"),
        (r"\ude00\ud83d", "��"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\�"),
        (r"\ud83dx\u0041\n", "�xA\n"),
    ],
)
def test_half_characters_are_replaced_in_keys_and_values(written: str, read: str) -> None:
    parsed = parse(f'{{"event":"a.b","data":{{"{written}":["{written}"]}}}}'.encode())
    assert parsed["data"] == {read: [read]}


def test_of_a_doubled_key_the_last_wins() -> None:
    assert parse(b'{"event":"a.b","event":"c.d"}') == {"event": "c.d"}


@pytest.mark.parametrize(
    "rest", ["", ',"data":null', ',"data":[1]', ',"data":"x"', ',"scope":7,"unknown":{}']
)
def test_data_may_be_missing_or_anything_and_unknown_events_pass(rest: str) -> None:
    assert parse(f'{{"event":"never.heard_of"{rest}}}'.encode())["event"] == "never.heard_of"


def test_the_refusal_does_not_carry_the_body_along() -> None:
    with pytest.raises(Malformed) as refusal:
        parse(b'{"password":"hunter2",}')
    error: BaseException | None = refusal.value
    assert "hunter2" not in str(error)
    assert refusal.value.__context__ is None


@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda t: b'{"event":' + t.encode()))
def test_whatever_the_bytes_nothing_but_malformed_comes_out(body: bytes) -> None:
    try:
        parsed = parse(body)
    except Malformed:
        return
    assert isinstance(parsed["event"], str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_of_any_shape_comes_through_unchanged(data: object) -> None:
    body = json.dumps({"event": "a.b", "data": data}).encode()
    assert parse(body) == {"event": "a.b", "data": data}
