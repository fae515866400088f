"""A guard for requests to URLs that third parties choose, such as webhook addresses.

Such a URL can lead to this machine, to its network, or to the credentials service of a cloud. The
guard decides by the IP address that the connection goes to, not by the text of the URL. So a host
name is resolved once, each of its addresses is checked, and the connection goes to one of the
checked addresses.

Only public addresses are allowed. An IPv6 address that embeds an IPv4 address is refused, unless
the IPv6 address itself is allowed.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import is_true_or_false
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import attrs

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_INTERNAL_NETWORKS: Final = tuple(
    (IPv4Network(network), description)
    for network, description in (
        ("0.0.0.0/8", "of this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "behind a carrier's NAT"),
        ("127.0.0.0/8", "this machine"),
        ("168.63.129.16/32", "of a cloud's own services"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
"""IANA's special-purpose IPv4 networks, and one more that is used only internally."""

_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
"""The IPv6 addresses assigned for the public internet; all others are refused."""

_SPECIAL_NETWORKS: Final = tuple(
    (IPv6Network(network), description)
    for network, description in (
        ("2001::/23", "reserved for protocols"),  # Teredo and ORCHID among them
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "an embedded IPv4 address"),
        ("3fff::/20", "for documentation"),
    )
)
_MAPPED_NETWORKS: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv6 networks whose addresses contain an IPv4 address and lead to it."""

_TUNNELS: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
_CANONICAL_IPV4: Final = late_pattern(r"(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}")
_NUMBER: Final = late_pattern(r"[0-9]+|0[xX][0-9a-fA-F]*")
_HOST: Final = late_pattern(r"\.?[\w-]+(?:\.[\w-]+)*|\[?[0-9a-f:.%]+\]?")
_LAST_PORT: Final = 65_535


def _networks(networks: str | Iterable[str]) -> tuple[Network, ...]:
    network_list = [networks] if isinstance(networks, str) else list(networks)
    try:
        # A number would be parsed as an address near 0.0.0.0, and bytes as a network of several
        # addresses.
        if any(isinstance(item, (int, bytes)) for item in network_list):
            raise ValueError  # noqa: TRY301 - it has the same answer
        return tuple(map(ip_network, network_list))
    except ValueError:
        raise ConfigurationError(
            "The value is not a list of networks.",
            path="networks",
            remedy="Use networks such as '10.1.0.0/16', with all bits after the prefix zero,"
            " or addresses.",
        ) from None


def _hosts(hosts: str | Iterable[str]) -> tuple[str, ...]:
    names = [hosts] if isinstance(hosts, str) else hosts
    return tuple(_host(name.lower().rstrip(".")) for name in names)


def _host(name: str) -> str:
    if _HOST.fullmatch(name) is None:
        raise ConfigurationError(
            f"{name[:80]!r} is not a host name.",
            path="hosts",
            remedy="Use names such as 'api.example', or '.example' for all names below it,"
            " without a scheme, a port or a path.",
        )
    return name


def _ports(ports: int | Iterable[int]) -> tuple[int, ...]:
    return (ports,) if isinstance(ports, int) else tuple(ports)


def _are_ports(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not value or any(type(port) is not int or not 0 < port <= _LAST_PORT for port in value):
        raise ConfigurationError(
            f"{brief_repr(value)} is not a list of ports.",
            path=attribute.name,
            remedy="Use ports such as 443.",
        )


@with_careful_constructor
@frozen(kw_only=True)
class OutgoingGuard:
    """The hosts, networks and ports that requests to URLs chosen by third parties may use.

    Attributes:
        hosts: the only hosts allowed; a name with a leading dot stands for all names below it.
            Empty allows any host.
        networks: networks that are allowed besides public addresses.
        ports: the allowed ports.
        plain_http: whether `http` is allowed besides `https`.
    """

    hosts: tuple[str, ...] = field(default=(), converter=_hosts)
    networks: tuple[Network, ...] = field(default=(), converter=_networks)
    ports: tuple[int, ...] = field(default=(80, 443), converter=_ports, validator=_are_ports)
    plain_http: bool = field(default=True, validator=is_true_or_false)

    def objection(self, host: str, port: int, *, secure: bool) -> str | None:
        """Return the reason that a host must not be contacted, as the end of a sentence.

        Return None if the host may be contacted.
        """
        if not secure and not self.plain_http:
            return "would be contacted without TLS"
        if port not in self.ports:
            return f"would be contacted at port {port}, which is not allowed"
        host = host.lower().rstrip(".")
        last_label = host.rpartition(".")[2]
        if _NUMBER.fullmatch(last_label) and not _CANONICAL_IPV4.fullmatch(host):
            return "is an IP address in an unusual form"
        if "%" in host:
            return "is a link-local address"
        if self.hosts and not any(_is_named(host, name) for name in self.hosts):
            return "is not one of the allowed hosts"
        return None

    def objection_to(self, address: str) -> str | None:
        """Return the reason that an IP address must not be contacted, as the end of a sentence.

        Return None if the address may be contacted.
        """
        try:
            parsed_address = ip_address(address)
        except ValueError:
            return "has an invalid address"
        if getattr(parsed_address, "scope_id", None) is not None:
            return "has a link-local address"
        embedded_address = _embedded_address(parsed_address)
        if any(
            item in network
            for network in self.networks
            for item in (parsed_address, embedded_address)
        ):
            return None
        description = _special_address_kind(embedded_address)
        return None if description is None else f"has an address that is {description}"


def _is_named(host: str, name: str) -> bool:
    return host.endswith(name) if name.startswith(".") else host == name


def _embedded_address(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address, or otherwise the address itself."""
    if isinstance(address, IPv6Address) and any(address in network for network in _MAPPED_NETWORKS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _special_address_kind(address: Address) -> str | None:
    """Return the special kind of an address, such as loopback; None for a public address."""
    if isinstance(address, IPv4Address):
        return next(
            (description for network, description in _INTERNAL_NETWORKS if address in network), None
        )
    if address.is_loopback:
        return "this machine"
    if address not in _PUBLIC_IPV6:
        return "not public"
    if int(address) >> 32 & 0xFFFF_FFFF in _TUNNELS:
        return "an embedded IPv4 address"
    return next(
        (description for network, description in _SPECIAL_NETWORKS if address in network), None
    )
