"""Names of functions for messages, which never show the values that a function holds."""

from __future__ import annotations

from functools import partial


def name_of(function: object) -> str:
    """Return the name of a function, or of the class of any other callable."""
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def service_name(account: str, to: str) -> str:
    """Return the full name of an account's service, such as the second one of an account."""
    return f"{account}.{to}" if to else account
