"""Connection settings: trusted certificates, proxies and pools."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.http.transport import (
    DangerouslyUnverified,
    HttpPoolStatistics,
    Proxy,
    Tls,
    TlsVersion,
    as_proxy,
)
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError

HIDDEN = "h1dden"
PEM = f"-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"


# --- TLS ---------------------------------------------------------------------


def test_tls_trusts_system_authorities_by_default() -> None:
    """By default, TLS trusts the system's authorities, with version 1.2 or later."""
    tls = Tls()

    assert (None, None, None) == (tls.authorities, tls.certificate, tls.unverified)
    assert TlsVersion.V1_2 is tls.minimum


@pytest.mark.parametrize(
    "given_, stored",
    [
        ("ca.pem", "ca.pem"),
        (Path("/etc/ca.pem"), "/etc/ca.pem"),
        (CERTIFICATE, CERTIFICATE.encode()),
        (CERTIFICATE.encode(), CERTIFICATE.encode()),
    ],
)
def test_certificate_setting_is_pem_text_or_a_path(given_: Any, stored: str | bytes) -> None:
    """A certificate setting is PEM text, or else the path of a file."""
    assert stored == Tls(authorities=given_).authorities
    assert stored == Tls(certificate=given_).certificate


@pytest.mark.parametrize("given_", [PEM, PEM.encode(), Secret(PEM)])
def test_private_key_is_not_shown(given_: Any) -> None:
    """A private key in TLS settings is not shown, whether given as text or bytes."""
    tls = Tls(certificate="own.pem", key=given_)

    assert isinstance(tls.key, Secret)
    assert PEM == tls.key.reveal()
    assert HIDDEN not in f"{tls!r} {attrs.asdict(tls)}"


def test_a_key_may_be_a_file() -> None:
    """TLS settings keep a key file's path, and its password as a secret."""
    tls = Tls(certificate="own.pem", key=Path("/run/key.pem"), password=HIDDEN)

    assert "/run/key.pem" == tls.key
    assert Secret(HIDDEN) == tls.password
    assert HIDDEN not in f"{tls!r} {attrs.asdict(tls)}"


def test_repr_hides_the_certificate() -> None:
    """The repr of TLS settings does not show PEM text, which may include the key."""
    assert HIDDEN not in repr(Tls(certificate=PEM))


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"authorities": b"\x30\x82"}, "These bytes are not PEM text."),
        ({"authorities": 7}, "A value of type int is not a path or PEM text."),
        ({"authorities": ""}, "A value of type str is not a path or PEM text."),
        ({"certificate": b"no"}, "These bytes are not PEM text."),
        ({"certificate": "own.pem", "key": Secret(HIDDEN)}, "The private key is not PEM text."),
        ({"certificate": "own.pem", "key": HIDDEN.encode()}, "The private key is not PEM text."),
        (
            {"certificate": "own.pem", "key": ["key.pem"]},
            "A value of type list is not a path or PEM text.",
        ),
    ],
)
def test_invalid_pem_text_is_refused(fields: dict[str, Any], problem: str) -> None:
    """A TLS setting that is neither a path nor PEM is refused, and the error does not show it."""
    with pytest.raises(ConfigurationError) as excinfo:
        Tls(**fields)

    assert ([*fields][-1], problem) == (excinfo.value.path, excinfo.value.message)
    assert HIDDEN not in f"{excinfo.value} {excinfo.value!r}"


@pytest.mark.parametrize(
    "fields, path",
    [
        ({"key": "key.pem"}, "certificate"),
        ({"password": HIDDEN}, "certificate"),
        ({"minimum": "1.1"}, "minimum"),
        ({"minimum": None}, "minimum"),
        ({"unverified": True}, "unverified"),
        ({"unverified": "a bench"}, "unverified"),
        ({"authorities": "ca.pem", "unverified": DangerouslyUnverified("a bench")}, "unverified"),
    ],
)
def test_contradictory_tls_settings_are_refused(fields: dict[str, Any], path: str) -> None:
    """Contradictory TLS settings are refused, and the error does not show their values."""
    with pytest.raises(ConfigurationError) as excinfo:
        Tls(**fields)

    assert path == excinfo.value.path
    assert HIDDEN not in f"{excinfo.value} {excinfo.value!r}"


@pytest.mark.parametrize("because", ["", " \n", None, True])
def test_disabling_verification_needs_a_reason(because: Any) -> None:
    """TLS verification cannot be disabled without a reason."""
    with pytest.raises(ConfigurationError, match="without a reason") as excinfo:
        DangerouslyUnverified(because)

    assert "because" == excinfo.value.path


@pytest.mark.parametrize("version", [TlsVersion.V1_3, "1.3"])
def test_tls_version_may_be_given_as_text(version: Any) -> None:
    """The lowest allowed TLS version may be given as text."""
    assert TlsVersion.V1_3 is Tls(minimum=version).minimum


def test_equal_tls_settings_have_equal_hashes() -> None:
    """Equal TLS settings have equal hashes, even if they contain secrets."""
    tls, other_tls = (Tls(certificate="own.pem", key=PEM, password="x") for _ in range(2))

    assert 1 == len({tls, other_tls})


# --- proxies -----------------------------------------------------------------


