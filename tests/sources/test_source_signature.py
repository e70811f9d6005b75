"""Only who knows the secret gets in, and no bytes get anything but a refusal."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panel_deliveries import PanelDelivery, deliveries

from engine.sources.signature import Refused, sign, verify

SECRET = "aSecretOfSome32CharactersOrMore00"
BODY = '{"event":"user.created","note":"Привет"}'.encode()
GOOD = sign(BODY, SECRET).encode()
NAME = b"X-Remnawave-Signature"


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_every_delivery_of_a_panel_verifies_byte_for_byte(delivery: PanelDelivery) -> None:
    verify(delivery.headers, delivery.body, [delivery.secret])


@pytest.mark.parametrize("delivery", deliveries(), ids=lambda d: d.name)
def test_one_changed_byte_is_refused(delivery: PanelDelivery) -> None:
    with pytest.raises(Refused) as refusal:
        verify(delivery.headers, delivery.body + b" ", [delivery.secret])
    assert refusal.value.code == "signature_wrong"


@pytest.mark.parametrize(
    ("values", "code", "status"),
    [
        pytest.param([], "signature_missing", 401, id="missing"),
        pytest.param([b""], "signature_malformed", 401, id="empty"),
        pytest.param([GOOD[:32]], "signature_malformed", 401, id="partial"),
        pytest.param([GOOD[:-1]], "signature_malformed", 401, id="63 digits"),
        pytest.param([GOOD + b"0"], "signature_malformed", 401, id="65 digits"),
        pytest.param([b" " + GOOD], "signature_malformed", 401, id="space before"),
        pytest.param([GOOD + b" "], "signature_malformed", 401, id="space after"),
        pytest.param([GOOD + b"\n"], "signature_malformed", 401, id="line break after"),
        pytest.param([b"g" * 64], "signature_malformed", 401, id="not hex"),
        pytest.param([b"\xff" * 64], "signature_malformed", 401, id="0xff"),
        pytest.param(["é".encode() * 32], "signature_malformed", 401, id="non-ASCII"),
        pytest.param(["٣".encode() * 64], "signature_malformed", 401, id="Arabic digits"),
        pytest.param([b"sha256=" + GOOD], "signature_malformed", 401, id="prefixed"),
        pytest.param([b"0" * 64], "signature_wrong", 401, id="wrong"),
        pytest.param([GOOD, GOOD], "signature_doubled", 400, id="twice the same"),
        pytest.param([b"0" * 64, GOOD], "signature_doubled", 400, id="wrong, then right"),
    ],
)
def test_a_signature_that_is_not_exactly_one_right_one_is_refused(
    values: list[bytes], code: str, status: int
) -> None:
    with pytest.raises(Refused) as refusal:
        verify([(NAME, value) for value in values], BODY, [SECRET])
    assert (refusal.value.code, refusal.value.status) == (code, status)


@pytest.mark.parametrize("name", [NAME, NAME.lower(), NAME.upper()])
@pytest.mark.parametrize("value", [GOOD, GOOD.upper()])
def test_the_case_of_name_and_digits_does_not_matter(name: bytes, value: bytes) -> None:
    verify([(b"accept", b"*/*"), (name, value)], BODY, [SECRET])


def test_two_spellings_of_the_header_count_as_doubled() -> None:
    with pytest.raises(Refused, match="more than one"):
        verify([(NAME, GOOD), (NAME.lower(), GOOD)], BODY, [SECRET])


def test_any_of_several_secrets_will_do() -> None:
    verify([(NAME, GOOD)], BODY, ["another" * 5, "older" * 7, SECRET])
    verify([(NAME, GOOD)], BODY, [SECRET, "another" * 5])


@pytest.mark.parametrize("secrets", [[], [""], ["", "another" * 5]])
def test_no_secret_and_an_empty_secret_let_nobody_in(secrets: list[str]) -> None:
    with pytest.raises(Refused, match="does not fit"):
        verify([(NAME, sign(BODY, "").encode())], BODY, secrets)


def test_a_refusal_says_nothing_of_secret_or_signature() -> None:
    with pytest.raises(Refused) as refusal:
        verify([(NAME, b"0" * 64)], BODY, [SECRET])
    said = f"{refusal.value} {refusal.value.message} {refusal.value.code}"
    assert SECRET not in said
    assert GOOD.decode() not in said


@given(
    headers=st.lists(
        st.tuples(st.sampled_from([NAME, NAME.lower(), b"accept", b"\xff"]), st.binary()),
        max_size=4,
    ),
    body=st.binary(),
    secrets=st.lists(st.text(st.characters()), max_size=3),
)
def test_whatever_the_bytes_nothing_but_a_refusal_comes_out(
    headers: list[tuple[bytes, bytes]], body: bytes, secrets: list[str]
) -> None:
    with pytest.raises(Refused):
        verify(headers, body, secrets)


@given(body=st.binary(), secret=st.text(min_size=1))
def test_what_was_signed_verifies(body: bytes, secret: str) -> None:
    verify([(NAME, sign(body, secret).encode())], body, [secret])


def test_every_secret_is_compared_in_constant_time_whichever_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []
    honest = hmac.compare_digest

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return honest(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    verify([(NAME, GOOD)], BODY, [SECRET, "another", "a third"])
    assert compared == [sign(BODY, secret).encode() for secret in (SECRET, "another", "a third")]
