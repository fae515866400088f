"""Conversion of Django's database errors."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, ProgrammingError

from moorage import ConfigurationError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import ConnectorError

P = ParamSpec("P")
Answer = TypeVar("Answer")

_NO_TABLE: Final = ("no such table", "no such column", "has no column", "unknown column")
_NOTHING_THERE: Final = ("does not exist", "doesn't exist")
"""The classes of errors for missing tables in an existing database."""


def translating_errors(verb: Callable[P, Answer]) -> Callable[P, Answer]:
    """Wrap a store's method so that it raises moorage's errors instead of Django's."""

    @wraps(verb)
    def translating_errors(*args: P.args, **named: P.kwargs) -> Answer:
        try:
            return verb(*args, **named)
        except (Error, SynchronousOnlyOperation) as error:
            failure = meaning(error)
        # Raised here, so that its traceback has no frames of the driver, which hold the password.
        raise failure

    return translating_errors


def meaning(error: Exception) -> ConnectorError:
    """Return the moorage error that corresponds to a Django error, without a driver traceback."""
    if isinstance(error, SynchronousOnlyOperation):
        return ConfigurationError(
            "The synchronous hub was called in an event loop.",
            path="MOORAGE",
            remedy="Use `moorage_django.ahub()` there and await its methods, as in"
            " `await ahub().payments().charge(...)`.",
        )
    driver_message = str(error).lower()
    words = (*_NO_TABLE, *_NOTHING_THERE) if isinstance(error, ProgrammingError) else _NO_TABLE
    if any(phrase in driver_message for phrase in words):
        return ConfigurationError(
            "Tables of moorage are missing in the database, or lack columns.",
            path="MOORAGE.DATABASE",
            remedy="Run manage.py migrate moorage_django for each database that manage.py check"
            " --database … lists.",
        )
    return StorageUnavailable(
        f"The database could not be used ({type(error).__name__}).",
        remedy="Check that the database is running and that DATABASES has its address.",
    )
