"""A daemon with a marked secret in every place where one can be, and all that was seen of it."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

from cli.commands import PATIENCE, SECRET, Place, command
from http_servers import free_port
from journeys.harness.waiting import until

from engine.cli.asking import _ask_daemon as ask_daemon

CONSOLE = "console+Password/0815&<x>"
SMTP = "smtp'Pass\"word/<1+2>=3"
BEARER = "bearerToken-4711.abc/def+ghi"
HEADER = "headerKey<&>0123456789"
QUERY = "query Value/with+blanks&more"
PATH = "pathPart/9876543210"
SHELL = "-----BEGIN KEY-----\nfirstLineOfTheKey123\nsecondLineOfTheKey456\n-----END KEY-----"
NUMBER = "4815162342"
HOST = "127.0.0.1"
DECOY = "decoyThatNobodyMayUse"
TRIED = "triedPasswordOfALogin"
TROJAN = "trojanPasswordOfAUser"
LINK = "https://sub.example.org/privateLink0123456789"
SECRETS = (SECRET, CONSOLE, SMTP, BEARER, HEADER, QUERY, PATH, SHELL, NUMBER, DECOY, TRIED, TROJAN)

RULES = """version: 1
connections:
  good: {{kind: smtp, host: {host}, port: {mail}, tls: none, username: fine,
    password: "secret('smtp_password')", from: bot@example.org}}
  bad: {{kind: smtp, host: {host}, port: {mail}, tls: none, username: refused,
    password: "secret('smtp_password')", from: bot@example.org}}
  echo: {{kind: http, url: "http://{host}:{http}", auth: {{bearer: "secret('bearer')"}}}}
rules:
  - id: echoed
    on: user.created
    do:
      - id: answer
        http:
          post: "/ok/{{{{ secret('path') }}}}"
          connection: echo
          headers: {{X-Key: "secret('header')", X-Number: "{{{{ secret('number') }}}}"}}
          query: {{q: "secret('query')"}}
          json: "{{link: user.subscriptionUrl}}"
      - id: program
        shell:
          run: [sh, -c, "cp /proc/$$/environ {folder}/environ; cp /proc/$$/cmdline {folder}/cmdline; env; env >&2"]
          env: {{KEY: "secret('shell')", NUMBER: "secret('number')"}}
      - log: {{text: "{{{{ user.subscriptionUrl }}}} {{{{ steps.answer.text }}}} {{{{ steps.program.stdout }}}}"}}
      - email: {{to: anna@example.org, connection: good, subject: Link, text: "{{{{ user.subscriptionUrl }}}}"}}
      - after: 1h
        when: user.subscriptionUrl
        log: {{text: later}}
  - id: fails
    on: user.created
    do:
      - http:
          post: "/fail/{{{{ secret('path') }}}}"
          connection: echo
          query: {{q: "secret('query')"}}
        retry: {{tries: 1}}
    on_failure: &tell
      - log: {{text: "{{{{ error.message }}}}"}}
      - http: {{post: /told, connection: echo, json: "{{m: error.message}}"}}
  - id: program-fails
    on: user.created
    do:
      - shell:
          run: [sh, -c, "echo $LINK $KEY >&2; exit 3"]
          env: {{KEY: "secret('header')", LINK: "{{{{ user.subscriptionUrl }}}}"}}
    on_failure: *tell
  - id: mail-fails
    on: user.created
    do: [{{email: {{to: anna@example.org, connection: bad, subject: Hi, text: Hi}}}}]
    on_failure: *tell
  - id: no-text
    on: user.created
    do: [{{log: {{text: "{{{{ user.subscriptionUrl | date }}}}"}}}}]
  - id: hidden-host
    on: user.created
    do: [{{http: {{post: "http://{{{{ secret('authority') }}}}/fail"}}, retry: {{tries: 1}}}}]
  - id: logins
    on: service.login_attempt_failed
    do: [{{log: {{text: "{{{{ data }}}}"}}}}]
