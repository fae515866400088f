"""Readings: tables that convert a vendor's answer to a value of a contract, field by field.

A row is a function that reads one field from an `Answer`. Each field of a reading is a row, a
reference made by `ref_at`, values of another reading made by `nested` or `each`, or a constant.
Unknown and missing fields are reported when the reading is made, which is when the vendor is
imported.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from moorage.domain.values.frozen_values import NOTHING, fields_of, frozen
from moorage.errors import InvalidData
from moorage.vendor_sdk.answers import Answer, malformed, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from moorage.contracts.vendor import MakeRef
    from moorage.domain.http.requests import Response

R = TypeVar("R")
T = TypeVar("T")
Row: TypeAlias = "Callable[[Answer], T]"


class _MissingValueError(Exception):
    """Raised if an answer lacks a value that every successful answer must contain."""


def text(*paths: str, none: Collection[str] = ()) -> Row[str | None]:
    """Return a table row that reads a string at the first of these paths where there is one.

    Args:
        paths: dotted paths.
        none: words of the vendor that mean "no value".
    """
    (path, *other_paths) = paths
    if not other_paths and not none:
        return lambda fields: fields.text(path)

    def read(fields: Answer) -> str | None:
        field_text = fields.text(path)
        for other_path in other_paths:
            field_text = field_text or fields.text(other_path)
        return None if field_text in none else field_text

    return read


def texts(path: str) -> Row[tuple[str, ...]]:
    """Return a table row that reads the strings of a list."""
    return lambda fields: fields.texts(path)


def integer(path: str) -> Row[int | None]:
    """Return a table row that reads a whole number."""
    return lambda fields: fields.integer(path)


def flag(path: str) -> Row[bool | None]:
    """Return a table row that reads a boolean."""
    return lambda fields: fields.flag(path)


def time(path: str) -> Row[datetime | None]:
    """Return a table row that reads a time."""
    return lambda fields: fields.time(path)


def base64(path: str) -> Row[bytes | None]:
    """Return a table row that reads bytes in base64; None if the text is not base64."""

    def read(fields: Answer) -> bytes | None:
        try:
            return b64decode(fields.text(path) or "", validate=True) or None
        except ValueError:
            return None

    return read


def word(*paths: str, of: Mapping[str, T], otherwise: T) -> Row[T]:
    """Return a table row that translates a vendor's word; unknown words become `otherwise`."""
    read_text = text(*paths)
    meanings: dict[str | None, T] = dict(of.items())
    return lambda fields: meanings.get(read_text(fields), otherwise)


def when(condition: Row[object], value: Any, otherwise: Any = None) -> Row[Any]:
    """Return a table row with one of two values, chosen by a condition.

    Args:
        condition: a row or another function of the answer.
        value: row or constant for the value if the condition is true.
        otherwise: row or constant for the value if the condition is false.
    """

    def read(fields: Answer) -> Any:
        result = value if condition(fields) else otherwise
        return result(fields) if callable(result) else result

    return read


def needed(row: Row[T | None], name: str) -> Row[T]:
    """Return a table row for a required value; `name` is the field's name in the vendor's API."""

    def read(fields: Answer) -> T:
        value = row(fields)
        if value is None:
            raise _MissingValueError(name)
        return value

    return read


@frozen
class _Reference:
    """A field whose value is a `Ref` made from an id; every successful answer must have the id."""

    id: Row[str]


def ref_at(*paths: str, row: Row[str | None] | None = None, name: str | None = None) -> Any:
    """Return a field whose value is a `Ref` made from an id.

    Args:
        paths: dotted paths; the id is the first text that is found.
        row: a row that reads the id, instead of paths.
        name: the name of the id in the vendor's API, for error messages; by default the first path.
    """
    return _Reference(needed(row or text(*paths), name or paths[0]))


