"""Secret providers under `[secrets]`, read from fake secret managers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import keyring
import pytest

from moorage import ConfigurationError, Credentials, OAuthCredentials, Secret
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.secret_managers.managed_secrets import ManagedSecrets
from moorage.config import read_configuration
from tests.adapters.manager_harnesses import (
    PEM,
    SECRET,
    AwsHarness,
    AzureHarness,
    GcpHarness,
    VaultHarness,
)
from tests.adapters.test_keyring_credentials import MemoryKeyring
from tests.support.modules import uninstall

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.manager_harnesses import Harness


def secret_of_provider(name: str, **table: Any) -> Secret:
    """Return the secret of this name from a provider that the table configures."""
    configuration = read_configuration(
        {"secrets": {"ours": table}, "state": {"url": f"secret://ours/{name}"}}
    )
    assert configuration.state is not None
    return Secret(configuration.state)


def harness_with_real_clock(harness: Harness) -> Harness:
    """Return a fake secret manager that uses the real clock."""
    harness.now = lambda: datetime.now(UTC)
    return harness


def test_vault_secret_is_read_with_token_token_file_or_role(tmp_path: Path) -> None:
    """A Vault secret is read with a token, token file or role; a reference may select one field."""
    with harness_with_real_clock(VaultHarness()) as harness:
        assert isinstance(harness, VaultHarness)
        harness.put("shop", "hidden")
        address = {"kind": "vault", "address": harness.url}
        assert Secret("hidden") == secret_of_provider("shop", **address, token=harness.issue())
        (tmp_path / "token").write_text(harness.issue())
        file = str(tmp_path / "token")
        assert Secret("hidden") == secret_of_provider("shop#secret", **address, token_file=file)
        role = {"role_id": "our-role", "secret_id": SECRET}
        assert Secret("hidden") == secret_of_provider("shop", **address, **role)
        for name in ("nothing", "shop#other"):
            with pytest.raises(ConfigurationError, match="correct its name"):
                secret_of_provider(name, **address, **role)
        with pytest.raises(ConfigurationError, match="cannot be read") as excinfo:
            secret_of_provider("shop", **address, role_id="our-role", secret_id="another")
        assert "state.url" == excinfo.value.path
        with pytest.raises(ConfigurationError):
            secret_of_provider("shop", **address, kubernetes_role="pods")


def test_custom_http_client_stays_open() -> None:
    """An HTTP client that the caller passes is not closed with a secret provider."""
    with harness_with_real_clock(VaultHarness()) as harness, StdlibHttpClient() as client:
        harness.put("shop", "hidden")
        for _ in range(2):
            with ManagedSecrets(harness.manager(), http=client) as secrets:
                content = secrets.read("shop")
                assert content is not None
                assert "hidden" in content.reveal()


def test_aws_secrets_manager_is_read_with_configured_or_environment_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS Secrets Manager is read with configured credentials or those from the environment."""
    with harness_with_real_clock(AwsHarness()) as harness:
        harness.put("shop", "hidden")
        table = {"kind": "aws", "region": "eu-central-1", "endpoint": harness.url}
        keys = {"access_key_id": "AKIDGIVEN", "secret_access_key": SECRET}
        assert Secret("hidden") == secret_of_provider("shop", **table, **keys)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDGIVEN")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        assert Secret("hidden") == secret_of_provider("shop", **table)


def test_credentials_in_a_manager_are_read_whole() -> None:
    """A JSON secret with a `method` field is read as credentials, and not sent as a token."""
    with harness_with_real_clock(AwsHarness()) as harness:
        harness.put("shop", json.dumps({"method": "basic", "username": "me", "secret": "hidden"}))
        table = {"kind": "aws", "region": "eu-central-1", "endpoint": harness.url}
        keys = {"access_key_id": "AKIDGIVEN", "secret_access_key": SECRET}
        configuration = read_configuration(
            {
                "secrets": {"ours": {**table, **keys}},
                "services": {
                    "vat": {"base_url": "https://a.example", "credentials": "secret://ours/shop"}
                },
            }
        )
        (service,) = configuration.services
        assert Credentials.basic("me", "hidden") == service.credentials


