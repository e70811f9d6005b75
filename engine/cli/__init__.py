"""The command `rulewave`: one file per command; this one says whose mistake it was."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Exit 0 well, 1 the user's to fix, 2 usage, 3 ours (with a traceback)."""
    # Imports make half a million objects that stay: collecting among them costs a start 0.2 s.
    gc.disable()
    from engine.cli.app import app
    from engine.errors import UserError

    try:
        app(standalone_mode=True)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the last place: whatever gets here is ours
        sys.exit(_ours())


def _ours() -> int:
    import traceback

    traceback.print_exc()
    sys.stderr.write("this is a bug in Rulewave; the lines above say where\n")
    return 3