"""


@dataclass
class Seen:
    """What was said to the far sides, and whatever anybody could look at here, by its name."""

    http: list[str]
    mail: list[str]
    logins: list[str]
    host: str = ""
    environ: str = ""
    cmdline: str = ""
    public: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)


@dataclass
class Site(Place):
    """A place with secrets in all three places, and where the daemon writes its log."""

    format: str = "json"
    authority: str = ""

    def furnish(self, http: int) -> None:
        """Write each secret where it belongs; decoys lie where they must not be looked for."""
        self.authority = f"localhost:{http}"
        places = {
            "credentials": {"smtp_password": SMTP, "shell": SHELL, "console": "unused"},
            "secrets": {
                "smtp_password": DECOY, "bearer": BEARER, "header": HEADER,
                "authority": self.authority,
            },
        }  # fmt: skip
        for folder, files in places.items():
            (self.folder / folder).mkdir()
            for name, value in files.items():
                (self.folder / folder / name).write_text(f"{value}\n")
        self.more |= {
            "CREDENTIALS_DIRECTORY": str(self.folder / "credentials"),
            "RULEWAVE_SECRETS_DIR": str(self.folder / "secrets"),
            "RULEWAVE_CONSOLE_PASSWORD": CONSOLE,
            "RULEWAVE_SECRET_SMTP_PASSWORD": DECOY, "RULEWAVE_SECRET_BEARER": DECOY,
            "RULEWAVE_SECRET_QUERY": QUERY, "RULEWAVE_SECRET_PATH": PATH,
            "RULEWAVE_SECRET_NUMBER": NUMBER,
            "RULEWAVE_LISTEN": f"127.0.0.1:{free_port()}",
            "RULEWAVE_CONSOLE_LISTEN": f"127.0.0.1:{free_port()}",
        }  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A daemon that answers, until the block ends."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command("serve", "--log-format", self.format),
                stdout=log, stderr=log, env=self.environ, cwd=self.folder,
            )  # fmt: skip
        try:
            until(lambda: "daemon.ready" in self.log, f"ready ({self.log})", PATIENCE)
            yield
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0

    @property
    def log(self) -> str:
        """What the daemon has written so far."""
        return (self.folder / "log").read_text("utf-8")

    def at_rest(self) -> bool:
        """Whether nothing is left to do but what is due in an hour."""
        with closing(sqlite3.connect(f"file:{self.folder}/rw.db?mode=ro", uri=True)) as database:
            query = "select count(*) from events where decided is null union all"
            query += " select count(*) from runs where state in ('queued', 'running')"
            return not any(count for (count,) in database.execute(query))

    def console(self, path: str) -> str:
        """An answer of the console, by its password."""
        word = base64.b64encode(f"x:{CONSOLE}".encode()).decode()
        url = f"http://{self.more['RULEWAVE_CONSOLE_LISTEN']}{path}"
        with urlopen(Request(url, headers={"Authorization": f"Basic {word}"})) as answer:
            return str(answer.read().decode())

    def told(self, *words: str) -> str:
        """All that a command prints."""
        done = self.call(*words)
        assert done.code in {0, 1}, done
        return done.out + done.err


def live(site: Site, seen: Seen, *, whole: bool) -> None:
    """Send the events, let the rules do their work, and look everywhere; else at the log alone."""
    with site.serving():
        about = [
            f"data.subscriptionUrl={LINK}",
            f"data.trojanPassword={TROJAN}",
            "data.username=anna",
        ]
        sets = [word for one in about for word in ("--set", one)]
        assert site.call("send", "user.created", *sets).code == 0
        login = ["--set", f"data.loginAttempt.password={TRIED}"]
        assert site.call("send", "service.login_attempt_failed", *login).code == 0
        until(site.at_rest, "all done", PATIENCE)
        seen.stored |= {f"live {file.name}": _bytes(file) for file in site.folder.glob("rw.db*")}
        if whole:
            _look(site, seen.public)
        seen.public |= {path: site.console(path) for path in ("/metrics", "/readyz")}
    with closing(sqlite3.connect(site.folder / "rw.db")) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    seen.stored |= {file.name: _bytes(file) for file in site.folder.glob("rw.db*")}
    seen.public["log"] = site.log
    seen.environ = _bytes(site.folder / "environ")
    seen.cmdline = _bytes(site.folder / "cmdline")


def _look(site: Site, public: dict[str, str]) -> None:
    """Whatever commands print."""
    lines = [("check",), ("systemd", "--user", "root"), ("events", "rejected", "--json")]
    for noun in ("events", "runs", "followups", "dead"):
        lines += [(noun, "list"), (noun, "list", "--json")]
    for event in site.call("events", "list", "--json").json:
        lines += [("events", "show", event["id"]), ("events", "show", event["id"], "--json")]
        lines += [("explain", event["id"], "--all"), ("explain", event["id"], "--json")]
    for run in site.call("runs", "list", "--json").json:
        lines.append(("runs", "show", run["id"], "--json"))
        if run["state"] == "dead":
            lines.append(("dead", "show", run["id"]))
    public |= {" ".join(words): site.told(*words) for words in lines}
    answer = ask_daemon(site.folder / "control.sock", "runs", "list", {})
    public["/api/v1"] = json.dumps(answer, ensure_ascii=False)


def _bytes(file: Path) -> str:
    return file.read_bytes().decode("latin-1")
