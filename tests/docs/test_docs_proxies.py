"""docs/how-to/behind-a-proxy.md: its configurations, in a real Caddy and a real nginx."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cli.commands import SECRET, Daemon, serving
from docs.fenced import ROOT, blocks
from journeys.harness.panel import make
from journeys.harness.ports import reserved_port
from journeys.harness.waiting import PATIENCE, until

from engine.sources.signature import sign

_PAGE = ROOT / "docs" / "how-to" / "behind-a-proxy.md"
_DEBIAN = ROOT / ".venv" / "debian" / "usr"
_HOST = "hooks.example.org"
_TCP = "127.0.0.1:8787"
_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


@dataclass(frozen=True)
class Front:
    """A web server that passes on to a daemon."""

    port: int
    trust: ssl.SSLContext

    def ask(
        self, method: str, path: str, body: bytes = b"", signature: str = ""
    ) -> http.client.HTTPResponse:
        """The answer to one request, read to its end."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=self.trust
        )
        signed = {"X-Remnawave-Signature": signature} if signature else {}
        headers = {"Host": _HOST, "Content-Type": "application/json", **signed}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        return answer

    def deliver(self, body: bytes) -> int:
        """Post a signed body."""
        return self.ask("POST", "/webhook", body, sign(body, SECRET)).status


def _block(language: str) -> str:
    (block,) = (found for found in blocks(_PAGE) if found.info == (language,))
    return block.text


def _nginx(folder: Path, port: int, upstream: str) -> tuple[list[str], str]:
    text = _block("nginx").replace("listen 443", f"listen 127.0.0.1:{port}")
    text = re.sub(r"/etc/letsencrypt/\S+/fullchain.pem", f"{folder}/cert.pem", text)
    text = re.sub(r"/etc/letsencrypt/\S+/privkey.pem", f"{folder}/key.pem", text)
    text = _NGINX.format(folder=folder, server=text.replace(f"http://{_TCP}", f"http://{upstream}"))
    command = [f"{_DEBIAN}/sbin/nginx", "-p", str(folder), "-e", "stderr", "-c"]
    return [*command, str(folder / "front.conf")], text


def _caddy(folder: Path, port: int, upstream: str) -> tuple[list[str], str]:
    place = upstream.replace("unix:", "unix/")
    text = _block("caddy").replace(_TCP, place).expandtabs(4)
    site = f"https://{_HOST}:{port}, https://127.0.0.1:{port}"
    certificate = f"tls {folder}/cert.pem {folder}/key.pem"
    text = text.replace(f"{_HOST} {{", f"{site} {{\n{certificate}\nbind 127.0.0.1", 1)
    options = (
        f"{{\nadmin off\nauto_https disable_redirects\nstorage file_system {folder}/caddy\n}}\n"
    )
    command = [f"{_DEBIAN}/bin/caddy", "run", "--adapter", "caddyfile", "--config"]
    return [*command, str(folder / "front.conf")], options + text


Configure = Callable[[Path, int, str], tuple[list[str], str]]


@contextmanager
def _front(folder: Path, configure: Configure, upstream: str) -> Iterator[Front]:
    authority = trustme.CA()
    certificate = authority.issue_cert(_HOST, "127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with reserved_port() as port, (folder / "front.log").open("wb") as log:
        command, text = configure(folder, port, upstream)
        (folder / "front.conf").write_text(text)
        environ = {"HOME": str(folder)}
        with subprocess.Popen(command, stdout=log, stderr=log, env=environ) as process:
            try:
                until(lambda: _open(process, port), (folder / "front.log").read_text())
                yield Front(port, trust)
            finally:
                process.terminate()
                process.wait(PATIENCE)


def _open(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "it ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that listens on a port."""
    with serving(tmp_path) as running:
        yield running


_BOTH = pytest.mark.parametrize("configure", [_nginx, _caddy], ids=["nginx", "caddy"])


@_BOTH
def test_a_delivery_arrives_unchanged_and_the_answer_comes_back(
    daemon: Daemon, tmp_path: Path, configure: Configure
) -> None:
    body = make("user.created", "анна", "«первая»  \n два").body
    with _front(tmp_path, configure, daemon.environ["RULEWAVE_LISTEN"]) as front:
        assert front.deliver(body) == http.client.ACCEPTED
        assert front.deliver(body) == http.client.OK
        assert front.ask("POST", "/webhook", b"{}").status == http.client.UNAUTHORIZED
        assert front.ask("POST", "/webhook", body, "0" * 64).status == http.client.UNAUTHORIZED


@_BOTH
def test_nothing_but_the_webhook_is_passed_on_and_nothing_is_redirected(
    daemon: Daemon, tmp_path: Path, configure: Configure
) -> None:
    with _front(tmp_path, configure, daemon.environ["RULEWAVE_LISTEN"]) as front:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/webhook/", "/webhook/x", "/api/v1"):
            answer = front.ask("GET", path)
            assert (answer.status, answer.headers["Location"]) == (http.client.NOT_FOUND, None)
        assert front.ask("GET", "/webhook").status == http.client.METHOD_NOT_ALLOWED


@_BOTH
def test_a_delivery_may_be_as_long_as_rulewave_takes_and_no_longer(
    daemon: Daemon, tmp_path: Path, configure: Configure
) -> None:
    body = make("user.created", "anna", "x" * 1_040_000).body
    with _front(tmp_path, configure, daemon.environ["RULEWAVE_LISTEN"]) as front:
        assert len(body) < 2**20
        assert front.deliver(body) == http.client.ACCEPTED
        too_long = make("user.created", "anna", "x" * 2**20).body
        assert front.deliver(too_long) == http.client.REQUEST_ENTITY_TOO_LARGE


@_BOTH
def test_while_rulewave_is_away_the_panel_hears_of_it(tmp_path: Path, configure: Configure) -> None:
    body = make("user.created", "anna", "early").body
    with reserved_port() as nobody, _front(tmp_path, configure, f"127.0.0.1:{nobody}") as front:
        assert front.deliver(body) == http.client.BAD_GATEWAY


@_BOTH
def test_a_unix_socket_does_in_place_of_the_port(tmp_path: Path, configure: Configure) -> None:
    path = f"unix:{tmp_path}/intake.sock"
    body = make("user.created", "anna", "by path").body
    with serving(tmp_path, RULEWAVE_LISTEN=path), _front(tmp_path, configure, path) as front:
        assert front.deliver(body) == http.client.ACCEPTED


def test_the_lines_for_a_unix_socket_are_those_that_are_tried_here() -> None:
    path = "/run/rulewave-intake.sock"
    text = _PAGE.read_text(encoding="utf-8")
    assert f"`reverse_proxy {f'unix:{path}'.replace('unix:', 'unix/')} {{`" in text
    assert f"`proxy_pass http://unix:{path};`" in text
