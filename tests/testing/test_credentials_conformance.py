"""The conformance kit of credential providers finds faulty ones."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from moorage.adapters.credentials.memory import AsyncMemoryCredentialProvider
from moorage.domain.auth.credential_codec import AnyCredentials
from moorage.domain.auth.methods import Credentials
from moorage.errors import CredentialNotFound, CredentialRefreshFailed
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import waiting_at_most


class _KeepsFirstCredentialProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that keeps its first credential and ignores later credentials."""

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        if not await self.has(service, tenant):
            await super().rotate(service, tenant, new)


class _ValueInsteadOfErrorProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that returns a value instead of reporting a missing credential."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        is_present = await self.has(service, tenant)
        return await super().get(service, tenant) if is_present else Credentials.none()


class _SharedWithTenantsProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that gives every tenant the credentials that belong to no tenant."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        try:
            return await super().get(service, tenant)
        except CredentialNotFound:
            return await super().get(service, None)


class _TenantlessProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that ignores the tenant."""

    async def has(self, service: str, tenant: str | None, /) -> bool:
        return await super().has(service, None)

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        await super().rotate(service, None, new)


class _IgnoresTenantCaseProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that ignores the case of letters in a tenant's name."""

    async def has(self, service: str, tenant: str | None, /) -> bool:
        return await super().has(service, tenant and tenant.lower())

    async def get(self, service: str, tenant: str | None, /) -> Any:
        return await super().get(service, tenant and tenant.lower())

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        await super().rotate(service, tenant and tenant.lower(), new)


class _NeverRenewsProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that never renews a credential."""

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        return await self.get(service, tenant)


class _RenewsForEachCallerProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that renews once for each concurrent caller."""

    def __init__(self, *, renew: kit.AsyncRenew) -> None:
        super().__init__()
        self._make = renew

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        renewed_credentials = await self._make(service, tenant, stale)
        await self.rotate(service, tenant, renewed_credentials)
        return renewed_credentials


class _ReusesErrorProvider(_RenewsForEachCallerProvider):
    """A faulty provider that renews once per caller, and reuses a single error object."""

    def __init__(self, *, renew: kit.AsyncRenew) -> None:
        super().__init__(renew=renew)
        self._one = asyncio.Lock()
        self._error = CredentialRefreshFailed("no")

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        async with self._one:
            try:
                return await super().refresh(service, tenant, stale)
            except ValueError:
                raise self._error from None


class _CancelsAllCallersProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that cancels all waiting callers if one is cancelled."""

    _task: asyncio.Task[Any] | None = None

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        if self._task is None:
            renewal = super().refresh(service, tenant, stale)
            self._task = asyncio.ensure_future(renewal)
        return await self._task


def _revealed(credentials: AnyCredentials) -> str:
    """Return the secret of bearer credentials."""
    secret = cast("Credentials", credentials).secret
    return "" if secret is None else secret.reveal()


class _ShowsCredentialProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that shows its last credential in its repr."""

    shown = ""

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        self.shown = _revealed(new)
        await super().rotate(service, tenant, new)

    def __repr__(self) -> str:
        return f"<Provider of {self.shown}>"


class _ErrorShowsCredentialProvider(AsyncMemoryCredentialProvider):
    """A faulty provider whose error for a failed renewal shows the old credential."""

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        try:
            return await super().refresh(service, tenant, stale)
        except CredentialRefreshFailed:
            raise CredentialRefreshFailed(f"{_revealed(stale)} cannot be renewed.") from None


class _IgnoresCancellationProvider(AsyncMemoryCredentialProvider):
    """A faulty provider that returns the old credential when it is cancelled."""

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        try:
            return await super().refresh(service, tenant, stale)
        except asyncio.CancelledError:
            return stale


@pytest.mark.parametrize(
    "check, wrong, sentence",
    [
        (
            kit.the_last_stored_credential_is_returned,
            _KeepsFirstCredentialProvider,
            "returned another credential",
        ),
        (
            kit.a_tenant_without_credentials_gets_none,
            _ValueInsteadOfErrorProvider,
            "never stored raised None",
        ),
        (
            kit.owners_have_separate_credentials,
            _SharedWithTenantsProvider,
            "gets the credential of",
        ),
        (kit.owners_have_separate_credentials, _TenantlessProvider, "has the credential of"),
        (
            kit.similar_owners_have_separate_credentials,
            _IgnoresTenantCaseProvider,
            "'ACME' has the credential of another",
        ),
        (
            kit.stale_credentials_are_renewed,
            _NeverRenewsProvider,
            "did not return the new credential",
        ),
        (kit.replaced_credentials_are_not_renewed, _RenewsForEachCallerProvider, "that is there"),
        (
            kit.concurrent_callers_share_one_renewal,
            _RenewsForEachCallerProvider,
            "was renewed 8 times",
        ),
        (
            kit.owners_do_not_wait_for_each_other,
            _ReusesErrorProvider,
            "A tenant had to wait for the renewal of another tenant's credential",
        ),
        (
            kit.a_failed_renewal_keeps_the_old_credential,
            _RenewsForEachCallerProvider,
            "failed with ValueError",
        ),
        (kit.waiting_callers_get_the_error_of_a_renewal, _RenewsForEachCallerProvider, "got "),
        (
            kit.waiting_callers_get_the_error_of_a_renewal,
            _ReusesErrorProvider,
            "raise the same exception object",
        ),
        (kit.nothing_shows_a_secret, _ShowsCredentialProvider, "The provider shows a secret"),
        (
            kit.nothing_shows_a_secret,
            _ErrorShowsCredentialProvider,
            "The CredentialRefreshFailed shows a secret",
        ),
        (kit.a_cancelled_renewal_is_taken_over, _IgnoresCancellationProvider, "swallowed"),
    ],
)
def test_check_fails_for_a_faulty_provider(
    check: kit.AsyncCheck,
    wrong: Callable[..., AsyncMemoryCredentialProvider],
    sentence: str,
) -> None:
    """A credential provider with one fault fails the check for that fault."""
    with waiting_at_most(0.3), pytest.raises(AssertionError, match=sentence):
        asyncio.run(check(lambda renew: wrong(renew=renew)))


def test_check_fails_for_a_provider_that_cancels_all_callers_together() -> None:
    """A provider that cancels all waiting callers if one is cancelled fails its check."""
    with waiting_at_most(0.3), pytest.raises(asyncio.CancelledError):
        asyncio.run(
            kit.a_cancelled_renewal_is_taken_over(
                lambda renew: _CancelsAllCallersProvider(renew=renew)
            )
        )
