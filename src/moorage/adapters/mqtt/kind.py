"""The connector that publishes messages over MQTT, with paho-mqtt."""

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
from moorage.domain.connectors.server_address import AddressForm, tls_of
from moorage.domain.messages.mqtt import LONGEST_TEXT, RULES, RULES_311, MqttVersion
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import count, if_given, is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_among, is_filled
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError
from moorage.ports.connector import KindSource

if TYPE_CHECKING:
    from moorage.adapters.mqtt._links import AsyncMqttLink, MqttLink
    from moorage.adapters.mqtt.source import MqttSource
    from moorage.domain.connectors.server_address import ServerAddress
    from moorage.domain.messages.broker_rules import BrokerRules

_FORM: Final = AddressForm(
    title="an MQTT broker",
    ports={"mqtt": 1883, "mqtts": 8883},
    encrypted="mqtts",
    remedy="Set mqtt://user@host, or mqtts:// for TLS, without a path or options.",
    path=late_pattern(r""),
)
_VERSIONS: Final = tuple(version.value for version in MqttVersion)
_LONGEST_EXPIRY: Final = 2**32 - 1


def _is_qos(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value not in (1, 2) or isinstance(value, bool):
        raise ConfigurationError(
            f"The QoS {brief_repr(value)} does not exist, or brokers do not acknowledge its"
            " messages.",
            path=attribute.name,
            remedy="Set 1, or 2 for brokers that deliver each message exactly once.",
        )


def _is_expiry(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, most=_LONGEST_EXPIRY)


def _is_short(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    count(value, attribute.name, least=0, most=LONGEST_TEXT)


@checked_options
@attrs.frozen(kw_only=True)
class Mqtt(BrokerSettings):
    """The settings of an MQTT broker for publishing messages, which the broker acknowledges.

    Attributes:
        url: the broker's URL, such as mqtt://user@host, or mqtts:// for TLS. It may contain the
            password, and is never shown.
        password: the password, if it is not in the URL.
        protocol: the version of the protocol, "5" or "3.1.1". With 3.1.1 messages have no headers,
            keys, ids and types, and a broker acknowledges a message that it does not permit.
        qos: 1, or 2 for brokers that deliver each message once.
        retain: whether the broker keeps the last message of a topic for later subscribers.
        expiry: the seconds after which the broker drops a message that it could not deliver.
        in_flight: the number of messages of a batch that are sent before the first one is
            acknowledged, at most. The broker may allow fewer.
        client_id: the beginning of the client ids; each connection adds random digits.
        exact_client_id: whether the client id is used as it is, with one connection only. A broker
            ends the connection of a client when another one comes with its id.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        keepalive: the seconds after which a silent broker is given up, and an idle connection is
            not used any more; 0 for no limit.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    library = BrokerLibrary(package="paho-mqtt", extra="mqtt")

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    protocol: str = attrs.field(
        default=MqttVersion.V5.value,
        validator=is_among(_VERSIONS),
        metadata={"choices": _VERSIONS},
    )
    qos: int = attrs.field(default=1, validator=_is_qos)
    retain: bool = False
    expiry: int | None = attrs.field(default=None, validator=if_given(_is_expiry))
    in_flight: int = attrs.field(default=100, validator=is_count)
    client_id: str = "moorage"
    exact_client_id: bool = False
    connections: int = attrs.field(default=4, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    keepalive: int = attrs.field(default=60, validator=_is_short)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that do not allow an MQTT connection."""
        address = self.address()
        if address.password is not None and not address.user:
            raise ConfigurationError(
                "The MQTT connector has a password, but no user.",
                path="url",
                remedy="Add the user to the URL, as in mqtts://user@host.",
            )
        if self.expiry is not None and self.version is MqttVersion.V311:
            raise ConfigurationError(
                "MQTT 3.1.1 does not support the expiry of messages.",
                path="expiry",
                remedy='Leave out the expiry, or set protocol = "5".',
            )
        if self.exact_client_id and self.connections > 1:
            raise ConfigurationError(
                "Only one connection can use an exact client id, but the connector may open"
                " several connections.",
                path="exact_client_id",
                remedy="Set connections = 1, or leave out `exact_client_id`.",
            )

    @property
    def version(self) -> MqttVersion:
        """The version of the MQTT protocol."""
        return MqttVersion(self.protocol)

    @property
    def rules(self) -> BrokerRules:
        """The broker's rules for messages, which depend on the protocol version."""
        return RULES if self.version is MqttVersion.V5 else RULES_311

    def address(self) -> ServerAddress:
        """Return the address of the broker.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        tls = tls_of(self)
        return _FORM.address(self.url.reveal(), password=self.password, tls=tls)

    def links(self) -> LinkPool[MqttLink]:
        """Return the pool of a synchronous program's connections."""
        from moorage.adapters.mqtt._links import connect  # noqa: PLC0415 - only some need it

        return LinkPool(partial(connect, self), PoolConfig(maximum=self.connections))

    def async_links(self) -> AsyncLinkPool[AsyncMqttLink]:
        """Return the pool of an asynchronous program's connections."""
        from moorage.adapters.mqtt._links import connect_async  # noqa: PLC0415 - only some need it

        return AsyncLinkPool(partial(connect_async, self), PoolConfig(maximum=self.connections))


@checked_options
@attrs.frozen(kw_only=True)
class MqttOptions:
    """The options of a source that reads topics of an MQTT broker.

    Attributes:
        topics: the topics, which may have the wildcards "+" and "#".
        client_id: the client id of this worker, which stays the same when the worker starts again,
            and which no other client may have.
        group: a group of workers that share the messages, each with a client id of its own.
        qos: 1, or 2 for brokers that deliver each message once.
        prefetch: the number of messages that are delivered and not acknowledged, at most.
        session_expiry: the seconds for which the broker keeps the messages of a worker that is
            away; by default for ever.
    """

    topics: tuple[str, ...] = attrs.field(validator=is_filled)
    client_id: str = attrs.field(validator=is_filled)
    group: str | None = None
    qos: int = attrs.field(default=1, validator=_is_qos)
    prefetch: int = attrs.field(default=100, validator=is_count)
    session_expiry: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain_seconds),
        validator=if_given(is_seconds),
    )


def _source(broker: Mqtt, options: MqttOptions) -> MqttSource:
    from moorage.adapters.mqtt.source import MqttSource  # noqa: PLC0415 - only pipelines need it

    return MqttSource(broker, **attrs.asdict(options, recurse=False))


MQTT: Final = broker_kind("mqtt", Mqtt, KindSource(options=MqttOptions, build=_source))
"""The kind of connectors named "mqtt" in a configuration."""
