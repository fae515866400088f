"""The check that an argument is of its class, for callers without a type checker."""

from __future__ import annotations

from typing import Any, TypeVar

from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

T = TypeVar("T")


def checked_kind(value: T, kind: type[Any], field: str) -> T:
    """Return a value of this class; for any other value, raise an error that does not show it."""
    if isinstance(value, kind):
        return value
    raise InvalidData(
        f"{field} must be {with_article(kind.__name__)}, not {with_article(type(value).__name__)}.",
        field=field,
        remedy=f"Use {with_article(kind.__name__)} as {field}.",
    )
