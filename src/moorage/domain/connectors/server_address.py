"""The address of a server, from its URL and further settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import attrs

from moorage.domain.http.transport import Tls
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    import re

_NO_TLS: Final = Tls()
_ANY_PATH: Final = late_pattern(r".*")


def tls_of(settings: Any) -> Tls:
    """Return the TLS settings, such as trusted authorities, in a connector's settings.

    Args:
        settings: an object with the attributes `authorities`, `certificate`, `key` and
            `key_password`.
    """
    return Tls(
        authorities=settings.authorities,
        certificate=settings.certificate,
        key=settings.key,
        password=settings.key_password,
    )


@attrs.frozen(kw_only=True)
class ServerAddress:
    """The address of a server, with all settings for a connection.

    Attributes:
        host: the name or the address of the host.
        port: the port.
        path: the path of the URL without its first slash, decoded.
        user: the name of the user; empty if the URL has none.
        password: the password; None if there is none.
        tls: the TLS settings, if the connection is encrypted.
        start_tls: whether the encryption begins on the open connection.
    """

    host: str
    port: int
    path: str = ""
    user: str = ""
    password: Secret | None = attrs.field(default=None, repr=False, hash=False)
    tls: Tls | None = None
    start_tls: bool = False

    def password_text(self) -> str:
        """Return the password as text; empty if there is none."""
        return "" if self.password is None else self.password.reveal()


@attrs.frozen(kw_only=True)
class AddressForm:
    """The form that URLs of one kind of server must have, such as their schemes and default port.

    Attributes:
        title: the name of the server in sentences.
        ports: the usual ports by scheme.
        encrypted: the scheme that asks for TLS.
        remedy: the sentence that shows the form of a URL.
        path: the pattern of the path in a URL, not decoded and without its first slash.
    """

    title: str
    ports: dict[str, int]
    encrypted: str
    remedy: str
    path: re.Pattern[str] = _ANY_PATH

    def address(
        self, url: str, *, password: Secret | None = None, tls: Tls = _NO_TLS
    ) -> ServerAddress:
        """Return the address that a URL names.

        Args:
            url: the URL, which may contain a user and a password.
            password: the password, which takes precedence over a password in the URL.
            tls: the files of TLS, which only an encrypted connection can use.

        Raises:
            ConfigurationError: the URL does not have this form, or it asks for a connection without
                TLS although there are files for TLS.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        path = parts.path.removeprefix("/")
        if (
            parts.scheme not in self.ports
            or not host
            or parts.query
            or parts.fragment
            or self.path.fullmatch(path) is None
        ):
            raise ConfigurationError(
                f"The URL is not an address of {self.title}.", path="url", remedy=self.remedy
            )
        is_encrypted = parts.scheme == self.encrypted
        if tls != _NO_TLS and not is_encrypted:
            raise ConfigurationError(
                "There are files for TLS, but the URL is for connections without TLS.",
                path="url",
                remedy=f"Use a URL that begins with {self.encrypted}://.",
            )
        if password is None and parts.password:
            password = Secret(unquote(parts.password))
        return ServerAddress(
            host=host,
            port=port or self.ports[parts.scheme],
            path=unquote(path),
            user=unquote(parts.username or ""),
            password=password,
            tls=tls if is_encrypted else None,
        )

    def upgradable_address(self, url: str, *, tls: Tls, start_tls: bool) -> ServerAddress:
        """Return the address of a server that may encrypt a connection after it was opened.

        Args:
            url: the URL, without a user and a password.
            tls: the TLS settings of encrypted connections.
            start_tls: whether a connection that begins without TLS is encrypted later.

        Raises:
            ConfigurationError: the URL does not have this form, or it names a user, or the
                connection would have no TLS although there are files for TLS.
        """
        address = self.address(url)
        if address.user or address.password is not None:
            raise ConfigurationError(
                "The URL contains a user or a password.",
                path="url",
                remedy="Set `user` and `password` instead.",
            )
        if address.tls is not None:
            return attrs.evolve(address, tls=tls)
        if start_tls:
            return attrs.evolve(address, tls=tls, start_tls=True)
        if tls != _NO_TLS:
            raise ConfigurationError(
                "There are files for TLS, but the connection has no TLS.",
                path="start_tls",
                remedy=f"Leave start_tls on, or use a URL that begins with {self.encrypted}://.",
            )
        return address
