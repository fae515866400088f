"""Completion of a schema with the schemas that it references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.schemas.schema import CompleteSchema
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import Schema
    from moorage.ports.schemas import SchemaRegistry

_MOST_SCHEMAS: Final = 200
"""The maximum number of schemas that one schema uses, directly or not."""


async def complete_schema(registry: SchemaRegistry, schema: Schema) -> CompleteSchema:
    """Return a schema with all schemas that it references directly or indirectly.

    Raises:
        InvalidData: schemas refer to each other in a circle, or to too many others.
        ConnectorError: the registry does not answer, or lacks one of the schemas.
    """
    parts: dict[str, Schema] = {}
    await _collect(registry, schema, (), parts)
    return CompleteSchema(schema, tuple(parts.items()))


async def _collect(
    registry: SchemaRegistry, schema: Schema, users: tuple[str, ...], parts: dict[str, Schema]
) -> None:
    for reference in schema.references:
        if reference.name in parts:
            continue
        if reference.name in users or len(parts) + len(users) >= _MOST_SCHEMAS:
            raise InvalidData(
                f"The references of a schema form a cycle at {reference.name[:200]!r}, or"
                f" refer to more than {_MOST_SCHEMAS} schemas.",
                field="references",
                remedy="Correct the references of the schema in the registry.",
            )
        version = await registry.version(reference.subject, reference.version)
        await _collect(registry, version.schema, (*users, reference.name), parts)
        parts[reference.name] = version.schema
