"""Whether what was given is what an operation takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    import attrs

Check: TypeAlias = "Callable[[Any, attrs.Attribute[Any], Any], None]"
"""A validator of a field."""

_LONE: Final = re.compile("[\ud800-\udfff]")


class OneOf(StrEnum):
    """Words of which a caller gives one; any other is refused with those that there are.

    A text that is the value of a word stands for it, wherever the word may be given. A subclass
    says in which field its words stand.
    """

    _field: str

    def __init_subclass__(cls, *, field: str, **more: Any) -> None:
        """Keep the name of the field."""
        super().__init_subclass__(**more)
        cls._field = field

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise InvalidData(
            f"{str(value)[:80]!r} is no {cls.__name__}.",
            field=cls._field,
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


def _check(value: object, kind: type, field: str) -> None:
    check_kind(value, kind, field)
    if isinstance(value, str) and _LONE.search(value):
        raise InvalidData(
            f"The {field} has half a character in it, which nothing can send.",
            field=field,
            remedy="Decode the text where it comes in, with errors='replace'.",
        )


def check_text(value: object, field: str) -> None:
    """Refuse what is no text, or one that nothing can send."""
    _check(value, str, field)


def check_maybe(value: object, kind: type, field: str) -> None:
    """Refuse what is neither None nor of this kind."""
    if value is not None:
        _check(value, kind, field)


def check_whole(value: object, field: str) -> None:
    """Refuse what is no whole number from zero on."""
    if type(value) is not int or value < 0:
        raise InvalidData(
            f"The {field} is no number from zero on.",
            field=field,
            remedy="Give a whole number, such as 0 or 50.",
        )


def is_whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no whole number from zero on."""
    check_whole(value, attribute.name)


def several(value: object, field: str) -> list[Any]:
    """Several things as a list; what is one thing, or a table, is refused."""
    if not _is_several(value):
        raise InvalidData(
            f"a {type(value).__name__} is not a list.",
            field=field,
            remedy="Give a list, a tuple, or what else can be gone through.",
        )
    return list(value)


def is_a(kind: type) -> Check:
    """A validator that refuses whatever is of another kind."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        _check(value, kind, attribute.name)

    return check


def is_maybe(kind: type) -> Check:
    """A validator that refuses whatever is neither None nor of this kind."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            _check(value, kind, attribute.name)

    return check


def as_tuple(value: Any) -> Any:
    """Several things as a tuple; what is one thing, or a table, is left for `are_all` to refuse."""
    return tuple(value) if _is_several(value) else value


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether `as_tuple` made it of several things."""
    return isinstance(value, tuple)


def are_all(kind: type) -> Check:
    """A validator of what `as_tuple` made, that refuses whatever else than this kind is in it."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not is_tuple(value):
            raise InvalidData(
                f"a {type(value).__name__} is not several of {kind.__name__}.",
                field=attribute.name,
                remedy=f"Give a list or a tuple of {kind.__name__}.",
            )
        for number, one in enumerate(value):
            _check(one, kind, f"{attribute.name}[{number}]")

    return check


def as_table(value: Any) -> Any:
    """A table that nobody else can change; what is none is left for a validator to refuse."""
    return dict(value) if _is_table(value) else value


def _is_several(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def are_texts(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no table from texts to texts."""
    check_texts(value, attribute.name)


def check_texts(value: object, field: str) -> None:
    """Refuse what is no table from texts to texts."""
    check_kind(value, dict, field)
    texts: dict[object, object] = value  # type: ignore[assignment]  # checked above
    for text in (*texts, *texts.values()):
        _check(text, str, field)


def is_moment(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is neither None nor a time that everybody would understand alike."""
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"The {attribute.name} is no time with a time zone.",
            field=attribute.name,
            remedy="Give an aware datetime, such as datetime.now(UTC).",
        )


def is_day(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no day, or has a time of the day."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidData(
            f"The {attribute.name} is no day.",
            field=attribute.name,
            remedy="Give a date, such as date(2026, 3, 1); of a datetime its date().",
        )


def is_maybe_day(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is neither None nor a day without a time."""
    if value is not None:
        is_day(_, attribute, value)


def is_maybe_whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is neither None nor a whole number from zero on."""
    if value is not None:
        check_whole(value, attribute.name)


def is_maybe_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is neither None nor a whole number from one on."""
    if value is not None:
        is_count(_, attribute, value)


def is_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no whole number from one on."""
    if type(value) is not int or value < 1:
        raise InvalidData(
            f"The {attribute.name} is no number from one on.",
            field=attribute.name,
            remedy="Give a whole number, such as 50.",
        )
