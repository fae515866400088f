"""Names of functions, accounts' services and consents, and the search for repeated names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def name_of(function: object) -> str:
    """Return the name of a function, or of the class of any other callable.

    A message with this name never shows the values that the function holds.
    """
    if isinstance(function, partial):
        return name_of(function.func)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


BUDGET_SERVICE: Final = "budget"
"""The name, at an account, of the service in whose limits the account's tokens are counted."""


def service_name(account: str, to: str) -> str:
    """Return the full name of an account's service, made of both their names."""
    return f"{account}.{to}" if to else account


def consent_name(account: str, consent: str) -> str:
    """Return the name under which a credential provider stores a consent's credentials."""
    return f"{account}/{consent}"


def repeated_names(names: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of each list entry that repeats the name of an earlier entry.

    Args:
        names: the path and the name of each entry; names that are not strings are ignored.
    """
    earlier_names = set[str]()
    for path, name in names:
        if not isinstance(name, str):
            continue
        if name in earlier_names:
            yield path, str(name)
        earlier_names.add(str(name))
