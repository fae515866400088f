"""Values, names and keys in the notation of OData v4 URLs."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isinf, isnan
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote
from uuid import UUID

import attrs

from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable, with_article
from moorage.errors import InvalidData

_NAME: Final = late_pattern(r"[^\W\d]\w{0,127}(?:\.[^\W\d]\w{0,127}){0,20}")
_PATH: Final = late_pattern(
    r"[^\W\d]\w{0,127}(?:\.[^\W\d]\w{0,127}){0,20}"
    r"(?:/[^\W\d]\w{0,127}(?:\.[^\W\d]\w{0,127}){0,20}){0,20}"
)
_MEMBERS: Final = late_pattern(r"[^\W\d]\w{0,127}(?:,[^\W\d]\w{0,127}){0,50}")
_DAY: Final = 86_400
_MOST_DIGITS: Final = 1000


@attrs.frozen
class ODataEnum:
    """A member of an OData enumeration, which is written with its type's name.

    Attributes:
        type_name: the qualified name of the type, such as "Sales.Status".
        member: the name of the member; several are separated by commas.
    """

    type_name: str = attrs.field()
    member: str = attrs.field()

    def __attrs_post_init__(self) -> None:
        """Check that the enumeration's type name and member name have only valid characters."""
        checked_name(self.type_name, "type_name")
        if not isinstance(self.member, str) or not _MEMBERS.fullmatch(self.member):
            raise InvalidData(
                "The member of the enumeration is not a valid name.",
                field="member",
                remedy="Pass the name of the member as in the metadata of the service.",
            )


ODataValue: TypeAlias = (
    bool
    | int
    | float
    | str
    | bytes
    | Decimal
    | datetime
    | date
    | time
    | timedelta
    | UUID
    | ODataEnum
    | None
)
"""The types of values that have an OData literal."""

ODataKey: TypeAlias = ODataValue | Mapping[str, ODataValue]
"""The key of an OData entity: a value, or values by property name."""


def literal(value: object, field: str = "value") -> str:
    """Return a value as an OData literal; strings are quoted, so that they cannot break out.

    Raises:
        InvalidData: OData has no literal for the value.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, field)
    if isinstance(value, bytes):
        return f"binary'{urlsafe_b64encode(value).decode()}'"
    if isinstance(value, ODataEnum):
        return f"{value.type_name}'{value.member}'"
    if isinstance(value, UUID):
        return str(value)
    text = _number(value) or _time(value, field)
    if text is not None:
        return text
    raise InvalidData(
        f"{with_article(type(value).__name__)} cannot be written as an OData literal.".capitalize(),
        field=field,
        remedy="Pass a string, a number, a boolean, None, bytes, a date, a time, a timedelta, a"
        " UUID, or an ODataEnum.",
    )


def key_path(key: object) -> str:
    """Return an entity's key in parentheses and percent-encoded, to append to the entity set's URL.

    Raises:
        InvalidData: the key is empty, or has a value that OData cannot write.
    """
    if isinstance(key, (int, str)) or not isinstance(key, Mapping):  # an int is quick to tell
        return f"({_escape(literal(key, 'key'))})"
    parts = cast("Mapping[str, Any]", key)
    if not parts:
        raise InvalidData(
            "The key is empty.", field="key", remedy="Pass all properties of the key."
        )
    return f"({arguments(parts, 'key')})"


def arguments(values: Mapping[str, Any], field: str) -> str:
    """Return the named arguments of an OData call, percent-encoded and separated by commas."""
    return ",".join(
        f"{quote(checked_name(name, field))}={_escape(literal(value, f'{field}.{name}'))}"
        for name, value in values.items()
    )


def checked_name(name: object, field: str) -> str:
    """Return a name of OData, such as a property's, after checking its characters."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise _name_error(field)


def checked_path(path: object, field: str) -> str:
    """Return OData names joined by slashes, such as "Customer/Name", after checking them."""
    if isinstance(path, str) and _PATH.fullmatch(path):
        return path
    raise _name_error(field)


def _name_error(field: str) -> InvalidData:
    return InvalidData(
        f"{field} is not a valid OData name.",
        field=field,
        remedy="Use a name of letters, digits and underscores, as in the metadata of the"
        " service. Pass values in a filter or a key.",
    )


def _text(value: str, field: str) -> str:
    if not is_encodable(value):
        raise InvalidData(
            "The text has a lone surrogate, so it is not valid Unicode.",
            field=field,
            remedy="Decode the text correctly.",
        )
    escaped_text = value.replace("'", "''")
    return f"'{escaped_text}'"


def _number(value: object) -> str | None:
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, Decimal):
        return _decimal(value)
    if not isinstance(value, float):
        return None
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "INF" if value > 0 else "-INF"
    return repr(float(value))


def _decimal(value: Decimal) -> str | None:
    # A float could not represent a number beyond 1E+308.
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return "INF" if value > 0 else "-INF"
    # A number with an exponent is an Edm.Double, which has less precision.
    return f"{value:f}" if abs(value.adjusted()) <= _MOST_DIGITS else None


def _time(value: object, field: str) -> str | None:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidData(
                "The datetime has no time zone.",
                field=field,
                remedy="Add a time zone to the datetime, such as `datetime.now(UTC)`.",
            )
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.replace(tzinfo=None).isoformat()
    return _duration(value) if isinstance(value, timedelta) else None


def _duration(value: timedelta) -> str:
    sign = "-" if value < timedelta() else ""
    amount = abs(value)
    fraction = f".{amount.microseconds:06d}" if amount.microseconds else ""
    return f"duration'{sign}PT{amount.days * _DAY + amount.seconds}{fraction}S'"


def _escape(text: str) -> str:
    """Return an OData literal percent-encoded for a path, except for its quotes."""
    return text if text.isascii() and text.isalnum() else quote(text, safe="'")
