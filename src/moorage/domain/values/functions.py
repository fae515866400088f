"""Checks of functions that users pass in, made before their first use."""

from __future__ import annotations

from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

from moorage.domain.values.names import name_of
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def not_callable(value: object, field: str) -> ConfigurationError:
    """Return the error for a value that should be a function and is not callable."""
    # The value itself is not shown: it may be a credential in the wrong place.
    return ConfigurationError(
        f"The value is {with_article(type(value).__name__)}, which cannot be called.",
        path=field,
        remedy="Give a function.",
    )


def check_callable(value: object, field: str) -> None:
    """Refuse a value that cannot be called."""
    if not callable(value):
        raise not_callable(value, field)


def check_plain(value: object, field: str) -> None:
    """Refuse a value that is not callable, or that is an asynchronous function."""
    check_callable(value, field)
    if iscoroutinefunction(value):
        raise ConfigurationError(
            f"{name_of(value)} is asynchronous, but it is called without await.",
            path=field,
            remedy="Give a synchronous function.",
        )


def with_timeout(verb: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    """Return a port's method that accepts a `timeout`, even if the original ignores it."""
    try:
        signature(verb).bind(*(None,) * (arguments + 1))
    except TypeError:

        def without_timeout(*values: Any) -> Any:
            return verb(*values[:-1])

        return without_timeout
    return verb
