"""Registries of schemas, and codecs which decode and encode records by a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import Schema, SchemaVersion


class SchemaRegistry(Protocol):
    """A schema registry, such as Confluent's.

    A schema has an id, which never changes its meaning. A schema is a version of one or more
    subjects. The versions of a subject are numbered from 1.

    `schema` returns the schema with an id. `version` returns a version of a subject, or the latest
    if the version is None. Both raise `SchemaNotFound` only if the registry answered that there is
    none. A registry that cannot be reached raises a `retryable` error.

    `register` makes a schema the next version of a subject, and returns its id. A schema that is a
    version of the subject already keeps its id, so that a repetition changes nothing. It raises
    `SchemaIncompatible` if the schema would break the compatibility that the subject promises, and
    `InvalidRequest` or `InvalidData` if it is not a schema.

    `check` returns the reasons why `register` would refuse a schema as incompatible; none if it
    would not. A subject without versions accepts any schema.

    Every method raises errors of moorage only, and may run any number of times concurrently.
    """

    async def schema(self, id: int, /) -> Schema: ...

    async def version(self, subject: str, version: int | None = None, /) -> SchemaVersion: ...

    async def register(self, subject: str, schema: Schema, /) -> int: ...

    async def check(self, subject: str, schema: Schema, /) -> tuple[str, ...]: ...


class SchemaCodec(Protocol):
    """Decodes and encodes the data of one schema, without the header of a wire format.

    The methods raise `InvalidData` for any data that do not fit the schema: data from outside may
    be truncated, deeply nested, or announce more than they contain.
    """

    def decode(self, data: bytes, /) -> Any: ...

    def encode(self, value: Any, /) -> bytes: ...
