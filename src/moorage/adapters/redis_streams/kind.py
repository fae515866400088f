"""The connector that publishes messages to streams of Redis, with redis-py."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import attrs

from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
from moorage.adapters.messages.publisher_sync import MessagePublisher
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.http.transport import Tls
from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.redis_streams import FIELDS
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import if_given, is_count, is_seconds, plain
from moorage.domain.values.installation import install
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.errors import ConnectorError

RULES: Final = BrokerRules(
    system="redis-streams",
    title="Redis",
    topic="stream",
    topic_pattern=late_pattern(r"[\s\S]+"),
    largest=512 * 1024 * 1024,
    header_name=late_pattern(r"[\s\S]+"),
    header_value=late_pattern(r"[\s\S]*"),
    repeated_headers=True,
    reserved=FIELDS,
    has_keys=False,
)
"""The rules of streams of Redis, whose names and values may have any bytes."""

_LARGEST_DATABASE: Final = 9999


def _maybe_secret(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


@attrs.frozen
class Address:
    """The address of a Redis server, with everything that a connection needs.

    Attributes:
        host: the name or the address of the host.
        port: the port.
        database: the number of the database.
        user: the name of the user; None for the default user.
        password: the password; None if the server wants none.
        tls: the trust, if the connection is encrypted.
    """

    host: str
    port: int
    database: int
    user: str | None
    password: Secret | None = attrs.field(repr=False, hash=False)
    tls: Tls | None = None


@careful
@attrs.frozen(kw_only=True)
class RedisStreams:
    """Settings of a connector that publishes messages to streams of a Redis server.

    Attributes:
        url: such as redis://user@host/0, or rediss:// for TLS. It may contain the password, and is
            never shown.
        password: the password, if it is not in the URL.
        creates_streams: whether a message to a stream that does not exist creates it. Otherwise
            such a message is an error.
        longest_stream: the number of messages that a stream keeps; Redis removes older ones, and
            may keep some more. By default it keeps all.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key, which is not encrypted.
    """

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=_maybe_secret, repr=False, hash=False
    )
    creates_streams: bool = True
    longest_stream: int | None = attrs.field(default=None, validator=if_given(is_count))
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain, validator=is_seconds)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse settings that no connection could be made with."""
        self.address()

    def address(self) -> Address:
        """Return the address of the server.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        try:
            parts = urlsplit(self.url.reveal())
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            parts, scheme, host, port = urlsplit(""), "", None, None
        database = parts.path.strip("/") or "0"
        if (
            scheme not in ("redis", "rediss")
            or not host
            or parts.query
            or not (database.isdecimal() and int(database) <= _LARGEST_DATABASE)
        ):
            raise ConfigurationError(
                "The URL is no address of a Redis server.",
                path="url",
                remedy="Give redis://user@host/0, or rediss:// for TLS, without options.",
            )
        files = (self.authorities, self.certificate, self.key)
        if scheme == "redis" and files != (None, None, None):
            raise ConfigurationError(
                "There are files for TLS, but the URL asks for a connection without TLS.",
                path="url",
                remedy="Give a URL that begins with rediss://.",
            )
        password = self.password
        if password is None and parts.password:
            password = Secret(unquote(parts.password))
        return Address(
            host=host,
            port=port or 6379,
            database=int(database),
            user=unquote(parts.username) if parts.username else None,
            password=password,
            tls=None
            if scheme == "redis"
            else Tls(authorities=self.authorities, certificate=self.certificate, key=self.key),
        )

    def publisher(
        self, name: str = "redis-streams", *, service: str | None = None
    ) -> MessagePublisher:
        """Return a connector of a synchronous program.

        Raises:
            ConfigurationError: redis-py is not installed.
        """
        library = _library()
        from moorage.adapters.redis_streams._links import (  # noqa: PLC0415 - only some need it
            connect,
        )

        links = LinkPool(partial(connect, self), PoolConfig(maximum=self.connections))
        return MessagePublisher(name, RULES, links, judge=judge, library=library, service=service)

    def async_publisher(
        self, name: str = "redis-streams", *, service: str | None = None
    ) -> AsyncMessagePublisher:
        """Return a connector of an asynchronous program.

        Raises:
            ConfigurationError: redis-py is not installed.
        """
        library = _library()
        from moorage.adapters.redis_streams._links import (  # noqa: PLC0415 - only some need it
            connect_async,
        )

        links = AsyncLinkPool(partial(connect_async, self), PoolConfig(maximum=self.connections))
        return AsyncMessagePublisher(
            name, RULES, links, judge=judge, library=library, service=service
        )


def judge(_: Exception) -> ConnectorError | None:
    """Return None, because the connections raise errors of moorage alone."""
    return None


def _library() -> str:
    try:
        return f"redis {version('redis')}"
    except PackageNotFoundError:
        raise ConfigurationError(
            "The connector of Redis needs redis, which is not installed.",
            path="kind",
            remedy=install("redis"),
        ) from None


def _built(name: str, settings: RedisStreams, _: Any) -> MessagePublisher:
    return settings.publisher(name)


def _built_async(name: str, settings: RedisStreams, _: Any) -> AsyncMessagePublisher:
    return settings.async_publisher(name)


REDIS_STREAMS: Final = ConnectorKind(
    name="redis-streams", settings=RedisStreams, build=_built, build_async=_built_async
)
"""The kind of connectors named "redis-streams" in a configuration."""
