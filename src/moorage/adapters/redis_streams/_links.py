"""Connections to Redis that add messages to streams, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import select
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from redis import exceptions as redis_errors
from redis.asyncio.connection import Connection as AsyncConnection
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.connection import Connection, SSLConnection

from moorage.adapters.messages.network_faults import network_fault
from moorage.adapters.redis_streams.kind import RULES
from moorage.adapters.state._redis_socket import dialling_concurrently, with_deadline
from moorage.adapters.trust import context_for
from moorage.domain.messages.broker_rules import headers_of
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.messages.redis_streams import command_of, pack_commands, refusal, server_facts
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Result
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.redis_streams.kind import RedisStreams
    from moorage.domain.http.transport import Tls
    from moorage.domain.messages.message import OutgoingMessage

_LOSS_ERRORS = (redis_errors.RedisError, OSError)


def connect(settings: RedisStreams, timeout: float) -> RedisLink:
    """Open a connection to Redis for a synchronous program."""
    seconds = min(timeout, settings.connect_timeout)
    link: RedisLink | None = None
    try:
        connection = _connection(settings, seconds, is_async=False)
        connection.until = monotonic() + seconds
        link = RedisLink(settings, connection)
        connection.connect()
        link.greet()
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = _connecting_error(error)
    except BaseException:
        _close_if_open(link)
        raise
    else:
        return link
    _close_if_open(link)
    raise without_frames(failure)


async def connect_async(settings: RedisStreams, timeout: float) -> AsyncRedisLink:
    """Open a connection to Redis for an asynchronous program."""
    seconds = min(timeout, settings.connect_timeout)
    link: AsyncRedisLink | None = None
    try:
        link = AsyncRedisLink(settings, _connection(settings, seconds, is_async=True))
        async with asyncio.timeout(seconds):
            await link.greet()
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = _connecting_error(error)
    except BaseException:
        _close_if_open(link)
        raise
    else:
        return link
    _close_if_open(link)
    raise without_frames(failure)


def _close_if_open(link: RedisLink | AsyncRedisLink | None) -> None:
    if link is not None:
        link.close()


def _check_certificate_files(tls: Tls) -> None:
    """Refuse certificate files that redis-py cannot read, and PEM content instead of a path."""
    if isinstance(tls.authorities, bytes) or isinstance(tls.certificate, bytes):
        raise ConfigurationError(
            "redis-py reads certificates from files, one of which is not a path.",
            path="certificate",
            remedy="Set the paths of PEM files instead of their content.",
        )
    context_for(tls, "")


def _connection(settings: RedisStreams, seconds: float, *, is_async: bool) -> Any:
    address = settings.address()
    kind: Any = AsyncConnection if is_async else Connection
    options: dict[str, Any] = {}
    if address.tls is not None:
        _check_certificate_files(address.tls)
        kind = AsyncSSLConnection if is_async else SSLConnection
        options = {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": settings.authorities,
            "ssl_certfile": settings.certificate,
            "ssl_keyfile": settings.key,
        }
    kind = dialling_concurrently(kind) if is_async else with_deadline(kind)
    return kind(
        host=address.host,
        port=address.port,
        db=int(address.path.strip("/") or 0),
        username=address.user or None,
        password=address.password_text() or None,
        socket_timeout=None if is_async else seconds,
        socket_connect_timeout=None if is_async else seconds,
        **options,
    )


def _connecting_error(error: Exception) -> Exception:
    """Return the error for an exception during the opening of a connection."""
    for cause in _causes(error):
        fault = _connecting_fault(cause)
        if fault is not None:
            return publish_error(fault, RULES)
    return publish_error(PublishFault.UNSENT, RULES) if isinstance(error, _LOSS_ERRORS) else error


def _connecting_fault(error: BaseException) -> PublishFault | None:
    if isinstance(
        error,
        redis_errors.ResponseError
        | redis_errors.AuthenticationError
        | redis_errors.BusyLoadingError,
    ):
        fault = _refusal(error)
        # Before the greeting, Redis is asked for nothing but the user and the database.
        return PublishFault.NAMESPACE if fault is PublishFault.BROKEN else fault
    return network_fault(error)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception with its causes, the innermost first."""
    causes: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        cause = pending.pop()
        if isinstance(cause, BaseException) and cause not in causes:
            causes.append(cause)
            pending += [cause.__context__, cause.__cause__, *getattr(cause, "exceptions", ())]
    return causes[::-1]


def _refusal(error: BaseException) -> PublishFault:
    return refusal((kind.__name__ for kind in type(error).__mro__), str(error))


def _outcome(item: OutgoingMessage, reply: object) -> Result[PublishReceipt]:
    """Convert Redis's reply or error for one message to the message's result."""
    if isinstance(reply, bytes):
        receipt = PublishReceipt(
            broker=RULES.system,
            topic=item.topic,
            at=datetime.now(UTC),
            id=item.id or reply.decode(),
        )
        return Result(receipt)
    if reply is None:
        fault = PublishFault.TOPIC
    elif isinstance(reply, redis_errors.ResponseError | redis_errors.BusyLoadingError):
        fault = _refusal(reply)
    elif isinstance(reply, TimeoutError | redis_errors.TimeoutError):
        fault = PublishFault.TIMEOUT
    else:
        fault = PublishFault.LOST
    return Result(error=publish_error(fault, RULES, item.topic))


def _refuse_cluster() -> NoReturn:
    raise ConfigurationError(
        "The server belongs to a Redis Cluster, and this connector cannot publish to a cluster.",
        path="url",
        remedy="Set the address of a server that does not belong to a cluster.",
    )


