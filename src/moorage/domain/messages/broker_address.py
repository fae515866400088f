"""The address of a message broker, from its URL and further settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
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


@attrs.frozen(kw_only=True)
class BrokerAddress:
    """The address of a message broker, with all settings for a connection.

    Attributes:
        host: the name or the address of the host.
        port: the port.
        path: the path of the URL without its first slash, decoded.
        user: the name of the user; empty if the URL has none.
        password: the password; None if there is none.
        tls: the trust, if the connection is encrypted.
    """

    host: str
    port: int
    path: str = ""
    user: str = ""
    password: Secret | None = attrs.field(default=None, repr=False, hash=False)
    tls: Tls | None = None

    def password_text(self) -> str:
        """Return the broker's password as text; empty if there is none."""
        return "" if self.password is None else self.password.reveal()


@attrs.frozen(kw_only=True)
class AddressForm:
    """The form of the URLs of one kind of broker.

    Attributes:
        title: the name of the broker in sentences.
        ports: the usual ports by scheme.
        encrypted: the scheme that asks for TLS.
        remedy: the sentence that shows what a URL looks like.
        path: what the path of a URL may look like, as it is written, without its first slash.
    """

    title: str
    ports: dict[str, int]
    encrypted: str
    remedy: str
    path: re.Pattern[str] = _ANY_PATH

    def address(
        self, url: str, *, password: Secret | None = None, tls: Tls = _NO_TLS
    ) -> BrokerAddress:
        """Return the broker's address that a URL names.

        Args:
            url: the URL, which may contain a user and a password.
            password: the password, which goes before the one in the URL.
            tls: the files of TLS, which only an encrypted connection can use.

        Raises:
            ConfigurationError: the URL is none of this form, or it asks for a connection without
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
                "There are files for TLS, but the URL asks for a connection without TLS.",
                path="url",
                remedy=f"Give a URL that begins with {self.encrypted}://.",
            )
        if password is None and parts.password:
            password = Secret(unquote(parts.password))
        return BrokerAddress(
            host=host,
            port=port or self.ports[parts.scheme],
            path=unquote(path),
            user=unquote(parts.username or ""),
            password=password,
            tls=tls if is_encrypted else None,
        )
