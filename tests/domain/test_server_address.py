"""A server's address, read from its URL and settings."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import ConfigurationError, Secret
from moorage.domain.connectors.server_address import AddressForm
from moorage.domain.http.transport import Tls
from moorage.domain.values.patterns import late_pattern

FORM = AddressForm(
    title="Pigeons",
    ports={"pigeon": 7, "pigeons": 8},
    encrypted="pigeons",
    remedy="Give pigeon://user@host/loft.",
    path=late_pattern(r"[a-z%6]*"),
)


def test_server_url_has_host_port_path_user_and_password() -> None:
    """A server's URL contains host, port, path, user and password; its scheme decides about TLS."""
    address = FORM.address("pigeons://a%40b:p%2Fw@[::1]:99/lo%66t")
    assert ("::1", 99, "loft") == (address.host, address.port, address.path)
    assert ("a@b", "p/w", Tls()) == (address.user, address.password_text(), address.tls)
    assert "p/w" not in repr(address)


def test_missing_parts_have_defaults() -> None:
    """A server's port follows from the URL's scheme; user, password and TLS are optional."""
    address = FORM.address("pigeon://roof")
    assert ("roof", 7, "", "", "") == (
        address.host,
        address.port,
        address.path,
        address.user,
        address.password_text(),
    )
    assert address.tls is None
    assert 8 == FORM.address("pigeons://roof").port


def test_password_among_server_settings_replaces_one_in_its_url() -> None:
    """A password among a server's settings replaces the one in its URL."""
    address = FORM.address("pigeon://me:old@roof", password=Secret("new"))
    assert "new" == address.password_text()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "roof",
        "http://roof",
        "pigeon://",
        "pigeon://roof:x",
        "pigeon://roof:99999",
        "pigeon://[roof",
        "pigeon://roof/7",
        "pigeon://roof?fast=yes",
        "pigeon://roof#top",
    ],
)
def test_text_that_is_not_a_server_url_is_refused(url: str) -> None:
    """If a string is not a server's URL, the error has an example, and not the string."""
    with pytest.raises(ConfigurationError, match="not an address of Pigeons") as excinfo:
        FORM.address(url)
    assert ("url", FORM.remedy) == (excinfo.value.path, excinfo.value.remedy)


@pytest.mark.parametrize("files", [{"authorities": "ca.pem"}, {"certificate": "me.pem"}])
def test_files_for_tls_need_a_url_for_tls(files: dict[str, Any]) -> None:
    """TLS files for a server whose URL has no TLS are refused."""
    with pytest.raises(ConfigurationError, match="without TLS") as excinfo:
        FORM.address("pigeon://roof", tls=Tls(**files))
    assert "pigeons://" in excinfo.value.remedy
    assert Tls(**files) == FORM.address("pigeons://roof", tls=Tls(**files)).tls
