"""The credential store and the HTTP client's settings in a configuration file."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, Credentials, Request, Response
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.testing import Behaviour, FakeVendor, ProxyServer, ScriptedHttpClient, VendorServer
from moorage.testing.fakes.http import AsyncScriptedHttpClient
from moorage.testing.fakes.http_tls import certificate_files
from tests.support.servers import postgres_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEEDS = {"services": {"vat": {"base_url": "https://vat.example", "needs_credentials": True}}}


def _environment(_: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv("MOORAGE_CREDENTIAL_VAT", "hidden")
    return {"url": "environment:"}


def _file(folder: Path, _: pytest.MonkeyPatch) -> dict[str, Any]:
    path = folder / "our keys.toml"
    path.write_text('[services]\nvat = "hidden"\n')
    path.chmod(0o600)
    return {"url": f"file:///{str(path).replace(' ', '%20')}"}


def _sqlite(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    keys = generate_keys()
    patch.setenv("KEYS", keys.text().reveal())
    store = SqliteCredentialProvider(folder / "our keys.db", AesGcmCipher(keys))
    store.rotate("vat", None, Credentials.bearer("hidden"))
    return {"url": f"sqlite:///{folder}/our%20keys.db", "keys": "secret://env/KEYS"}


@pytest.mark.parametrize("make", [_environment, _file, _sqlite])
def test_configuration_names_the_store_of_credentials(
    make: Callable[[Path, pytest.MonkeyPatch], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service gets its credentials from the store that the configuration names."""
    source = {**NEEDS, "credentials_from": make(tmp_path, monkeypatch)}
    vendor = FakeVendor()
    vendor.always(Response(200))
    with moorage.open(source, http=ScriptedHttpClient(vendor)) as hub:
        hub.manager.call("vat", Request.get("/"))

    async def call_async() -> None:
        async with moorage.aopen(source, http=AsyncScriptedHttpClient(vendor)) as hub:
            await hub.manager.call("vat", Request.get("/"))

    asyncio.run(call_async())
    assert ["Bearer hidden"] * 2 == [
        request.headers.get("Authorization") for request in vendor.requests
    ]


@pytest.mark.parametrize(
    "store, path, remedy",
    [
        ({"url": "redis://host"}, "credentials_from.url", "Use sqlite:///file.db"),
        ({"url": "file:///credentials.ini"}, "credentials_from.url", "Rename the file"),
        ({"url": "sqlite:///credentials.db"}, "credentials_from.keys", "generate_keys"),
        ({"url": "sqlite:///", "keys": "x"}, "credentials_from.keys", "version:key"),
        ({}, "credentials_from.url", "Write a URL"),
    ],
)
def test_unusable_credential_store_is_refused(
    store: dict[str, str], path: str, remedy: str
) -> None:
    """An unusable credential store is refused with its path in the configuration."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"credentials_from": store})

    (problem,) = excinfo.value.problems
    assert (path, True) == (problem.path, remedy in problem.remedy)


def test_credentials_can_be_stored_in_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials can be stored in a database.

    If the driver is missing, the error names the pip extra.
    """
    keys = {"keys": generate_keys().text()}
    moorage.open({**NEEDS, "credentials_from": {"url": postgres_url(), **keys}}).close()
    monkeypatch.setitem(__import__("sys").modules, "moorage.adapters.credentials.sql", None)

    with pytest.raises(ConfigurationError, match=r"pip install '\.\[mysql\]'"):
        moorage.open({"credentials_from": {"url": "mariadb://host/name", **keys}})


def test_service_without_credentials_is_refused() -> None:
    """A service or vendor without credentials is refused, unless a credential store is passed."""
    source = {**NEEDS, "vendors": {"resend": {"sender": "a@example.com"}}}
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(source)
    assert ["vendors.resend.credentials", "services.vat.credentials"] == [
        problem.path for problem in excinfo.value.problems
    ]
    keys = generate_keys()

    moorage.open(source, credentials=SqliteCredentialProvider("x.db", AesGcmCipher(keys))).close()


