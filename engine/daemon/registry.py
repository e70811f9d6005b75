"""Finds the actions: whatever `Action` lies in the package `actions`, one file each."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from engine.action import Action, Registry


@cache
def find_actions() -> Registry:
    """Action name → the action, ready to start."""
    found = {}
    package = importlib.import_module("actions")
    for module in pkgutil.iter_modules(package.__path__):
        for kind in vars(importlib.import_module(f"actions.{module.name}")).values():
            if _is_action(kind):
                action = kind()
                found[action.name] = action
    return found


def _is_action(kind: object) -> bool:
    return (
        inspect.isclass(kind)
        and issubclass(kind, Action)
        and not inspect.isabstract(kind)
        and kind.__module__.startswith("actions.")
    )
