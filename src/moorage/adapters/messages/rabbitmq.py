"""The connector that publishes messages to RabbitMQ: pika, and aio-pika in event loops."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import attrs

from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
from moorage.adapters.messages.publisher_sync import MessagePublisher
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.http.transport import Tls
from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.secrets.frames import careful
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_count, is_seconds, plain
from moorage.domain.values.installation import install
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.errors import ConnectorError

RULES: Final = BrokerRules(
    system="rabbitmq",
    title="RabbitMQ",
    topic="routing key",
    topic_pattern=late_pattern(r"[^\0]+"),
    longest_name=255,
    largest=128 * 1024 * 1024,
    header_name=late_pattern(r"[ -~]{1,255}"),
    header_value=late_pattern(r"[^\0]*"),
    has_keys=False,
)
"""The rules of RabbitMQ. A plugin for delays exists, and is not used."""

EXCHANGE_RULES: Final = attrs.evolve(RULES, topic="exchange")
"""The same rules with the word for the place that RabbitMQ reports as missing."""

OF_CHANNEL: Final = frozenset({PublishFault.TOPIC, PublishFault.PERMISSION, PublishFault.INVALID})
"""Failures with which RabbitMQ closes a channel, with all messages on it that are unconfirmed."""

_PORTS: Final = {"amqp": 5672, "amqps": 5671}


def _maybe_secret(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


@attrs.frozen
class Address:
    """The address of a broker, with everything that a connection needs.

    Attributes:
        host: the name or the address of the host.
        port: the port.
        user: the name of the user.
        password: the password.
        virtual_host: the name of the virtual host.
        tls: the trust, if the connection is encrypted.
    """

    host: str
    port: int
    user: str
    password: Secret = attrs.field(repr=False, hash=False)
    virtual_host: str
    tls: Tls | None = None


@careful
@attrs.frozen(kw_only=True)
class RabbitMq:
    """A broker RabbitMQ, to which messages are published with acknowledgement.

    Attributes:
        url: such as amqp://user@host/virtual-host, or amqps:// for TLS. It may contain the
            password, and is never shown.
        password: the password, if it is not in the URL.
        exchange: the exchange to publish to. By default a message goes to the queue whose name is
            its topic.
        mandatory: whether a message that no queue takes is an error. Otherwise it is dropped.
        persistent: whether messages survive a restart of the broker in durable queues.
        connections: the largest number of connections of a synchronous program; an asynchronous one
            has one connection.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        heartbeat: seconds between signs of life; a broker that is silent for longer is given up.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=_maybe_secret, repr=False, hash=False
    )
    exchange: str = ""
    mandatory: bool = True
    persistent: bool = True
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain, validator=is_seconds)
    heartbeat: int = attrs.field(default=30, validator=is_count)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=_maybe_secret, repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that no connection could be made with."""
        self.address()

    def address(self) -> Address:
        """Return the address of the broker.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        try:
            parts = urlsplit(self.url.reveal())
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError:
            parts, scheme, host, port = urlsplit(""), "", None, None
        if scheme not in _PORTS or not host:
            raise ConfigurationError(
                "The URL is no address of RabbitMQ.",
                path="url",
                remedy="Give amqp://user@host/virtual-host, or amqps:// for TLS.",
            )
        has_tls_files = (self.authorities, self.certificate, self.key) != (None, None, None)
        if scheme == "amqp" and has_tls_files:
            raise ConfigurationError(
                "There are files for TLS, but the URL asks for a connection without TLS.",
                path="url",
                remedy="Give a URL that begins with amqps://.",
            )
        tls = None
        if scheme == "amqps":
            tls = Tls(
                authorities=self.authorities,
                certificate=self.certificate,
                key=self.key,
                password=self.key_password,
            )
        password = self.password
        if password is None:
            password = Secret(unquote(parts.password or "guest"))
        return Address(
            host=host,
            port=port or _PORTS[scheme],
            user=unquote(parts.username or "guest"),
            password=password,
            virtual_host=unquote(parts.path[1:]) or "/",
            tls=tls,
        )

    def publisher(self, name: str = "rabbitmq", *, service: str | None = None) -> MessagePublisher:
        """Return a connector of a synchronous program.

        Raises:
            ConfigurationError: pika is not installed.
        """
        library = _library("pika")
        from moorage.adapters.messages._rabbitmq_sync import (  # noqa: PLC0415 - only some need it
            connect_pika,
        )

        config = PoolConfig(maximum=self.connections)
        links = LinkPool(partial(connect_pika, self), config)
        return MessagePublisher(name, RULES, links, judge=judge, library=library, service=service)

    def async_publisher(
        self, name: str = "rabbitmq", *, service: str | None = None
    ) -> AsyncMessagePublisher:
        """Return a connector of an asynchronous program.

        Raises:
            ConfigurationError: aio-pika is not installed.
        """
        library = _library("aio-pika")
        from moorage.adapters.messages._rabbitmq_async import (  # noqa: PLC0415 - only some need it
            connect_aio_pika,
        )

        links = AsyncSharedLink(partial(connect_aio_pika, self))
        return AsyncMessagePublisher(
            name, RULES, links, judge=judge, library=library, service=service
        )


def judge(error: Exception) -> ConnectorError | None:
    """Return the error for an exception of pika or aio-pika; None for any other."""
    fault = rabbitmq_fault(error)
    return None if fault is None else publish_error(fault, RULES)


def connecting_error(error: BaseException) -> ConnectorError | None:
    """Return the error for an exception that ended the opening of a connection."""
    fault = rabbitmq_fault(error, is_connecting=True)
    if fault is None:
        return None
    return publish_error(fault, EXCHANGE_RULES if fault is PublishFault.TOPIC else RULES)


def _library(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        raise ConfigurationError(
            f"The connector of RabbitMQ needs {package}, which is not installed.",
            path="kind",
            remedy=install("rabbitmq"),
        ) from None


RABBITMQ: Final = ConnectorKind(
    name="rabbitmq",
    settings=RabbitMq,
    build=lambda name, settings, _: settings.publisher(name),
    build_async=lambda name, settings, _: settings.async_publisher(name),
)
"""The kind of connectors named "rabbitmq" in a configuration."""
