"""Azure Key Vault: authentication challenges, tokens and errors."""

from __future__ import annotations

import pytest

from moorage.adapters.secret_managers.azure_key_vault import (
    AzureClient,
    AzureKeyVault,
    AzureManagedIdentity,
)
from moorage.domain.auth.methods import Credentials
from moorage.errors import AuthenticationFailed, ConfigurationError, StorageUnavailable
from moorage.testing import Behaviour
from tests.adapters.managed_providers import BOTH_MODES, ProviderInMode
from tests.adapters.manager_harnesses import SECRET, AzureHarness

OLD = Credentials.bearer("old")
NAME = "moorage-shop"


class Azure(ProviderInMode):
    """A fake Azure Key Vault that contains one secret."""

    harness: AzureHarness

    def __init__(self, *, is_async: bool) -> None:
        super().__init__(AzureHarness(), is_async=is_async)
        self.harness.put(NAME, "old")


@BOTH_MODES
def test_managed_identity_gets_its_token_from_the_metadata_service(is_async: bool) -> None:
    """A managed identity gets its token from the machine's metadata service."""
    with Azure(is_async=is_async) as azure:
        for client_id in (None, "u"):
            identity = AzureManagedIdentity(client_id, address=azure.harness.url)
            assert OLD == azure.get(azure.provider(azure.harness.manager(identity=identity)))
        identity = AzureManagedIdentity("other", address=azure.harness.url)
        with pytest.raises(ConfigurationError, match="metadata rejected"):
            azure.get(azure.provider(azure.harness.manager(identity=identity)))


@BOTH_MODES
def test_wrong_client_secret_and_unknown_directory_raise_different_errors(is_async: bool) -> None:
    """A wrong client secret and an unknown tenant directory raise different errors."""
    with Azure(is_async=is_async) as azure:
        wrong_client = AzureClient("our-app", "s3cr3t-of-theirs", authority=azure.harness.url)
        with pytest.raises(
            AuthenticationFailed, match=r"invalid_client.*has not expired"
        ) as excinfo:
            azure.get(azure.provider(azure.harness.manager(identity=wrong_client)))
        assert SECRET not in repr((str(excinfo.value), vars(excinfo.value)))
        stored_client = AzureClient(
            "our-app", SECRET, tenant="elsewhere", authority=azure.harness.url
        )
        with pytest.raises(AuthenticationFailed):
            azure.get(azure.provider(azure.harness.manager(identity=stored_client)))


@BOTH_MODES
@pytest.mark.parametrize(
    "resource",
    ["https://vault.azure.net", "http://127.0.0.2", "http://27.0.0.1", "", "127.0.0.1"],
)
def test_challenge_for_another_resource_gets_no_token(resource: str, is_async: bool) -> None:
    """If the vault's challenge names an unexpected resource, no token and no secret are sent."""
    with Azure(is_async=is_async) as azure:
        azure.harness.resource = resource
        with pytest.raises(ConfigurationError, match="for a different resource"):
            azure.get(azure.provider())
        assert 1 == len(azure.harness.server.requests)


@pytest.mark.parametrize("resource", ["https://vault.example", "https://ours.vault.example/"])
def test_resource_of_the_challenge_must_contain_the_vault_host(resource: str) -> None:
    """The challenge's resource must be the vault's host or a parent domain."""
    vault = AzureKeyVault("https://ours.vault.example")

    assert vault._is_ours(resource)  # noqa: SLF001 - a host that this machine does not have
    assert not AzureKeyVault("https://oursvault.example")._is_ours(resource)  # noqa: SLF001 - a host that this machine does not have


@BOTH_MODES
def test_vault_whose_challenge_has_no_directory_is_refused(is_async: bool) -> None:
    """A vault is refused if its challenge is missing or has no directory; both formats are read."""
    with Azure(is_async=is_async) as azure:
        azure.harness.directory = "https://login.windows.net/"
        with pytest.raises(ConfigurationError, match="for a different resource"):
            azure.get(azure.provider())
        azure.harness.server.queue(Behaviour(401))
        with pytest.raises(ConfigurationError, match="for a different resource"):
            azure.get(azure.provider())
        challenge = (
            'Bearer authorization_uri="https://login.example/our-directory",'
            f' resource="{azure.harness.resource}"'
        )
        azure.harness.server.queue(Behaviour(401, {"WWW-Authenticate": challenge}))
        assert OLD == azure.get(azure.provider())


@BOTH_MODES
def test_a_secret_goes_to_its_authority_only(is_async: bool) -> None:
    """The client secret goes only to the configured authority, even if the vault names another."""
    with Azure(is_async=is_async) as azure, AzureHarness() as other_harness:
        azure.harness.directory = f"{other_harness.url}/our-directory"
        assert OLD == azure.get(azure.provider())
        assert () == other_harness.server.requests


@BOTH_MODES
def test_reading_disabled_secret_is_refused(is_async: bool) -> None:
    """If a secret is disabled, reading it is refused, and the error has Azure's code."""
    with Azure(is_async=is_async) as azure:
        azure.harness.disabled.add(NAME)
        with pytest.raises(AuthenticationFailed, match="enable moorage-shop") as excinfo:
            azure.get(azure.provider())
        assert "SecretDisabled" == excinfo.value.vendor_code


@BOTH_MODES
def test_token_service_that_is_down_raises_storage_unavailable(is_async: bool) -> None:
    """If Microsoft's token service is down, StorageUnavailable is raised."""
    with Azure(is_async=is_async) as azure:
        azure.harness.server.queue(Behaviour(503), path="/our-directory/oauth2/v2.0/token")
        with pytest.raises(StorageUnavailable, match="Microsoft's token service"):
            azure.get(azure.provider())


def test_repr_of_azure_client_shows_no_secret() -> None:
    """The `repr` of AzureClient does not show the client secret."""
    assert SECRET not in repr(AzureClient("our-app", SECRET))
