"""HashiCorp Vault: logins, token lifetimes, and the meaning of responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.secret_managers.hashicorp_vault import (
    HashiCorpVault,
    VaultAppRole,
    VaultKubernetes,
    VaultToken,
    VaultTokenFile,
)
from moorage.domain.auth.methods import Credentials
from moorage.errors import AuthenticationFailed, ConfigurationError, InvalidData, StorageUnavailable
from moorage.testing import Behaviour
from tests.adapters.managed_providers import BOTH_MODES, ProviderInMode
from tests.adapters.manager_harnesses import SECRET, VaultHarness

if TYPE_CHECKING:
    from pathlib import Path

OLD = Credentials.bearer("old")
NAME = "moorage/services/shop"


class Vault(ProviderInMode):
    """A fake Vault that contains one secret."""

    harness: VaultHarness

    def __init__(self, *, is_async: bool) -> None:
        super().__init__(VaultHarness(), is_async=is_async)
        self.harness.put(NAME, "old")

    def logged_in_by(self, login: Any, **options: Any) -> Any:
        """Return a provider that logs in to Vault with this identity."""
        return self.provider(HashiCorpVault(self.harness.url, login, **options))


@BOTH_MODES
def test_kubernetes_login_reads_the_token_file_each_time(is_async: bool, tmp_path: Path) -> None:
    """The Kubernetes login reads the pod's service account token from its file at every login."""
    token = tmp_path / "token"
    token.write_text("a.service.account\n")
    with Vault(is_async=is_async) as vault:
        login = VaultKubernetes("our-pod", mount="/clusters/ours/", token_file=str(token))
        provider = vault.logged_in_by(login)
        assert OLD == vault.get(provider)
        token.write_text("another.account")
        vault.harness.revoke()
        with pytest.raises(AuthenticationFailed, match="auth/clusters/ours"):
            vault.get(provider)


@BOTH_MODES
@pytest.mark.parametrize("content", [None, "", "x" * 65_537, b"\xff"])
def test_error_for_an_invalid_token_file_shows_only_its_name(
    content: str | bytes | None,
    is_async: bool,
    tmp_path: Path,
) -> None:
    """The error for a missing, empty or invalid token file shows its name, not its content."""
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content if isinstance(content, bytes) else content.encode())
    with Vault(is_async=is_async) as vault:
        provider = vault.logged_in_by(VaultTokenFile(str(token)))
        kind = InvalidData if isinstance(content, bytes) else ConfigurationError
        with pytest.raises(kind) as excinfo:
            vault.get(provider)
        assert "xxx" not in str(excinfo.value)
        if kind is ConfigurationError:
            assert str(token) in str(excinfo.value)


@BOTH_MODES
def test_app_role_login_may_work_without_a_secret_id(is_async: bool) -> None:
    """An AppRole login works without a secret id if the role does not require one."""
    with Vault(is_async=is_async) as vault:
        assert OLD == vault.get(vault.logged_in_by(VaultAppRole("open-role")))


@BOTH_MODES
def test_wrong_role_raises_authentication_failed(is_async: bool) -> None:
    """A wrong role or secret id raises AuthenticationFailed with a remedy."""
    with Vault(is_async=is_async) as vault:
        provider = vault.logged_in_by(VaultAppRole("our-role", "s3cr3t-of-theirs"))
        with pytest.raises(AuthenticationFailed, match=r"Check the role.*auth/approle") as excinfo:
            vault.get(provider)
        assert 400 == excinfo.value.status
        assert "s3cr3t" not in str(excinfo.value)
        with pytest.raises(AuthenticationFailed):
            vault.get(vault.logged_in_by(VaultAppRole("our-role", SECRET, mount="elsewhere")))


@BOTH_MODES
def test_given_token_is_renewed(is_async: bool) -> None:
    """The lifetime of a configured Vault token is looked up once; the token is renewed in time."""
    with Vault(is_async=is_async) as vault:
        provider = vault.logged_in_by(VaultToken(vault.harness.issue("given")))
        for _ in range(3):
            for _ in range(2):
                assert OLD == vault.get(provider)
            vault.clock.advance(2500)
        assert 2 == vault.harness.asked["renew"]
        vault.clock.advance(3600)
        with pytest.raises(AuthenticationFailed):
            vault.get(provider)


@BOTH_MODES
def test_token_that_never_expires_is_not_renewed(is_async: bool) -> None:
    """A Vault token that never expires, or may not look up its own lifetime, is not renewed."""
    for is_looked in (True, False):
        with Vault(is_async=is_async) as vault:
            vault.harness.tokens.add("root")
            vault.harness.looked = is_looked
            provider = vault.logged_in_by(VaultToken("root"))
            assert OLD == vault.get(provider)
            vault.clock.advance(10**7)
            assert OLD == vault.get(provider)
            assert 0 == vault.harness.asked["renew"]


