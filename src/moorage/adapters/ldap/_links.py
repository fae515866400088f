"""Connections to directories, for synchronous and asynchronous programs.

A link is written once, for a network that suspends a task or blocks a thread. A link whose request
was interrupted is closed: a late response would be taken for that of the next request.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.adapters.http.connections._loops import Loops
from moorage.adapters.http.connections._reaching import reaching_error
from moorage.adapters.http.connections._threads import Threads, run
from moorage.adapters.http.connections._tls import secured
from moorage.adapters.http.connections._wire import Origin, TimeIsUp, dial
from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.ldap_failures import (
    IS_FALSE,
    IS_TRUE,
    SUCCESS,
    WRONG_PASSWORD,
    connection_lost,
    ldap_error,
    malformed,
    timed_out,
)
from moorage.domain.connectors.ldap_values import LdapEntry, present
from moorage.domain.connectors.unreachable import unreachable
from moorage.domain.secrets.frames import bare

if TYPE_CHECKING:
    from ssl import SSLContext

    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.adapters.ldap.settings import LdapTarget
    from moorage.domain.connectors.ldap_wire import LdapResult
    from moorage.domain.secrets.secret import Secret

AsyncEndOfStream: Final = StopAsyncIteration
EndOfStream: Final = StopIteration

_LOOPS: Final = Loops()
_THREADS: Final = Threads()
_LAST_NUMBER: Final = 2**31 - 1
_ENDS: Final = frozenset({SUCCESS, IS_FALSE, IS_TRUE})
_ABOUT_SERVER: Final = ("vendorName", "vendorVersion")
_ANYTHING: Final = present("objectClass").encoded
_TOO_MANY: Final = 4


class SearchPage(NamedTuple):
    """One page of a search.

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
    """A search, as each of its pages asks for it.

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


def connect_sync(target: LdapTarget, timeout: float) -> LdapLink:
    """Open and authenticate a connection for a synchronous program."""
    return LdapLink(run(_connected(target, timeout, _THREADS)))


async def connect_async(target: LdapTarget, timeout: float) -> AsyncLdapLink:
    """Open and authenticate a connection for an asynchronous program."""
    return await _connected(target, timeout, _LOOPS)


def accepts_sync(target: LdapTarget, name: str, password: Secret, until: float) -> bool:
    """Return whether the directory accepts a name and a password, on a connection of its own."""
    return run(_accepts(target, name, password, until, _THREADS))


async def accepts_async(target: LdapTarget, name: str, password: Secret, until: float) -> bool:
    """Return whether the directory accepts a name and a password, on a connection of its own."""
    return await _accepts(target, name, password, until, _LOOPS)


async def _accepts(
    target: LdapTarget, name: str, password: Secret, until: float, network: Network
) -> bool:
    link = await _opened(target, min(until, monotonic() + target.connect_timeout), network)
    try:
        result = await link.bind(ldap_wire.bind_simple(name, password.reveal_bytes()), until)
        if result.code not in {SUCCESS, WRONG_PASSWORD}:
            raise ldap_error(result, has_effect=False)
        return result.code == SUCCESS
    finally:
        link.close()


async def _connected(target: LdapTarget, timeout: float, network: Network) -> AsyncLdapLink:
    until = monotonic() + min(timeout, target.connect_timeout)
    link = await _opened(target, until, network)
    request = target.bind_request()
    if request is None:
        return link
    is_bound = False
    try:
        result = await link.bind(request, until)
        is_bound = result.code == SUCCESS
    finally:
        if not is_bound:
            link.close()
    if not is_bound:
        raise ldap_error(result, has_effect=False)
    return link


async def _opened(target: LdapTarget, until: float, network: Network) -> AsyncLdapLink:
    """Open a connection, with TLS if the target has it, but do not authenticate."""
    failure: Exception
    link: AsyncLdapLink | None = None
    try:
        context = target.context()
        origin = Origin(target.host, target.port, secure=context is not None)
        wire = await dial(network, origin, until, None if target.start_tls else context)
        link = AsyncLdapLink(wire, target.largest)
        if target.start_tls and context is not None:
            await link.start_tls(context, target.host, until)
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = reaching_error(error)
    except BaseException:
        if link is not None:
            link.close()
        raise
    else:
        return link
    if link is not None:
        link.close()
    raise bare(failure)


class AsyncLdapLink:
    """A connection to a directory, for one task at a time.

    Attributes:
        version: the name and the version of the server, if it told them when it was asked.
    """

    def __init__(self, wire: Wire, largest: int) -> None:
        self.version: str | None = None
        self._wire = wire
        self._largest = largest
        self._arrived = bytearray()
        self._number = 0
        self._is_closed = False

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server sent nothing unasked."""
        return not (self._is_closed or self._arrived or self._wire.stale())

    async def ping(self, timeout: float) -> None:
        """Ask the server about itself."""
        request = SearchRequest("", ldap_wire.BASE, _ANYTHING, _ABOUT_SERVER, 0, 0)
        page = await self.search(request, b"", monotonic() + timeout)
        for entry in page.entries:
            texts = [entry.text(name) for name in _ABOUT_SERVER]
            self.version = " ".join(text for text in texts if text) or None

    async def perform(self, operation: bytes, kind: int, until: float) -> LdapResult:
        """Perform a change, and return the result of the server.

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
        """Return whether an attribute has a value."""
        kind = ldap_wire.COMPARE_RESPONSE
        result = await self._exchange(operation, kind, until, has_effect=False)
        if result.code not in {IS_FALSE, IS_TRUE}:
            raise ldap_error(result, has_effect=False)
        return result.code == IS_TRUE

    async def bind(self, operation: bytes, until: float) -> LdapResult:
        """Authenticate, and return the result of the server."""
        return await self._exchange(operation, ldap_wire.BIND_RESPONSE, until, has_effect=False)

    async def start_tls(self, context: SSLContext, host: str, until: float) -> None:
        """Encrypt the connection, and verify the certificate of the server."""
        operation, kind = ldap_wire.extended(ldap_wire.START_TLS), ldap_wire.EXTENDED_RESPONSE
        result = await self._exchange(operation, kind, until, has_effect=False)
        # Bytes that came before the encryption would be taken for encrypted ones.
        if result.code != SUCCESS or self._arrived:
            raise unreachable("TLS")
        self._wire = await secured(self._wire, context, host, until)

    async def search(self, request: SearchRequest, cookie: bytes, until: float) -> SearchPage:
        """Return one page of a search.

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
        most = request.page or request.limit or self._largest
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
                _check_size(page, size, self._largest, most)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self._interrupted(error, has_effect=False)
        else:
            # The caller's own limit is no failure.
            if result.code == SUCCESS or (
                result.code == _TOO_MANY and request.limit == len(entries) > 0
            ):
                return page._replace(cookie=result.cookie, size=size)
            failure = ldap_error(result, has_effect=False)
        raise failure

    def close(self) -> None:
        """Drop the connection, without waiting for the server."""
        if not self._is_closed:
            self._is_closed = True
            self._wire.close()

    async def _exchange(
        self, operation: bytes, kind: int, until: float, *, has_effect: bool
    ) -> LdapResult:
        try:
            number = await self._send(operation, b"", until)
            response, _ = await self._response(number, until)
            return self._result(response, kind)
        except BaseException as error:  # noqa: BLE001 - judged, and raised again
            failure = self._interrupted(error, has_effect=has_effect)
        raise failure

    async def _send(self, operation: bytes, controls: bytes, until: float) -> int:
        self._number = self._number % _LAST_NUMBER + 1
        await self._wire.send(ldap_wire.message(self._number, operation, controls), until)
        return self._number

    async def _response(self, number: int, until: float) -> tuple[ldap_wire.LdapResponse, int]:
        """Return the next message of the server and its size."""
        arrived = self._arrived
        while (size := ldap_wire.message_size(arrived, self._largest)) is None or size > len(
            arrived
        ):
            data = await self._wire.receive(until)
            if not data:
                raise ConnectionResetError
            arrived += data
        response = ldap_wire.read_message(bytes(arrived[:size]))
        del arrived[:size]
        if response.id == 0:  # the server says that it ends the connection
            raise ConnectionResetError
        if response.id != number:
            raise ValueError("a response belongs to no request")
        return response, size

    @staticmethod
    def _result(response: ldap_wire.LdapResponse, kind: int) -> LdapResult:
        if response.kind != kind:
            raise ValueError("a response is of another kind than its request")
        return ldap_wire.read_result(response)

    def _interrupted(self, error: BaseException, *, has_effect: bool) -> BaseException:
        """Close the connection, and return the error for what interrupted a request."""
        self.close()
        if isinstance(error, TimeIsUp):
            return timed_out(has_effect=has_effect)
        if isinstance(error, OSError):
            return connection_lost(has_effect=has_effect)
        return malformed(has_effect=has_effect) if isinstance(error, ValueError) else error


def _check_size(page: SearchPage, size: int, largest: int, most: int) -> None:
    if size > largest or len(page.entries) > most:
        raise ValueError("a page is larger than it may be")


class LdapLink:
    """A connection to a directory, for one thread at a time."""

    def __init__(self, link: AsyncLdapLink) -> None:
        self._link = link

    @property
    def version(self) -> str | None:
        """The name and the version of the server, if it told them when it was asked."""
        return self._link.version

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the server sent nothing unasked."""
        return self._link.is_connected()

    def ping(self, timeout: float) -> None:
        """Ask the server about itself."""
        run(self._link.ping(timeout))

    def perform(self, operation: bytes, kind: int, until: float) -> LdapResult:
        """Perform a change, and return the result of the server."""
        return run(self._link.perform(operation, kind, until))

    def compare(self, operation: bytes, until: float) -> bool:
        """Return whether an attribute has a value."""
        return run(self._link.compare(operation, until))

    def search(self, request: SearchRequest, cookie: bytes, until: float) -> SearchPage:
        """Return one page of a search."""
        return run(self._link.search(request, cookie, until))

    def close(self) -> None:
        """Drop the connection, without waiting for the server."""
        self._link.close()
