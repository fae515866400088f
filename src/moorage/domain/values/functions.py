"""Checks of functions that users pass in, made before their first use."""

from __future__ import annotations

from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

from moorage.domain.values.names import name_of
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def not_callable_error(value: object, field: str) -> ConfigurationError:
    """Return the error for a value that should be a function and is not callable."""
    # The value is not shown, because it may be a credential in the wrong place.
    return ConfigurationError(
        f"The value must be callable, but {with_article(type(value).__name__)} is not.",
        path=field,
        remedy="Pass a function.",
    )


def check_callable(value: object, field: str) -> None:
    """Refuse a value that cannot be called."""
    if not callable(value):
        raise not_callable_error(value, field)


def check_plain(value: object, field: str) -> None:
    """Refuse a value that is not callable, or that is an asynchronous function."""
    check_callable(value, field)
    if iscoroutinefunction(value):
        raise ConfigurationError(
            f"{name_of(value)} is asynchronous, but a synchronous function is required.",
            path=field,
            remedy="Pass a synchronous function.",
        )


def check_store_kind(
    store: object, path: str, *, is_async: bool = True, verb: str = "execute", example: str = ""
) -> None:
    """Raise an error if a synchronous store is passed where an asynchronous one is needed.

    Args:
        store: the store that the user gave.
        path: the name of the argument.
        is_async: False if the store must be synchronous.
        verb: the method that distinguishes the two kinds.
        example: the object to pass instead; by default a store of shared state.
    """
    method = getattr(store, verb, None)
    if callable(method) and iscoroutinefunction(method) is is_async:
        return
    kinds = ("synchronous", "asynchronous")
    fault = f"is {kinds[not is_async]}" if callable(method) else f"has no method `{verb}`"
    shared_store = "Async" if is_async else ""
    raise ConfigurationError(
        f"{type(store).__name__} {fault}, but this class needs {'an' if is_async else 'a'}"
        f" {kinds[is_async]} store.",
        path=path,
        remedy=f"Use {example or f'one such as `{shared_store}SqliteStorage`'}.",
    )


def with_timeout(verb: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    """Return a variant of a port's method that accepts a `timeout`, even if the method does not."""
    try:
        signature(verb).bind(*(None,) * (arguments + 1))
    except TypeError:

        def without_timeout(*values: Any) -> Any:
            return verb(*values[:-1])

        return without_timeout
    return verb
