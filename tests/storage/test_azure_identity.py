"""Azure credentials: keys, tokens and signed URLs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Credentials, OAuthCredentials
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.domain.http.requests import Response
from moorage.domain.signing.azure import AzureSharedKey
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    CredentialRefreshFailed,
    VendorFailed,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendors.storage.azure_blob import AzureBlob
from tests.storage.azure_harness import account, azure, container, entra, over_azure, query_of
from tests.storage.harnesses import fetch_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.operations.storage import Storage
    from moorage.testing.sandboxes.storage.azure_blob import AzureBlobSandbox


@pytest.fixture
def blob_sandbox() -> Iterator[AzureBlobSandbox]:
    """Yield a sandbox with a container."""
    with azure() as sandbox:
        yield sandbox


@pytest.fixture
def files(blob_sandbox: AzureBlobSandbox) -> Iterator[Storage]:
    """Return the storage operations of a hub over the sandbox."""
    with over_azure(blob_sandbox) as hub:
        yield hub.storage()


# --- for others --------------------------------------------------------------


def test_signed_url_has_permission_expiry_and_headers(files: Storage) -> None:
    """A signed URL contains its permission, its expiry and the required headers."""
    put = files.signed_url("a b", "PUT", expires=60, content_type="a/b")
    get = files.signed_url("a b", content_type="text/plain", content_disposition="attachment")
    result = query_of(get.url)

    assert {"x-ms-blob-type": "BlockBlob", "Content-Type": "a/b"} == put.headers
    assert {"x-ms-blob-type": "BlockBlob"} == files.signed_url("a", "PUT").headers
    assert {} == get.headers
    assert (
        "https://sandboxaccount.blob.core.windows.net/sandbox-container/a%20b"
        == (get.url.partition("?")[0])
    )
    assert ("r", "b", "https", "2025-01-05") == tuple(
        result[name] for name in ("sp", "sr", "spr", "sv")
    )
    assert ("text/plain", "attachment") == (result["rsct"], result["rscd"])
    head = files.signed_url("a b", "HEAD", content_disposition="attachment")
    assert "attachment" == query_of(head.url)["rscd"]
    assert "rscd" not in query_of(files.signed_url("a b", "PUT").url)
    assert ("w", "d") == (
        query_of(put.url)["sp"],
        query_of(files.signed_url("a", "DELETE").url)["sp"],
    )
    assert f"{put.expires_at:%Y-%m-%dT%H:%M:%SZ}" == query_of(put.url)["se"]


def test_signed_url_can_set_response_headers_or_allow_deletion(
    blob_sandbox: AzureBlobSandbox, files: Storage
) -> None:
    """Signed URLs can set response headers, and can allow reading or deletion."""
    files.upload("a", b"x")
    fetch = fetch_of(blob_sandbox)
    get = files.signed_url("a", content_type="text/plain", content_disposition="attachment")

    assert (200, b"x") == fetch(get, b"")
    assert 200 == fetch(files.signed_url("a", "HEAD"), b"")[0]
    assert 202 == fetch(files.signed_url("a", "DELETE"), b"")[0]
    assert not files.exists("a")


def test_urls_are_signed_with_a_short_lived_delegation_key(blob_sandbox: AzureBlobSandbox) -> None:
    """With Entra ID tokens, URLs are signed with a delegation key of limited life."""
    with over_azure(blob_sandbox, **entra(blob_sandbox)) as hub:
        files = hub.storage()
        files.upload("a", b"x")
        signed_url = files.signed_url("a", expires=600)
        week = files.signed_url("a", expires=timedelta(days=7))
        result = query_of(signed_url.url)

        assert {"skoid", "sktid", "skt", "ske", "sks", "skv"} <= result.keys()
        assert result["se"] == result["ske"]
        assert result["skt"] < result["se"]
        assert (200, b"x") == fetch_of(blob_sandbox)(signed_url, b"")
        assert (200, b"x") == fetch_of(blob_sandbox)(week, b"")
        assert 1 == blob_sandbox.token_endpoint.grants


@pytest.mark.parametrize("value", ["", "not base64!", "&lt;"])
def test_invalid_delegation_key_signs_nothing(blob_sandbox: AzureBlobSandbox, value: str) -> None:
    """URLs are not signed with an invalid delegation key, and the error does not show it."""
    names = ("Oid", "Tid", "Start", "Expiry", "Service", "Version")
    signed_elements = "".join(f"<Signed{name}>s</Signed{name}>" for name in names)
    key = f"<UserDelegationKey>{signed_elements}<Value>{value}</Value></UserDelegationKey>"
    with over_azure(blob_sandbox, **entra(blob_sandbox)) as hub:
        blob_sandbox.fail(Response(200, body=key.encode()))
        with pytest.raises(VendorFailed) as excinfo:
            hub.storage().signed_url("a")
        assert excinfo.value.response is not None
        assert b"" == excinfo.value.response.body
        blob_sandbox.fail(
            Response(200, body=b"<UserDelegationKey><Value>a2V5</Value></UserDelegationKey>")
        )
        with pytest.raises(VendorFailed):
            hub.storage().signed_url("a")


def test_signed_url_allows_http_at_a_plain_http_endpoint(blob_sandbox: AzureBlobSandbox) -> None:
    """If the account's endpoint is plain HTTP, signed URLs allow HTTP."""
    with over_azure(blob_sandbox, endpoint="http://127.0.0.1:10000/sandboxaccount/") as hub:
        signed_url = hub.storage().signed_url("a")

    assert "https,http" == query_of(signed_url.url)["spr"]
    assert signed_url.url.startswith("http://127.0.0.1:10000/sandboxaccount/sandbox-container/a?")


