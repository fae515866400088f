"""A schema registry with Confluent's HTTP API, called with a service's protections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.schemas.confluent import (
    compatibility_check,
    registration,
    schema_by_id,
    version_of,
)

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import Schema, SchemaVersion


class ConfluentSchemaRegistry:
    """Confluent's schema registry, or any registry with the same HTTP API.

    The address, the credentials, the time limits and the retries are those of the service.

    Args:
        manager: an `AsyncConnectorManager`, which performs the requests.
        service: the name of the service.
    """

    def __init__(self, manager: Any, service: str) -> None:
        self._manager = manager
        self._service = service

    async def schema(self, id: int, /) -> Schema:
        """Return the schema with an id."""
        answer: Schema = await self._manager.perform(self._service, schema_by_id(id))
        return answer

    async def version(self, subject: str, version: int | None = None, /) -> SchemaVersion:
        """Return one version of a subject's schema; by default the latest."""
        answer: SchemaVersion = await self._manager.perform(
            self._service, version_of(subject, version)
        )
        return answer

    async def register(self, subject: str, schema: Schema, /) -> int:
        """Register a schema as the next version of a subject, and return its id."""
        answer: int = await self._manager.perform(self._service, registration(subject, schema))
        return answer

    async def check(self, subject: str, schema: Schema, /) -> tuple[str, ...]:
        """Return the reasons why a schema cannot be the next version of a subject."""
        operation = compatibility_check(subject, schema)
        answer: tuple[str, ...] = await self._manager.perform(self._service, operation)
        return answer
