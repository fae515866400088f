"""The connector that publishes messages to NATS JetStream, with nats-py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.links.shared_sync import SharedLink
from moorage.adapters.messages._nats_keys import nats_key, read_credentials
from moorage.adapters.messages.broker_settings import (
    BrokerLibrary,
    BrokerSettings,
    broker_kind,
)
from moorage.domain.connectors.server_address import AddressForm, tls_of
from moorage.domain.messages.nats import RULES
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import if_given, is_count, is_seconds, plain_seconds
from moorage.domain.values.field_checks import is_filled
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError
from moorage.ports.connector import KindSource

if TYPE_CHECKING:
    from moorage.adapters.messages._nats_links import AsyncNatsLink, NatsLink
    from moorage.adapters.messages.nats_source import NatsSource
    from moorage.domain.connectors.server_address import ServerAddress
    from moorage.domain.messages.broker_rules import BrokerRules

_FORM: Final = AddressForm(
    title="a NATS server",
    ports={"nats": 4222, "tls": 4222},
    encrypted="tls",
    remedy="Set nats://user@host, or tls://user@host for TLS. Separate several servers with"
    " commas.",
    path=late_pattern(r""),
)
_LOGIN_SETTINGS: Final = ("password", "token", "nkey", "credentials")


@checked_options
@attrs.frozen(kw_only=True)
class Nats(BrokerSettings):
    """NATS servers with JetStream, for publishing messages to streams.

    Attributes:
        url: the server's URL, such as nats://user@host, or tls:// for TLS; several servers of a
            cluster are separated by commas, and the first that accepts a connection is used. It may
            contain the password, or a token in the place of the user, and is never shown.
        password: the password, if it is not in the URL.
        token: a token, instead of a user.
        nkey: the seed of a user's key, instead of a user.
        credentials: the content of a credentials file, instead of a user.
        stream: the stream that must store every message; by default any stream may.
        duplicate_window: the seconds for which every stream remembers the ids of its messages, as
            its own `duplicate_window` says. A message with an id is repeated only within this time.
            By default a message that may already be stored is not repeated.
        creates_streams: whether a message to a subject without a stream creates a stream.
        replicas: the number of servers that keep a stream which is created.
        domain: the JetStream domain in which streams are created.
        api_prefix: the prefix of JetStream's own subjects, if it is not the domain's own.
        inbox_prefix: the prefix of the subjects of acknowledgements, to which the user must be
            allowed to subscribe.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        heartbeat: seconds between signs of life; a server that is silent for two of them is given
            up.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    library = BrokerLibrary(package="nats-py", extra="nats")

    url: Secret = attrs.field(converter=as_secret, repr=False, hash=False)
    password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    nkey: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )
    stream: str | None = None
    duplicate_window: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(plain_seconds),
        validator=if_given(is_seconds),
    )
    creates_streams: bool = False
    replicas: int = attrs.field(default=1, validator=is_count)
    domain: str | None = None
    api_prefix: str | None = None
    inbox_prefix: str = "_INBOX"
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    heartbeat: float = attrs.field(default=20.0, converter=plain_seconds, validator=is_seconds)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory or incomplete settings of NATS."""
        ways = [name for name in _LOGIN_SETTINGS if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ConfigurationError(
                f"The connector has several ways to log in ({' and '.join(ways)}), but NATS"
                " uses only one.",
                path=ways[1],
                remedy="Keep only the one that the server requires.",
            )
        for address in self.addresses():
            if self.password is not None and not address.user:
                raise ConfigurationError(
                    "The connector has a password, but the URL contains no user.",
                    path="url",
                    remedy="Set a URL such as nats://user@host, or set `token` instead.",
                )
        if self.nkey is not None:
            nats_key(self.nkey)
        if self.credentials is not None:
            read_credentials(self.credentials)
        for field, prefix in (
            ("domain", self.domain),
            ("api_prefix", self.api_prefix),
            ("inbox_prefix", self.inbox_prefix),
            ("stream", self.stream),
        ):
            if prefix is not None and (RULES.topic_pattern.fullmatch(prefix.lstrip("$")) is None):
                raise ConfigurationError(
                    f"The {field.replace('_', ' ')} is not a valid NATS name.",
                    path=field,
                    remedy="Use words that are separated by dots, without spaces or wildcards.",
                )

    @property
    def rules(self) -> BrokerRules:
        """The rules for messages; the server detects repeats within its duplicate window."""
        window = self.duplicate_window
        return attrs.evolve(RULES, deduplicates=window is not None, remembers=window or 0.0)

    @property
    def server(self) -> tuple[str, int] | None:
        """The host and port of the server; None if there are several servers."""
        address, *other_addresses = self.addresses()
        return None if other_addresses else (address.host, address.port)

    @property
    def api(self) -> str:
        """The subject prefix of JetStream's API."""
        if self.api_prefix is not None:
            return self.api_prefix
        return "$JS.API" if self.domain is None else f"$JS.{self.domain}.API"

    def addresses(self) -> list[ServerAddress]:
        """Return the addresses of the servers.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        tls = tls_of(self)
        return [
            _FORM.address(url.strip(), password=self.password, tls=tls)
            for url in self.url.reveal().split(",")
        ]

    def links(self) -> SharedLink[NatsLink]:
        """Return the connection that all threads of a synchronous program share."""
        from moorage.adapters.messages._nats_links import (  # noqa: PLC0415 - only some need it
            connect_nats,
        )

        return SharedLink(partial(connect_nats, self))

    def async_links(self) -> AsyncSharedLink[AsyncNatsLink]:
        """Return the connection that all tasks of an asynchronous program share."""
        from moorage.adapters.messages._nats_links import (  # noqa: PLC0415 - only some need it
            connect_nats_async,
        )

        return AsyncSharedLink(partial(connect_nats_async, self))


@checked_options
@attrs.frozen(kw_only=True)
class NatsOptions:
    """The options of a source that reads streams of NATS JetStream.

    Attributes:
        subjects: the subjects, which may have the wildcards "*" and ">".
        group: the name of the group of workers, which share the messages.
        start: the messages that a new group reads: "all", or the "new" ones, stored after it began.
        ack_wait: the seconds after which a message that nobody has acknowledged or extended is
            delivered again.
        max_deliveries: the maximum number of deliveries of a message; by default there is no limit.
        max_unacknowledged: the number of messages of a consumer that all workers together have read
            and not acknowledged, at most.
        exclusive: whether a consumer delivers to one worker at a time, which needs NATS 2.11.
        discover_every: the seconds between two searches for new streams with the subjects.
    """

    subjects: tuple[str, ...] = attrs.field(validator=is_filled)
    group: str = attrs.field(validator=is_filled)
    start: str = "all"
    ack_wait: float = attrs.field(default=30.0, converter=plain_seconds, validator=is_seconds)
    max_deliveries: int | None = attrs.field(default=None, validator=if_given(is_count))
    max_unacknowledged: int = attrs.field(default=1_000, validator=is_count)
    exclusive: bool = False
    discover_every: float = attrs.field(default=60.0, converter=plain_seconds, validator=is_seconds)


def _source(server: Nats, options: NatsOptions) -> NatsSource:
    from moorage.adapters.messages.nats_source import (  # noqa: PLC0415 - only pipelines need it
        NatsSource,
    )

    return NatsSource(server, **attrs.asdict(options, recurse=False))


NATS: Final = broker_kind("nats", Nats, KindSource(options=NatsOptions, build=_source))
"""The kind of connectors named "nats" in a configuration."""