@pytest.mark.parametrize("name", ["shop", "shop#secret"])
def test_broken_table_in_a_manager_is_not_sent_as_a_token(name: str) -> None:
    """A secret that begins like a JSON object but is malformed is refused, and not shown."""
    with harness_with_real_clock(AwsHarness()) as harness:
        harness.put("shop", '{"method": "basic", "secret": "hidden"')
        table = {"kind": "aws", "region": "eu-central-1", "endpoint": harness.url}
        keys = {"access_key_id": "AKIDGIVEN", "secret_access_key": SECRET}
        with pytest.raises(
            ConfigurationError, match="like a JSON object, but is not valid JSON"
        ) as error:
            secret_of_provider(name, **table, **keys)

    assert "state.url" == error.value.path
    assert "hidden" not in str(error.value)


def test_aws_uses_the_address_of_the_region() -> None:
    """By default AWS's regional address is used; an unused provider sends no request."""
    table = {"kind": "aws", "region": "eu-central-1"}

    assert () == read_configuration({"secrets": {"ours": table}}).accounts


def test_google_secret_manager_is_read_with_service_account_key(tmp_path: Path) -> None:
    """Google Secret Manager is read with a service account's key."""
    with harness_with_real_clock(GcpHarness()) as harness:
        harness.put("shop", "hidden")
        key = {
            "client_email": "us@our-project.iam",
            "private_key": PEM,
            "private_key_id": "key-1",
            "token_uri": f"{harness.url}/token",
        }
        (tmp_path / "key.json").write_text(json.dumps(key))
        table = {"kind": "gcp", "project": "our-project", "key_file": str(tmp_path / "key.json")}
        assert Secret("hidden") == secret_of_provider("shop", **table, endpoint=harness.url)
    metadata = {"kind": "gcp", "project": "our-project"}
    assert () == read_configuration({"secrets": {"ours": metadata}}).accounts


def test_azure_key_vault_is_read_with_client_secret() -> None:
    """Azure Key Vault is read with a client secret, or by default with the machine's identity."""
    with harness_with_real_clock(AzureHarness()) as harness:
        table = {"kind": "azure", "address": harness.url}
        fields = {"client_id": "our-app", "client_secret": SECRET, "directory": "ours"}
        with pytest.raises(ConfigurationError, match="cannot be read"):
            secret_of_provider("shop", **table, **fields, timeout=0.001)
    machine = {"kind": "azure", "address": "https://ours.vault.azure.net"}
    assert () == read_configuration({"secrets": {"ours": machine}}).accounts


def test_secrets_are_read_from_application_passwords_in_system_keyring() -> None:
    """Secrets are read from an application's passwords in the system keyring."""
    previous_keyring, ring = keyring.get_keyring(), MemoryKeyring()
    ring.passwords["ours", "shop"] = "hidden"
    keyring.set_keyring(ring)
    try:
        assert Secret("hidden") == secret_of_provider("shop", kind="keyring", application="ours")
        with pytest.raises(ConfigurationError, match="correct its name"):
            secret_of_provider("other", kind="keyring", application="ours")
    finally:
        keyring.set_keyring(previous_keyring)


def test_missing_keyring_library_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the keyring library is missing, the error names the pip extra to install."""
    uninstall(monkeypatch, "keyring", "moorage.adapters.credentials.keyring")

    with pytest.raises(ConfigurationError, match=r"pip install '\.\[keyring\]'"):
        read_configuration({"secrets": {"ours": {"kind": "keyring"}}})


def test_reference_can_name_encrypted_credentials_of_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference can name the encrypted credentials of a service, or of a tenant's service."""
    keys = generate_keys()
    monkeypatch.setenv("OURS_KEYS", keys.text().reveal())
    store = SqliteCredentialProvider(tmp_path / "sealed.db", AesGcmCipher(keys))
    store.rotate("shop", None, Credentials.bearer("hidden"))
    store.rotate("shop", "acme", OAuthCredentials(access_token="token"))
    table = {
        "kind": "sqlite",
        "path": str(tmp_path / "sealed.db"),
        "keys": "secret://env/OURS_KEYS",
    }

    assert Secret("hidden") == secret_of_provider("shop", **table)
    assert Secret("token") == secret_of_provider("acme/shop", **table)
    with pytest.raises(ConfigurationError, match="correct its name"):
        secret_of_provider("other", **table)


def test_other_names_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider can add a prefix to names of environment variables, or read a folder's files."""
    monkeypatch.setenv("SHOP_KEY", "hidden")
    (tmp_path / "key").write_text("hidden too")

    assert Secret("hidden") == secret_of_provider("KEY", kind="env", prefix="SHOP_")
    assert Secret("hidden too") == secret_of_provider("key", kind="file", folder=str(tmp_path))
    with pytest.raises(ConfigurationError, match="correct its name"):
        secret_of_provider("OTHER", kind="env", prefix="SHOP_")
