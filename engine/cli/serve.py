"""`rulewave serve`: the daemon."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.errors import UserError

Text = str | None


def serve(
    rules: Annotated[Text, typer.Option(help="Rules: a file, or a folder of them.")] = None,
    webhook_secret: Annotated[
        Text, typer.Option(help="The panel's secret; better in the environment.")
    ] = None,
    listen: Annotated[Text, typer.Option(help="Where the panel posts to.")] = None,
    console_listen: Annotated[Text, typer.Option(help="Console, health and metrics.")] = None,
    console_password: Annotated[Text, typer.Option(help="For the console.")] = None,
    database: Annotated[Text, typer.Option(help="sqlite:////path/to/rulewave.db")] = None,
    max_body: Annotated[Text, typer.Option(help="Largest delivery, as 1MiB.")] = None,
    max_age: Annotated[Text, typer.Option(help="Oldest event taken, as 30d, or off.")] = None,
    max_backlog: Annotated[int | None, typer.Option(help="Most undecided events.")] = None,
    retention: Annotated[Text, typer.Option(help="How long to keep, as 30d, or off.")] = None,
    secrets_dir: Annotated[Text, typer.Option(help="Folder of secret files.")] = None,
    role: Annotated[Text, typer.Option(help="all")] = None,
    log_format: Annotated[Text, typer.Option(help="auto, console or json.")] = None,
    log_level: Annotated[Text, typer.Option(help="debug, info, warning or error.")] = None,
    allow_private_targets: Annotated[
        bool | None, typer.Option(help="May rules call private addresses?")
    ] = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. Every option has an environment variable."""
    _serve(dict(locals()))


def _serve(options: dict[str, Any]) -> None:
    import asyncio
    import os

    from engine.settings import read_settings

    settings = read_settings(os.environ, options)
    from engine.daemon.assembly import make_secrets
    from engine.daemon.logging import configure_logging

    secrets = make_secrets(settings)
    configure_logging(settings.log_format, settings.log_level, secrets.mask)
    _warn_of_process_list(options)
    try:
        asyncio.run(_run(settings, secrets))
    except UserError as error:
        raise UserError(secrets.mask(str(error))) from None
    except Exception as error:  # noqa: BLE001 - the last place knows no secrets to mask
        import structlog

        structlog.get_logger("rulewave.daemon").critical("daemon.bug", exc_info=error)
        raise typer.Exit(3) from None


def _warn_of_process_list(options: dict[str, Any]) -> None:
    import structlog

    log = structlog.get_logger("rulewave.daemon")
    for name in ("webhook_secret", "console_password"):
        if options[name] is not None:
            log.warning("daemon.secret_in_process_list", option=f"--{name.replace('_', '-')}")


async def _run(settings: Any, secrets: Any) -> None:
    import asyncio
    import gc

    from engine.daemon.service import run_service, stop_on_signals

    def ready(_: object) -> None:
        # What the start made stays: it need not be looked through again and again.
        gc.collect()
        gc.freeze()
        gc.enable()

    stop = asyncio.Event()
    stop_on_signals(stop)
    await run_service(settings, stop=stop, on_ready=ready, secrets=secrets)
