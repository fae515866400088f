"""Transforms that decode and encode records by the schemas of a registry."""

from __future__ import annotations

from enum import Enum
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.adapters.schemas.codecs import codec_of
from moorage.adapters.schemas.complete import complete_schema
from moorage.domain.messages.kafka import TOMBSTONE
from moorage.domain.messages.message import JSON
from moorage.domain.pipelines.records import DecodedRecord
from moorage.domain.schemas.schema import (
    SchemaFormat,
    checked_number,
    checked_subject,
    member,
)
from moorage.domain.schemas.wire_format import add_frame, read_frame
from moorage.domain.values.durations import count
from moorage.errors import ConfigurationError, InvalidData, SchemaNotFound, VendorRejected
from moorage.pipelines._shared_fetches import SharedFetches

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.pipelines.records import SinkRecord
    from moorage.domain.schemas.schema import CompleteSchema
    from moorage.ports.schemas import SchemaCodec, SchemaRegistry

_FAILURE_LIFE: Final = 10.0
"""The seconds for which it is remembered that a schema does not exist."""

_BINARY: Final = "application/octet-stream"


class WireFormat(Enum):
    """The format in which the bytes of a record identify its schema."""

    CONFLUENT = "confluent"
    """A zero byte and the id of the schema stand before the data."""

    PLAIN = "plain"
    """The bytes contain only the data; the settings name the schema."""


class _SchemaCodec(NamedTuple):
    """A schema with the codec that encodes and decodes its data.

    Attributes:
        codec: the codec.
        format: the format of the schema.
        name: the name of the schema: its id, or its subject and version.
        id: the schema's id; None if it has none.
    """

    codec: Any
    format: SchemaFormat
    name: str
    id: int | None


