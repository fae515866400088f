"""The connector that publishes messages to Kafka, with confluent-kafka.

A producer is idempotent and waits for all replicas in sync. A producer carries one call at a time,
so that the messages of a call whose time is over can be purged without the messages of other calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.links.pool_async import AsyncLinkPool
from moorage.adapters.links.pool_sync import LinkPool
from moorage.adapters.messages.broker_settings import (
    BrokerLibrary,
    BrokerSettings,
    broker_kind,
)
from moorage.domain.connectors.link_pool import PoolConfig
from moorage.domain.messages.kafka import RULES, TRANSACTION
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_among, is_filled
from moorage.errors import ConfigurationError
from moorage.ports.connector import KindSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.messages._kafka_links import AsyncKafkaLink, KafkaLink
    from moorage.adapters.messages.kafka_source import KafkaSource
    from moorage.domain.messages.broker_rules import BrokerRules

_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_OWN_OPTIONS: Final = frozenset(
    {
        "acks",
        "bootstrap.servers",
        "enable.idempotence",
        "error_cb",
        "logger",
        "message.timeout.ms",
        "metadata.broker.list",
        "on_delivery",
        "request.required.acks",
        "security.protocol",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
_SECRET_WORDS: Final = ("enable.ssl", "password", "sasl.", "secret", "ssl.", "token")


def _options(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(value or {})


@checked_options
@attrs.frozen(kw_only=True)
class Kafka(BrokerSettings):
    """A Kafka cluster for publishing messages, which all replicas acknowledge.

    Attributes:
        servers: the addresses of some brokers, such as "one.example:9092,two.example:9092".
        username: the user for SASL; None if the cluster asks for none.
        password: the password of the user.
        mechanism: the mechanism of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        tls: whether the connections are encrypted, and the brokers' certificates verified.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
        producers: the largest number of producers; each carries one call at a time.
        connect_timeout: seconds for reaching the cluster; an attempt with less time waits less.
        options: further options of librdkafka, by name, such as "compression.type".
    """

    library = BrokerLibrary(package="confluent-kafka", extra="kafka")

    servers: str
    username: str | None = attrs.field(default=None, repr=False)
    password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    mechanism: str = attrs.field(
        default="SCRAM-SHA-512",
        validator=is_among(_MECHANISMS),
        metadata={"choices": _MECHANISMS},
    )
    tls: bool = False
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    producers: int = attrs.field(default=4, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    options: Mapping[str, Any] = attrs.field(
        factory=dict[str, Any], converter=_options, repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory settings."""
        if not self.servers.strip():
            raise ConfigurationError(
                "The list of Kafka brokers is empty.",
                path="servers",
                remedy="Set addresses such as 'one.example:9092,two.example:9092'.",
            )
        if (self.username is None) != (self.password is None):
            raise ConfigurationError(
                "SASL needs both a user and a password, but only one of them is set.",
                path="username",
                remedy="Set both user and password, or neither.",
            )
        if self.password is not None and self.mechanism == "PLAIN" and not self.tls:
            raise ConfigurationError(
                "The SASL mechanism PLAIN would send the password over a connection without TLS.",
                path="tls",
                remedy="Set tls = true, or use a SCRAM mechanism.",
            )
        has_files = (self.authorities, self.certificate, self.key) != (None, None, None)
        if has_files and not self.tls:
            raise ConfigurationError(
                "TLS is turned off, but files for TLS are set.",
                path="tls",
                remedy="Set tls = true.",
            )
        for name in self.options:
            if name in _OWN_OPTIONS or name.startswith(_SECRET_WORDS):
                raise ConfigurationError(
                    f"`options` must not contain the option {name[:80]!r}.",
                    path="options",
                    remedy="Use the corresponding setting of the connector, or leave the"
                    " option out.",
                )

    def producer_options(self) -> dict[str, Any]:
        """Return the options of a librdkafka producer, which include the passwords."""
        return {
            "linger.ms": 0,
            **self.client_options(),
            "enable.idempotence": True,
            "acks": "all",
            # The connector purges the messages when the deadline of their call has passed.
            "message.timeout.ms": 0,
        }

    def transaction_options(self, id: str) -> dict[str, Any]:
        """Return the options of a transactional producer, which include the passwords."""
        return self.producer_options() | {
            "transactional.id": id,
            "transaction.timeout.ms": TRANSACTION,
            "message.timeout.ms": TRANSACTION,
        }

    def client_options(self) -> dict[str, Any]:
        """Return the options of any librdkafka client, which include the passwords.

        Publishers and a `KafkaSource` connect with them.
        """
        protocol = "SASL_" if self.password is not None else ""
        options: dict[str, Any] = {
            "log_level": 0,
            "socket.connection.setup.timeout.ms": max(1000, round(self.connect_timeout * 1000)),
            **self.options,
            "bootstrap.servers": self.servers,
            "security.protocol": protocol + ("SSL" if self.tls else "PLAINTEXT"),
        }
        if self.password is not None:
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password.reveal(),
            }
        key_password = None if self.key_password is None else self.key_password.reveal()
        files = {
            "ssl.ca.location": self.authorities,
            "ssl.certificate.location": self.certificate,
            "ssl.key.location": self.key,
            "ssl.key.password": key_password,
        }
        return options | {name: value for name, value in files.items() if value is not None}

    @property
    def rules(self) -> BrokerRules:
        """Kafka's rules for messages."""
        return RULES

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and the port of the broker; None if there are several brokers."""
        host, colon, port = self.servers.strip().rpartition(":")
        return (host, int(port)) if colon and "," not in self.servers and port.isdecimal() else None

    def links(self) -> LinkPool[KafkaLink]:
        """Return the pool of a synchronous program's producers."""
        from moorage.adapters.messages._kafka_links import (  # noqa: PLC0415 - only some need it
            connect_kafka,
        )

        config = PoolConfig(maximum=self.producers)
        return LinkPool(partial(connect_kafka, self.producer_options()), config)

    def async_links(self) -> AsyncLinkPool[AsyncKafkaLink]:
        """Return the pool of an asynchronous program's producers."""
        from moorage.adapters.messages._kafka_links import (  # noqa: PLC0415 - only some need it
            connect_kafka_async,
        )

        config = PoolConfig(maximum=self.producers)
        return AsyncLinkPool(partial(connect_kafka_async, self.producer_options()), config)


