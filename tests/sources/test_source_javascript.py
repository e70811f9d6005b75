"""Numbers and texts are written as the panel's own JSON.stringify writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel_deliveries import PanelDelivery, deliveries

from engine.sources.javascript import stringify


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.00001, "0.00001"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1.2345678901234568e20, "123456789012345680000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (197.8021978021978, "197.8021978021978"),
        (107374182400, "107374182400"),
        (float("nan"), '"NaN"'),
        (float("inf"), '"Infinity"'),
        (float("-inf"), '"-Infinity"'),
        (True, "true"),
        (None, "null"),
        ("/ \u2028 é 😀", '"/ \u2028 é 😀"'),
        ('"\\\n\x01\x7f', '"\\"\\\\\\n\\u0001\x7f"'),
        ("\ud83d", '"\\ud83d"'),
        ([], "[]"),
        ({"a": [1, {}], 2: (None,)}, '{"a":[1,{}],"2":[null]}'),
    ],
)
def test_it_is_written_the_javascript_way(value: Any, text: str) -> None:
    assert stringify(value) == text


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_the_bodies_of_panels_come_out_byte_for_byte(delivery: PanelDelivery) -> None:
    assert stringify(delivery.json()).encode() == delivery.body


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_float_loses_a_digit(value: float) -> None:
    assert float(json.loads(stringify(value))) == value
