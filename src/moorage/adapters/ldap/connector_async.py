"""The connector of a directory over LDAP, for asynchronous programs.

`python -m tools.twins` makes `connector_sync.py` of this file.

A connector makes operations, and a manager performs them:

    await manager.perform("staff", staff.search(equals("uid", "ada")))
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from moorage.adapters.ldap._links import (
    AsyncEndOfStream,
    AsyncLdapLink,
    SearchRequest,
    accepts_async,
    connect_async,
)
from moorage.adapters.ldap._named_operations import named_operations
from moorage.adapters.links.connector_async import AsyncLinkConnector, AsyncLinkOperation
from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.wire_links.server import WireServer
from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.ldap_failures import closed_stream_error
from moorage.domain.connectors.ldap_values import (
    LdapSearchResult,
    attribute_name,
    has_attribute,
    pack_result,
    text_argument,
    unpack_result,
    value_bytes,
    values_bytes,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.observation.operation_target import DatabaseTarget
from moorage.domain.secrets.frames import without_frames
from moorage.domain.secrets.secret import Secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from moorage.adapters.ldap.settings import Ldap
    from moorage.domain.connectors.ldap_values import LdapEntry, LdapFilter, LdapValue
    from moorage.domain.connectors.named_operation import NamedOperation

R = TypeVar("R")

_SCOPES: Final = {
    "base": ldap_wire.BASE,
    "one": ldap_wire.ONE_LEVEL,
    "subtree": ldap_wire.SUBTREE,
}
_ANY_ENTRY: Final = has_attribute("objectClass")
_USUAL_PORTS: Final = frozenset({389, 636})


class AsyncLdapOperation(AsyncLinkOperation[R]):
    """An operation on a directory, for `AsyncConnectorManager.perform`.

    Attributes:
        target: the directory that the operation concerns, for traces and metrics.
    """

    __slots__ = ("target",)

    system = "ldap"

    def __init__(
        self,
        connector: AsyncLdapConnector,
        name: str,
        work: Callable[[float], Awaitable[R]],
        *,
        safe: bool = False,
        repeatable: bool = False,
    ) -> None:
        super().__init__(name, work, safe=safe, repeatable=repeatable)
        address = connector.server.address
        self.target = DatabaseTarget(
            system=self.system,
            namespace=connector.base or None,
            host=address.host,
            port=None if address.port in _USUAL_PORTS else address.port,
            operation=name,
        )


class AsyncLdapSearch(AsyncLdapOperation[LdapSearchResult]):
    """A search in a directory; its result is stored under the idempotency key."""

    __slots__ = ()

    def pack_result(self, result: LdapSearchResult, /) -> object:
        """Return a result as plain values, to be stored under the idempotency key."""
        return pack_result(result)

    def unpack_result(self, stored: Any, /) -> LdapSearchResult:
        """Return the result from the plain values of `pack_result`."""
        return unpack_result(stored)


class AsyncLdapConnector(AsyncLinkConnector[AsyncLdapLink]):
    """A connector of a directory over LDAP, for asynchronous programs.

    Args:
        settings: the server and the identity.
        name: the name of the connector.
    """

    kind = "ldap"

    def __init__(self, settings: Ldap, *, name: str = "ldap") -> None:
        self.server = WireServer(settings.address(), settings.connect_timeout)
        pool = AsyncLinkPool(
            partial(connect_async, self.server, settings),
            PoolConfig(maximum=settings.connections),
        )
        super().__init__(name, settings.service, pool, title="The directory")
        self.base = settings.base
        self._settings = settings

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations that can be performed by name."""
        return named_operations(self)

    def search(
        self,
        where: LdapFilter = _ANY_ENTRY,
        /,
        *,
        base: str | None = None,
        scope: str = "subtree",
        attributes: Sequence[str] = (),
        limit: int | None = None,
        pages: bool = True,
    ) -> AsyncLdapSearch:
        """Return the operation that reads all entries of a search into memory.

        Args:
            where: the condition, such as `equals("uid", "ada")`.
            base: the name of the entry below which to search; by default that of the connector.
            scope: "subtree", "one" for the entries directly below the base, or "base" for it alone.
            attributes: the names of the attributes to read; by default all user attributes.
            limit: the largest number of entries to read; by default all.
            pages: whether the server is asked for pages, without which it may refuse a large
                result.
        """
        request = self._request(where, base, scope, attributes, limit, has_pages=pages)

        async def use_link(link: AsyncLdapLink, until: float) -> LdapSearchResult:
            entries: list[LdapEntry] = []
            references: list[str] = []
            size, cookie = 0, b""
            while True:
                page = await link.search(request, cookie, until)
                entries += page.entries
                references += page.references
                size, cookie = size + page.size, page.cookie
                if not cookie or (limit is not None and len(entries) >= limit):
                    return LdapSearchResult(tuple(entries[:limit]), tuple(references))
                if size > self._settings.largest:
                    raise InvalidData(
                        "The found entries exceed the memory limit `largest`.",
                        field="limit",
                        remedy="Read the entries with stream(), set a limit, or raise `largest`.",
                    )

        return AsyncLdapSearch(self, "search", self._on_link("search", use_link), safe=True)

    def stream(
        self,
        where: LdapFilter = _ANY_ENTRY,
        /,
        *,
        base: str | None = None,
        scope: str = "subtree",
        attributes: Sequence[str] = (),
    ) -> AsyncLdapOperation[AsyncLdapStream]:
        """Return an asynchronous context manager that opens a stream of entries.

        One page is in memory at a time. The protections apply to the opening; each further page may
        take as long as the opening might. The stream keeps a connection until its block ends.
        """
        request = self._request(where, base, scope, attributes, None, has_pages=True)

        async def use_link(until: float) -> AsyncLdapStream:
            loan = self._link("stream", until)
            seconds = until - monotonic()
            link = await loan.__aenter__()
            stream = AsyncLdapStream(loan, link, request, seconds)
            try:
                await stream.read(until)
            except BaseException:
                await stream.close()
                raise
            return stream

        return AsyncLdapOperation(self, "stream", use_link, safe=True)

    def add(
        self, entry: str, attributes: Mapping[str, LdapValue | Sequence[LdapValue]], /
    ) -> AsyncLdapOperation[None]:
        """Return the operation that adds an entry.

        Args:
            entry: the entry's name; `entry_name` makes a name and escapes its value.
            attributes: the entry's values by attribute, with its classes under "objectClass".

        Raises:
            InvalidData: a name or a value cannot be sent.
        """
        if not isinstance(attributes, Mapping):
            raise InvalidData(
                "The attributes of the entry are not a dict.",
                field="attributes",
                remedy="Pass a dict of attribute names and their values.",
            )
        values = {
            attribute_name(name): values_bytes(name, content)
            for name, content in attributes.items()
        }
        return self._change_operation(
            "add",
            ldap_wire.add(text_argument("entry", entry), values),
            ldap_wire.ADD_RESPONSE,
        )

    def modify(
        self,
        entry: str,
        /,
        *,
        delete: Mapping[str, LdapValue | Sequence[LdapValue]] | None = None,
        add: Mapping[str, LdapValue | Sequence[LdapValue]] | None = None,
        replace: Mapping[str, LdapValue | Sequence[LdapValue]] | None = None,
        repeatable: bool = False,
    ) -> AsyncLdapOperation[None]:
        """Return the operation that changes an entry atomically.

        Args:
            entry: the name of the entry.
            delete: the values to delete, which is done first; an empty list deletes a whole
                attribute.
            add: the values to add, which is done second.
            replace: the values that replace all values of an attribute, which is done last.
            repeatable: whether performing it twice is safe, for example because it only replaces.
        """
        kinds = (
            (ldap_wire.DELETES, delete or {}),
            (ldap_wire.ADDS, add or {}),
            (ldap_wire.REPLACES, replace or {}),
        )
        changes = [
            (kind, attribute_name(name), values_bytes(name, values))
            for kind, attributes in kinds
            for name, values in attributes.items()
        ]
        if not changes:
            raise InvalidData(
                "The modification contains no changes.",
                field="replace",
                remedy="Pass values to delete, add or replace.",
            )
        return self._change_operation(
            "modify",
            ldap_wire.modify(text_argument("entry", entry), changes),
            ldap_wire.MODIFY_RESPONSE,
            repeatable=repeatable,
        )

    def delete(self, entry: str, /, *, repeatable: bool = False) -> AsyncLdapOperation[None]:
        """Return the operation that deletes an entry without entries below it.

        Args:
            entry: the name of the entry.
            repeatable: whether it may be repeated, although a repeat may find the entry gone.
        """
        return self._change_operation(
            "delete",
            ldap_wire.delete(text_argument("entry", entry)),
            ldap_wire.DELETE_RESPONSE,
            repeatable=repeatable,
        )

    def rename(
        self, entry: str, new_name: str, /, *, parent: str | None = None, keep_old: bool = False
    ) -> AsyncLdapOperation[None]:
        """Return the operation that renames an entry, and moves it below another parent if given.

        Args:
            entry: the name of the entry.
            new_name: the first part of its new name, such as `entry_name("uid", "ada")`.
            parent: the name of the entry below which it is moved.
            keep_old: whether the entry keeps the value of its old name.
        """
        if parent is not None:
            text_argument("parent", parent)
        return self._change_operation(
            "rename",
            ldap_wire.rename(
                text_argument("entry", entry),
                text_argument("new_name", new_name),
                parent,
                keeps_old=keep_old,
            ),
            ldap_wire.RENAME_RESPONSE,
        )

    def compare(self, entry: str, attribute: str, value: LdapValue, /) -> AsyncLdapOperation[bool]:
        """Return the operation that tests whether an attribute of an entry has a value."""
        name = attribute_name(attribute)
        request = ldap_wire.compare(text_argument("entry", entry), name, value_bytes(name, value))

        async def use_link(link: AsyncLdapLink, until: float) -> bool:
            return await link.compare(request, until)

        return AsyncLdapOperation(self, "compare", self._on_link("compare", use_link), safe=True)

    def check_password(self, entry: str, password: Secret | str, /) -> AsyncLdapOperation[bool]:
        """Return the operation that checks an entry's password.

        It uses a connection of its own. A server refuses the password of a locked or expired
        account too.

        Raises:
            InvalidData: the password is empty; servers would treat this as an anonymous login.
        """
        secret = password if isinstance(password, Secret) else Secret(password)
        if not secret.reveal_bytes() or not text_argument("entry", entry):
            raise InvalidData(
                "The name or the password to check is empty.",
                field="password",
                remedy="Reject empty passwords before this call, because LDAP servers treat"
                " them as an anonymous login.",
            )

        async def use_link(until: float) -> bool:
            identity = ldap_wire.bind_simple(entry, secret.reveal_bytes())
            return await accepts_async(self.server, self._settings, identity, until)

        return AsyncLdapOperation(self, "check_password", use_link, safe=True)

    def _change_operation(
        self, name: str, request: bytes, kind: int, *, repeatable: bool = False
    ) -> AsyncLdapOperation[None]:
        async def use_link(link: AsyncLdapLink, until: float) -> None:
            await link.perform(request, kind, until)

        return AsyncLdapOperation(self, name, self._on_link(name, use_link), repeatable=repeatable)

    def _request(
        self,
        where: LdapFilter,
        base: str | None,
        scope: str,
        attributes: Sequence[str],
        limit: int | None,
        *,
        has_pages: bool,
    ) -> SearchRequest:
        if scope not in _SCOPES:
            raise InvalidData(
                "The scope of the search is unknown.",
                field="scope",
                remedy='Pass "subtree", "one" or "base".',
            )
        if limit is not None and limit < 1:
            raise InvalidData(
                "The limit on entries is less than 1.", field="limit", remedy="Give 1 or more."
            )
        page = min(self._settings.page, limit or self._settings.page) if has_pages else 0
        return SearchRequest(
            base=self.base if base is None else text_argument("base", base),
            scope=_SCOPES[scope],
            condition=where.encoded,
            attributes=tuple(text_argument("attributes", name) for name in attributes),
            page=page,
            limit=limit or 0,
        )


