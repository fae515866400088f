"""Whether what was given is what an operation takes."""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn

from mooring.errors import InvalidData


class OneOf(StrEnum):
    """Words of which a caller gives one; any other is refused with those that there are."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise InvalidData(
            f"{str(value)[:80]!r} is no {cls.__name__}.",
            field=cls.__name__,
            remedy=f"Give one of: {', '.join(cls)}.",
        )


def check_kind(value: object, kind: type, field: str) -> None:
    """Refuse a value of another kind, by name, before anything looks into it."""
    if not isinstance(value, kind):
        raise InvalidData(
            f"a {type(value).__name__} is not a {kind.__name__}.",
            field=field,
            remedy=f"Give a {kind.__name__}.",
        )
