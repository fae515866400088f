"""A store of people and groups in memory, for tests and as an example."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.errors import AlreadyExists
from moorage.scim.attributes import REQUIRED
from moorage.scim.filters import fulfils
from moorage.scim.port import ScimKind, ScimMatches, ScimResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.scim.filters import ScimCondition

_UNIQUE: Final = REQUIRED[ScimKind.USER]


class MemoryScimStore:
    """A `ScimStore` that stores people and groups in the memory of this process."""

    def __init__(self) -> None:
        self._resources: dict[tuple[ScimKind, str], ScimResource] = {}
        self._lock = ForkSafeLock()

    def find(
        self, kind: ScimKind, conditions: tuple[ScimCondition, ...], start: int, count: int, /
    ) -> ScimMatches:
        """Return a page of the resources that meet the conditions."""
        with self._lock.current:
            resources = [item for key, item in self._resources.items() if key[0] is kind]
        matching_resources = [
            item for item in resources if fulfils({**item.content, "id": item.id}, conditions)
        ]
        return ScimMatches(
            total=len(matching_resources), items=tuple(matching_resources[start : start + count])
        )

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return a resource; None if there is no such resource."""
        with self._lock.current:
            return self._resources.get((kind, id))

    def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
        """Store a new resource."""
        now = datetime.now(UTC)
        resource = ScimResource(
            id=str(uuid4()),
            content=copy.deepcopy(dict(content)),
            version="1",
            created=now,
            modified=now,
        )
        with self._lock.current:
            self._check_unique(kind, resource.id, content)
            self._resources[kind, resource.id] = resource
        return resource

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        """Replace the content of a resource of this version; return None if it has changed."""
        with self._lock.current:
            resource = self._resources.get((kind, id))
            if resource is None or resource.version != version:
                return None
            self._check_unique(kind, id, content)
            changed_resource = attrs.evolve(
                resource,
                content=copy.deepcopy(dict(content)),
                version=str(int(version) + 1),
                modified=datetime.now(UTC),
            )
            self._resources[kind, id] = changed_resource
        return changed_resource

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        """Delete a resource of this version; return whether it was deleted."""
        with self._lock.current:
            resource = self._resources.get((kind, id))
            if resource is None or version not in {None, resource.version}:
                return False
            del self._resources[kind, id]
        return True

    def _check_unique(self, kind: ScimKind, id: str, content: Mapping[str, Any]) -> None:
        name = str(content.get(_UNIQUE, "")).casefold()
        for (other_kind, other_id), other_resource in self._resources.items():
            is_other = other_kind is kind is ScimKind.USER and other_id != id
            if is_other and str(other_resource.content.get(_UNIQUE)).casefold() == name:
                raise AlreadyExists("Another person has this userName.")


class AsyncMemoryScimStore:
    """The asynchronous `MemoryScimStore`."""

    def __init__(self) -> None:
        self._store = MemoryScimStore()

    async def find(
        self, kind: ScimKind, conditions: tuple[ScimCondition, ...], start: int, count: int, /
    ) -> ScimMatches:
        """Return a page of the resources that meet the conditions."""
        return self._store.find(kind, conditions, start, count)

    async def get(self, kind: ScimKind, id: str, /) -> ScimResource | None:
        """Return a resource; None if there is no such resource."""
        return self._store.get(kind, id)

    async def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource:
        """Store a new resource."""
        return self._store.create(kind, content)

    async def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None:
        """Replace the content of a resource of this version; return None if it has changed."""
        return self._store.replace(kind, id, content, version)

    async def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool:
        """Delete a resource of this version; return whether it was deleted."""
        return self._store.delete(kind, id, version)
