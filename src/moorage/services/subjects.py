"""The data about one person or tenant in all stores: find, export and erase it."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.domain.http.headers import Headers
from moorage.domain.values.json_text import is_object
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.entries.inbox import InboxEntry
    from moorage.domain.entries.outbox import OutboxEntry
    from moorage.domain.entries.queue import Entry, EntryQuery
    from moorage.domain.observation.integration_log import IntegrationLog, LogQuery

_PAGE: Final = 500
_SIMPLE_TYPES: Final = (str, int, float, type(None))


@attrs.frozen(kw_only=True)
class SubjectData:
    """The stored data about one person or tenant, newest first.

    Attributes:
        log: logged calls about the person or tenant.
        inbox: webhooks about the person or tenant.
        outbox: stored calls about the person or tenant.
        credentials: services that a tenant has credentials for; empty for a person.
    """

    log: tuple[IntegrationLog, ...] = ()
    inbox: tuple[InboxEntry, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    credentials: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ErasedSubject:
    """The numbers of entries that were erased in each store."""

    log: int = 0
    inbox: int = 0
    outbox: int = 0
    credentials: int = 0


@attrs.frozen(kw_only=True)
class SubjectStore:
    """A store in which to search for data about a person.

    Attributes:
        find, remove: operations of the store.
        query: type of its queries.
        shown: converts an entry with its content to JSON values, as far as possible.
    """

    find: Callable[[Any], Awaitable[Any]]
    remove: Callable[[Any], Awaitable[int]]
    query: type[LogQuery | EntryQuery]
    shown: Callable[[Any], dict[str, Any]]


@attrs.frozen(kw_only=True)
class SubjectCredentialStore:
    """A store in which to search for a tenant's credentials.

    Attributes:
        owners: lists the owners of credentials.
        delete: deletes the credentials of one owner.
    """

    owners: Callable[[], Awaitable[list[tuple[str, str | None]]]]
    delete: Callable[[str, str | None], Awaitable[bool]]


class SubjectsFlows:
    """The operations on data about a person or tenant.

    Args:
        places: the stores to search, by name: `log`, `inbox` and `outbox`, each optional.
        vault: store of credentials, if there is one.
    """

    def __init__(
        self, places: dict[str, SubjectStore], vault: SubjectCredentialStore | None
    ) -> None:
        self._places = places
        self._vault = vault

    async def find(self, *, subject: str | None = None, tenant: str | None = None) -> SubjectData:
        """Find all data about a person, about a tenant, or about a person of a tenant."""
        _check_owner(subject, tenant)
        entries = {
            name: tuple(await self._all_entries(place, subject, tenant))
            for name, place in self._places.items()
        }
        return SubjectData(**entries, credentials=tuple(await self._services(subject, tenant)))

    async def export(self, *, subject: str | None = None, tenant: str | None = None) -> str:
        """Export the found data as JSON, with the content of webhooks and stored calls.

        An entry that cannot be decrypted, for example without its key, is included without its
        content, and with the reason in `unreadable`.
        """
        _check_owner(subject, tenant)
        document: dict[str, list[Any]] = {
            name: [
                _subject_fields(place, entry)
                for entry in await self._all_entries(place, subject, tenant)
            ]
            for name, place in self._places.items()
        }
        if self._vault is not None:
            document["credentials"] = await self._services(subject, tenant)
        return json.dumps(_plain_value(document), ensure_ascii=False, indent=2)

    async def erase(
        self, *, subject: str | None = None, tenant: str | None = None
    ) -> ErasedSubject:
        """Remove all data about a person or tenant; return the number of entries removed."""
        _check_owner(subject, tenant)
        lost_counts = {
            name: await place.remove(place.query(subject=subject, tenant=tenant))
            for name, place in self._places.items()
        }
        services = await self._services(subject, tenant)
        if self._vault is not None:
            for service in services:
                await self._vault.delete(service, tenant)
        return ErasedSubject(**lost_counts, credentials=len(services))

    async def _services(self, subject: str | None, tenant: str | None) -> list[str]:
        """Return the services for which a tenant has stored credentials."""
        if self._vault is None or tenant is None or subject is not None:
            return []
        return [service for service, owner in await self._vault.owners() if owner == tenant]

    async def _all_entries(
        self, place: SubjectStore, subject: str | None, tenant: str | None
    ) -> list[Any]:
        entries: list[Any] = []
        query = place.query(subject=subject, tenant=tenant, limit=_PAGE)
        while True:
            page = await place.find(query)
            entries += page.items
            if page.next is None:
                return entries
            query = attrs.evolve(query, after=page.next)


def fields_of(entry: IntegrationLog | Entry) -> dict[str, Any]:
    """Return the fields of an entry, without its content."""
    names = [
        field.name for field in attrs.fields(type(entry)) if field.name not in {"content", "reply"}
    ]
    return {name: getattr(entry, name) for name in names}


def _check_owner(subject: str | None, tenant: str | None) -> None:
    if subject is None and tenant is None:
        raise InvalidData(
            "No subject and no tenant was passed, so everybody's data would be selected.",
            field="subject",
            remedy="Pass a subject, a tenant, or both.",
        )


def _subject_fields(place: SubjectStore, entry: Any) -> dict[str, Any]:
    try:
        return place.shown(entry)
    except ConnectorError as error:
        return {**fields_of(entry), "unreadable": f"{type(error).__name__}: {error}"}


def _plain_value(value: Any) -> Any:
    """Convert a value to JSON, and to readable text where JSON has no such type."""
    if is_object(value):
        return {_name(name): _plain_value(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_value(item) for item in cast("list[Any]", value)]
    if isinstance(value, _SIMPLE_TYPES):
        return value
    return _plain_value(_simplify(value))


def _name(name: Any) -> Any:
    """Convert a mapping's key to a type that JSON allows for keys."""
    json_name = _plain_value(name)
    return (
        json_name
        if isinstance(json_name, _SIMPLE_TYPES)
        else json.dumps(json_name, ensure_ascii=False)
    )


def _simplify(value: Any) -> Any:
    """Convert a value without a JSON form to readable text."""
    kind = value.__class__
    if attrs.has(kind):
        return {
            field.name: getattr(value, field.name)
            for field in attrs.fields(kind)
            if not field.name.startswith("_")
        }
    if isinstance(value, Headers):
        return {"pairs": value.pairs}
    if isinstance(value, Enum):
        return value.value
    if kind in {set, frozenset}:
        return sorted(value, key=repr)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