@checked_options
@attrs.frozen(kw_only=True)
class KafkaOptions:
    """The options of a source that reads topics of Kafka.

    Attributes:
        topics: names of topics, which must exist, or patterns of names that begin with "^".
        group: the name of the consumer group, whose members share the partitions.
        instance: the name of this member, which keeps its partitions while it is restarted; by
            default they go to other members immediately.
        start: where a new group begins: at the "earliest" record, or with the "latest", which are
            those published after it began. Partitions that are made later, and topics that a
            pattern finds later, are read from their beginning in both cases.
        assignor: "cooperative-sticky", "range" or "roundrobin", as for all members of the group.
        discover_every: seconds between two searches for new topics and partitions.
        transactional_id: the name of this worker's transactions, which no other living worker may
            have; for a sink of the kind "kafka-transactions".
    """

    topics: tuple[str, ...] = attrs.field(validator=is_filled)
    group: str = attrs.field(validator=is_filled)
    instance: str | None = None
    start: str = "earliest"
    assignor: str = "cooperative-sticky"
    discover_every: float = attrs.field(default=60.0, converter=plain_seconds, validator=is_seconds)
    transactional_id: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(is_filled)
    )


def _source(cluster: Kafka, options: KafkaOptions) -> KafkaSource:
    from moorage.adapters.messages.kafka_source import (  # noqa: PLC0415 - only pipelines need it
        KafkaSource,
    )

    return KafkaSource(cluster, **attrs.asdict(options, recurse=False))


KAFKA: Final = broker_kind("kafka", Kafka, KindSource(options=KafkaOptions, build=_source))
"""The kind of connectors named "kafka" in a configuration."""