def test_reload_that_changes_the_credential_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that changes the credential store or the HTTP client's settings is refused."""
    store = _file(tmp_path, monkeypatch)
    source = {**NEEDS, "credentials_from": store, "http": {"max_connections": 5}}
    with moorage.open(source) as hub:
        hub.reload(source)
        with pytest.raises(ConfigurationError) as excinfo:
            hub.reload({**NEEDS, "credentials_from": {"url": "environment:"}})

    assert ["credentials_from.url", "http"] == [problem.path for problem in excinfo.value.problems]


@pytest.fixture(name="vendor")
def _vendor(tmp_path: Path) -> Iterator[VendorServer]:
    """Return a vendor server whose certificate is signed by a test authority."""
    certificate, key = certificate_files(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with VendorServer(tls=context) as vendor:
        vendor.always(Behaviour.of_json({"rate": 7}))
        yield vendor


def test_trust_proxy_and_pool_by_file(
    vendor: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's own HTTP client uses TLS trust, proxy and pool settings of the configuration."""
    key = (tmp_path / "key.pem").read_text()
    monkeypatch.setenv("KEY", key)
    with ProxyServer(target=vendor.address, credentials=("erp", "s3cret")) as proxy:
        monkeypatch.setenv("PROXY", proxy.url.replace("//", "//erp:s3cret@"))
        for key_location in ("secret://env/KEY", "key.pem"):
            path = tmp_path / "moorage.toml"
            path.write_text(
                f'services.vat.base_url = "{vendor.url}"\n'
                "[http]\nmax_connections = 3\nkeep_alive = 1.5\nmax_body = 1000\n"
                'proxy = { url = "secret://env/PROXY", bypass = ["intranet.example"] }\n'
                '[http.tls]\nauthorities = "certificate.pem"\ncertificate = "certificate.pem"\n'
                f'key = "{key_location}"\nminimum = "1.3"\n'
            )
            with moorage.open(path) as hub:
                assert 7 == hub.manager.call("vat", Request.get("/")).json()["rate"]

            async def call_async(path: Path = path) -> None:
                async with moorage.aopen(path) as hub:
                    answer = await hub.manager.call("vat", Request.get("/"))
                    assert 7 == answer.json()["rate"]

            asyncio.run(call_async())
        assert 4 == len(vendor.requests)


def test_turning_off_tls_verification_needs_a_reason_and_warns(vendor: VendorServer) -> None:
    """A configuration can turn off TLS verification with a stated reason, and causes a warning."""
    source = {
        "services": {"vat": {"base_url": vendor.url}},
        "http": {"tls": {"unverified": "a test bench"}},
    }
    with (
        pytest.warns(UserWarning, match="TLS certificates are not verified"),
        moorage.open(source) as hub,
    ):
        assert 200 == hub.manager.call("vat", Request.get("/")).status


@pytest.mark.parametrize(
    "http, path, remedy",
    [
        ({"tls": {"authorities": "nowhere.pem"}}, "http.tls.authorities", "Pass PEM files"),
        ({"tls": {"minimum": "1.1"}}, "http.tls.minimum", "Did you mean 1.3?"),
        ({"tls": {"key": "key.pem"}}, "http.tls.certificate", "Add the certificate"),
        ({"tls": {"unverified": " "}}, "http.tls.because", "Explain in `because` why"),
        ({"proxy": {"url": "ftp://a"}}, "http.proxy.url", "Use http://host:port"),
        ({"proxy": {"bypass": ["a"]}}, "http.proxy.url", "Write a URL"),
        (
            {"proxy": {"url": "http://a:1", "bypass": ["http://b"]}},
            "http.proxy.bypass",
            "Use names",
        ),
        ({"guard": {"ports": [0]}}, "http.guard.ports", "Use ports"),
        ({"guard": {"networks": ["x"]}}, "http.guard.networks", "Use networks"),
        ({"max_connections": 0}, "http.max_connections", ""),
        ({"keep_alive": -1}, "http.keep_alive", ""),
        ({"proxy": {"url": "secret://env/NOT_SET_0"}}, "http.proxy.url", "NOT_SET_0"),
    ],
)
def test_invalid_http_settings_are_refused(http: dict[str, Any], path: str, remedy: str) -> None:
    """An invalid setting of the HTTP client is refused with its path."""
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open({"http": http})

    (problem,) = excinfo.value.problems
    assert path == problem.path
    assert remedy in problem.remedy
