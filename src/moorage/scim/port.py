"""The store of people and groups that an application offers to the SCIM server."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.scim.filters import ScimCondition


class ScimKind(StrEnum):
    """The kind of a resource."""

    USER = "User"
    GROUP = "Group"


@frozen(kw_only=True)
class ScimResource:
    """A person or a group as the application stores it.

    Attributes:
        id: the application's id of the resource, which never changes.
        content: attributes by their SCIM names, without id, schemas and meta. The repr hides them.
        version: text that changes with each change of the resource.
        created: time of its creation, if the application knows it.
        modified: time of its last change, if the application knows it.
    """

    id: str
    content: Mapping[str, Any] = field(repr=False)
    version: str
    created: datetime | None = None
    modified: datetime | None = None


@frozen(kw_only=True)
class ScimMatches:
    """A page of the resources that meet the conditions of a filter.

    Attributes:
        total: number of all resources that fulfil the filter.
        items: resources of this page.
    """

    total: int
    items: tuple[ScimResource, ...]


class ScimStore(Protocol):
    """Stores people and groups for a SCIM server.

    `content` contains the attributes that the server supports. An application may store only some
    of them, and returns those that it has. A new password is in `content` under `password`; it is
    never read back. The members of a group are under `members`, each with the id of a person as
    `value`.

    `create` and `replace` raise `AlreadyExists` if another resource of the kind has the same
    `userName`, regardless of case, and `InvalidData` for content that the application refuses.
    `replace` and `delete` change nothing and return None or False if the resource is gone or has
    another version by now; this is decided in one transaction with the change. A `version` of None
    deletes any version. `find` counts from zero, and its order is stable.
    """

    def find(
        self, kind: ScimKind, conditions: tuple[ScimCondition, ...], start: int, count: int, /
    ) -> ScimMatches: ...

    def get(self, kind: ScimKind, id: str, /) -> ScimResource | None: ...

    def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource: ...

    def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None: ...

    def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool: ...


class AsyncScimStore(Protocol):
    """The asynchronous `ScimStore`."""

    async def find(
        self, kind: ScimKind, conditions: tuple[ScimCondition, ...], start: int, count: int, /
    ) -> ScimMatches: ...

    async def get(self, kind: ScimKind, id: str, /) -> ScimResource | None: ...

    async def create(self, kind: ScimKind, content: Mapping[str, Any], /) -> ScimResource: ...

    async def replace(
        self, kind: ScimKind, id: str, content: Mapping[str, Any], version: str, /
    ) -> ScimResource | None: ...

    async def delete(self, kind: ScimKind, id: str, version: str | None, /) -> bool: ...