@pytest.mark.parametrize(
    "url, where, username, password",
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None, None),
        ("HTTPS://Proxy.Example/", "https://proxy.example", None, None),
        ("http://proxy.example:1", "http://proxy.example:1", None, None),
        ("http://proxy.example:65535", "http://proxy.example:65535", None, None),
        ("http://me@proxy.example", "http://proxy.example", "me", None),
        ("http://me:@proxy.example", "http://proxy.example", "me", Secret("")),
        ("http://:word@proxy.example", "http://proxy.example", "", Secret("word")),
        ("http://m%40e:w%3A%2F@[::1]:8080", "http://[::1]:8080", "m@e", Secret("w:/")),
    ],
)
def test_proxy_url_is_separated_into_its_address_and_its_credentials(
    url: str, where: str, username: str | None, password: Secret | None
) -> None:
    """A proxy's URL is separated into its address and its credentials."""
    proxy = as_proxy(url)

    assert proxy is not None
    assert (where, username) == (proxy.url, proxy.username)
    assert password == proxy.password
    assert proxy == Proxy.at(Secret(url))


@given(user=st.text(st.characters(codec="utf-8", exclude_characters=":")), word=st.text())
def test_proxy_credentials_are_decoded(user: str, word: str) -> None:
    """A percent-encoded user name and password in a proxy's URL are decoded."""
    word = word.encode("utf-8", "replace").decode()
    url = f"http://{quote(user, safe='')}:{quote(word, safe='')}@proxy.example:1"
    proxy = Proxy.at(url)

    assert (user, Secret(word)) == (proxy.username, proxy.password)


def test_proxy_repr_hides_credentials() -> None:
    """The repr of a proxy shows neither user nor password."""
    proxy = Proxy.at(f"http://somebody:{HIDDEN}@proxy.example:3128")

    assert "somebody" not in repr(proxy)
    assert HIDDEN not in f"{proxy!r} {attrs.asdict(proxy)}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy.example:3128",
        "socks5://proxy.example",
        "http://",
        "http://proxy.example/path",
        "http://proxy.example?x",
        "http://proxy.example:0",
        "http://proxy.example:65536",
        "http://pr oxy.example",
        "http://proxy.example\r\nX: y",
        "http://a@b@proxy.example",
        "http\u017f://proxy.example:3128",
        "http://pro\u212ay.example:3128",
    ],
)
def test_invalid_proxy_urls_are_refused(url: str) -> None:
    """An invalid proxy URL is refused, and not shown."""
    secret = Secret(url.replace("//", f"//somebody:{HIDDEN}@", 1))
    with pytest.raises(ConfigurationError, match="not the URL of a proxy") as excinfo:
        Proxy.at(secret)
    with pytest.raises(ConfigurationError, match="not the URL of a proxy"):
        as_proxy(url)

    assert "proxy" == excinfo.value.path
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(excinfo.tb)][1:]
    assert HIDDEN not in f"{excinfo.value} {frames}"


def test_proxy_url_with_credentials_is_refused() -> None:
    """A proxy setting's `url`, which is shown, is refused if it contains a user name."""
    with pytest.raises(ConfigurationError, match="contains a user name"):
        Proxy(url="http://me:word@proxy.example")


@pytest.mark.parametrize("username", ["a:b", ":"])
def test_colon_in_proxy_user_name_is_refused(username: str) -> None:
    """A proxy user name with a colon is refused, since the proxy would split it there."""
    with pytest.raises(ConfigurationError, match="colon") as excinfo:
        Proxy(url="http://proxy.example", username=username)

    assert "username" == excinfo.value.path


@pytest.mark.parametrize(
    "bypass, host, served",
    [
        ((), "vat.example", True),
        ("*", "vat.example", False),
        ("*", "10.0.0.1", False),
        ("vat.example", "vat.example", False),
        ("vat.example", "VAT.example.", False),
        ("vat.example", "api.vat.example", False),
        (".vat.example", "vat.example", False),
        ("*.vat.example", "api.vat.example", False),
        ("vat.example", "novat.example", True),
        ("vat.example.", "vat.example", False),
        ("localhost, ,127.0.0.1", "127.0.0.1", False),
        (["localhost", "127.0.0.1"], "localhost", False),
        ("10.0.0.0/8", "10.255.0.1", False),
        ("10.0.0.1/8", "10.255.0.1", False),
        ("10.0.0.0/8", "11.0.0.1", True),
        ("10.0.0.0/8", "a10.example", True),
        ("1", "10.0.0.1", True),
        ("::1", "[::1]", False),
        ("[::1]", "0:0:0:0:0:0:0:1", False),
        ("fd00::/8", "fd12::1", False),
        ("fd00::/8", "10.0.0.1", True),
    ],
)
def test_some_hosts_are_reached_directly(bypass: Any, host: str, *, served: bool) -> None:
    """A proxy bypass by host name covers subdomains; a bypass by network matches IP addresses."""
    assert served is Proxy.at("http://proxy.example", bypass=bypass).serves(host)


@pytest.mark.parametrize("bypass", ["http://vat.example", "vat.example:8080", "10.0.0.0/33", "a b"])
def test_invalid_bypass_hosts_are_refused(bypass: str) -> None:
    """A proxy bypass entry that could never match is refused."""
    with pytest.raises(ConfigurationError, match="is not a host") as excinfo:
        Proxy(url="http://proxy.example", bypass=bypass)

    assert "bypass" == excinfo.value.path


def test_proxy_setting_of_none_means_no_proxy() -> None:
    """A proxy setting of None means no proxy."""
    proxy = Proxy(url="http://proxy.example")

    assert proxy is as_proxy(proxy)
    assert None is as_proxy(None)
    assert 1 == len({proxy, Proxy.at("http://proxy.example/")})


# --- pools -------------------------------------------------------------------


def test_pool_statistics_are_values() -> None:
    """Pool statistics compare by value and have a repr."""
    result = HttpPoolStatistics(active=1, idle=2, waiting=0, limit=100)

    assert result == attrs.evolve(result)
    assert "HttpPoolStatistics(active=1, idle=2, waiting=0, limit=100)" == repr(result)
