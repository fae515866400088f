"""The connector that publishes messages to RabbitMQ, with pika, or aio-pika in event loops."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.adapters.messages.broker_settings import (
    BrokerLibrary,
    BrokerSettings,
    broker_kind,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.connectors.server_address import AddressForm, tls_of
from moorage.domain.messages.broker_rules import BrokerRules, headers_of
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_filled
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData
from moorage.ports.connector import KindSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.adapters.messages._rabbitmq_async import AioPikaLink
    from moorage.adapters.messages._rabbitmq_sync import PikaLink
    from moorage.adapters.messages.rabbitmq_source import RabbitMqSource
    from moorage.domain.connectors.server_address import ServerAddress
    from moorage.domain.messages.message import OutgoingMessage
    from moorage.errors import ConnectorError

RULES: Final = BrokerRules(
    system="rabbitmq",
    title="RabbitMQ",
    usual_port=5672,
    topic="routing key",
    topic_pattern=late_pattern(r"[^\0]+"),
    longest_name=255,
    largest=128 * 1024 * 1024,
    # The headers CC and BCC contain lists of routing keys. RabbitMQ closes the channel if they are
    # texts.
    header_name=late_pattern(r"(?!B?CC\Z)[ -~]{1,255}"),
    header_value=late_pattern(r"[^\0]*"),
    has_keys=False,
)
"""The rules of RabbitMQ. A plugin for delays exists, and is not used."""

EXCHANGE_RULES: Final = attrs.evolve(RULES, topic="exchange")
"""The rules of RabbitMQ, with the word for the destination that it reports as missing."""

OF_CHANNEL: Final = frozenset(
    {
        PublishFault.TOPIC,
        PublishFault.PERMISSION,
        PublishFault.INVALID,
        PublishFault.TOO_LARGE,
        PublishFault.FULL,
    }
)
"""Failures with which RabbitMQ closes a channel, with all messages on it that are unconfirmed."""

_HEADER_SIZE: Final = 6
"""The bytes of a header in a frame besides its name and its value."""

_FRAME_SIZE: Final = 64
"""The bytes of a frame with a message's properties besides their texts, at most."""

_FORM: Final = AddressForm(
    title="RabbitMQ",
    ports={"amqp": 5672, "amqps": 5671},
    encrypted="amqps",
    remedy="Set amqp://user@host/virtual-host, or amqps:// for TLS, without options.",
)


@checked_options
@attrs.frozen(kw_only=True)
class RabbitMq(BrokerSettings):
    """A RabbitMQ broker for publishing messages, which it confirms.

    Attributes:
        url: the broker's URL, such as amqp://user@host/virtual-host, or amqps:// for TLS. It may
            contain the password, and is never shown.
        password: the password, if it is not in the URL.
        exchange: the exchange to publish to. By default a message goes to the queue whose name is
            its topic.
        mandatory: whether a message that is routed to no queue is an error. Otherwise it is
            dropped.
        persistent: whether messages in durable queues survive a restart of the broker.
        connections: the largest number of connections of a synchronous program; an asynchronous one
            has one connection.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        heartbeat: seconds between signs of life; a broker that is silent for longer is given up.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    library = BrokerLibrary(package="pika", async_package="aio-pika", extra="rabbitmq")

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    exchange: str = ""
    mandatory: bool = True
    persistent: bool = True
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    heartbeat: int = attrs.field(default=30, validator=is_count)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that do not allow a connection to RabbitMQ."""
        self.address()

    @property
    def rules(self) -> BrokerRules:
        """RabbitMQ's rules for messages."""
        return RULES

    def address(self) -> ServerAddress:
        """Return the broker's URL; its path is the virtual host.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        tls = tls_of(self)
        address = _FORM.address(self.url.reveal(), password=self.password, tls=tls)
        return attrs.evolve(
            address,
            path=address.path or "/",
            user=address.user or "guest",
            password=address.password or Secret("guest"),
        )

    @property
    def server(self) -> tuple[str, int]:
        """The host and the port of the broker."""
        address = self.address()
        return address.host, address.port

    def links(self) -> LinkPool[PikaLink]:
        """Return the pool of a synchronous program's connections."""
        from moorage.adapters.messages._rabbitmq_sync import (  # noqa: PLC0415 - only some need it
            connect_pika,
        )

        return LinkPool(partial(connect_pika, self), PoolConfig(maximum=self.connections))

    def async_links(self) -> AsyncSharedLink[AioPikaLink]:
        """Return the connection that all tasks of an asynchronous program share."""
        from moorage.adapters.messages._rabbitmq_async import (  # noqa: PLC0415 - only some need it
            connect_aio_pika,
        )

        return AsyncSharedLink(partial(connect_aio_pika, self))

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Return the error for an exception of pika or aio-pika; None for any other."""
        fault = rabbitmq_fault(error)
        return None if fault is None else publish_error(fault, RULES)


def sending_error(fault: PublishFault, settings: RabbitMq, item: OutgoingMessage) -> ConnectorError:
    """Return the error for a fault of a message that was sent to a broker."""
    if fault is PublishFault.TOPIC:
        return publish_error(fault, EXCHANGE_RULES, settings.exchange)
    return publish_error(fault, RULES, item.topic)


def check_properties(items: Iterable[OutgoingMessage], longest_frame: int) -> None:
    """Refuse messages whose properties do not fit into one frame; the server would disconnect.

    Args:
        items: the messages.
        longest_frame: the maximum bytes of a frame on this connection; 0 for no limit.

    Raises:
        InvalidData: the id, the content type, the key and the headers of a message are too large
            together.
    """
    for item in items:
        message = item.message
        if not longest_frame or not (message.headers or message.key):
            continue
        size = _FRAME_SIZE + len((message.content_type or "").encode()) + len(item.id or "")
        for name, value in headers_of(message, RULES):
            content = value.encode() if isinstance(value, str) else value
            size += _HEADER_SIZE + len(name) + len(content)
        if size > longest_frame:
            raise InvalidData(
                f"The headers of the message need {size:,} bytes, but RabbitMQ accepts at most"
                f" {longest_frame:,} on this connection.",
                field="headers",
                remedy="Move large headers and a large key into the payload, or raise frame_max of"
                " RabbitMQ.",
            )


def connecting_error(error: BaseException) -> ConnectorError | None:
    """Return the error for an exception during the opening of a connection."""
    fault = rabbitmq_fault(error, is_connecting=True)
    if fault is None:
        return None
    return publish_error(fault, EXCHANGE_RULES if fault is PublishFault.TOPIC else RULES)


@checked_options
@attrs.frozen(kw_only=True)
class RabbitMqOptions:
    """The options of a source that reads queues of RabbitMQ.

    Attributes:
        queues: the names of the queues, which must exist.
        prefetch: the largest number of messages of a queue that are delivered and not yet
            acknowledged. These messages are held in memory.
        exclusive: whether no other consumer may read the queues.
    """

    queues: tuple[str, ...] = attrs.field(validator=is_filled)
    prefetch: int = attrs.field(default=500, validator=is_count)
    exclusive: bool = False


def _source(server: RabbitMq, options: RabbitMqOptions) -> RabbitMqSource:
    from moorage.adapters.messages.rabbitmq_source import (  # noqa: PLC0415 - only pipelines need it
        RabbitMqSource,
    )

    return RabbitMqSource(server, **attrs.asdict(options, recurse=False))


RABBITMQ: Final = broker_kind(
    "rabbitmq", RabbitMq, KindSource(options=RabbitMqOptions, build=_source)
)
"""The kind of connectors named "rabbitmq" in a configuration."""
