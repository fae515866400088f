"""Functions that declare optional fields of invoices, such as texts, numbers and dates."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import attrs

from moorage.contracts.validators import are_all, as_tuple, check_text, is_maybe, is_maybe_day
from moorage.errors import InvalidData
from moorage.invoices.amounts import PLAIN

_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST_EXPONENT: Final = 29


def _strip_text(value: Any) -> Any:
    """Return a text without outer white space; None if nothing is left."""
    return (value.strip() or None) if isinstance(value, str) else value


def is_maybe_xml_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Accept None or a string of characters that XML allows; refuse other values."""
    if value is None:
        return
    check_text(value, attribute.name)
    if isinstance(value, str) and _FORBIDDEN.search(value):
        raise InvalidData(
            f"The {attribute.name} contains a control character, which XML does not allow.",
            field=attribute.name,
            remedy="Remove control characters from the text.",
        )


def _unless_blank(value: Any) -> Any:
    """Return a text unchanged, or None if it contains only white space."""
    return value if not isinstance(value, str) or value.strip() else None


def text_field(*, private: bool = False, strip: bool = True, **options: Any) -> Any:
    """Make a field for a text.

    Args:
        private: True to leave the field out of the repr.
        strip: False to keep white space around the text.
        options: other options of `attrs.field`.
    """
    return attrs.field(
        default=None,
        converter=_strip_text if strip else _unless_blank,
        validator=is_maybe_xml_text,
        repr=not private,
        **options,
    )


def _as_number(value: Any) -> Any:
    if type(value) is int or (isinstance(value, str) and PLAIN.fullmatch(value.strip())):
        return Decimal(value)
    return value


def _is_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or value.adjusted() > _LARGEST_EXPONENT
        or int(value.as_tuple().exponent) < -20
        or len(value.as_tuple().digits) > 50
    ):
        raise InvalidData(
            f"The {attribute.name} is not an exact number, or it is too large or too long.",
            field=attribute.name,
            remedy="Give a Decimal, an int, or a str such as '149.90'; a float is not exact.",
        )


def number_field(**options: Any) -> Any:
    """Make a field for an exact number; `options` are passed to `attrs.field`."""
    return attrs.field(default=None, converter=_as_number, validator=_is_number, **options)


def day_field(**options: Any) -> Any:
    """Make a field for a date; `options` are passed to `attrs.field`."""
    return attrs.field(default=None, validator=is_maybe_day, **options)


def part_field(kind: type, *, private: bool = False) -> Any:
    """Make a field for one value of a class; a private field is left out of the repr."""
    return attrs.field(default=None, validator=is_maybe(kind), repr=not private)


def parts_field(kind: type, *, private: bool = False) -> Any:
    """Make a field for several values of a class; a private field is left out of the repr."""
    return attrs.field(default=(), converter=as_tuple, validator=are_all(kind), repr=not private)


def as_identifier(value: Any) -> Any:
    """Convert a text to an identifier without a scheme; return any other value unchanged."""
    if isinstance(value, str):
        return Identifier(value) if value.strip() else None
    return value


@attrs.frozen
class Identifier:
    """An identifier, with the scheme to which it belongs.

    Attributes:
        value: the identifier itself.
        scheme: code of the scheme, such as '0088' for a GLN; None if the parties agreed on the
            scheme.
    """

    value: str | None = text_field(private=True)
    scheme: str | None = text_field()


def identifier_field() -> Any:
    """Make a field for an identifier, which is left out of the repr."""
    return attrs.field(
        default=None, converter=as_identifier, validator=is_maybe(Identifier), repr=False
    )