# --- who we are --------------------------------------------------------------


def test_a_token_that_is_refused_is_renewed(blob_sandbox: AzureBlobSandbox) -> None:
    """After a 401, one new token is requested, and the call is repeated."""
    with over_azure(blob_sandbox, **entra(blob_sandbox)) as hub:
        hub.storage().upload("a", b"x")
        blob_sandbox.token_endpoint.forget()
        assert 1 == hub.storage().head("a").size

    assert 2 == blob_sandbox.token_endpoint.grants
    assert (
        f"/{blob_sandbox.directory}/oauth2/v2.0/token"
        == blob_sandbox.token_endpoint.requests[0].path
    )


def test_client_id_that_entra_id_does_not_know_is_refused(blob_sandbox: AzureBlobSandbox) -> None:
    """A client id that Entra ID does not know is refused, and its secret stays hidden."""
    options = {**entra(blob_sandbox), "client_secret": "wrong-hush"}
    with over_azure(blob_sandbox, **options) as hub:
        with pytest.raises(CredentialRefreshFailed) as excinfo:
            hub.storage().head("a")
        assert "hush" not in f"{excinfo.value!r} {hub.account('azure')!r}"
    assert [] == blob_sandbox.requests


def test_key_of_another_account_is_refused_and_not_shown(blob_sandbox: AzureBlobSandbox) -> None:
    """The key of another account is refused and not shown."""
    with over_azure(blob_sandbox, credentials="d3JvbmctaHVzaA==") as hub:
        with pytest.raises(AuthenticationFailed) as excinfo:
            hub.storage().upload("a", b"x")
        assert "d3Jvbmct" not in f"{excinfo.value!r} {hub.account('azure')!r}"
    assert "AuthenticationFailed" == excinfo.value.vendor_code


def test_azure_account_uses_credential_provider_without_key(blob_sandbox: AzureBlobSandbox) -> None:
    """Without a key, the Azure account uses the credential provider, with its tenant."""
    signing = AzureSharedKey(account=blob_sandbox.account.name)
    fields: dict[Any, Any] = {
        ("azure", None): Credentials.signed(signing, blob_sandbox.account.key),
        ("azure", "basic"): Credentials.basic("u", "p"),
        ("azure", "late"): OAuthCredentials(access_token="old"),
    }
    with Hub(
        [account(blob_sandbox, credentials=None)],
        http=SandboxHttpClient(blob_sandbox),
        credentials=MemoryCredentialProvider(fields),
    ) as hub:
        assert 1 == hub.storage().upload("a", b"x").size
        assert "sig" in query_of(hub.storage().signed_url("a").url)
        with pytest.raises(ConfigurationError, match="AzureSharedKey"):
            hub.storage("basic").signed_url("a")
        with pytest.raises(CredentialRefreshFailed):
            hub.storage("late").head("a")


@pytest.mark.parametrize(
    "options, path",
    [
        ({"account": "Acme"}, "account"),
        ({"account": 7}, "account"),
        ({"container": "A"}, "container"),
        ({"container": "a--b"}, "container"),
        ({"container": "ab"}, "container"),
        ({"container": 7}, "container"),
        ({"directory": "acme"}, "client_id"),
        ({"client_id": "a", "client_secret": "b"}, "client_id"),
        ({"directory": "a/b", "client_id": "a", "client_secret": "b"}, "directory"),
        ({"directory": 7, "client_id": "a", "client_secret": "b"}, "directory"),
        (
            {"directory": "a", "client_id": "a", "client_secret": "b", "credentials": "a2V5"},
            "credentials",
        ),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], path: str) -> None:
    """An invalid account or container name is refused when the vendor is created."""
    with pytest.raises(ConfigurationError) as excinfo:
        AzureBlob(**{"account": "acmefiles", "container": "files", **options})
    assert path == excinfo.value.path


def test_container_name_root_is_valid(blob_sandbox: AzureBlobSandbox) -> None:
    """The container name `$root` is valid, and the vendor's repr shows no secrets."""
    vendor = AzureBlob(account="acmefiles", container="$root", credentials="a2V5LWh1c2g=")

    assert "https://acmefiles.blob.core.windows.net" == vendor.endpoint
    assert {} == vendor.clients()
    assert "a2V5" not in repr(vendor)
    client = container(blob_sandbox, **entra(blob_sandbox)).clients()[""]
    assert "sandbox-client-secret" not in repr(client)
