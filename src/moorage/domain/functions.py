"""Functions that a person gives: what cannot be called is refused by name, and before any use."""

from __future__ import annotations

from inspect import iscoroutinefunction

from moorage.domain.names import name_of
from moorage.errors import ConfigurationError


def not_callable(value: object, field: str) -> ConfigurationError:
    """What stands where a function should, and cannot be called."""
    # The value itself is not shown: it may be a credential in the wrong place.
    return ConfigurationError(
        f"a {type(value).__name__} cannot be called.", path=field, remedy="Give a function."
    )


def check_callable(value: object, field: str) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise not_callable(value, field)


def check_plain(value: object, field: str) -> None:
    """Refuse what cannot be called, and what would have to be awaited."""
    check_callable(value, field)
    if iscoroutinefunction(value):
        raise ConfigurationError(
            f"{name_of(value)} is asynchronous, and is never awaited.",
            path=field,
            remedy="Give a plain function: it decides, and waits for nothing.",
        )
