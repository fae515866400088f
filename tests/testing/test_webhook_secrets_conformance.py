"""The conformance kit of webhook secret providers passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.webhook_secrets import AsyncStaticWebhookSecrets, StaticWebhookSecrets
from moorage.errors import CredentialNotFound
from moorage.testing import webhook_secrets_conformance as kit
from moorage.testing.kits.checks import name_of, waiting_at_most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.secrets.secret import Secret


class TableProvider:
    """A correct provider that looks up webhook secrets in a table at each call."""

    def __init__(self, stored: kit.StoredSecrets) -> None:
        self.kept = stored

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        """Return the current secrets of an endpoint and tenant."""
        results = self.kept.get((name, tenant))
        if results is None:
            raise CredentialNotFound("no secret is kept.", service=name)
        named_secrets = [
            result for result in results if f'"kid": "{key_id}"'.encode() in result.reveal_bytes()
        ]
        return results if key_id is None or named_secrets == [] else named_secrets


class AsyncTableProvider(TableProvider):
    """A correct asynchronous provider with a table of webhook secrets."""

    async def get(  # type: ignore[override]  # of the other mode
        self, name: str, tenant: str | None, key_id: str | None, /
    ) -> Sequence[Secret]:
        """Return the current secrets, after letting other tasks run."""
        await asyncio.sleep(0)
        return super().get(name, tenant, key_id)


def by_tenant(stored: kit.StoredSecrets) -> dict[str | None, Sequence[Secret]]:
    """Return the secrets of the only endpoint, with the tenant that each belongs to as the key."""
    return {tenant: secrets for (_, tenant), secrets in stored.items()}


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_static_secrets_conform(check: kit.Check) -> None:
    """A provider of fixed webhook secrets passes all checks."""
    check(lambda stored: StaticWebhookSecrets(by_tenant(stored)))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_secrets_that_stay_conform_async(check: kit.AsyncCheck) -> None:
    """An asynchronous provider of fixed webhook secrets passes all checks."""
    asyncio.run(check(lambda stored: AsyncStaticWebhookSecrets(by_tenant(stored))))


@pytest.mark.parametrize(
    "check", [*kit.CHECKS, *kit.CHANGING_CHECKS, *kit.NAMED_CHECKS], ids=name_of
)
def test_provider_with_several_endpoints_conforms(check: kit.Check) -> None:
    """A provider with several endpoints and changing secrets passes all checks."""
    check(TableProvider)


@pytest.mark.parametrize(
    "check", [*kit.ASYNC_CHECKS, *kit.ASYNC_CHANGING_CHECKS, *kit.ASYNC_NAMED_CHECKS], ids=name_of
)
def test_provider_with_several_endpoints_conforms_async(check: kit.AsyncCheck) -> None:
    """An asynchronous provider with several endpoints passes all checks."""
    asyncio.run(check(AsyncTableProvider))


class _OnlyNewestSecretProvider(TableProvider):
    """A faulty provider that returns only the newest secret."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return super().get(name, tenant, key_id)[:1]


class _OldestSecretFirstProvider(TableProvider):
    """A faulty provider that returns the oldest secret first."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return super().get(name, tenant, key_id)[::-1]


class _TextTableProvider(TableProvider):
    """A faulty provider that returns secrets as plain strings."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Any:
        return [item.reveal_bytes() for item in super().get(name, tenant, key_id)]


class _SharedWithTenantsProvider(TableProvider):
    """A faulty provider that gives all tenants the secrets that belong to no tenant."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        try:
            return super().get(name, tenant, key_id)
        except CredentialNotFound:
            return super().get(name, None, key_id)


class _ConfusesTenantsProvider(TableProvider):
    """A faulty provider that confuses tenants with similar names."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        existing_secrets = {
            str(owner).strip().lower(): result for (_, owner), result in self.kept.items()
        }
        try:
            return existing_secrets[str(tenant).strip().lower()]
        except KeyError:
            raise CredentialNotFound("no secret is kept.") from None


class _LastStoredSecretsProvider(TableProvider):
    """A faulty provider that returns the last stored secrets, whatever the tenant."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        super().get(name, tenant, key_id)
        return [*self.kept.values()][-1]


class _EverythingProvider(TableProvider):
    """A faulty provider that returns the secrets of all tenants together."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return [item for several_secrets in self.kept.values() for item in several_secrets]


class _NothingInsteadOfErrorProvider(TableProvider):
    """A faulty provider that returns nothing instead of raising an error for a missing secret."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return self.kept.get((name, tenant), ())


class _RaisesKeyErrorProvider(TableProvider):
    """A faulty provider that raises the KeyError of its table unchanged."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return self.kept[name, tenant]


class _ShowsSecretsProvider(TableProvider):
    """A faulty provider that shows its secrets in its repr and errors."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        try:
            return super().get(name, tenant, key_id)
        except CredentialNotFound:
            revealed_secrets = [
                item.reveal() for several_secrets in self.kept.values() for item in several_secrets
            ]
            raise CredentialNotFound(f"There are only {revealed_secrets}.") from None

    def __repr__(self) -> str:
        return f"Table({[item.reveal() for group in self.kept.values() for item in group]})"


class _RefusesKeyIdsProvider(TableProvider):
    """A faulty provider that raises an error if any key id is given."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        if key_id is not None:
            raise CredentialNotFound("no such key is kept.")
        return super().get(name, tenant, key_id)


