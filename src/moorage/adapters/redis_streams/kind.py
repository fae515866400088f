"""The connector that publishes messages to Redis streams, with redis-py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.messages.broker_settings import (
    BrokerLibrary,
    BrokerSettings,
    broker_kind,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.connectors.server_address import AddressForm
from moorage.domain.http.transport import Tls
from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.redis_streams import FIELDS
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import if_given, is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_filled
from moorage.domain.values.patterns import late_pattern
from moorage.ports.connector import KindSource

if TYPE_CHECKING:
    from moorage.adapters.redis_streams._links import AsyncRedisLink, RedisLink
    from moorage.adapters.redis_streams.source import RedisStreamsSource
    from moorage.domain.connectors.server_address import ServerAddress

RULES: Final = BrokerRules(
    system="redis-streams",
    title="Redis",
    verb="xadd",
    usual_port=6379,
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

_FORM: Final = AddressForm(
    title="a Redis server",
    ports={"redis": 6379, "rediss": 6379},
    encrypted="rediss",
    remedy="Set redis://user@host/0, or rediss:// for TLS, without options.",
    path=late_pattern(r"[0-9]{0,4}/?"),
)


@checked_options
@attrs.frozen(kw_only=True)
class RedisStreams(BrokerSettings):
    """Settings of a connector that publishes messages to streams of a Redis server.

    Attributes:
        url: the server's URL, such as redis://user@host/0, or rediss:// for TLS. It may contain the
            password, and is never shown.
        password: the password, if it is not in the URL.
        creates_streams: whether a message to a stream that does not exist creates it. Otherwise
            such a message is an error.
        longest_stream: the number of messages that a stream keeps; Redis removes older messages,
            but may keep a few more. By default it keeps all messages.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key, which is not encrypted.
    """

    library = BrokerLibrary(package="redis", extra="redis")

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    creates_streams: bool = True
    longest_stream: int | None = attrs.field(default=None, validator=if_given(is_count))
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse settings that do not allow a connection to Redis."""
        self.address()

    @property
    def rules(self) -> BrokerRules:
        """The rules that Redis streams set for messages."""
        return RULES

    def address(self) -> ServerAddress:
        """Return the server's URL; its path is the database number.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        tls = Tls(authorities=self.authorities, certificate=self.certificate, key=self.key)
        return _FORM.address(self.url.reveal(), password=self.password, tls=tls)

    @property
    def server(self) -> tuple[str, int]:
        """The host and the port of the broker."""
        address = self.address()
        return address.host, address.port

    def links(self) -> LinkPool[RedisLink]:
        """Return the pool of a synchronous program's connections."""
        from moorage.adapters.redis_streams._links import (  # noqa: PLC0415 - only some need it
            connect,
        )

        return LinkPool(partial(connect, self), PoolConfig(maximum=self.connections))

    def async_links(self) -> AsyncLinkPool[AsyncRedisLink]:
        """Return the pool of an asynchronous program's connections."""
        from moorage.adapters.redis_streams._links import (  # noqa: PLC0415 - only some need it
            connect_async,
        )

        return AsyncLinkPool(partial(connect_async, self), PoolConfig(maximum=self.connections))


@checked_options
@attrs.frozen(kw_only=True)
class RedisStreamsOptions:
    """The options of a source that reads Redis streams.

    Attributes:
        topics: the names of the streams. Streams and groups that do not exist are created.
        group: the name of the consumer group, whose members share the entries.
        consumer: the name of this member, which no other living member may have; by default it is
            new each time.
        start: the entry after which a new group begins: "0" for all, or "$" for those to come.
        claim_after: seconds after which an entry that nobody has acknowledged or extended is
            delivered to another member.
    """

    topics: tuple[str, ...] = attrs.field(validator=is_filled)
    group: str = attrs.field(validator=is_filled)
    consumer: str | None = None
    start: str = "0"
    claim_after: float = attrs.field(default=60.0, converter=plain_seconds, validator=is_seconds)


def _source(server: RedisStreams, options: RedisStreamsOptions) -> RedisStreamsSource:
    from moorage.adapters.redis_streams.source import (  # noqa: PLC0415 - only pipelines need it
        RedisStreamsSource,
    )

    return RedisStreamsSource(
        server,
        options.topics,
        group=options.group,
        consumer=options.consumer,
        start=options.start,
        claim_after=options.claim_after,
    )


REDIS_STREAMS: Final = broker_kind(
    "redis-streams", RedisStreams, KindSource(options=RedisStreamsOptions, build=_source)
)
"""The kind of connectors named "redis-streams" in a configuration."""
