"""Settings of connections (TLS, proxy, pool) that all HTTP adapters understand."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.http.urls import is_host
from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.domain.secrets.options import checked_options
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
    from pathlib import Path
    from typing import Self

    import attrs

PEM: Final = "-----BEGIN "
"""The beginning of keys and certificates in PEM text."""

_PROXY: Final = late_pattern(
    r"(?P<scheme>https?)://(?:(?P<user>[^\s:@/]*)(?::(?P<password>[^\s@/]*))?@)?"
    r"(?P<where>(?P<host>[a-z0-9._\-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?)/?",
    re.ASCII | re.IGNORECASE,
)
_NAME: Final = late_pattern(r"\*|\.?[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*\.?")
_LAST_PORT: Final = 65_535


class TlsVersion(StrEnum):
    """The lowest TLS version that a client accepts: TLS 1.2 or TLS 1.3."""

    V1_2 = "1.2"
    V1_3 = "1.3"


def _version(value: TlsVersion | str) -> TlsVersion:
    try:
        return TlsVersion(value)
    except ValueError:
        raise ConfigurationError(
            f"{brief_repr(value)} is not a supported TLS version.",
            path="minimum",
            remedy="Use '1.2' or '1.3'.",
        ) from None


def _pem(value: str | bytes | Path | None) -> str | bytes | None:
    if isinstance(value, str) and PEM in value:
        return value.encode()
    if isinstance(value, bytes) and PEM.encode() not in value:
        raise _no_pem("These bytes are not PEM text")
    return value if value is None or isinstance(value, bytes) else _path(value)


def _key(value: Secret | bytes | str | Path | None) -> Secret | str | None:
    if isinstance(value, bytes) or (isinstance(value, str) and PEM in value):
        value = Secret(value)
    if isinstance(value, Secret):
        if PEM.encode() in value.reveal_bytes():
            return value
        raise _no_pem("The private key is not PEM text")
    return value if value is None else _path(value)


def _path(value: object) -> str:
    as_path = getattr(value, "__fspath__", None)
    path: object = as_path() if as_path else value
    if isinstance(path, str) and path:
        return path
    raise _no_pem(f"A value of type {type(value).__name__} is not a path or PEM text")


def _no_pem(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reason}.", path="tls", remedy="Pass the path of a PEM file, or its content."
    )


def _password(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


def _reason(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(
            "TLS verification cannot be turned off without a reason.",
            path=attribute.name,
            remedy="Explain in `because` why nobody can intercept the connection.",
        )


def _check_verification(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, DangerouslyUnverified):
        raise ConfigurationError(
            "TLS verification can only be turned off by DangerouslyUnverified.",
            path=attribute.name,
            remedy="Remove the option, or use DangerouslyUnverified with a reason.",
        )


@frozen
class DangerouslyUnverified:
    """A setting that turns off the verification of TLS certificates.

    Without verification anybody on the network can read every secret. Use it only in test
    environments.

    Attributes:
        because: the reason why that is safe here; an event reports it whenever a client starts.
    """

    because: str = field(validator=_reason)


@checked_options
@frozen(kw_only=True)
class Tls:
    """The certificate authorities to trust and the client certificate; the `repr` shows no key.

    Attributes:
        authorities: a PEM file, or its content, with the certificates to trust instead of the
            system's.
        certificate: a PEM file, or its content, with the client certificate and the chain to its
            authority.
        key: the PEM file of the certificate's private key, or a `Secret` with its content; None if
            the certificate's file contains it.
        password: the password that the key is encrypted with.
        minimum: the lowest TLS version that is accepted.
        unverified: turns off every check, with the reason; by default everything is checked.
    """

    authorities: str | bytes | None = field(default=None, converter=_pem)
    certificate: str | bytes | None = field(default=None, converter=_pem, repr=False)
    key: Secret | str | None = field(default=None, converter=_key, repr=False, hash=False)
    password: Secret | None = field(default=None, converter=_password, repr=False, hash=False)
    minimum: TlsVersion = field(default=TlsVersion.V1_2, converter=_version)
    unverified: DangerouslyUnverified | None = field(default=None, validator=_check_verification)

    def __attrs_post_init__(self) -> None:
        """Check that the TLS settings do not contradict each other."""
        problems = list[Problem]()
        if self.certificate is None and (self.key is not None or self.password is not None):
            problems.append(
                Problem(
                    "certificate",
                    "The private key has no certificate.",
                    "Add the certificate that belongs to the key.",
                )
            )
        if self.unverified is not None and self.authorities is not None:
            problems.append(
                Problem(
                    "unverified",
                    "Authorities are configured, but the verification of servers is turned off.",
                    "Remove `unverified`. moorage then verifies servers with the authorities.",
                )
            )
        if problems:
            raise ConfigurationError.of(problems)


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    hosts = value.split(",") if isinstance(value, str) else value
    names = (name.strip().lower() for name in hosts)
    return tuple(_bypass_name(name.removeprefix("*") or name) for name in names if name)


def _bypass_name(name: str) -> str:
    if _NAME.fullmatch(name) is None and _network(name) is None:
        raise ConfigurationError(
            f"{name!r} is not a host, an address or a network to reach without the proxy.",
            path="bypass",
            remedy="Use names such as vendor.example, addresses, or networks such as"
            " 10.0.0.0/8, without a scheme, a port or a path.",
        )
    return name


@lru_cache(maxsize=256)
def _network(name: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _split_proxy_address(url: Secret) -> tuple[str, str | None, Secret | None]:
    """Split a proxy URL into its address, user and password.

    No local variable holds the whole text.
    """
    match = _PROXY.fullmatch(url.reveal())
    is_address = match is not None and is_host(match["host"])
    if match is None or not is_address or not 0 < int(match["port"] or 1) <= _LAST_PORT:
        del match
        raise ConfigurationError(
            "The text is not the URL of a proxy.",
            path="proxy",
            remedy="Use http://host:port or https://host:port, and percent-encode the user"
            " name and the password in it.",
        )
    user, password_text = match["user"], match["password"]
    password = None if password_text is None else Secret(unquote(password_text))
    address_text = f"{match['scheme']}://{match['where']}".lower()
    return address_text, user and unquote(user), password


def _check_bare_address(_: object, __: object, value: str) -> None:
    url = as_secret(value)
    del value
    if _split_proxy_address(url)[1:] != (None, None):
        raise ConfigurationError(
            "The URL of the proxy contains a user name, which logs would show.",
            path="proxy",
            remedy="Use Proxy.at, which separates the user name and the password from the URL.",
        )


def _user(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and ":" in value:
        raise ConfigurationError(
            "The user name for the proxy contains a colon, but a colon separates the user"
            " name from the password.",
            path=attribute.name,
            remedy="Use a user name without a colon.",
        )


@with_careful_constructor
@frozen(kw_only=True)
class Proxy:
    """The proxy through which a client connects; the `repr` shows neither user name nor password.

    Attributes:
        url: the proxy's URL, such as http://proxy.example:3128, without user name and password.
        username: the user name at the proxy.
        password: the password at the proxy.
        bypass: hosts that are reached directly: a name with all of its subdomains, an address, or a
            network such as 10.0.0.0/8; `*` is every host.
    """

    url: str = field(validator=_check_bare_address)
    username: str | None = field(default=None, repr=False, validator=_user)
    password: Secret | None = field(default=None, converter=_password, repr=False, hash=False)
    bypass: tuple[str, ...] = field(default=(), converter=_names)

    @classmethod
    @without_arguments_in_errors
    def at(cls, url: Secret | str, *, bypass: str | Iterable[str] = ()) -> Self:
        """Return the proxy of a URL, which may contain a user name and a password.

        Raises:
            ConfigurationError: the text is not the URL of a proxy. The message does not repeat it.
        """
        url = as_secret(url)
        location, username, password = _split_proxy_address(url)
        return cls(url=location, username=username, password=password, bypass=bypass)

    def serves(self, host: str) -> bool:
        """Return whether the client reaches this host through the proxy."""
        host = host.lower().strip("[]").removesuffix(".")
        address = _address(host)
        for name in self.bypass:
            if address is not None:
                network = _network(name)
                if name == "*" or (network is not None and address in network):
                    return False
            elif name == "*" or f".{host}".endswith(f".{name.strip('.')}"):
                return False
        return True


def as_proxy(value: Proxy | Secret | str | None) -> Proxy | None:
    """Return the proxy that a URL names; a `Proxy` or None is returned unchanged."""
    return value if value is None or isinstance(value, Proxy) else Proxy.at(value)


@frozen(kw_only=True)
class HttpPoolStatistics:
    """The numbers of used and free connections in a client's pool, for metrics.

    Attributes:
        active: the number of exchanges in progress.
        idle: the number of idle connections, or None if the client does not report it.
        waiting: the number of callers that wait for a connection.
        limit: the largest number of concurrent exchanges with one origin.
    """

    active: int
    idle: int | None
    waiting: int
    limit: int