@frozen
class _Nested:
    """A field with the value of another reading, or a tuple of its values."""

    path: str
    reading: Reading[Any]
    is_list: bool

    def values(self, fields: Answer, ref: MakeRef) -> tuple[Any, ...]:
        """Return the values that have all required data."""
        objects = fields.objects(self.path) if self.is_list else (fields.object(self.path),)
        return tuple(
            value for item in objects for value in self.reading.parse_if_complete(ref, item)
        )


def nested(path: str, reading: Reading[Any]) -> Any:
    """Return a field with the value of a nested object.

    If the object lacks required data, the field is None; if the field has no default, the answer
    lacks required data too.
    """
    return _Nested(path, reading, is_list=False)


def each(path: str, reading: Reading[Any]) -> Any:
    """Return a field with the values in a list; objects that lack required data are left out."""
    return _Nested(path, reading, is_list=True)


class Reading(Generic[R]):
    """Converts an answer to a value of a contract.

    Args:
        kind: the class of the value.
        supplied: the fields that the caller supplies.
        rows: the other fields. If the class has a field `raw`, it gets the whole answer.

    Raises:
        TypeError: the class does not have one of the fields, or a required field is missing.
    """

    def __init__(self, kind: type[R], /, supplied: Collection[str] = (), **rows: Any) -> None:
        known_fields = {field.name: field for field in fields_of(cast("Any", kind))}
        unknown_names = [name for name in (*rows, *supplied) if name not in known_fields]
        if unknown_names:
            raise TypeError(f"{kind.__name__} has no field {' and '.join(unknown_names)}.")
        complete_fields = {*rows, *supplied, "raw"}
        missing_names = [
            name
            for name, field in known_fields.items()
            if field.default is NOTHING and name not in complete_fields
        ]
        if missing_names:
            raise TypeError(f"{kind.__name__} needs the field {' and '.join(missing_names)}.")
        self.kind = kind
        self._raw = "raw" in known_fields and "raw" not in rows
        self._constants: dict[str, Any] = {}
        self._rows: list[tuple[str, Row[Any]]] = []
        self._references: list[tuple[str, Row[str]]] = []
        self._nested: list[tuple[str, _Nested, bool]] = []
        for name, row in rows.items():
            if isinstance(row, _Reference):
                self._references.append((name, row.id))
            elif isinstance(row, _Nested):
                self._nested.append((name, row, known_fields[name].default is NOTHING))
            elif callable(row):
                self._rows.append((name, row))
            else:
                self._constants[name] = row

    def parse(self, ref: MakeRef, response: Response, /, **supplied: Any) -> R:
        """Return the value in an answer.

        Raises:
            VendorFailed: the answer is not a JSON object, lacks required data, or contains data
                that the class refuses.
        """
        try:
            return self._read_values(read_answer(response), ref, supplied)
        except _MissingValueError as missing:
            name = str(missing)
        except InvalidData as error:
            name = error.field or self.kind.__name__
        raise malformed(response, name)

    def parse_if_complete(self, ref: MakeRef, fields: Answer, /, **supplied: Any) -> tuple[R, ...]:
        """Return the value in a tuple; an empty tuple if required data is missing or invalid."""
        try:
            return (self._read_values(fields, ref, supplied),)
        except (_MissingValueError, InvalidData):
            return ()

    def _read_values(self, fields: Answer, ref: MakeRef, supplied: dict[str, Any]) -> R:
        values = {**self._constants, **supplied}
        for name, row in self._references:
            values[name] = ref(row(fields))
        for name, row in self._rows:
            values[name] = row(fields)
        for name, nested_row, is_required in self._nested:
            nested_values = nested_row.values(fields, ref)
            if is_required and not (nested_values or nested_row.is_list):
                raise _MissingValueError(nested_row.path)
            values[name] = nested_values if nested_row.is_list else next(iter(nested_values), None)
        if self._raw:
            values["raw"] = fields.raw
        return self.kind(**values)
