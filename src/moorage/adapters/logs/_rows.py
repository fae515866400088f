"""The entries of the integration log as rows of its table."""

from __future__ import annotations

from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.adapters.tables._table import micros, moment
from moorage.domain.observation.call_content import LONGEST_CONTENT
from moorage.domain.observation.call_events import LONGEST_MESSAGE
from moorage.domain.observation.integration_log import (
    CONTENT_FIELDS,
    IntegrationLog,
    IntegrationStatus,
    field_values,
)
from moorage.domain.values.text import column_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.adapters.tables._table import Value

COLUMNS: Final = tuple(attrs.fields_dict(IntegrationLog))
NOT_NULL: Final = frozenset({"id", "service", "status", "started_at", "duration", "attempts"})
NUMBERS: Final = frozenset({"started_at", "attempts", "http_status"})
MAX_NUMBER: Final = 2**63 - 1

TEXT_LENGTH: Final = 255
"""The number of characters that most columns of texts have room for."""

_TEXT_LENGTHS: Final = {
    "error_message": LONGEST_MESSAGE + 1,
    **dict.fromkeys(CONTENT_FIELDS, LONGEST_CONTENT),
}

Encoder: TypeAlias = "tuple[int, Callable[[Any], Value], bool]"
"""The position of a field in an entry, what converts its value, and whether it may be None."""


def text_length(name: str) -> int:
    """Return the number of characters that a column of texts has room for."""
    return _TEXT_LENGTHS.get(name, TEXT_LENGTH)


def encoders(columns: Iterable[str]) -> tuple[Encoder, ...]:
    """Return the encoders of columns, in their order."""
    return tuple((COLUMNS.index(name), _ENCODERS[name], name not in NOT_NULL) for name in columns)


def row_of(entry: IntegrationLog, encoders: Iterable[Encoder]) -> list[Value]:
    """Return the values of a log entry in the order of the table's columns.

    Raises:
        InvalidData: no database can store them.
    """
    try:
        values = field_values(entry)
        return [
            None if (value := values[position]) is None and is_nullable else encode(value)
            for position, encode, is_nullable in encoders
        ]
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise InvalidData(
            "An entry of the integration log has values that no database can store.",
            field="entry",
            remedy="Only store entries that moorage has created.",
        ) from None


def entry_of_row(row: Mapping[str, Any]) -> IntegrationLog:
    """Return the log entry that a row stores."""
    fields = {name: value for name, value in row.items() if name != "number"}
    fields["status"] = IntegrationStatus(fields["status"])
    fields["started_at"] = moment(fields["started_at"])
    return IntegrationLog(**fields)


def _number(value: Any) -> int:
    number = int(value)
    if abs(number) > MAX_NUMBER:
        raise OverflowError
    return number


def _finite_number(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError
    return number


def _encoder(name: str) -> Callable[[Any], Value]:
    """Return the function that converts the values of a field."""
    if name in NUMBERS:
        return _number
    length = text_length(name)
    return lambda text: column_text(text, length)


_ENCODERS: Final[Mapping[str, Callable[[Any], Value]]] = {
    **{name: _encoder(name) for name in COLUMNS},
    "status": attrgetter("value"),
    "started_at": lambda time: _number(micros(time)),
    "duration": _finite_number,
}
