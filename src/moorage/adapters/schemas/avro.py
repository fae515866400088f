"""Avro with fastavro."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import fastavro
from fastavro import _read_py as slow_reading
from fastavro import _validation_py as slow_validation
from fastavro import _write_py as slow_writing
from fastavro import validation

from moorage.domain.schemas.avro_types import avro_type, hazards
from moorage.domain.values.json_text import is_list
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import CompleteSchema


_MAX_EMPTY_VALUES: Final = 1_000
"""The maximum number of values in one record that take no bytes."""


class AvroCodec:
    """Decodes and encodes records of one Avro schema.

    Args:
        writer: the schema of the data.
        reader: the schema that decoded values follow; by default the writer's schema.

    Raises:
        InvalidData: a schema is not an Avro schema, or has an array whose items take no bytes, so
            that a few bytes could announce more items than the memory holds. A record with many
            values that take no bytes is refused for the same reason.
    """

    def __init__(
        self, writer: CompleteSchema, reader: CompleteSchema | None = None, _: str | None = None
    ) -> None:
        dangers = hazards(avro_type(writer))
        if dangers.has_empty_items:
            raise InvalidData(
                "The Avro schema has an array of items without data, such as null.",
                field="schema",
                remedy="Use a number that counts such items instead.",
            )
        if dangers.empty_values > _MAX_EMPTY_VALUES:
            raise InvalidData(
                f"The Avro schema has a record with more than {_MAX_EMPTY_VALUES:,} values"
                " without data, such as null.",
                field="schema",
                remedy="Remove the fields that have no data.",
            )
        self._writer = _fastavro_schema(writer)
        self._reader = None if reader is None else _fastavro_schema(reader)
        # The compiled functions crash the process if data of a recursive schema is deeply nested.
        is_deep = dangers.is_recursive
        reading: Any = slow_reading if is_deep else fastavro
        writing: Any = slow_writing if is_deep else fastavro
        validating: Any = slow_validation if is_deep else validation
        self._read = reading.schemaless_reader
        self._write = writing.schemaless_writer
        self._validate = validating.validate

    def decode(self, data: bytes, /) -> Any:
        """Decode bytes with the schema, and return the value.

        Raises:
            InvalidData: the bytes are not data of the schema.
        """
        stream = BytesIO(data)
        try:
            value = self._read(stream, self._writer, self._reader)
        except Exception as error:  # noqa: BLE001 - fastavro raises errors of many kinds
            problem = f" ({type(error).__name__})"
        else:
            if stream.tell() == len(data):
                return value
            problem = ": the data is longer than the schema allows"
        raise InvalidData(
            f"The data of a record does not match its Avro schema{problem}.",
            field="payload",
            remedy="Correct the producer, or decode with the schema that the producer uses.",
        )

    def encode(self, value: Any, /) -> bytes:
        """Encode a value with the schema, and return the bytes.

        Raises:
            InvalidData: the value does not fit the schema.
        """
        stream = BytesIO()
        try:
            self._validate(value, self._writer, raise_errors=True)
            self._write(stream, self._writer, value, strict_allow_default=True)
        except Exception as error:  # noqa: BLE001 - fastavro raises errors of many kinds
            place = _place_of(error)
        else:
            return stream.getvalue()
        raise InvalidData(
            f"The value of a record does not match the Avro schema{place}.",
            field="value",
            remedy="Pass a value of the right type for each field without a default, and no"
            " other fields.",
        )


def _fastavro_schema(complete: CompleteSchema) -> Any:
    """Return a complete schema in the form that fastavro needs."""
    named_types: dict[str, Any] = {}
    try:
        for _, part in complete.parts:
            fastavro.parse_schema(_document(part.text), named_types)
        schema = fastavro.parse_schema(_document(complete.schema.text), named_types)
        return _with_names(schema, named_types)
    except Exception as error:  # noqa: BLE001 - fastavro raises errors of many kinds
        problem = type(error).__name__
    raise InvalidData(
        f"The library fastavro does not accept the Avro schema ({problem}).",
        field="schema",
        remedy="Correct the schema, such as a default that does not match the type of its field.",
    )


def _with_names(schema: Any, named_schemas: dict[str, Any]) -> Any:
    """Return a parsed schema in which fastavro finds referenced types."""
    if is_list(schema):
        return [_with_names(branch, named_schemas) for branch in schema]
    if isinstance(schema, str):
        return (
            _with_names(named_schemas[schema], named_schemas) if schema in named_schemas else schema
        )
    return {**schema, "__fastavro_parsed": True, "__named_schemas": named_schemas}


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _place_of(error: Exception) -> str:
    """Return the name of the field in an error, without the value, which may be secret."""
    problems = getattr(error, "errors", None) or [None]
    field = getattr(problems[0], "field", None)
    return f" at {str(field)[:200]!r}" if field else ""


CODEC: Final = AvroCodec