@BOTH_MODES
def test_token_file_of_an_agent(is_async: bool, tmp_path: Path) -> None:
    """If Vault rejects a token whose file its agent has replaced, the file is read again."""
    token = tmp_path / "token"
    with Vault(is_async=is_async) as vault:
        token.write_text(vault.harness.issue("first"))
        provider = vault.logged_in_by(VaultTokenFile(str(token)))
        assert OLD == vault.get(provider)
        vault.harness.revoke()
        token.write_text(vault.harness.issue("second") + "\n")
        assert OLD == vault.get(provider)


@BOTH_MODES
def test_token_that_vault_no_longer_extends_is_replaced(is_async: bool) -> None:
    """When Vault no longer extends a token, a new login gets another token."""
    for renewable, longest in ((False, 10**9), (True, 3600)):
        with Vault(is_async=is_async) as vault:
            vault.harness.renewable, vault.harness.longest = renewable, longest
            provider = vault.provider()
            assert OLD == vault.get(provider)
            vault.clock.advance(2500)
            assert OLD == vault.get(provider)
            assert (1, 2) == (vault.harness.asked["renew"], vault.harness.asked["login"])
            vault.clock.advance(2000)
            assert OLD == vault.get(provider)
            assert (1, 2) == (vault.harness.asked["renew"], vault.harness.asked["login"])


@BOTH_MODES
def test_login_and_secrets_use_configured_vault_namespace(is_async: bool) -> None:
    """Login and secrets use the configured Vault namespace, and errors name it."""
    with Vault(is_async=is_async) as vault:
        vault.harness.namespace = "ours/shop"
        assert OLD == vault.get(
            vault.logged_in_by(VaultAppRole("our-role", SECRET), namespace="ours/shop")
        )
        with pytest.raises(ConfigurationError):
            vault.get(vault.provider())
        vault.harness.put(NAME, '{"password": "x"}')
        with pytest.raises(InvalidData, match="namespace 'ours/shop'"):
            vault.get(vault.logged_in_by(VaultAppRole("our-role", SECRET), namespace="ours/shop"))


@BOTH_MODES
def test_secrets_engine_may_be_mounted_at_any_path(is_async: bool) -> None:
    """The secrets engine may be mounted at any path.

    A wrong mount path raises an error that explains this.
    """
    login = VaultAppRole("our-role", SECRET)
    with Vault(is_async=is_async) as vault:
        vault.harness.mount = "teams/our%20shop"
        vault.harness.put("erp/services/shop", "old")
        assert OLD == vault.get(vault.logged_in_by(login, mount="/teams/our shop/", prefix="erp/"))
        with pytest.raises(ConfigurationError, match=r"status 404.*the names in the settings"):
            vault.get(vault.logged_in_by(login, mount="nowhere"))


@BOTH_MODES
def test_secret_whose_newest_version_was_deleted_is_reported_as_missing(is_async: bool) -> None:
    """A secret whose newest version was deleted is reported as missing."""
    with Vault(is_async=is_async) as vault:
        vault.harness.secrets[NAME] = None
        assert not vault.ask(vault.provider().has, "shop", None)


@BOTH_MODES
@pytest.mark.parametrize("status", [412, 472, 473, 503])
def test_unavailable_vault_node_raises_storage_unavailable(status: int, is_async: bool) -> None:
    """A sealed, standby or lagging Vault node raises StorageUnavailable, also at login."""
    with Vault(is_async=is_async) as vault:
        provider = vault.provider()
        assert OLD == vault.get(provider)
        vault.harness.server.always(Behaviour.of_json({"errors": [SECRET]}, status=status))
        for item in (provider, vault.provider(), vault.logged_in_by(VaultToken("given"))):
            with pytest.raises(StorageUnavailable, match=f"status {status}") as excinfo:
                vault.get(item)
            assert SECRET not in str(excinfo.value)


def test_address_without_a_scheme_is_refused() -> None:
    """A Vault address without a URL scheme is refused."""
    with pytest.raises(InvalidData):
        HashiCorpVault("vault:8200", VaultToken("x"))


def test_repr_of_vault_logins_shows_no_secret() -> None:
    """The `repr` of a Vault login shows neither tokens nor secret ids."""
    representation = repr((VaultToken(SECRET), VaultAppRole("our-role", SECRET)))

    assert SECRET not in representation
    assert "our-role" in representation
