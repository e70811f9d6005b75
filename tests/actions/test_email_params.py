"""What an email step may say, and the mail that is made of it."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actions.email import Attachment, Email, EmailParams, SmtpConnection
from actions.email.addresses import addresses
from actions.email.message import Mail, _Policy, compose

SERVER = SmtpConnection(host="mail.example.org", **{"from": "Example VPN <bot@example.org>"})
WILD = st.text() | st.text(st.sampled_from('=?utf-8qbA0D_\r\n:<>@,;"\\ ü\x85\u2028\u202e()[]'))
DATE = "Mon, 05 Jan 2026 09:00:00 GMT"


def params(**values: Any) -> EmailParams:
    return EmailParams(**({"to": "anna@example.org", "subject": "Hi", "text": "Hello"} | values))


def refusal(model: type[Any], **values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model(**values)
    return str(caught.value)


def composed(*contents: bytes, **values: Any) -> Mail:
    return compose(params(**values), SERVER, "key1", contents, DATE)


def parsed(mail: Mail) -> EmailMessage:
    return message_from_bytes(mail.content, policy=policy.default)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", []),
        ("  ", []),
        ([], []),
        ("a@b.org", ["a@b.org"]),
        ("a@b.org, c@d.org", ["a@b.org", "c@d.org"]),
        ("a@b.org,", ["a@b.org"]),
        (["a@b.org", "Carl <c@d.org>"], ["a@b.org", "Carl <c@d.org>"]),
        ("Anna <a@b.org>", ["Anna <a@b.org>"]),
        ('"Doe, Anna" <a@b.org>, <c@d.org>', ['"Doe, Anna" <a@b.org>', "c@d.org"]),
        ("Анна <a@b.org>", ["Анна <a@b.org>"]),
        ("a@bücher.example", ["a@xn--bcher-kva.example"]),
        ("a@straße.example", ["a@xn--strae-oqa.example"]),
        ("анна@example.org", ["анна@example.org"]),
        ("--help@example.org", ["--help@example.org"]),
        ("=?utf-8?q?Anna?= <a@b.org>", ["= ?utf-8?q?Anna?= <a@b.org>"]),
    ],
)
def test_addresses_are_read(written: str | list[str], expected: list[str]) -> None:
    assert [str(address) for address in addresses(written)] == expected


@pytest.mark.parametrize(
    "written",
    [
        "anna",
        "anna@",
        "@example.org",
        "a@b@c.org",
        "a b@c.org",
        "a@b.org c@d.org",
        "a@b.org, , c@d.org",
        ",a@b.org",
        "a@b.org; c@d.org",
        "<a@b.org",
        "a@b.org>",
        "a@b.org> , <c@d.org",
        "Doe, Anna <a@b.org>",
        "Anna <a@b.org> <c@d.org>",
        'Anna "x" <a@b.org>',
        "a@b.org\r\nBcc: evil@example.com",
        "a@b.org\n",
        "Anna\r\nBcc: x <a@b.org>",
        "a@b.org\x00",
        '"a b"@example.org',
        "a(comment)@example.org",
        "=?utf-8?q?a=40evil.example=3e?=foo@example.org",
        "a@[127.0.0.1]",
        "a..b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a@exa mple.org",
        "a@example.org SIZE=1",
        "a@b_\u2028.org",
        "a@ex\u00adample..org\u2029",
    ],
)
def test_what_two_servers_could_read_differently_is_no_address(written: str) -> None:
    assert refusal(EmailParams, to=written, subject="x", text="x")
    assert refusal(EmailParams, to=[written], subject="x", text="x")


def test_an_item_of_a_list_is_one_address_and_no_more() -> None:
    shown = refusal(EmailParams, to=["a@b.org, evil@example.com"], subject="x", text="x")
    assert "more than one mail address" in shown


@settings(deadline=None)
@given(WILD)
def test_any_text_is_addresses_or_a_clear_refusal(text: str) -> None:
    try:
        found = addresses(text)
    except ValueError:
        return
    for address in found:
        assert not set(address.addr_spec) & set(' \t\r\n<>",;:()')
        assert address.addr_spec.count("@") == 1


@pytest.mark.parametrize(
    "values",
    [
        {"subject": "a\r\nBcc: evil@example.com"},
        {"subject": "a\nb"},
        {"subject": "a\x00b"},
        {"subject": "a\x85b"},
        {"subject": "a\u2028b"},
        {"headers": {"X-A": "a\r\nBcc: evil@example.com"}},
        {"headers": {"X-A\r\nBcc": "a"}},
        {"headers": {"X A": "a"}},
        {"headers": {"X:A": "a"}},
        {"headers": {"": "a"}},
        {"from": "evil\r\n <a@b.org>"},
        {"from": ""},
        {"from": "a@b.org, c@d.org"},
        {"reply_to": "nobody"},
        {"cc": "nobody"},
        {"bcc": ["nobody"]},
        {"text": None},
        {"template": "welcome"},
        {"attach": [{"name": "a"}]},
        {"attach": [{"name": "a", "text": "x", "path": "/x"}]},
        {"attach": [{"name": "a\r\nX: y", "text": "x"}]},
        {"attach": [{"name": "", "text": "x"}]},
        {"attach": [{"name": "a", "text": "x", "content_type": "text/csv; x=y"}]},
        {"attach": [{"name": "a", "text": "x", "content_type": "message/rfc822"}]},
    ],
)
def test_nonsense_is_refused_before_anybody_is_asked(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params(**values)


@pytest.mark.parametrize(
    "name",
    [
        *("From", "to", "CC", "Bcc", "Sender", "Reply-To", "Subject", "Date", "Message-ID"),
        *("MIME-Version", "Content-Type", "Content-X", "Resent-To", "Received", "Auto-Submitted"),
    ],
)
def test_headers_of_ours_are_not_overridden(name: str) -> None:
    assert "set by Rulewave itself" in refusal(
        EmailParams, to="a@b.org", subject="x", text="x", headers={name: "x"}
    )


def test_a_connection_hides_its_password() -> None:
    connection = SmtpConnection(host="h", username="me", password="hunter2")
    assert "hunter2" not in repr(connection)
    assert "hunter2" not in refusal(SmtpConnection, host="h", password=["hunter2"])


def test_a_mail_says_who_when_and_that_a_machine_sent_it() -> None:
    mail = composed(cc="Carl <c@d.org>", bcc="secret@d.org, c@d.org", reply_to="help@example.org")
    message = parsed(mail)
    assert dict(message.items()) | {"Content-Type": "", "Content-Transfer-Encoding": ""} == {
        "From": "Example VPN <bot@example.org>",
        "To": "anna@example.org",
        "Cc": "Carl <c@d.org>",
        "Reply-To": "help@example.org",
        "Subject": "Hi",
        "Date": "Mon, 05 Jan 2026 09:00:00 +0000",
        "Message-ID": "<key1@example.org>",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": "",
        "Content-Transfer-Encoding": "",
    }
    assert mail.sender == "bot@example.org"
    assert mail.recipients == ("anna@example.org", "c@d.org", "secret@d.org")
    assert b"secret" not in mail.content


def test_the_sender_is_the_steps_or_the_connections_or_the_login() -> None:
    assert composed(**{"from": "Other <other@example.net>"}).id == "<key1@example.net>"
    login = SmtpConnection(host="h", username="me@example.com")
    assert compose(params(), login, "k", [], DATE).sender == "me@example.com"
    nobody = SmtpConnection(host="h")
    with pytest.raises(ValueError, match="who the mail is `from`"):
        compose(params(), nobody, "k", [], DATE)


def test_text_and_html_are_alternatives() -> None:
    message = parsed(composed(text="Grüße\n.\n", html="<b>Grüße</b>"))
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert text.get_content() == "Grüße\r\n.\r\n"
    assert html.get_content() == "<b>Grüße</b>\r\n"


def test_html_may_stand_alone() -> None:
    message = parsed(composed(text=None, html="<b>x</b>"))
    assert message.get_content_type() == "text/html"


def test_attachments_go_with_it(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(b"a;b\xff")
    attach = [
        {"name": "Übersicht.txt", "text": "Größe", "content_type": "text/plain"},
        {"name": "list.csv", "path": str(file), "content_type": "text/csv"},
        {"name": "blob", "text": "x"},
    ]
    contents = [Attachment(**values).read() for values in attach]
    first, second, third = parsed(composed(*contents, attach=attach)).iter_attachments()
    assert (first.get_filename(), first.get_content()) == ("Übersicht.txt", "Größe")
    assert second.get_payload(decode=True) == b"a;b\xff"
    assert second.get_content_type() == "text/csv"
    assert third.get_content_type() == "application/octet-stream"


def test_attachments_have_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(30 * 1024 * 1024)
    attach = [{"name": "large", "path": str(file)}]
    with pytest.raises(ValueError, match="larger than 20 MiB"):
        composed(Attachment(**attach[0]).read(), attach=attach)


def test_a_mail_is_ascii_in_short_lines_that_end_in_crlf() -> None:
    subject = "Ünïcödé " * 60
    mail = composed(subject=subject, text="ü" * 5000, to="Анна <a@пример.рф>")
    assert mail.content.isascii()
    lines = mail.content.split(b"\r\n")
    assert not any(b"\n" in line or len(line) > 998 for line in lines)
    assert parsed(mail)["Subject"] == subject.strip()
    assert mail.recipients == ("a@xn--e1afmkfd.xn--p1ai",)


def test_many_recipients_are_folded() -> None:
    people = [f"person-{n}@example.org" for n in range(200)]
    mail = composed(to=people)
    assert max(len(line) for line in mail.content.split(b"\r\n")) <= 998
    assert [a.addr_spec for a in parsed(mail)["To"].addresses] == people


def test_a_long_address_in_a_header_stays_readable() -> None:
    link = f"<https://example.org/{'x' * 120}>"
    content = composed(headers={"List-Unsubscribe": link}).content
    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in content


def test_an_encoded_word_that_a_stranger_wrote_is_not_decoded() -> None:
    word = "=?utf-8?q?a=0D=0ABcc:_evil@example.com?="
    to = "=?utf-8?q?a=0D=0ABcc:_evil?= <a@b.org>"
    mail = composed(subject=word, headers={"X-A": word}, to=to)
    message = parsed(mail)
    assert message["Bcc"] is None
    assert message["Subject"] == word.replace("=?", "= ?")
    assert b"\r\nBcc" not in mail.content


def test_a_line_break_is_caught_even_where_python_makes_one() -> None:
    message = EmailMessage(policy=_Policy())
    message["Subject"] = "=?utf-8?q?a=0ABcc:_evil@example.com?="
    with pytest.raises(ValueError, match='the header "Subject" holds a line break'):
        message.as_bytes(policy=_Policy())


def test_an_address_outside_ascii_needs_smtputf8() -> None:
    mail = composed(to="анна@example.org")
    assert mail.utf8
    assert "To: анна@example.org\r\n".encode() in mail.content
    assert composed(bcc="анна@example.org").utf8
    assert not composed(subject="Привет", to="Анна <anna@example.org>").utf8


@settings(deadline=None)
@given(WILD, WILD, WILD)
def test_no_text_breaks_out_of_its_place(subject: str, name: str, text: str) -> None:
    try:
        mail = composed(subject=subject, text=text, to=f'"{name}" <anna@example.org>')
    except ValueError:
        return
    message = parsed(mail)
    assert set(message.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    }
    assert mail.recipients == ("anna@example.org",)
    assert [a.addr_spec for a in message["To"].addresses] == ["anna@example.org"]


def test_a_description_is_one_line() -> None:
    action = Email()
    assert action.describe(params(to=["a@b.org", "c@d.org"])) == "mail to a@b.org, c@d.org: Hi"
    assert action.describe(params()) == "mail to anna@example.org: Hi"
    assert not action.safe_to_repeat(params())
    assert action.needs_connection
