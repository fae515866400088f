"""Google Secret Manager: signed assertions, checksums, and errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from moorage.adapters.secret_managers.gcp_secret_manager import (
    GcpMetadata,
    GcpSecretManager,
    GcpServiceAccount,
)
from moorage.domain.auth.methods import Credentials
from moorage.errors import AuthenticationFailed, ConfigurationError, InvalidData, StorageUnavailable
from moorage.testing import Behaviour
from tests.adapters.managed_providers import BOTH_MODES, ProviderInMode
from tests.adapters.manager_harnesses import PEM, SECRET, GcpHarness

if TYPE_CHECKING:
    from pathlib import Path

OLD = Credentials.bearer("old")
NAME = "moorage-shop"


class Gcp(ProviderInMode):
    """A fake Google Cloud project that contains one secret."""

    harness: GcpHarness

    def __init__(self, *, is_async: bool) -> None:
        super().__init__(GcpHarness(), is_async=is_async)
        self.harness.put(NAME, "old")


@BOTH_MODES
def test_token_of_a_machine_comes_from_the_metadata_server(is_async: bool) -> None:
    """GcpMetadata gets its token from the metadata server, or raises AuthenticationFailed."""
    with Gcp(is_async=is_async) as gcp:
        identity = GcpMetadata(gcp.harness.url)
        assert OLD == gcp.get(gcp.provider(gcp.harness.manager(identity=identity)))
        gcp.harness.server.always(Behaviour(403))
        with pytest.raises(AuthenticationFailed, match="the machine's metadata refused"):
            gcp.get(gcp.provider(gcp.harness.manager(identity=identity)))


@BOTH_MODES
def test_login_refused_for_a_wrong_clock_advises_to_check_the_clock(is_async: bool) -> None:
    """If Google rejects a login because of a wrong clock, the error advises to check the clock."""
    with Gcp(is_async=is_async) as gcp:
        gcp.harness.now = lambda: gcp.clock.utc().replace(year=2020)
        with pytest.raises(
            AuthenticationFailed, match=r"invalid_grant.*and check the clock"
        ) as excinfo:
            gcp.get(gcp.provider())
        assert "invalid_grant" == excinfo.value.vendor_code


def test_service_account_is_read_from_its_key_file(tmp_path: Path) -> None:
    """A service account is read from Google's key file.

    The error for a wrong file does not quote the file.
    """
    path = tmp_path / "account.json"
    fields = {"type": "service_account", "client_email": "us@x", "private_key": PEM}
    path.write_text(json.dumps({**fields, "private_key_id": "1", "token_uri": "https://t.example"}))
    assert GcpServiceAccount("us@x", PEM, "1", "https://t.example") == (
        GcpServiceAccount.from_file(path)
    )
    path.write_text(json.dumps(fields))
    assert "https://oauth2.googleapis.com/token" == GcpServiceAccount.from_file(path).token_uri
    for broken_file in ("", "[]", "{}", SECRET, json.dumps({**fields, "private_key": SECRET})):
        path.write_text(broken_file)
        with pytest.raises(
            ConfigurationError, match=r"account\.json cannot be read, or"
        ) as excinfo:
            GcpServiceAccount.from_file(path)
        assert SECRET not in str(excinfo.value)
    with pytest.raises(ConfigurationError):
        GcpServiceAccount.from_file(tmp_path / "gone.json")


def test_service_account_with_an_unusable_key_is_refused() -> None:
    """A service account with an unusable private key or token URL is refused at construction."""
    with pytest.raises(InvalidData):
        GcpServiceAccount("us@x", SECRET)
    with pytest.raises(InvalidData):
        GcpServiceAccount("us@x", PEM, token_uri="t.example")


@BOTH_MODES
def test_damaged_secret_is_refused(is_async: bool) -> None:
    """A secret with a wrong checksum is refused; one without a checksum is used."""
    with Gcp(is_async=is_async) as gcp:
        gcp.harness.checksum = "1"
        with pytest.raises(StorageUnavailable, match="incorrect checksum"):
            gcp.get(gcp.provider())
        gcp.harness.checksum = None
        assert OLD == gcp.get(gcp.provider())
        provider = gcp.provider()
        gcp.ask(provider.has, "shop", None)
        for broken_data in ("a", 5):
            gcp.harness.server.queue(Behaviour.of_json({"payload": {"data": broken_data}}))
            with pytest.raises(StorageUnavailable, match="an unexpected response"):
                gcp.get(provider)


@BOTH_MODES
def test_disabled_newest_version_of_secret_raises_configuration_error(is_async: bool) -> None:
    """A disabled newest version of a secret raises ConfigurationError."""
    with Gcp(is_async=is_async) as gcp:
        gcp.harness.disabled.add(NAME)
        with pytest.raises(ConfigurationError, match="disabled or destroyed"):
            gcp.get(gcp.provider())


@BOTH_MODES
def test_concurrent_creation_of_a_secret(is_async: bool) -> None:
    """If two processes create a secret at the same time, both can write the secret."""
    with Gcp(is_async=is_async) as gcp:
        provider = gcp.provider()
        gcp.ask(provider.has, "shop", None)
        top = "/v1/projects/our-project/secrets"
        gcp.harness.server.queue(Behaviour(404), path=f"{top}/{NAME}:addVersion")
        gcp.harness.server.queue(Behaviour(409), path=top)
        gcp.ask(provider.rotate, "shop", None, Credentials.bearer("new"))
        assert Credentials.bearer("new") == gcp.get(provider)


@BOTH_MODES
def test_missing_permission_to_create_is_named(is_async: bool) -> None:
    """If the login may not create secrets, the error contains the missing permission."""
    with Gcp(is_async=is_async) as gcp:
        provider = gcp.provider()
        gcp.ask(provider.has, "shop", None)
        denied_response = Behaviour(403)  # also with a new token
        gcp.harness.server.queue(
            denied_response, denied_response, path="/v1/projects/our-project/secrets"
        )
        with pytest.raises(
            AuthenticationFailed, match=r"permission secretmanager\.secrets\.create"
        ):
            gcp.ask(provider.rotate, "shop", "acme", OLD)


def test_default_address_and_service_account() -> None:
    """By default Google's endpoint is used, with the machine's service account as the identity."""
    manager = GcpSecretManager("our-project")

    assert "https://secretmanager.googleapis.com" == manager.endpoint
    assert GcpMetadata("http://metadata.google.internal") == manager.identity
