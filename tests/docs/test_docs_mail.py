"""docs/how-to/mail.md: its rules send a mail, and each answer of a server means what it says."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from docs.fenced import ROOT
from docs.targets import DONE, Case, cases, outcome, rules_of
from running.bench import open_bench
from smtp_servers import mail_server, scripted_server

from actions.email import SmtpConnection
from actions.email.connections import _PORTS

pytestmark = pytest.mark.anyio
_PAGE = ROOT / "docs" / "how-to" / "mail.md"
_SECRET = {"RULEWAVE_SECRET_SMTP_PASSWORD": "right"}
_RULE = "expires-tomorrow"
_EHLO = "250-scripted\r\n250 AUTH PLAIN"
_CASES = cases(_PAGE, "What the mail server answers")


@pytest.mark.parametrize("how", ["starttls", "tls"])
async def test_the_rules_of_the_page_log_in_and_send_over_an_encrypted_line(
    tmp_path: Path, how: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    starttls = mail_server(tls_context=tls, require_starttls=True, auth_required=True)
    server = starttls if how == "starttls" else mail_server(tls, auth_require_tls=False)
    async with server as mailbox:
        place = f"localhost\n    port: {mailbox.port}\n    verify: {tmp_path / 'ca.pem'}"
        rules = rules_of(_PAGE, {"smtp.example.org": place, "tls: starttls": f"tls: {how}"})
        async with open_bench(tmp_path, rules, environ=_SECRET, real=True) as bench:
            await bench.event("user.expires_in_24_hours", panel="2.4", email="you@example.org")
            told, run = await outcome(bench, _RULE)
    assert told == DONE, run.message
    assert mailbox.logins == [("bot@example.org", "right")]
    (mail,) = mailbox.messages
    assert (mail["From"], mail["To"]) == ("Example VPN <bot@example.org>", "you@example.org")
    assert mail["Subject"] == "Your subscription ends tomorrow"


async def test_a_server_that_cannot_encrypt_gets_neither_mail_nor_password(tmp_path: Path) -> None:
    async with scripted_server({"EHLO": _EHLO}) as server:
        place = f"localhost\n    port: {server.port}"
        rules = rules_of(_PAGE, {"smtp.example.org": place})
        async with open_bench(tmp_path, rules, environ=_SECRET, real=True) as bench:
            await bench.event("user.expires_in_24_hours", panel="2.4", email="you@example.org")
            told, _ = await outcome(bench, _RULE)
    assert told != DONE
    assert not [line for line in server.lines if line.startswith(("AUTH", "MAIL"))]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case.second}-{case.first[:3]}")
async def test_an_answer_of_the_server_means_what_the_page_says(tmp_path: Path, case: Case) -> None:
    script = {"EHLO": _EHLO, "AUTH": "235 welcome", case.second: case.first}
    async with scripted_server(script) as server:
        place = f"127.0.0.1\n    port: {server.port}"
        rules = rules_of(_PAGE, {"smtp.example.org": place, "tls: starttls": "tls: none"})
        async with open_bench(tmp_path, rules, environ=_SECRET, real=True) as bench:
            await bench.event("user.expires_in_24_hours", panel="2.4", email="you@example.org")
            told, run = await outcome(bench, _RULE)
    assert told == case.outcome, run.message
    assert (run.message or "").removeprefix("127.0.0.1 ") == case.message


def test_the_ways_to_encrypt_are_all_there_with_their_ports() -> None:
    rows = cases(_PAGE, "Describe the server")
    assert {case.first: int(case.second) for case in rows} == _PORTS
    assert SmtpConnection.model_fields["tls"].default == rows[0].first
