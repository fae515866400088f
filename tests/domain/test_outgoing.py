"""The guard for requests to URLs that other people choose."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.outgoing import OutgoingGuard
from moorage.errors import ConfigurationError

GUARD = OutgoingGuard()

# Draws addresses near the edges of networks, and random addresses.
_SPECIAL = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
"""
_EDGES = [
    int(address) + step
    for network in map(ip_network, _SPECIAL.split())
    for address in (network[0], network[-1])
    for step in (-1, 0, 1)
    if 0 <= int(address) + step < 2**32
]
version_4 = st.one_of(st.sampled_from(_EDGES), st.integers(0, 2**32 - 1)).map(IPv4Address)
version_6 = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0x2000 << 112, (0x4000 << 112) - 1),
    st.integers(0, 2**33),
).map(IPv6Address)

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:829::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
INTERNAL_ADDRESSES = [
    "0.0.0.0",
    "10.0.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::1%lo",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2001::1",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "3fff::1",
    "5f00::1",
    "no address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """The outgoing request guard allows public addresses."""
    assert None is GUARD.objection_to(address)


@pytest.mark.parametrize("address", INTERNAL_ADDRESSES)
def test_internal_addresses_are_refused(address: str) -> None:
    """The guard refuses addresses of this machine, its network or its cloud in any notation."""
    assert GUARD.objection_to(address)


@given(version_4)
def test_allowed_ipv4_addresses_are_global(address: IPv4Address) -> None:
    """Each IPv4 address that the guard allows is global and not multicast."""
    if GUARD.objection_to(str(address)) is None:
        assert address.is_global
        assert not address.is_multicast


@given(version_4)
def test_refused_ipv4_addresses_are_special(address: IPv4Address) -> None:
    """Each IPv4 address that the guard refuses is a special address, or in a listed network."""
    if GUARD.objection_to(str(address)) is not None:
        lacking = ("168.63.129.16/32", "192.88.99.0/24", "192.0.0.0/24")
        assert (
            not address.is_global
            or address.is_multicast
            or any(address in ip_network(network) for network in lacking)
        )


@given(version_6)
def test_allowed_ipv6_addresses_are_global(address: IPv6Address) -> None:
    """Each IPv6 address that the guard allows is global, or maps to a global IPv4 address."""
    if GUARD.objection_to(str(address)) is None:
        intended = IPv4Address(int(address) & 0xFFFF_FFFF)
        disguised = address.ipv4_mapped is not None or int(address) >> 32 == 0x64FF9B << 64
        assert intended.is_global if disguised else address.is_global
        assert not address.is_multicast


@given(version_4, st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_embedded_ipv4_addresses_are_treated_alike(address: IPv4Address, disguise: str) -> None:
    """The address guard treats an IPv4 address the same in each form in which IPv6 can embed it."""
    disguised = str(IPv6Address(disguise.format(address)))

    assert GUARD.objection_to(str(address)) == GUARD.objection_to(disguised)


@given(version_4)
def test_allowed_networks_are_reachable(address: IPv4Address) -> None:
    """The guard allows the special networks in its settings, in any notation, and no others."""
    guard = OutgoingGuard(networks=["10.1.0.0/16", "::1"])
    inside = address in ip_network("10.1.0.0/16")

    for notation in (str(address), f"::ffff:{address}"):
        expected = None if inside else GUARD.objection_to(notation)
        assert expected == guard.objection_to(notation)
    assert None is guard.objection_to("::1")


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.0x1",
        "vendor.example.0",
        "fe80::1%eth0",
    ],
)
def test_hosts_written_as_ambiguous_numbers_are_refused(host: str) -> None:
    """The guard refuses hosts written as numbers that only some programs read as an address."""
    objection = GUARD.objection(host, 443, secure=True)

    assert (None if host == "127.0.0.1." else True) is (objection and True)


@pytest.mark.parametrize(
    "host",
    ["vendor.example", "VENDOR.example.", "8.8.8.8", "2606:4700::1111", "1.2.3.4.nip.example"],
)
def test_ordinary_hosts_are_allowed(host: str) -> None:
    """The guard allows ordinary host names and well-formed addresses."""
    assert None is GUARD.objection(host, 443, secure=True)


@pytest.mark.parametrize(
    "host, fits",
    [
        ("hooks.example", True),
        ("Hooks.Example.", True),
        ("a.partner.example", True),
        ("dotted.example", True),
        ("partner.example", False),
        ("evilhooks.example", False),
        ("hooks.example.evil", False),
    ],
)
def test_allow_list_permits_only_its_hosts_and_subdomains(host: str, fits: bool) -> None:
    """With a list of hosts, the guard allows only these and their subdomains."""
    guard = OutgoingGuard(hosts=["hooks.example", ".partner.example", "Dotted.Example."])

    assert fits is (guard.objection(host, 443, secure=True) is None)


@pytest.mark.parametrize(
    "port, secure, allowed",
    [(443, True, True), (80, False, True), (22, False, False), (6379, True, False)],
)
def test_only_web_ports_are_allowed(port: int, secure: bool, allowed: bool) -> None:
    """By default the guard refuses all ports except those of HTTP and HTTPS."""
    assert allowed is (GUARD.objection("vendor.example", port, secure=secure) is None)


def test_every_port_may_be_allowed() -> None:
    """The guard can allow any port, from the first to the last."""
    assert (1, 65_535) == OutgoingGuard(ports=[1, 65_535]).ports


def test_guard_refuses_requests_in_clear_text() -> None:
    """Without `plain_http`, the guard refuses requests in clear text."""
    guard = OutgoingGuard(plain_http=False, ports=8443)

    assert None is guard.objection("vendor.example", 8443, secure=True)
    assert guard.objection("vendor.example", 8443, secure=False)


@pytest.mark.parametrize(
    "options",
    [
        {"networks": "10.0.0.1/8"},
        {"networks": ["x"]},
        {"ports": []},
        {"ports": [0]},
        {"ports": 65_536},
        {"networks": [1]},
        {"networks": b"10.0.0.0/8"},
        {"plain_http": "false"},
        {"plain_http": None},
    ],
)
def test_invalid_guard_settings_are_refused(options: dict[str, Any]) -> None:
    """Guard settings that would guard nothing, or be misread, are refused."""
    with pytest.raises(ConfigurationError):
        OutgoingGuard(**options)


def test_single_network_or_host_is_accepted() -> None:
    """A guard setting may be a single string instead of a list."""
    assert OutgoingGuard(networks="10.0.0.0/8", hosts="A.example") == OutgoingGuard(
        networks=["10.0.0.0/8"], hosts=["a.example"]
    )
