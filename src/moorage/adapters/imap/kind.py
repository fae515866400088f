"""The settings of an IMAP mailbox, and the connector kind `imap` in configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.connectors.imap_values import flag_name
from moorage.domain.connectors.server_address import AddressForm, tls_of
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind, KindSource

if TYPE_CHECKING:
    from moorage.adapters.imap.connector_async import AsyncImapConnector
    from moorage.adapters.imap.connector_sync import ImapConnector
    from moorage.adapters.imap.source import ImapSource
    from moorage.domain.connectors.server_address import ServerAddress

_FORM: Final = AddressForm(
    title="an IMAP server",
    ports={"imap": 143, "imaps": 993},
    encrypted="imaps",
    remedy="Set imaps://host or imap://host, without user, folder or options.",
    path=late_pattern(r""),
)


@checked_options
@attrs.frozen(kw_only=True)
class Imap:
    """A mailbox over IMAP.

    Attributes:
        url: the server's URL, such as imaps://mail.example, or imap:// for a connection that is
            encrypted later.
        service: the service whose protections apply; by default the one of the connector's name.
        user: the name of the user.
        password: the password of the user.
        token: an OAuth access token instead of the password. A program that renews tokens gives the
            connector a provider of credentials instead.
        start_tls: whether a connection to imap:// is encrypted before the user authenticates.
        largest: the largest number of bytes of a message, and of the messages of one fetch.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    url: str
    user: str
    service: str | None = None
    password: Secret | None = attrs.field(
        default=None, converter=maybe_secret, repr=False, hash=False
    )
    token: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False, hash=False)
    start_tls: bool = True
    largest: int = attrs.field(default=32 * 1024 * 1024, validator=is_count)
    connections: int = attrs.field(default=4, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that do not allow a connection."""
        self.address()
        if self.password is not None and self.token is not None:
            raise ConfigurationError(
                "The IMAP connector has both a password and a token.",
                path="token",
                remedy="Set only the password or only the token.",
            )
        if "\0" in self.user or "\1" in self.user:
            raise ConfigurationError(
                "The user name contains a control character.",
                path="user",
                remedy="Correct the name.",
            )

    def address(self) -> ServerAddress:
        """Return the address of the server.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        return _FORM.upgradable_address(self.url, tls=tls_of(self), start_tls=self.start_tls)


def _is_flag(_: object, __: object, value: object) -> None:
    flag_name(value)


@checked_options
@attrs.frozen(kw_only=True)
class ImapOptions:
    r"""The options of a source that reads the messages of a folder.

    Attributes:
        folder: the name of the folder.
        mark: the keyword that a processed message is marked with, or a flag such as "\\Seen".
            Messages with this mark are not read.
        move_to: the folder to which a processed message is moved instead.
    """

    folder: str = "INBOX"
    mark: str = attrs.field(default="moorage", validator=_is_flag)
    move_to: str | None = None


def _build(name: str, settings: Imap, _: object) -> ImapConnector:
    from moorage.adapters.imap.connector_sync import (  # noqa: PLC0415 - only some need it
        ImapConnector,
    )

    return ImapConnector(settings, name=name)


def _build_async(name: str, settings: Imap, _: object) -> AsyncImapConnector:
    from moorage.adapters.imap.connector_async import (  # noqa: PLC0415 - only some need it
        AsyncImapConnector,
    )

    return AsyncImapConnector(settings, name=name)


def _source(settings: Imap, options: ImapOptions) -> ImapSource:
    from moorage.adapters.imap.source import ImapSource  # noqa: PLC0415 - only pipelines need it

    fields: dict[str, Any] = attrs.asdict(options, recurse=False)
    return ImapSource(settings, **fields)


IMAP: Final = ConnectorKind(
    name="imap",
    settings=Imap,
    build=_build,
    build_async=_build_async,
    source=KindSource(options=ImapOptions, build=_source),
)
"""The kind of connectors of mailboxes over IMAP."""
