"""The settings of a directory: its address, and the identity of the connector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.connectors import ldap_wire
from moorage.domain.connectors.server_address import AddressForm, tls_of
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.durations import is_count, is_seconds, plain_seconds
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.connectors.server_address import ServerAddress

LARGEST: Final = 64 * 1024 * 1024
"""The bytes of one page of a search, at most, unless the settings say otherwise."""

_FORM: Final = AddressForm(
    title="an LDAP server",
    ports={"ldap": 389, "ldaps": 636},
    encrypted="ldaps",
    remedy="Set ldap://host or ldaps://host, without user, DN or options.",
    path=late_pattern(r""),
)


@checked_options
@attrs.frozen(kw_only=True)
class Ldap:
    """A directory over LDAP, such as OpenLDAP or Active Directory.

    Attributes:
        url: the server's URL, such as ldap://directory.example, or ldaps:// for TLS from the first
            byte.
        service: the service whose protections apply; by default the one of the connector's name.
        user: the name with which the connector authenticates, such as cn=erp,dc=example, or
            erp@corp.example for Active Directory; nobody by default.
        password: the password of the user.
        external: whether the client's certificate authenticates the connector.
        base: the name of the entry below which searches begin, unless they name another one.
        start_tls: whether a connection to ldap:// is encrypted before anything else is sent.
        page: the number of entries in one page of a search.
        largest: the largest number of bytes of one page.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection; an attempt with less time waits less.
        authorities: the path of a PEM file with the certificates to trust instead of the system's.
        certificate: the path of a PEM file with the client's certificate.
        key: the path of a PEM file with its private key.
        key_password: the password that the key is encrypted with.
    """

    url: str
    service: str | None = None
    user: str | None = None
    password: Secret | None = attrs.field(
        default=None, converter=maybe_secret, repr=False, hash=False
    )
    external: bool = False
    base: str = ""
    start_tls: bool = True
    page: int = attrs.field(default=500, validator=is_count)
    largest: int = attrs.field(default=LARGEST, validator=is_count)
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, converter=plain_seconds, validator=is_seconds)
    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), repr=False, hash=False
    )

    def __attrs_post_init__(self) -> None:
        """Refuse settings that allow no connection, or only an insecure one."""
        self.address()
        if self.password is not None and not self.password.reveal_bytes():
            # RFC 4513, 5.1.2: a server treats a name without a password as an anonymous login.
            raise ConfigurationError(
                "The password is empty. LDAP servers accept any user without a password.",
                path="password",
                remedy="Set the password, or leave out user and password.",
            )
        if (self.user is None) is not (self.password is None):
            missing_field = "user" if self.user is None else "password"
            raise ConfigurationError(
                f"The LDAP connector has no {missing_field}.",
                path=missing_field,
                remedy="Set both user and password, or neither.",
            )
        if self.external and (self.user is not None or self.certificate is None):
            raise ConfigurationError(
                "The option `external` needs a client certificate, without user and password.",
                path="external",
                remedy="Set certificate and key, and leave out user and password.",
            )

    def address(self) -> ServerAddress:
        """Return the address of the server.

        Raises:
            ConfigurationError: the URL or the settings of TLS are wrong.
        """
        return _FORM.upgradable_address(self.url, tls=tls_of(self), start_tls=self.start_tls)

    def identity(self) -> bytes | None:
        """Return the request that authenticates a connection; None for anonymous access."""
        if self.external:
            return ldap_wire.bind_external()
        if self.user is None or self.password is None:
            return None
        return ldap_wire.bind_simple(self.user, self.password.reveal_bytes())
