"""The connector of WebSocket servers: requests with replies, and subscriptions.

All of them share one connection, on which a codec tells the messages apart by their ids:

    orders = WebSocketConnector("wss://orders.example/ws", credentials=Credentials.bearer("…"))
    find = orders.request({"method": "find", "params": {"id": 7}}, name="orders.find", safe=True)
    order = manager.perform("orders", find)
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from moorage.adapters.concurrency._timers import start_task_timeout
from moorage.adapters.concurrency.background import Background
from moorage.adapters.links.credentials import current_credentials
from moorage.adapters.links.health import health_of
from moorage.adapters.websocket._thread_requests import ThreadRequest
from moorage.adapters.websocket.subscriptions import AsyncSubscription, Subscription
from moorage.domain.connectors.health import ConnectorHealth, ConnectorVersions
from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from moorage.domain.connectors.websocket_failures import reply_timeout
from moorage.domain.secrets.frames import without_arguments_in_errors
from moorage.domain.secrets.secret import Secret
from moorage.domain.service.json_rpc_messages import JsonRpcMessages
from moorage.domain.values.installation import install
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from moorage.adapters.websocket._server_connection import ServerConnection
    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.connectors.pool_statistics import PoolStatistics
    from moorage.domain.http.transport import Tls
    from moorage.domain.service.operation import OperationAttempt
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from moorage.ports.message_codec import MessageCodec

_CONNECT_TIMEOUT: Final = 5.0
_CLOSE_TIMEOUT: Final = 2.0
_HEARTBEAT: Final = 20.0
_MESSAGE_BYTES: Final = 2**20
_BUFFER_BYTES: Final = 2**23
_ATTEMPT_MARGIN: Final = 0.01
"""Seconds by which an attempt ends early, so that its own error is raised in time."""


class _Described:
    """The common code of synchronous and asynchronous WebSocket operations."""

    __slots__ = ("_connector", "_work", "name", "repeatable", "safe")

    system = "websocket"

    def __init__(
        self, connector: Any, work: _RequestAttempt, name: str, *, safe: bool, repeatable: bool
    ) -> None:
        self._connector = connector
        self._work = work
        self.name = name
        self.safe = safe
        self.repeatable = repeatable

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Return None, because `perform` has converted the library's exceptions."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class WebSocketOperation(_Described):
    """A request or a subscription, for `ConnectorManager.perform`."""

    __slots__ = ()

    def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt of the operation."""
        return self._connector.attempt(self._work, attempt.timeout)


class AsyncWebSocketOperation(_Described):
    """A request or a subscription, for `AsyncConnectorManager.perform`."""

    __slots__ = ()

    async def perform(self, attempt: OperationAttempt, /) -> Any:
        """Make one attempt of the operation."""
        return await self._work.attempt(attempt.timeout)


