"""Opens one connection to a WebSocket server, and reopens it after a loss."""

from __future__ import annotations

import asyncio
from itertools import count
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.websocket._opening import open_connection
from moorage.adapters.websocket._session import Session
from moorage.domain.auth import methods as auth
from moorage.domain.connectors.pool_statistics import PoolStatistics
from moorage.domain.connectors.reconnecting import ReconnectState, state_after_failure, wait_before
from moorage.domain.connectors.websocket_failures import OpeningFault, opening_error
from moorage.domain.http.requests import Request
from moorage.errors import (
    AuthenticationFailed,
    BulkheadFull,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.connectors.reconnecting import ReconnectPolicy
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.message_codec import MessageCodec

_UNAUTHORIZED = 401


class ServerConnection:
    """The connection to one WebSocket server in one event loop.

    Attributes:
        codec: writes and reads the messages.
        policy: the pauses before the connection is opened again.
        buffer_bytes: the bytes of a subscription's messages that wait for their consumer.
        close_timeout: the seconds that the server has for its part of closing.
    """

    def __init__(
        self,
        url: Secret,
        codec: MessageCodec,
        *,
        headers: Mapping[str, str],
        credentials: Callable[[Any], Awaitable[Credentials | OAuthCredentials | None]],
        connect_timeout: float,
        close_timeout: float,
        policy: ReconnectPolicy,
        buffer_bytes: int,
        max_pending: int,
        options: dict[str, Any],
    ) -> None:
        self._url = url
        self.codec = codec
        self._headers = dict(headers)
        self._credentials = credentials
        self._connect_timeout = connect_timeout
        self.close_timeout = close_timeout
        self.policy = policy
        self.buffer_bytes = buffer_bytes
        self._max_pending = max_pending
        self._options = options
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._numbers = count(1)
        self._reconnect = ReconnectState()
        self._session: Session | None = None
        self._inherited: list[Session | None] = []
        self._created = self._reused = self._waiting = 0
        self.server: str | None = None
        self.is_closed = False
        in_child(self, lambda connection: connection.restart_after_fork())

    def next_id(self) -> str:
        """Return a message id that is unique in this connector."""
        return str(next(self._numbers))

    def write(self, payload: Any) -> tuple[str, str | bytes]:
        """Return a new id, and the encoded message of a request with this id.

        Raises:
            InvalidData: the codec cannot write the payload.
        """
        identity = self.next_id()
        return identity, self.codec.request(identity, payload)

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection, without waiting."""
        session = self._session
        is_open = session is not None and session.is_open
        is_active = session is not None and is_open and session.load > 0
        return PoolStatistics(
            created=self._created,
            reused=self._reused,
            idle=int(is_open and not is_active),
            active=int(is_active),
            waiting=self._waiting,
            maximum=1,
        )

    async def session(self, timeout: float) -> Session:
        """Return the open connection; open it if necessary.

        Raises:
            ConnectorError: there is no open connection within `timeout` seconds. Nothing was sent.
        """
        return self.open_session() or await self._wait_to_open(timeout)

    def open_session(self) -> Session | None:
        """Return the open connection; None if it is closed.

        Raises:
            BulkheadFull: too many requests and subscriptions use it.
            LocalFailure: the connector belongs to another event loop.
        """
        self._check_loop()
        session = self._session
        if session is None or not session.is_open:
            return None
        if session.load >= self._max_pending:
            raise BulkheadFull(
                f"{session.load} requests and subscriptions already use the WebSocket connection.",
                remedy="Raise `max_pending`, or use a second connector.",
            )
        self._reused += 1
        return session

    async def _wait_to_open(self, timeout: float) -> Session:
        """Wait for permission to open the connection.

        If another caller has opened it, return it.
        """
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout), self._opening:
                return await self._open_connection(monotonic() + timeout)
        except TimeoutError:
            failure = opening_error(OpeningFault.TIMEOUT)
        finally:
            self._waiting -= 1
        raise failure

    async def _open_connection(self, until: float) -> Session:
        """Open the connection unless it is open, and return it; only one caller may do this."""
        session = self._session
        if session is not None and session.is_open:
            self._reused += 1
            return session
        self._check_open()
        pause = wait_before(self._reconnect, monotonic())
        if pause > until - monotonic():
            error = ConnectionFailed(
                "The WebSocket connection was lost, and is opened again only after a pause.",
                may_have_been_processed=False,
                remedy="Try again after the pause. If the error persists, check the server.",
            )
            error.vendor_retry_after = pause
            raise error
        await asyncio.sleep(pause)
        try:
            session = await self._open(min(self._connect_timeout, until - monotonic()))
        except ConnectorError:
            self._reconnect = state_after_failure(
                self._reconnect,
                self.policy,
                monotonic(),
                random(),  # noqa: S311 - the spread of pauses is no secret
            )
            raise
        if self.is_closed:
            session.abort()
        self._check_open()
        self._reconnect = ReconnectState()
        self._created += 1
        self._session, self.server = session, session.server
        return session

    async def _open(self, timeout: float) -> Session:
        end = monotonic() + timeout
        credentials = await self._credentials(None)
        try:
            return await self._begun_session(credentials, timeout)
        except AuthenticationFailed as error:
            if error.status != _UNAUTHORIZED or credentials is None:
                raise
            renewed_credentials = await self._credentials(credentials)
            if renewed_credentials is None or renewed_credentials == credentials:
                raise
        return await self._begun_session(renewed_credentials, end - monotonic())

    async def _begun_session(
        self, credentials: Credentials | OAuthCredentials | None, timeout: float
    ) -> Session:
        """Open a connection, and return it when the server has accepted it."""
        end = monotonic() + timeout
        connection = await open_connection(*self._target(credentials), timeout, self._options)
        session = Session(connection, self.codec)
        try:
            async with asyncio.timeout(end - monotonic()):
                await session.begin()
        except TimeoutError:
            failure = opening_error(OpeningFault.TIMEOUT)
        except BaseException:
            session.abort()
            raise
        else:
            return session
        session.abort()
        await session.wait_closed()
        raise failure

    def _target(
        self, credentials: Credentials | OAuthCredentials | None
    ) -> tuple[str, list[tuple[str, str]]]:
        """Return the URL and headers of a new connection, including credentials."""
        request = Request.get("/", headers=self._headers)
        url = self._url.reveal()
        if credentials is not None:
            if (
                auth.signs(credentials)
                or auth.responds(credentials)
                or auth.negotiates(credentials)
            ):
                raise ConfigurationError(
                    "A WebSocket connection cannot be opened with credentials that sign requests or"
                    " answer a challenge.",
                    path="credentials",
                    remedy="Give a bearer token, a user with a password, an API key or an OAuth"
                    " token.",
                )
            request = auth.authorise(request, credentials)
        if request.query:
            place = urlsplit(url)
            query = "&".join(filter(None, [place.query, urlencode(request.query)]))
            url = urlunsplit(place._replace(query=query))
        return url, list(request.headers.items())

    async def close(self) -> None:
        """Close the connection, and refuse to open another."""
        self.is_closed = True
        session, self._session = self._session, None
        if session is not None:
            try:
                async with asyncio.timeout(2 * self.close_timeout):
                    await session.close()
            except TimeoutError:
                session.abort()
                await session.wait_closed()

    def restart_after_fork(self) -> None:
        """Drop the connection in a forked child."""
        # Its garbage collection could end the parent's connection.
        self._inherited.append(self._session)
        self._session = None
        self._waiting = 0
        self._loop = None

    def _check_open(self) -> None:
        if self.is_closed:
            raise LocalFailure(
                "The WebSocket connector is closed.", remedy="Create a new connector."
            )

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise LocalFailure(
                "The connector belongs to another event loop.",
                remedy="Create a connector for each event loop.",
            )
        self._loop = loop
        self._session = None
        self._opening = asyncio.Lock()
