"""Chooses the codec for a schema."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from moorage.domain.schemas.schema import SchemaFormat
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import CompleteSchema
    from moorage.ports.schemas import SchemaCodec

_LIBRARIES: Final = {
    SchemaFormat.AVRO: ("avro", "fastavro", "avro"),
    SchemaFormat.JSON: ("json_schema", "jsonschema-rs", "jsonschema"),
    SchemaFormat.PROTOBUF: ("protobuf", "protobuf", "protobuf"),
}
"""The module of each format, its library, and the extra that installs the library."""


def codec_of(
    schema: CompleteSchema, reader: CompleteSchema | None = None, message: str | None = None
) -> SchemaCodec:
    """Return the codec that decodes and encodes data by this schema.

    Args:
        schema: the schema with which data are, or will be, written.
        reader: the schema that decoded values follow, in Avro; by default the schema of the data.
        message: the full name of the message in Protobuf; by default the schema's first message.

    Raises:
        InvalidData: the schema is not one of its format, or its data cannot be decoded safely.
        ConfigurationError: the library of the format is not installed.
    """
    module, library, extra = _LIBRARIES[schema.schema.format]
    try:
        kind = import_module(f"moorage.adapters.schemas.{module}").CODEC
    except ImportError:
        kind = None
    if kind is None:
        raise ConfigurationError(
            f"{schema.schema.format.value} schemas need {library}, which is not installed.",
            path="format",
            remedy=install(extra),
        )
    codec: SchemaCodec = kind(schema, reader, message)
    return codec