class AsyncLdapStream:
    """A stream of entries that arrive in pages; the end of the `async with` block ends it.

    Attributes:
        references: the URLs of other servers that hold a part of the searched tree, as far as the
            stream was read.
    """

    def __init__(
        self,
        loan: AbstractAsyncContextManager[AsyncLdapLink, Any],
        link: AsyncLdapLink,
        request: SearchRequest,
        seconds: float,
    ) -> None:
        self._loan: AbstractAsyncContextManager[AsyncLdapLink, Any] | None = loan
        self._link = link
        self._request = request
        self._seconds = seconds
        self._entries: deque[LdapEntry] = deque()
        self._cookie = b""
        self.references: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LdapEntry:
        while not self._entries:
            if not self._cookie:
                raise AsyncEndOfStream
            if self._loan is None:
                raise closed_stream_error()
            await self.read(monotonic() + self._seconds)
        return self._entries.popleft()

    async def read(self, until: float) -> None:
        """Read the next page before a deadline; the stream calls this itself."""
        try:
            page = await self._link.search(self._request, self._cookie, until)
        except Exception as error:  # noqa: BLE001 - raised again without its frames
            failure = error
        else:
            self._entries.extend(page.entries)
            self.references += page.references
            self._cookie = page.cookie
            return
        raise without_frames(failure)

    async def close(self) -> None:
        """End the stream, also before the last entry."""
        loan, self._loan = self._loan, None
        self._entries.clear()
        if loan is not None:
            await loan.__aexit__(None, None, None)