class _IgnoresTenantOfKeyIdProvider(TableProvider):
    """A faulty provider that returns the secrets of all tenants for a key id."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        result = super().get(name, tenant, key_id)
        all_secrets = [item for several_secrets in self.kept.values() for item in several_secrets]
        return result if key_id is None else all_secrets


class _KeylessProvider(TableProvider):
    """A faulty provider that returns nothing if a key id is given."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        result = super().get(name, tenant, key_id)
        return result if key_id is None else ()


class _MixesUpCallsProvider(TableProvider):
    """A faulty provider that mixes up the arguments of concurrent calls."""

    _asked: tuple[str, str | None] = ("", None)
    _all_asked = threading.Barrier(8)

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        self._asked = (name, tenant)
        self._all_asked.wait(10)
        return self.kept[self._asked]


class _NeverUpdatedProvider(TableProvider):
    """A faulty provider that does not see later changes of its table."""

    def __init__(self, stored: kit.StoredSecrets) -> None:
        super().__init__({**stored})


class _KeepsRemovedSecretsProvider(TableProvider):
    """A faulty provider that still returns secrets which have been removed."""

    def __init__(self, stored: kit.StoredSecrets) -> None:
        super().__init__(stored)
        self._seen: list[Secret] = []

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        result = super().get(name, tenant, key_id)
        self._seen = [*result, *(event for event in self._seen if event not in result)]
        return self._seen


class _IgnoresEndpointProvider(TableProvider):
    """A faulty provider that ignores the endpoint's name."""

    def get(self, name: str, tenant: str | None, key_id: str | None, /) -> Sequence[Secret]:
        return by_tenant(self.kept)[tenant]


class _HangingTableProvider(AsyncTableProvider):
    """A faulty provider that never answers."""

    async def get(  # type: ignore[override]  # of the other mode
        self, name: str, tenant: str | None, key_id: str | None, /
    ) -> Sequence[Secret]:
        await asyncio.Event().wait()
        return ()


WRONG = [
    ("all_valid_secrets_are_returned", _OnlyNewestSecretProvider, "Secrets are missing"),
    ("all_valid_secrets_are_returned", _OldestSecretFirstProvider, "not the first"),
    ("all_valid_secrets_are_returned", _TextTableProvider, "not a Secret"),
    ("tenants_are_separate", _SharedWithTenantsProvider, "without secrets gave 1"),
    ("tenants_are_separate", _ConfusesTenantsProvider, "without secrets gave 1"),
    ("tenants_are_separate", _LastStoredSecretsProvider, "belongs to another"),
    (
        "a_tenant_without_secrets_is_refused",
        _NothingInsteadOfErrorProvider,
        "without secrets gave 0",
    ),
    (
        "a_tenant_without_secrets_is_refused",
        _RaisesKeyErrorProvider,
        "without secrets raised KeyError",
    ),
    ("a_tenant_without_secrets_is_refused", _ShowsSecretsProvider, "A refusal shows a secret"),
    ("an_unknown_key_is_no_error", _RefusesKeyIdsProvider, "raised CredentialNotFound"),
    ("an_unknown_key_is_no_error", _IgnoresTenantOfKeyIdProvider, "belongs to another"),
    ("a_requested_key_is_returned", _KeylessProvider, "k1 was not returned"),
    ("nothing_shows_a_secret", _TextTableProvider, "is shown"),
    (
        "concurrent_callers_get_their_own_secrets",
        _MixesUpCallsProvider,
        "Some of many concurrent callers got the secret of another tenant",
    ),
    (
        "a_verifier_can_use_them",
        _LastStoredSecretsProvider,
        "A verifier refused a webhook that the tenant's secret signed",
    ),
    (
        "a_verifier_can_use_them",
        _EverythingProvider,
        "A verifier accepted a webhook of one tenant that another tenant's secret signed",
    ),
    ("nothing_shows_a_secret", _ShowsSecretsProvider, "A secret is shown"),
    ("a_change_is_seen", _NeverUpdatedProvider, "replaced"),
    ("a_change_is_seen", _KeepsRemovedSecretsProvider, "replaced"),
    ("endpoints_are_separate", _IgnoresEndpointProvider, "of another endpoint"),
]
CHECKS_BY_NAME = {
    name_of(check): check for check in (*kit.CHECKS, *kit.CHANGING_CHECKS, *kit.NAMED_CHECKS)
}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_provider(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A webhook secret provider with one fault fails the check that looks for this fault."""
    with waiting_at_most(2.0), pytest.raises(AssertionError, match=sentence):
        CHECKS_BY_NAME[check](wrong)


def test_check_fails_for_a_provider_that_never_returns() -> None:
    """A webhook secret provider that never returns fails the check."""
    with waiting_at_most(0.1), pytest.raises(AssertionError, match="does not return"):
        asyncio.run(kit.all_valid_secrets_are_returned(_HangingTableProvider))
