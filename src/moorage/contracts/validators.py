"""Validators for the types of arguments and fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard
from urllib.parse import urlsplit

from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    import attrs

Check: TypeAlias = "Callable[[Any, attrs.Attribute[Any], Any], None]"
"""A validator of a field."""

_LONE_SURROGATE: Final = late_pattern("[\ud800-\udfff]")


class OneOf(StrEnum):
    """The base class of enumerations whose members may be given as strings.

    An unknown string is refused with a list of the members. A subclass defines the name of the
    field, for the error.
    """

    _field: str

    def __init_subclass__(cls, *, field: str, **more: Any) -> None:
        """Store the field name that errors about a wrong value mention."""
        super().__init_subclass__(**more)
        cls._field = field

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise InvalidData(
            f"{str(value)[:80]!r} is not {with_article(cls.__name__)}.",
            field=cls._field,
            remedy=f"Give one of: {', '.join(cls)}.",
        )


def check_kind(value: object, kind: type, field: str) -> None:
    """Refuse a value of the wrong type."""
    if not isinstance(value, kind):
        raise InvalidData(
            f"The {field} must be {with_article(kind.__name__)}, not"
            f" {with_article(type(value).__name__)}.",
            field=field,
            remedy=f"Give {with_article(kind.__name__)}.",
        )


def _check_type(value: object, kind: type, field: str) -> None:
    check_kind(value, kind, field)
    if isinstance(value, str) and _LONE_SURROGATE.search(value):
        raise InvalidData(
            f"The {field} contains an unpaired surrogate, which cannot be sent.",
            field=field,
            remedy="Decode the text with errors='replace' where it enters your system.",
        )


def check_text(value: object, field: str) -> None:
    """Refuse any value except a string that can be encoded as UTF-8."""
    _check_type(value, str, field)


def _check_filled(value: object, field: str, remedy: str) -> None:
    check_text(value, field)
    if not str(value).strip():
        raise InvalidData(f"The {field} is empty.", field=field, remedy=remedy)


def is_filled(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a string with more than white space."""
    _check_filled(value, attribute.name, "Give a text that is more than white space.")


def is_maybe_filled(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a string with more than white space; refuse other values."""
    if value is not None:
        _check_filled(value, attribute.name, "Give a text, or leave the field out.")


def is_https(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except the https:// URL of a page."""
    check_text(value, attribute.name)
    text = str(value)
    try:
        url = urlsplit(text)
        valid = url.scheme == "https" and bool(url.hostname)
    except ValueError:
        valid = False
    if not valid or any(letter <= " " for letter in text):
        raise InvalidData(
            f"The {attribute.name} must be an https:// address.",
            field=attribute.name,
            remedy="Give an absolute URL, such as https://erp.example/orders/1042.",
        )


def is_maybe_https(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or the https:// URL of a page; refuse other values."""
    if value is not None:
        is_https(_, attribute, value)


def check_maybe(value: object, kind: type, field: str) -> None:
    """Accept None or a value of this type; refuse other values."""
    if value is not None:
        _check_type(value, kind, field)


def check_whole(value: object, field: str) -> None:
    """Refuse any value except whole numbers of at least zero."""
    if type(value) is not int or value < 0:
        raise InvalidData(
            f"The {field} must be a whole number of zero or more.",
            field=field,
            remedy="Give a whole number, such as 0 or 50.",
        )


def is_whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except whole numbers of at least zero."""
    check_whole(value, attribute.name)


def as_list(value: object, field: str) -> list[Any]:
    """Return several values as a list; refuse a string, bytes or a table."""
    if not _is_several(value):
        raise InvalidData(
            f"The {field} must be a list, not {with_article(type(value).__name__)}.",
            field=field,
            remedy="Give a list, a tuple or another iterable.",
        )
    return list(value)


def is_a(kind: type) -> Check:
    """A validator that accepts only values of this type."""

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        _check_type(value, kind, attribute.name)

    return check_value


def is_maybe(kind: type) -> Check:
    """A validator that accepts only None and values of this type."""

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            _check_type(value, kind, attribute.name)

    return check_value


def as_tuple(value: Any) -> Any:
    """Return several values as a tuple; return any other value unchanged, to be refused later."""
    return tuple(value) if _is_several(value) else value


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Return True for a tuple; `as_tuple` converts several values to one."""
    return isinstance(value, tuple)


def are_all(kind: type) -> Check:
    """A validator of a tuple whose items must all be of this type."""

    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not is_tuple(value):
            raise InvalidData(
                f"The {attribute.name} must be a list of {kind.__name__}, not"
                f" {with_article(type(value).__name__)}.",
                field=attribute.name,
                remedy=f"Give a list or a tuple of {kind.__name__}.",
            )
        if kind is not str and {kind}.issuperset(map(type, value)):
            return  # the usual case, in which no item needs a name for an error
        for number, item in enumerate(value):
            _check_type(item, kind, f"{attribute.name}[{number}]")

    return check_value


def as_table(value: Any) -> Any:
    """Return a read-only copy of a table; return any other value unchanged, to be refused later."""
    return dict(value) if is_table(value) else value


def _is_several(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Return True if the value is a mapping."""
    return isinstance(value, Mapping)


def are_texts(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a table whose keys and values are strings."""
    check_texts(value, attribute.name)


def check_texts(value: object, field: str) -> None:
    """Refuse any value except a table whose keys and values are strings."""
    check_kind(value, dict, field)
    texts: dict[object, object] = value  # type: ignore[assignment]  # checked above
    for text in (*texts, *texts.values()):
        _check_type(text, str, field)


def is_moment(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or an aware datetime; refuse other values."""
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"The {attribute.name} must be a datetime with a time zone.",
            field=attribute.name,
            remedy="Give an aware datetime, such as datetime.now(UTC).",
        )


def check_day(value: object, field: str) -> None:
    """Refuse any value except a date without a time."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidData(
            f"The {field} must be a date.",
            field=field,
            remedy="Give a date, such as date(2026, 3, 1), or the date() of a datetime.",
        )


def is_day(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except a date without a time."""
    check_day(value, attribute.name)


def is_maybe_day(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a date without a time; refuse other values."""
    if value is not None:
        is_day(_, attribute, value)


def is_maybe_whole(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a whole number of at least zero; refuse other values."""
    if value is not None:
        check_whole(value, attribute.name)


def is_maybe_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a whole number of at least one; refuse other values."""
    if value is not None:
        is_count(_, attribute, value)


def is_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse any value except whole numbers of at least one."""
    if type(value) is not int or value < 1:
        raise InvalidData(
            f"The {attribute.name} must be a whole number above zero.",
            field=attribute.name,
            remedy="Give a whole number, such as 50.",
        )
