"""What is kept of somebody: found, handed out and erased, wherever it is kept."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.domain.json_text import is_object
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.entries import Entry, EntryQuery
    from moorage.domain.inbox import InboxEntry
    from moorage.domain.integration_log import IntegrationLog, LogQuery
    from moorage.domain.outbox import OutboxEntry

_PAGE: Final = 500
_SIMPLE: Final = (str, int, float, type(None))


@attrs.frozen(kw_only=True)
class Kept:
    """What is kept of somebody, newest first.

    Attributes:
        log: the calls that were about them.
        inbox: the webhooks that were.
        outbox: the calls that are written down.
        credentials: the services that a tenant has credentials for; a subject has none.
    """

    log: tuple[IntegrationLog, ...] = ()
    inbox: tuple[InboxEntry, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    credentials: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Erased:
    """How many entries of each were removed."""

    log: int = 0
    inbox: int = 0
    outbox: int = 0
    credentials: int = 0


@attrs.frozen(kw_only=True)
class Place:
    """Where something is kept, each verb awaited.

    Attributes:
        find, remove: the verbs.
        query: the kind of question it is asked.
        shown: all that is kept in one entry, in JSON's values as far as it has them.
    """

    find: Callable[[Any], Awaitable[Any]]
    remove: Callable[[Any], Awaitable[int]]
    query: type[LogQuery | EntryQuery]
    shown: Callable[[Any], dict[str, Any]]


@attrs.frozen(kw_only=True)
class Vault:
    """Where credentials are kept, each verb awaited.

    Attributes:
        owners: tells whose there are.
        delete: forgets those of one owner.
    """

    owners: Callable[[], Awaitable[list[tuple[str, str | None]]]]
    delete: Callable[[str, str | None], Awaitable[bool]]


class SubjectsFlows:
    """The verbs.

    Args:
        places: where it is kept: any of `log`, `inbox` and `outbox`.
        vault: where credentials are, if that is somewhere.
    """

    def __init__(self, places: dict[str, Place], vault: Vault | None) -> None:
        self._places = places
        self._vault = vault

    async def find(self, *, subject: str | None = None, tenant: str | None = None) -> Kept:
        """All that is kept of a subject, of a tenant, or of a subject of a tenant."""
        _check(subject, tenant)
        found = {
            name: tuple(await self._all(place, subject, tenant))
            for name, place in self._places.items()
        }
        return Kept(**found, credentials=tuple(await self._services(subject, tenant)))

    async def export(self, *, subject: str | None = None, tenant: str | None = None) -> str:
        """The same as JSON, with what webhooks said and calls are made of.

        An entry that cannot be opened, as one sealed with a key that is gone, is there with what
        stands outside of it, and with `unreadable`, which says why.
        """
        _check(subject, tenant)
        shown: dict[str, list[Any]] = {
            name: [_shown(place, entry) for entry in await self._all(place, subject, tenant)]
            for name, place in self._places.items()
        }
        if self._vault is not None:
            shown["credentials"] = await self._services(subject, tenant)
        return json.dumps(_plain(shown), ensure_ascii=False, indent=2)

    async def erase(self, *, subject: str | None = None, tenant: str | None = None) -> Erased:
        """Remove all of it, what is still to be done included; and say how much that was."""
        _check(subject, tenant)
        gone = {
            name: await place.remove(place.query(subject=subject, tenant=tenant))
            for name, place in self._places.items()
        }
        services = await self._services(subject, tenant)
        if self._vault is not None:
            for service in services:
                await self._vault.delete(service, tenant)
        return Erased(**gone, credentials=len(services))

    async def _services(self, subject: str | None, tenant: str | None) -> list[str]:
        """The services that a tenant has credentials for."""
        if self._vault is None or tenant is None or subject is not None:
            return []
        return [service for service, owner in await self._vault.owners() if owner == tenant]

    async def _all(self, place: Place, subject: str | None, tenant: str | None) -> list[Any]:
        found: list[Any] = []
        query = place.query(subject=subject, tenant=tenant, limit=_PAGE)
        while True:
            page = await place.find(query)
            found += page.items
            if page.next is None:
                return found
            query = attrs.evolve(query, after=page.next)


def fields_of(entry: IntegrationLog | Entry) -> dict[str, Any]:
    """What an entry says, without its content."""
    names = [one.name for one in attrs.fields(type(entry)) if one.name not in {"content", "reply"}]
    return {name: getattr(entry, name) for name in names}


def _check(subject: str | None, tenant: str | None) -> None:
    if subject is None and tenant is None:
        raise InvalidData(
            "Nobody was named, which would be everybody.",
            field="subject",
            remedy="Give a subject, a tenant, or both.",
        )


def _shown(place: Place, entry: Any) -> dict[str, Any]:
    try:
        return place.shown(entry)
    except ConnectorError as error:
        return {**fields_of(entry), "unreadable": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> Any:
    """A value in those of JSON, or in what can be read where it has none."""
    if is_object(value):
        return {_name(own): _plain(one) for own, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, _SIMPLE):
        return value
    return _plain(_simpler(value))


def _name(own: Any) -> Any:
    """What a value of a mapping is called there: JSON has texts alone for that."""
    plain = _plain(own)
    return plain if isinstance(plain, _SIMPLE) else json.dumps(plain, ensure_ascii=False)


def _simpler(value: Any) -> Any:
    """What JSON has no form for, in one that can be read."""
    kind = value.__class__
    if attrs.has(kind):
        return {
            one.name: getattr(value, one.name)
            for one in attrs.fields(kind)
            if not one.name.startswith("_")
        }
    if isinstance(value, Enum):
        return value.value
    if kind in {set, frozenset}:
        return sorted(value, key=repr)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