class _SchemaTransform:
    """The base class of transforms that get schemas from a registry."""

    def __init__(
        self,
        registry: SchemaRegistry,
        wire_format: WireFormat | str,
        *,
        subject: str | None,
        version: int | None,
        message: str | None,
        schemas: int,
        now: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._wire_format = member(WireFormat, wire_format, "wire_format")
        self._subject = None if subject is None else checked_subject(subject)
        self._version = None if version is None else checked_number(version, "version")
        if version is not None and subject is None:
            raise ConfigurationError(
                "A version of a schema was passed without its subject.",
                path="subject",
                remedy="Pass the subject too.",
            )
        self._message = message
        limit = count(schemas, "schemas")
        self._codings: SharedFetches[_SchemaCodec] = SharedFetches(limit, _FAILURE_LIFE, now)
        self._readers: SharedFetches[CompleteSchema] = SharedFetches(1, _FAILURE_LIFE, now)

    async def _configured_codec(self) -> _SchemaCodec:
        """Return the schema of the configured subject, and its codec."""
        return await self._codings.get(None, self._fetch_configured)

    async def _fetch_configured(self) -> _SchemaCodec:
        version, complete = await self._complete_configured()
        name = f"{version.subject}/{version.version}"
        codec = _codec(complete, None, self._message)
        return _SchemaCodec(codec, complete.schema.format, name, version.id)

    async def _complete_configured(self) -> tuple[Any, CompleteSchema]:
        try:
            version = await self._registry.version(str(self._subject), self._version)
            return version, await complete_schema(self._registry, version.schema)
        except (VendorRejected, InvalidData) as error:
            problem = error.message
        title = "the latest version" if self._version is None else f"version {self._version}"
        raise ConfigurationError(
            f"The registry did not return {title} of the subject {self._subject!r}: {problem}",
            path="subject",
            remedy="Register the schema, or correct the subject, the version or the registry.",
        )


class SchemaDecoder(_SchemaTransform):
    """A transform that decodes the payload of each record by its schema.

    Sinks and later transforms get a `DecodedRecord`, whose `json()` returns the value and whose
    payload is unchanged. A record becomes a dead letter (by `InvalidData`) if it does not fit its
    schema, or if the registry does not have the schema. While the registry is unreachable, records
    wait.

    A message of Kafka without a value has the value None.

    Args:
        registry: the registry of the schemas.
        wire_format: "confluent" if records name their schema themselves, or "plain".
        subject: the subject with the schema of plain records. With "confluent" it is the Avro
            schema to which values are converted; by default each value has the schema of its
            record.
        version: the version of the subject; by default the latest when it is first needed.
        message: the full name of the Protobuf message of plain records; by default the first
            message of the schema.
        schemas: the largest number of schemas to keep.
        now: returns the time in seconds.

    Raises:
        ConfigurationError: a setting is wrong, or plain records have no subject.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        wire_format: WireFormat | str = WireFormat.CONFLUENT,
        *,
        subject: str | None = None,
        version: int | None = None,
        message: str | None = None,
        schemas: int = 1_000,
        now: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(
            registry,
            wire_format,
            subject=subject,
            version=version,
            message=message,
            schemas=schemas,
            now=now,
        )
        if self._wire_format is WireFormat.PLAIN and subject is None:
            raise _no_subject_error("Plain records do not name their schema")

    async def __call__(self, record: SinkRecord) -> DecodedRecord:
        """Return the record with its decoded value.

        Raises:
            InvalidData: the record does not fit its schema, or its schema does not exist.
            ConfigurationError: the subject does not exist, or a library is not installed.
            ConnectorError: the registry did not answer.
        """
        if not record.payload and any(record.values_of(TOMBSTONE)):
            return DecodedRecord.of(record, None, record.schema or "")
        if self._wire_format is WireFormat.PLAIN:
            coding = await self._configured_codec()
            return DecodedRecord.of(record, coding.codec.decode(record.payload), coding.name)
        id, data = read_frame(record.payload)
        coding = await self._codings.get(id, partial(self._fetch, id))
        is_protobuf = coding.format is SchemaFormat.PROTOBUF
        decode = coding.codec.decode_framed if is_protobuf else coding.codec.decode
        return DecodedRecord.of(record, decode(data), coding.name)

    async def _fetch(self, id: int) -> _SchemaCodec:
        """Fetch the schema with the id in a record."""
        try:
            schema = await self._registry.schema(id)
            complete = await complete_schema(self._registry, schema)
        except SchemaNotFound:
            complete = None
        except VendorRejected as error:
            # If the registry refuses the request, the record is not to blame.
            raise ConfigurationError(
                f"The schema registry refused to return a schema: {error.message}",
                path="registry",
                remedy="Check the registry's address and its account's permissions.",
            ) from error
        if complete is None:
            raise InvalidData(
                f"A record names the schema {id}, which the registry does not have.",
                field="payload",
                remedy="Check that the producer and this program use the same registry.",
            )
        codec = await self._codec_of(complete)
        return _SchemaCodec(codec, complete.schema.format, str(id), id)

    async def _codec_of(self, complete: CompleteSchema) -> SchemaCodec:
        if self._subject is None:
            return codec_of(complete)
        if complete.schema.format is not SchemaFormat.AVRO:
            raise ConfigurationError(
                "Only Avro can convert the value of a record to another schema.",
                path="subject",
                remedy="Omit subject for records that name their schema.",
            )
        return _codec(complete, await self._readers.get(None, self._fetch_reader), None)

    async def _fetch_reader(self) -> CompleteSchema:
        """Fetch the schema to which values are converted."""
        _, reader = await self._complete_configured()
        return reader


class SchemaEncoder(_SchemaTransform):
    """A transform that encodes the value of each record by a schema.

    The transform encodes the value of a `DecodedRecord`, or the JSON value of any other record. The
    returned record has the encoded bytes as its payload.

    Args:
        registry: the registry of the schema.
        subject: the subject with the schema.
        wire_format: "confluent" to put the schema's id before the data, or "plain".
        version: the version of the subject; by default the latest when it is first needed.
        message: the full name of the Protobuf message; by default the first message of the schema.
        now: returns the time in seconds.

    Raises:
        ConfigurationError: a setting is wrong.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        subject: str,
        wire_format: WireFormat | str = WireFormat.CONFLUENT,
        *,
        version: int | None = None,
        message: str | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(
            registry,
            wire_format,
            subject=checked_subject(subject),
            version=version,
            message=message,
            schemas=1,
            now=now,
        )

    async def __call__(self, record: SinkRecord) -> SinkRecord:
        """Return the record with its value encoded as bytes.

        Raises:
            InvalidData: the value does not fit the schema.
            ConfigurationError: the subject or its id does not exist, or a library is not installed.
            ConnectorError: the registry did not answer.
        """
        value = record.json() if record.payload or isinstance(record, DecodedRecord) else None
        if value is None and any(record.values_of(TOMBSTONE)):
            return record
        coding = await self._configured_codec()
        is_json = coding.format is SchemaFormat.JSON
        is_plain = self._wire_format is WireFormat.PLAIN
        return attrs.evolve(
            record,
            payload=coding.codec.encode(value) if is_plain else _encode_framed(coding, value),
            content_type=JSON if is_json and is_plain else _BINARY,
            schema=coding.name,
        )


def _encode_framed(coding: _SchemaCodec, value: object) -> bytes:
    if coding.id is None:
        raise ConfigurationError(
            f"The schema {coding.name!r} has no id that records could contain.",
            path="subject",
            remedy="Add an id to the name of the schema's file, such as 3@1017.avsc, or write"
            " plain records.",
        )
    is_protobuf = coding.format is SchemaFormat.PROTOBUF
    encode = coding.codec.encode_framed if is_protobuf else coding.codec.encode
    return add_frame(coding.id, encode(value))


def _codec(
    complete: CompleteSchema, reader: CompleteSchema | None, message: str | None
) -> SchemaCodec:
    """Return the codec of a schema."""
    try:
        return codec_of(complete, reader, message)
    except InvalidData as error:
        problem, remedy = error.message, error.remedy
    raise ConfigurationError(problem, path="subject", remedy=remedy)


def _no_subject_error(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}, but no subject was passed.",
        path="subject",
        remedy="Pass the subject under which the schema is registered.",
    )
