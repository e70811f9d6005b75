"""Secrets are found in three places, and their values in no text that leaves."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from engine.errors import UserError
from engine.rules.secrets import MASK, Secrets


def test_credentials_come_before_the_folder_and_the_folder_before_the_environment(
    tmp_path: Path,
) -> None:
    credentials, folder = tmp_path / "credentials", tmp_path / "folder"
    credentials.mkdir()
    folder.mkdir()
    (credentials / "a").write_text("from credentials\n")
    (folder / "a").write_text("from folder")
    (folder / "b").write_text("from folder\r\n")
    environ = {f"RULEWAVE_SECRET_{name}": "from environment" for name in ("A", "B", "C_D")}
    secrets = Secrets(credentials, folder, environ)
    assert secrets.get("a") == "from credentials"
    assert secrets.get("b") == "from folder"
    assert secrets.get("c-d") == "from environment"


def test_a_missing_secret_names_the_places_looked_at(tmp_path: Path) -> None:
    secrets = Secrets(None, tmp_path, {})
    assert not secrets.knows("panel_token")
    with pytest.raises(UserError) as caught:
        secrets.get("panel_token")
    assert "systemd credentials" in str(caught.value)
    assert str(tmp_path / "panel_token") in str(caught.value)
    assert "RULEWAVE_SECRET_PANEL_TOKEN" in str(caught.value)


@pytest.mark.parametrize("name", ["../etc/passwd", "", "a/b", ".hidden", "a b"])
def test_a_secret_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / ".hidden").write_text("x")
    assert not Secrets(tmp_path, tmp_path, {}).knows(name)


def test_a_secret_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        Secrets(None, tmp_path, {}).get("broken")


def test_only_secrets_handed_out_are_masked_in_every_form() -> None:
    secret = "p@ss/wörd &+x"
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": secret, "RULEWAVE_SECRET_B": "other-one"})
    assert secrets.mask(secret) == secret
    secrets.get("a")
    secrets.get("a")
    for prefix in ("", "u", "ur", "user:"):
        encoded = base64.b64encode((prefix + secret + "tail").encode()).decode()
        assert MASK in secrets.mask(encoded)
    assert secrets.mask(f"<{secret}> {quote(secret, safe='')}") == f"<{MASK}> {MASK}"
    assert secrets.mask("other-one") == "other-one"


def test_the_longest_secret_is_masked_first() -> None:
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": "token", "RULEWAVE_SECRET_B": "token-long"})
    secrets.get("a")
    secrets.get("b")
    assert secrets.mask("token-long token") == f"{MASK} {MASK}"


def test_a_secret_of_three_characters_is_too_common_to_mask() -> None:
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": "abc"})
    assert secrets.get("a") == "abc"
    assert secrets.mask("abcdef") == "abcdef"


def test_a_json_value_is_masked_all_the_way_down() -> None:
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": "hidden"})
    secrets.get("a")
    value = {"hidden": ["x hidden", {"n": 5, "t": ("hidden", None)}]}
    assert secrets.mask_value(value) == {MASK: [f"x {MASK}", {"n": 5, "t": [MASK, None]}]}


@pytest.mark.parametrize(
    "written",
    [
        '"p\\/q<&>\\"r\'s+t"',
        "p/q\\u003c\\u0026\\u003e",
        "p/q&lt;&amp;&gt;&quot;r&#39;s+t",
        "p%2fq%3c%26%3e%22r%27s%2bt",
        "702f713c263e22722773" + "2b74",
        "b'p/q<&>\"r\\'s+t'",
    ],
)
def test_what_other_programs_make_of_a_secret_is_masked(written: str) -> None:
    secret = "p/q<&>" if "\\u003c" in written else "p/q<&>\"r's+t"
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": secret})
    secrets.get("a")
    assert MASK in secrets.mask(written)


def test_each_line_of_a_key_is_masked_by_itself() -> None:
    key = "-----BEGIN KEY-----\nMIIEowIBAAKC\nAQEA75kGx\n-----END KEY-----"
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": key})
    secrets.get("a")
    assert secrets.mask("the last line was AQEA75kGx") == f"the last line was {MASK}"
    assert secrets.mask(" ".join(key.split())) == MASK


def test_a_secret_of_digits_is_masked_where_it_comes_back_as_a_number() -> None:
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": "48151623"})
    secrets.get("a")
    assert secrets.mask_value({"a": 48151623, "b": [48151623, 4, True]}) == {
        "a": MASK,
        "b": [MASK, 4, True],
    }


def test_a_text_cut_in_the_middle_of_a_secret_keeps_no_beginning_of_it() -> None:
    secrets = Secrets(None, None, {"RULEWAVE_SECRET_A": "abcdefghij"})
    secrets.get("a")
    assert secrets.mask("x abcdefg… y ab… z") == f"x {MASK}… y ab… z"