def _has_received(connected: Any) -> bool:
    """Return whether a socket has unexpected bytes or was closed by the server."""
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Link:
    """The common code of synchronous and asynchronous connections."""

    def __init__(self, settings: RedisStreams, connection: Any) -> None:
        self._settings = settings
        self._connection = connection
        self._is_closed = False
        self.version: str | None = None

    @property
    def is_closed(self) -> bool:
        """True if this program has closed the connection."""
        return self._is_closed

    def problem(self) -> tuple[str, str] | None:
        """Return None, because a Redis server reports no problems of its own."""
        return None

    def _packed(self, items: Sequence[OutgoingMessage]) -> list[bytes]:
        settings = self._settings
        commands = [
            command_of(
                item,
                headers_of(item.message, RULES),
                creates_streams=settings.creates_streams,
                longest_stream=settings.longest_stream,
            )
            for item in items
        ]
        return pack_commands(commands)

    def _keep_facts(self, report: bytes) -> None:
        facts = server_facts(report.decode(errors="replace"))
        if facts.get("redis_mode") == "cluster":
            _refuse_cluster()
        self.version = f"Redis {facts.get('redis_version', '')}".strip()


class RedisLink(_Link):
    """A synchronous program's connection to Redis, for one thread at a time."""

    def is_connected(self) -> bool:
        """Return False if either side has closed the connection."""
        if self._is_closed:
            return False
        try:
            return not self._connection.can_read(0)
        except _LOSS_ERRORS:
            return False

    def greet(self) -> None:
        """Ask Redis for its version, if the user may read it."""
        with suppress(redis_errors.NoPermissionError):
            self._keep_facts(self._reply("INFO", "server"))

    def ping(self, timeout: float) -> None:
        """Send a ping to Redis, and wait for the reply."""
        self._bound(timeout)
        self._reply("PING")

    def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Add one message to its Redis stream."""
        return self.publish_batch([item], timeout)[0].unwrap()

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Add messages to a Redis stream in one request; return a result for each."""
        replies: list[object] = []
        packed = self._packed(items)
        try:
            self._bound(timeout)
            self._connection.send_packed_command(packed, check_health=False)
            for _ in items:
                replies.append(self._next_reply())  # noqa: PERF401 - a failure keeps those before it
        except _LOSS_ERRORS as error:
            self.close()
            replies += [error] * (len(items) - len(replies))
        except BaseException:
            self.close()
            raise
        return [_outcome(item, reply) for item, reply in zip(items, replies, strict=True)]

    def close(self) -> None:
        """Drop the connection to Redis."""
        self._is_closed = True
        with suppress(*_LOSS_ERRORS):
            self._connection.disconnect()

    def _bound(self, timeout: float) -> None:
        self._connection._sock.until = monotonic() + timeout  # noqa: SLF001 - redis-py has no deadline of its own

    def _reply(self, *words: str) -> Any:
        self._connection.send_command(*words, check_health=False)
        return self._connection.read_response()

    def _next_reply(self) -> object:
        try:
            return self._connection.read_response()
        except redis_errors.ResponseError as error:
            return error


class AsyncRedisLink(_Link):
    """An asynchronous program's connection to Redis, for one task at a time."""

    def is_connected(self) -> bool:
        """Return False if either side has closed the connection."""
        writer = self._connection._writer  # noqa: SLF001 - redis-py tells it only by waiting
        if self._is_closed or writer is None or writer.is_closing():
            return False
        return not _has_received(writer.get_extra_info("socket"))

    async def greet(self) -> None:
        """Connect to Redis, and read the server's version if the user has permission."""
        await self._connection.connect()
        with suppress(redis_errors.NoPermissionError):
            self._keep_facts(await self._reply("INFO", "server"))

    async def ping(self, timeout: float) -> None:
        """Send a ping to Redis, and wait for the reply."""
        async with asyncio.timeout(timeout):
            await self._reply("PING")

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Add one message to its Redis stream."""
        return (await self.publish_batch([item], timeout))[0].unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Add messages to a Redis stream in one request; return a result for each."""
        replies: list[object] = []
        packed = self._packed(items)
        try:
            async with asyncio.timeout(timeout):
                await self._connection.send_packed_command(packed, check_health=False)
                for _ in items:
                    replies.append(await self._next_reply())  # noqa: PERF401 - a failure keeps those before it
        except _LOSS_ERRORS as error:
            self.close()
            replies += [error] * (len(items) - len(replies))
        except BaseException:
            self.close()
            raise
        return [_outcome(item, reply) for item, reply in zip(items, replies, strict=True)]

    async def request(self, command: bytes, timeout: float) -> Any:
        """Send one command to Redis as it is, and return the reply.

        Raises:
            ResponseError: Redis refuses the command. The connection stays usable.
            OSError, RedisError: the connection is lost, and closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._connection.send_packed_command(command, check_health=False)
                return await self._connection.read_response()
        except redis_errors.ResponseError:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection to Redis, even if its event loop is closed."""
        self._is_closed = True
        connection = self._connection
        writer, connection._writer, connection._reader = connection._writer, None, None  # noqa: SLF001 - redis-py would wait
        if writer is not None:
            with suppress(RuntimeError):
                writer.transport.abort()

    async def _reply(self, *words: str) -> Any:
        await self._connection.send_command(*words, check_health=False)
        return await self._connection.read_response()

    async def _next_reply(self) -> object:
        try:
            return await self._connection.read_response()
        except redis_errors.ResponseError as error:
            return error
