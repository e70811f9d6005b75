"""`rulewave demo`: watch real signed events turn into mails, calls and programs."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the story; exit 1 where a part failed.")
    ] = False,
) -> None:
    """Start a daemon of its own, send it events, and show what comes of them."""
    import asyncio
    import gc

    from engine.cli.demonstration.performance import perform

    gc.enable()
    raise typer.Exit(0 if asyncio.run(perform(stay=not once)) else 1)