class _RequestAttempt:
    """One attempt to send a request or start a subscription."""

    def __init__(
        self,
        connection: ServerConnection,
        payload: Any,
        *,
        written: tuple[str, str | bytes] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.connection = connection
        self._payload = payload
        self._written = written
        self._options = options

    @property
    def is_request(self) -> bool:
        """True for a request, False for a subscription."""
        return self._options is None

    def message(self) -> tuple[str, str | bytes]:
        """Return the next attempt's message, with its id.

        A reply to an earlier attempt must not count, so only the first one has the message that was
        written to check the payload.
        """
        prepared_message, self._written = self._written, None
        return (
            self.connection.write(self._payload) if prepared_message is None else prepared_message
        )

    async def attempt(self, timeout: float) -> Any:
        """Make one attempt, with a deadline shortly before the caller's."""
        limit = _shortened_timeout(timeout)
        if self._options is not None:
            subscription = AsyncSubscription(self.connection, self._payload, **self._options)
            await subscription.begin(limit)
            return subscription
        session = self.connection.open_session()
        if session is None:
            end = monotonic() + limit
            session = await self.connection.session(limit)
            limit = max(0.0, end - monotonic())
        prepared_message = self.message()
        bound = start_task_timeout(limit)
        try:
            return await session.request(*prepared_message)
        except asyncio.CancelledError:
            if bound is None or not bound.end():
                raise
        finally:
            if bound is not None:
                bound.end()
        raise reply_timeout(was_sent=True)


def _shortened_timeout(timeout: float) -> float:
    """Return the timeout of an attempt, a little shorter than the caller's."""
    return max(0.0, timeout - min(_ATTEMPT_MARGIN, timeout / 10))


class _Connector(Uncopyable):
    """The common code of the synchronous and asynchronous WebSocket connectors."""

    kind = "websocket"

    @without_arguments_in_errors
    def __init__(
        self,
        url: Secret | str,
        *,
        name: str = "websocket",
        service: str | None = None,
        codec: MessageCodec | None = None,
        credentials: Credentials | OAuthCredentials | None = None,
        provider: CredentialProvider | AsyncCredentialProvider | None = None,
        headers: Mapping[str, str] | None = None,
        tls: Tls | None = None,
        connect_timeout: float = _CONNECT_TIMEOUT,
        close_timeout: float = _CLOSE_TIMEOUT,
        heartbeat: float | None = _HEARTBEAT,
        reconnect: ReconnectPolicy | None = None,
        max_message_bytes: int = _MESSAGE_BYTES,
        buffer_bytes: int = _BUFFER_BYTES,
        max_pending: int = 1000,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.service = name if service is None else service
        self._credentials = credentials
        self._provider = provider
        place = url if isinstance(url, Secret) else Secret(url)
        self._codec: MessageCodec = JsonRpcMessages() if codec is None else codec
        settings: dict[str, Any] = {
            "proxy": None,
            "ping_interval": heartbeat,
            "ping_timeout": heartbeat,
            "close_timeout": close_timeout,
            "max_size": max_message_bytes,
            "subprotocols": list(self._codec.subprotocols) or None,
            **_tls_settings(place, tls),
            **(options or {}),
        }
        self.connection = _library()(
            place,
            self._codec,
            headers=headers or {},
            credentials=self._current,
            connect_timeout=connect_timeout,
            close_timeout=close_timeout,
            policy=reconnect or ReconnectPolicy(),
            buffer_bytes=buffer_bytes,
            max_pending=max_pending,
            options=settings,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def versions(self) -> ConnectorVersions:
        """The version of the library, and the server's software once connected."""
        return ConnectorVersions(
            library=f"websockets {version('websockets')}", server=self.connection.server
        )

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operation `request`, which sends any payload that the connector can encode."""
        return {
            "request": NamedOperation(
                name="request",
                about="Sends a request, and returns its reply.",
                arguments={
                    "payload": "The payload, as the codec expects it.",
                    "safe": "Whether the request changes nothing.",
                },
                required=frozenset({"payload"}),
                build=self._named,
            )
        }

    def statistics(self) -> PoolStatistics:
        """Return the statistics of the connection, without waiting."""
        return self.connection.statistics()

    def _named(self, arguments: Mapping[str, Any]) -> Any:
        make: Any = self
        return make.request(
            arguments["payload"], name="request", safe=arguments.get("safe") is True
        )

    def _request(self, kind: Any, payload: Any, name: str, *, safe: bool, repeatable: bool) -> Any:
        work = _RequestAttempt(self.connection, payload, written=self.connection.write(payload))
        return kind(self, work, name, safe=safe, repeatable=repeatable or safe)

    def _subscription(self, kind: Any, payload: Any, name: str, options: dict[str, Any]) -> Any:
        self._codec.subscription("0", payload, options["after"])
        return kind(
            self,
            _RequestAttempt(self.connection, payload, options=options),
            name,
            safe=True,
            repeatable=True,
        )

    async def _current(self, stale: Any) -> Credentials | OAuthCredentials | None:
        """Return credentials for connecting that differ from stale ones the server refused."""
        if self._provider is None or self._credentials is not None:
            return self._credentials
        return await current_credentials(self._provider, self.service, stale)

    async def _health(self, timeout: float) -> ConnectorHealth:
        started_at = monotonic()
        try:
            session = await self.connection.session(timeout)
            async with asyncio.timeout(max(0.0, started_at + timeout - monotonic())):
                await session.ping()
        except (ConnectorError, TimeoutError) as error:
            failure = error if isinstance(error, ConnectorError) else reply_timeout(was_sent=True)
            return health_of(self.name, "The server", monotonic() - started_at, error=failure)
        return health_of(self.name, "The server", monotonic() - started_at)


class WebSocketConnector(_Connector):
    """A connector of a WebSocket server, for synchronous programs.

    The connection runs in an event loop of a background thread, which all connectors of the process
    share. The thread starts with the first connection.

    Args:
        url: the server's URL, such as wss://orders.example/ws. It may contain a token, and is never
            shown.
        name: the name of the connector.
        service: the service whose protections apply; by default the service of the same name.
        codec: writes and reads the messages; by default the codec of JSON-RPC 2.0.
        credentials: the credential for opening the connection.
        provider: the provider of the credential, instead of `credentials`; it is asked for each
            connection, and renews a refused credential.
        headers: further headers for opening the connection; a secret belongs in `credentials`.
        tls: the trusted authorities, for a URL that begins with wss.
        connect_timeout: seconds for opening the connection; an attempt with less time waits less.
        close_timeout: seconds that the server has for its part of closing.
        heartbeat: seconds between pings, and for their answers; None to send none.
        reconnect: the pauses before a lost connection is opened again.
        max_message_bytes: the largest message; a larger one ends the connection.
        buffer_bytes: the bytes of a subscription's messages that wait to be taken.
        max_pending: the largest number of requests and subscriptions at a time.
        options: options of `websockets.connect`, by name, such as `proxy`.
    """

    _background: Final = Background()

    def request(
        self, payload: Any, /, *, name: str, safe: bool = False, repeatable: bool = False
    ) -> WebSocketOperation:
        """Return the operation that sends a request, and returns its reply.

        Args:
            payload: the request, as the codec expects it.
            name: the name in events, errors and logs, such as "orders.find".
            safe: True if the request changes nothing.
            repeatable: whether sending it twice has the effect of sending it once.

        Raises:
            InvalidData: the codec cannot write the payload.
        """
        operation: WebSocketOperation = self._request(
            WebSocketOperation, payload, name, safe=safe, repeatable=repeatable
        )
        return operation

    def subscribe(
        self,
        payload: Any,
        /,
        *,
        name: str,
        after: str | None = None,
        position_of: Callable[[Any], str | None] | None = None,
        gaps: bool = False,
    ) -> WebSocketOperation:
        """Return the operation that starts a subscription and returns a `Subscription`.

        The protections apply to the beginning. The subscription goes on by itself after a lost
        connection.

        Args:
            payload: the subscription, as the codec expects it.
            name: the name in events, errors and logs, such as "orders.watch".
            after: the position after which it begins.
            position_of: returns the position of a message; by default the codec knows it.
            gaps: whether it may continue although messages without a position may be missing.

        Raises:
            InvalidData: the codec cannot write the payload.
        """
        options = {"after": after, "position_of": position_of, "gaps": gaps}
        operation: WebSocketOperation = self._subscription(
            WebSocketOperation, payload, name, options
        )
        return operation

    def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open the connection, so that configuration errors appear early."""
        self.run(self.connection.session(timeout))

    def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the server; a failure is part of the result, not raised."""
        health: ConnectorHealth = self.run(self._health(timeout))
        return health

    def close(self) -> None:
        """Close the connection, within twice the closing timeout."""
        self.run(self.connection.close())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the background event loop of the connection."""
        return self._background.run(work)

    def attempt(self, work: _RequestAttempt, timeout: float) -> Any:
        """Make one attempt of an operation, in the calling thread if possible."""
        end = monotonic() + timeout
        if work.is_request:
            request = ThreadRequest(self.connection, work.message())
            result = request.perform(self._background, _shortened_timeout(timeout))
            if not request.must_wait:
                return result
        result = self.run(work.attempt(max(0.0, end - monotonic())))
        if isinstance(result, AsyncSubscription):
            return Subscription(result, self._background)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncWebSocketConnector(_Connector):
    """A connector of a WebSocket server, for asynchronous programs; see `WebSocketConnector`.

    It belongs to the event loop that uses it first.
    """

    def request(
        self, payload: Any, /, *, name: str, safe: bool = False, repeatable: bool = False
    ) -> AsyncWebSocketOperation:
        """Return the operation that sends a request, and returns its reply.

        Args:
            payload: the request, as the codec expects it.
            name: the name in events, errors and logs, such as "orders.find".
            safe: True if the request changes nothing.
            repeatable: whether sending it twice has the effect of sending it once.

        Raises:
            InvalidData: the codec cannot write the payload.
        """
        operation: AsyncWebSocketOperation = self._request(
            AsyncWebSocketOperation, payload, name, safe=safe, repeatable=repeatable
        )
        return operation

    def subscribe(
        self,
        payload: Any,
        /,
        *,
        name: str,
        after: str | None = None,
        position_of: Callable[[Any], str | None] | None = None,
        gaps: bool = False,
    ) -> AsyncWebSocketOperation:
        """Return the operation that starts a subscription and returns an `AsyncSubscription`.

        The protections apply to the beginning. The subscription goes on by itself after a lost
        connection.

        Args:
            payload: the subscription, as the codec expects it.
            name: the name in events, errors and logs, such as "orders.watch".
            after: the position after which it begins.
            position_of: returns the position of a message; by default the codec knows it.
            gaps: whether it may continue although messages without a position may be missing.

        Raises:
            InvalidData: the codec cannot write the payload.
        """
        options = {"after": after, "position_of": position_of, "gaps": gaps}
        operation: AsyncWebSocketOperation = self._subscription(
            AsyncWebSocketOperation, payload, name, options
        )
        return operation

    async def open(self, timeout: float = _CONNECT_TIMEOUT, /) -> None:
        """Open the connection, so that configuration errors appear early."""
        await self.connection.session(timeout)

    async def health(self, timeout: float = _CONNECT_TIMEOUT, /) -> ConnectorHealth:
        """Return the health of the server; a failure is part of the result, not raised."""
        return await self._health(timeout)

    async def close(self) -> None:
        """Close the connection, within twice the closing timeout."""
        await self.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _library() -> type[ServerConnection]:
    """Import and return the class that uses the library `websockets`."""
    try:
        from moorage.adapters.websocket._server_connection import ServerConnection  # noqa: PLC0415 - imports websockets
    except ImportError as error:
        raise ConfigurationError(
            "WebSocket connections need the library websockets, which is not installed.",
            path="kind",
            remedy=install("websockets"),
        ) from error
    return ServerConnection


def _tls_settings(url: Secret, tls: Tls | None) -> dict[str, Any]:
    """Return the TLS options for the library `websockets`."""
    scheme = _scheme_of(url.reveal())
    if scheme not in {"ws", "wss"}:
        raise ConfigurationError(
            "The URL is not the address of a WebSocket server.",
            path="url",
            remedy="Give a URL such as wss://orders.example/ws.",
        )
    if scheme == "ws":
        if tls is None:
            return {}
        raise ConfigurationError(
            "The URL begins with ws, which has no TLS.",
            path="tls",
            remedy="Give a URL that begins with wss, or leave `tls` out.",
        )
    from moorage.adapters.trust import context_for  # noqa: PLC0415 - imports ssl
    from moorage.domain.http.transport import Tls as TlsSettings  # noqa: PLC0415 - few need it

    return {"ssl": context_for(TlsSettings() if tls is None else tls)}


def _scheme_of(url: str) -> str | None:
    """Return the scheme of a URL in lower case; None if its host or its port is wrong."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.scheme if parts.hostname else None
