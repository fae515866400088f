"""What a function is called in a message: never its `repr`, which shows what it holds."""

from __future__ import annotations

from functools import partial


def name_of(function: object) -> str:
    """The name of a function, or of the class of whatever else can be called."""
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def service_name(account: str, to: str) -> str:
    """What the service `to` of an account is called among all services."""
    return f"{account}.{to}" if to else account
