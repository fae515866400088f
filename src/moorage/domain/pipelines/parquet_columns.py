"""The columns of Parquet files, in the notation of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPRESSIONS: Final = ("zstd", "snappy", "gzip", "none")
_TYPES: Final = ("string", "int32", "int64", "float64", "bool", "timestamp")
_DECIMAL: Final = late_pattern(r"decimal\((\d{1,2}), ?(\d{1,2})\)")
_MOST_DIGITS: Final = 38


def checked_columns(columns: Mapping[str, str]) -> None:
    """Check that each column of a Parquet file has a name and a type.

    Raises:
        ConfigurationError: there are no columns, or a type is unknown.
    """
    wrong_columns = [name for name, kind in columns.items() if not name or not _is_type(kind)]
    if wrong_columns or not columns:
        problem = (
            f"The column {wrong_columns[0][:80]!r} has no known type"
            if wrong_columns
            else "There are none"
        )
        raise ConfigurationError(
            f"{problem}.",
            path="columns",
            remedy=f"Set the type of each column to one of {', '.join(_TYPES)} or decimal(10,2).",
        )


def decimal_size(kind: str) -> tuple[int, int] | None:
    """Return the total digits and the decimal places of a decimal type; None for other types."""
    match = _DECIMAL.fullmatch(kind)
    return None if match is None else (int(match[1]), int(match[2]))


def _is_type(kind: object) -> bool:
    if not isinstance(kind, str):
        return False
    decimal = decimal_size(kind)
    if decimal is None:
        return kind in _TYPES
    digits, scale = decimal
    return 1 <= digits <= _MOST_DIGITS and scale <= digits
