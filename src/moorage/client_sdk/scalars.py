"""Conversion of single values, such as strings, numbers and dates, between JSON and Python."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import attrs

from moorage.domain.values.text import is_encodable

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.client_sdk.shapes import ReadingState

_MOST_DIGITS: Final = 100
_MAX_EXPONENT: Final = 400
"""The largest power of ten in a decimal number, above that of any float.

A few bytes such as 1e999999999 would become gigabytes when the number is written out.
"""


class Mismatch(Exception):
    """Raised for a value that the API description does not allow.

    Attributes:
        problem: the problem as the end of a sentence, without the value.
        place: the names and positions that lead to the value, in reverse order.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place: list[str] = []

    @property
    def path(self) -> str:
        """The path of the value, such as `lines[2].total`."""
        return "".join(reversed(self.place)).lstrip(".")


@attrs.frozen(eq=False)
class Scalar:
    """The shape of a single value.

    Attributes:
        name: the name of the type in messages.
        from_json: converts a JSON value to a Python value; raises ValueError or TypeError.
        to_json: converts a Python value to a JSON value; raises ValueError or TypeError.
    """

    name: str
    from_json: Callable[[Any], Any]
    to_json: Callable[[Any], Any]

    def read(self, value: Any, _: ReadingState) -> Any:
        """Convert a JSON value to a Python value."""
        return self._converted(self.from_json, value)

    def write(self, value: Any, *, checks: bool) -> Any:  # noqa: ARG002 - the signature of every shape
        """Convert a Python value to a JSON value."""
        return self._converted(self.to_json, value)

    def _converted(self, convert: Callable[[Any], Any], value: Any) -> Any:
        try:
            return convert(value)
        except (ArithmeticError, TypeError, ValueError):
            pass
        raise Mismatch(f"is not {self.name}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str.__str__(value)


def _written_text(value: Any) -> str:
    text = _text(value)
    if not is_encodable(text):
        raise ValueError
    return text


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, Decimal) and abs(value.adjusted()) < _MOST_DIGITS and value == int(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        raise Mismatch("is a float, which is not exact: pass a Decimal or an int")
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ValueError
    return number


def _written_decimal(value: Any) -> int | Decimal:
    number = _decimal(value)
    return value if isinstance(value, int) else number


def _decimal_of_text(value: Any) -> Decimal:
    return _decimal(Decimal(_text(value)))


def _text_of_decimal(value: Any) -> str:
    return format(_decimal(value), "f")


def _moment_of_text(value: Any) -> datetime:
    text = _text(value)
    if "T" not in text.upper() and " " not in text:
        raise ValueError
    return datetime.fromisoformat(text.upper())  # RFC 3339 also allows t and z


def _text_of_moment(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _text_of_date(value: Any) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError
    return value.isoformat()


def _text_of_uuid(value: Any) -> str:
    if not isinstance(value, UUID):
        raise TypeError
    return str(value)


def _bytes_of_text(value: Any) -> bytes:
    return b64decode(_text(value), validate=True)


def _text_of_bytes(value: Any) -> str:
    return b64encode(memoryview(value)).decode()


def _read_null(value: Any) -> None:
    if value is not None:
        raise TypeError


DECIMAL_TEXT: Final = Scalar("a decimal number in a string", _decimal_of_text, _text_of_decimal)
SCALARS: Final[dict[Any, Scalar]] = {
    str: Scalar("a string", _text, _written_text),
    bool: Scalar("true or false", _boolean, _boolean),
    int: Scalar("an integer", _integer, _integer),
    Decimal: Scalar("a number", _decimal, _written_decimal),
    datetime: Scalar("a time with a time zone", _moment_of_text, _text_of_moment),
    date: Scalar("a date", lambda value: date.fromisoformat(_text(value)), _text_of_date),
    UUID: Scalar("a UUID", lambda value: UUID(_text(value)), _text_of_uuid),
    bytes: Scalar("bytes in base64", _bytes_of_text, _text_of_bytes),
    type(None): Scalar("null", _read_null, _read_null),
}
"""The shapes of single values, by their types."""
