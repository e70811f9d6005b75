"""The tree of commands; each imports what it needs only when it runs."""

from __future__ import annotations

from importlib.metadata import version as installed_version

import typer

from engine.cli import (
    backtest,
    backup,
    check,
    dead,
    demo,
    events,
    explain,
    followups,
    reload,
    runs,
    schema,
    send,
    serve,
    sign,
    systemd,
    testing,
)

app = typer.Typer(
    name="rulewave",
    help="Turns the signed webhooks of a Remnawave panel into mails, calls and programs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("test")(testing.rehearse)
app.command("backtest")(backtest.backtest)
app.command("explain")(explain.explain)
app.command("demo")(demo.demo)
app.command("send")(send.send)
app.command("sign")(sign.sign)
app.command("verify")(sign.verify)
app.command("reload")(reload.reload)
app.command("schema")(schema.schema)
app.command("systemd")(systemd.systemd)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(events.app, name="events")
app.add_typer(runs.app, name="runs")
app.add_typer(followups.app, name="followups")
app.add_typer(dead.app, name="dead")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rulewave {installed_version('rulewave')}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_version
    ),
) -> None:
    """Common to all commands."""
    del version
