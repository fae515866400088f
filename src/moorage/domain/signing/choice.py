"""Members of enumerations that users choose by name."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from moorage.domain.values.text import brief_repr
from moorage.errors import InvalidData

Choice = TypeVar("Choice", bound=StrEnum)


def choose(kind: type[Choice], value: str, field: str) -> Choice:
    """Return the member of an enumeration with this name."""
    try:
        return kind(value)
    except ValueError:
        raise InvalidData(
            f"{brief_repr(value)} is not a valid {field}.",
            field=field,
            remedy=f"Use one of {', '.join(kind)}.",
        ) from None
