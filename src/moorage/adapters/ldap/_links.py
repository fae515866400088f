"""Connections to directories, for synchronous and asynchronous programs."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.adapters.http.connections._threads import run
from moorage.adapters.wire_links.link import AsyncWireLink, WireLink
from moorage.adapters.wire_links.server import LOOPS, THREADS
from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.ldap_failures import (
    INTERRUPTIONS,
    IS_FALSE,
    IS_TRUE,
    SUCCESS,
    WRONG_PASSWORD,
    ldap_error,
)
from moorage.domain.connectors.ldap_values import LdapEntry, has_attribute

if TYPE_CHECKING:
    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.adapters.ldap.settings import Ldap
    from moorage.adapters.wire_links.server import WireServer
    from moorage.domain.connectors.ldap_wire import LdapResult

AsyncEndOfStream: Final = StopAsyncIteration
EndOfStream: Final = StopIteration

_LAST_NUMBER: Final = 2**31 - 1
_FINAL_CODES: Final = frozenset({SUCCESS, IS_FALSE, IS_TRUE})
_ABOUT_SERVER: Final = ("vendorName", "vendorVersion")
_ANY_ENTRY: Final = has_attribute("objectClass").encoded
_TOO_MANY: Final = 4


class SearchPage(NamedTuple):
    """One page of a search's results.

    Attributes:
        entries: the entries of the page.
        references: the URLs of other servers.
        cookie: the place where the next page begins; empty after the last one.
        size: the bytes that the server sent.
    """

    entries: list[LdapEntry]
    references: list[str]
    cookie: bytes
    size: int


class SearchRequest(NamedTuple):
    """The parameters of a search, common to all its pages.

    Attributes:
        base: the name of the entry below which to search.
        scope: `BASE`, `ONE_LEVEL` or `SUBTREE`.
        condition: the encoded condition.
        attributes: the names of the attributes to read.
        page: the number of entries of a page; 0 for a search without pages.
        limit: the largest number of entries; 0 for all.
    """

    base: str
    scope: int
    condition: bytes
    attributes: tuple[str, ...]
    page: int
    limit: int


def connect_sync(server: WireServer, settings: Ldap, timeout: float) -> LdapLink:
    """Open and authenticate a connection for a synchronous program."""
    return LdapLink(run(_connected_link(server, settings, timeout, THREADS)))


async def connect_async(server: WireServer, settings: Ldap, timeout: float) -> AsyncLdapLink:
    """Open and authenticate a connection for an asynchronous program."""
    return await _connected_link(server, settings, timeout, LOOPS)


def accepts_sync(server: WireServer, settings: Ldap, identity: bytes, until: float) -> bool:
    """Return whether the directory accepts an identity, over a separate connection."""
    return run(_accepts(server, settings, identity, until, THREADS))


async def accepts_async(server: WireServer, settings: Ldap, identity: bytes, until: float) -> bool:
    """Return whether the directory accepts an identity, over a separate connection."""
    return await _accepts(server, settings, identity, until, LOOPS)


async def _accepts(
    server: WireServer, settings: Ldap, identity: bytes, until: float, network: Network
) -> bool:
    opening = server.deadline(until - monotonic())
    link = await _open_connection(server, settings, opening, network)
    try:
        result = await link.bind(identity, until)
        if result.code not in {SUCCESS, WRONG_PASSWORD}:
            raise ldap_error(result, has_effect=False)
        return result.code == SUCCESS
    finally:
        link.close()


async def _connected_link(
    server: WireServer, settings: Ldap, timeout: float, network: Network
) -> AsyncLdapLink:
    until = server.deadline(timeout)
    link = await _open_connection(server, settings, until, network)
    identity = settings.identity()
    if identity is None:
        return link
    is_bound = False
    try:
        result = await link.bind(identity, until)
        is_bound = result.code == SUCCESS
    finally:
        if not is_bound:
            link.close()
    if not is_bound:
        raise ldap_error(result, has_effect=False)
    return link


async def _open_connection(
    server: WireServer, settings: Ldap, until: float, network: Network
) -> AsyncLdapLink:
    """Open a connection without authentication."""
    return await server.opened(lambda wire: AsyncLdapLink(wire, settings.largest), until, network)


class AsyncLdapLink(AsyncWireLink):
    """A connection to a directory, for one task at a time.

    Attributes:
        version: the name and the version of the server, if it has reported them.
    """

    failures = INTERRUPTIONS

    def __init__(self, wire: Wire, largest: int) -> None:
        super().__init__(wire)
        self._largest = largest
        self._arrived = bytearray()
        self._number = 0

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server has sent nothing unexpected."""
        return not (self._is_closed or self._arrived or self._wire.stale())

    async def ping(self, timeout: float) -> None:
        """Read the directory server's description, to check that the server responds."""
        request = SearchRequest("", ldap_wire.BASE, _ANY_ENTRY, _ABOUT_SERVER, 0, 0)
        page = await self.search(request, b"", monotonic() + timeout)
        for entry in page.entries:
            texts = [entry.text(name) for name in _ABOUT_SERVER]
            self.version = " ".join(text for text in texts if text) or None

    async def perform(self, operation: bytes, kind: int, until: float) -> LdapResult:
        """Make a change, and return the server's result.

        Args:
            operation: the request.
            kind: the tag of its response.
            until: the deadline.
        """
        result = await self._exchange(operation, kind, until, has_effect=True)
        if result.code != SUCCESS:
            raise ldap_error(result, has_effect=True)
        return result

    async def compare(self, operation: bytes, until: float) -> bool:
        """Return whether an attribute has this value."""
        kind = ldap_wire.COMPARE_RESPONSE
        result = await self._exchange(operation, kind, until, has_effect=False)
        if result.code not in {IS_FALSE, IS_TRUE}:
            raise ldap_error(result, has_effect=False)
        return result.code == IS_TRUE

    async def bind(self, operation: bytes, until: float) -> LdapResult:
        """Authenticate, and return the server's result."""
        return await self._exchange(
            operation, ldap_wire.BIND_RESPONSE, until, has_effect=False, is_preparation=True
        )

    async def accepts_tls(self, until: float) -> bool:
        """Ask the server to start TLS; return False if it refused or sent unexpected data."""
        operation, kind = (
            ldap_wire.extended_request(ldap_wire.START_TLS),
            ldap_wire.EXTENDED_RESPONSE,
        )
        result = await self._exchange(operation, kind, until, has_effect=False, is_preparation=True)
        return result.code == SUCCESS and not self._arrived

    async def search(self, request: SearchRequest, cookie: bytes, until: float) -> SearchPage:
        """Return one page of a search's results.

        Args:
            request: the search.
            cookie: the cookie of the page before; empty for the first page.
            until: the deadline.
        """
        seconds = max(1, int(until - monotonic()) + 1)
        operation = ldap_wire.search(
            request.base,
            request.scope,
            request.condition,
            request.attributes,
            limit=0 if request.page else request.limit,
            seconds=seconds,
        )
        controls = ldap_wire.page_control(request.page, cookie) if request.page else b""
        page = SearchPage([], [], b"", 0)
        entries, references, size = page.entries, page.references, 0
        max_entries = request.page or request.limit or self._largest
        try:
            number = await self._send(operation, controls, until)
            while True:
                response, length = await self._response(number, until)
                size += length
                if response.kind == ldap_wire.ENTRY:
                    entries.append(LdapEntry(*ldap_wire.read_entry(response.content)))
                elif response.kind == ldap_wire.REFERENCE:
                    references += ldap_wire.read_references(response.content)
                else:
                    result = self._result(response, ldap_wire.SEARCH_DONE)
                    break
                _check_size(page, size, self._largest, max_entries)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self.interrupted(error, has_effect=False)
        else:
            # Reaching the caller's own limit is no failure.
            if result.code == SUCCESS or (
                result.code == _TOO_MANY and request.limit == len(entries) > 0
            ):
                return page._replace(cookie=result.cookie, size=size)
            failure = ldap_error(result, has_effect=False)
        raise failure

    async def _exchange(
        self,
        operation: bytes,
        kind: int,
        until: float,
        *,
        has_effect: bool,
        is_preparation: bool = False,
    ) -> LdapResult:
        try:
            number = await self._send(operation, b"", until)
            response, _ = await self._response(number, until)
            return self._result(response, kind)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self.interrupted(error, has_effect=has_effect, is_preparation=is_preparation)
        raise failure

    async def _send(self, operation: bytes, controls: bytes, until: float) -> int:
        self._number = self._number % _LAST_NUMBER + 1
        await self._wire.send(ldap_wire.message(self._number, operation, controls), until)
        return self._number

    async def _response(self, number: int, until: float) -> tuple[ldap_wire.LdapResponse, int]:
        """Return the server's next message and its size."""
        received_bytes = self._arrived
        while (size := ldap_wire.message_size(received_bytes, self._largest)) is None or size > len(
            received_bytes
        ):
            received_bytes += await self.receive(until)
        response = ldap_wire.read_message(bytes(received_bytes[:size]))
        del received_bytes[:size]
        if response.id == 0:  # the server says that it ends the connection
            raise ConnectionResetError
        if response.id != number:
            raise ValueError("a response does not belong to any request")
        return response, size

    @staticmethod
    def _result(response: ldap_wire.LdapResponse, kind: int) -> LdapResult:
        if response.kind != kind:
            raise ValueError("the type of a response does not match its request")
        return ldap_wire.read_result(response)


def _check_size(page: SearchPage, size: int, largest: int, most: int) -> None:
    if size > largest or len(page.entries) > most:
        raise ValueError("a page is larger than allowed")


class LdapLink(WireLink[AsyncLdapLink]):
    """A connection to a directory, for one thread at a time."""

    def perform(self, operation: bytes, kind: int, until: float) -> LdapResult:
        """Make a change, and return the server's result."""
        return run(self._link.perform(operation, kind, until))

    def compare(self, operation: bytes, until: float) -> bool:
        """Return whether an attribute has this value."""
        return run(self._link.compare(operation, until))

    def search(self, request: SearchRequest, cookie: bytes, until: float) -> SearchPage:
        """Return one page of a search's results."""
        return run(self._link.search(request, cookie, until))
