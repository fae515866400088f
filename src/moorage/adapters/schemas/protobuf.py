"""Protobuf messages, with descriptors instead of generated classes."""

from __future__ import annotations

import re
from base64 import b64encode
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from moorage.adapters.grpc.descriptors import descriptor_pool
from moorage.domain.schemas.protobuf_files import ProtobufFiles
from moorage.domain.schemas.wire_format import with_indexes, without_indexes
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import CompleteSchema

_FIELD: Final = re.compile(r'(?:no field named "|Failed to parse )([A-Za-z_][\w.\[\]]{0,100})')


class ProtobufCodec:
    """Decodes and encodes messages of one Protobuf schema.

    Values are dictionaries by the names of the schema's fields. A field without presence always has
    an entry. Numbers are ints and floats, bytes are bytes, members of enumerations are their names,
    and messages of `google.protobuf` such as `Timestamp` have the form that they have in JSON.

    Args:
        schema: the schema.
        message: the full name of the message; by default the first one of the schema.

    Raises:
        InvalidData: the schema has no compiled descriptors, or no such message.
    """

    def __init__(
        self, schema: CompleteSchema, _: object = None, message: str | None = None
    ) -> None:
        self._files = ProtobufFiles.of(schema)
        self._pool: Any = descriptor_pool(dict(self._files.files))
        indexes = (0,) if message is None else self._files.indexes_of(message)
        name = None if indexes is None else self._files.message_at(indexes)
        if indexes is None or name is None:
            raise InvalidData(
                f"The Protobuf schema has no message {(message or 'at all')[:200]!r}.",
                field="message",
                remedy=f"Use one of: {', '.join(self._files.main_messages)[:500] or 'none'}.",
            )
        self._indexes = indexes
        self._name = name
        self._kinds: dict[str, Any] = {}

    def decode(self, data: bytes, /) -> dict[str, Any]:
        """Return the fields of an encoded message.

        Raises:
            InvalidData: the bytes are not such a message.
        """
        return self._decoded(self._name, data)

    def decode_framed(self, data: bytes, /) -> dict[str, Any]:
        """Return the fields of an encoded message that is preceded by its type's index.

        Raises:
            InvalidData: the schema has no such message, or the bytes are not such a message.
        """
        indexes, message_bytes = without_indexes(data)
        name = self._files.message_at(indexes)
        if name is None:
            raise InvalidData(
                "A record contains a message type that its Protobuf schema does not have.",
                field="payload",
                remedy="Correct the producer, which uses a different message type.",
            )
        return self._decoded(name, message_bytes)

    def encode(self, value: Any, /) -> bytes:
        """Return the encoded message for these fields.

        Raises:
            InvalidData: the fields do not fit the message.
        """
        message = self._kind(self._name)()
        try:
            fields: Any = _as_json(value) if is_object(value) else None
            ParseDict(fields, message, descriptor_pool=self._pool)
            data: bytes = message.SerializeToString(deterministic=True)
        except Exception as error:  # noqa: BLE001 - protobuf raises errors of several kinds
            match = _FIELD.search(str(error))
            place = "" if match is None else f" at {match[1]!r}"
        else:
            return data
        raise InvalidData(
            f"The value of a record does not match the message type {self._name}{place}.",
            field="value",
            remedy="Pass a dict with fields of the message and values of their types.",
        )

    def encode_framed(self, value: Any, /) -> bytes:
        """Return the encoded message for these fields, preceded by its type's index.

        Raises:
            InvalidData: the fields do not fit the message.
        """
        return with_indexes(self._indexes, self.encode(value))

    def _kind(self, name: str) -> Any:
        if name not in self._kinds:
            self._kinds[name] = GetMessageClass(self._pool.FindMessageTypeByName(name))
        return self._kinds[name]

    def _decoded(self, name: str, data: bytes) -> dict[str, Any]:
        message = self._kind(name)()
        try:
            message.ParseFromString(data)
            return {} if not _is_complete(message) else _fields(message, self._pool)
        except Exception as error:  # noqa: BLE001 - protobuf raises errors of several kinds
            problem = type(error).__name__
        raise InvalidData(
            f"The data of a record is not a valid message of the type {name} ({problem}).",
            field="payload",
            remedy="Correct the producer, or decode with the schema that the producer uses.",
        )


def _is_complete(message: Any) -> bool:
    """Return True; raise an error if a required field is missing."""
    if message.IsInitialized():
        return True
    raise ValueError("A required field is missing.")


def _fields(message: Any, pool: Any) -> dict[str, Any]:
    return {
        field.name: _value(field, getattr(message, field.name), pool)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: Any, value: Any, pool: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        entry = kind.fields_by_name["value"]
        return {key: _single_value(entry, value[key], pool) for key in value}
    if isinstance(value, (str, bytes, int, float)) or hasattr(value, "DESCRIPTOR"):
        return _single_value(field, value, pool)
    return [_single_value(field, item, pool) for item in value]


def _single_value(field: Any, value: Any, pool: Any) -> Any:
    if field.enum_type is not None:
        member = field.enum_type.values_by_number.get(value)
        return value if member is None else member.name
    if field.message_type is None:
        return value
    if value.DESCRIPTOR.file.package == "google.protobuf":
        return MessageToDict(value, preserving_proto_field_name=True, descriptor_pool=pool)
    return _fields(value, pool)


def _as_json(value: Any) -> Any:
    """Return a value in `ParseDict`'s form: bytes as Base64, and infinite numbers as strings."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if is_list(value):
        return [_as_json(item) for item in value]
    if is_object(value):
        return {name: _as_json(item) for name, item in value.items()}
    return value


CODEC: Final = ProtobufCodec
