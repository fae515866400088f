"""Checks that every credential provider must pass.

```python
import pytest

from moorage.adapters.credentials.memory import MemoryCredentialProvider  # yours
from moorage.testing import credentials_conformance, name_of


@pytest.mark.parametrize("check", credentials_conformance.CHECKS, ids=name_of)
def test_credentials(check):
    check(lambda renew: MemoryCredentialProvider(renew=renew))
```

`CHECKS` are for `CredentialProvider`. `ASYNC_CHECKS` are for `AsyncCredentialProvider`, and
awaited. Each takes a function that makes an empty provider, which renews a stale credential by
calling (or awaiting) the given function with the service, the tenant and the stale credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias, cast

from moorage.domain.auth.methods import Credentials
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    CredentialNotFound,
    CredentialRefreshFailed,
)
from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
from moorage.testing.kits.checks import AsyncView, Flag, require, sync_check, wait_soon

Renew: TypeAlias = Callable[[str, str | None, Any], Credentials]
AsyncRenew: TypeAlias = Callable[[str, str | None, Any], Awaitable[Credentials]]
Factory: TypeAlias = Callable[[Renew], CredentialProvider]
AsyncFactory: TypeAlias = Callable[[AsyncRenew], AsyncCredentialProvider]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]

_HANGS: Final = "A refresh does not return."
OLD: Final = Credentials.bearer("old")
NEW: Final = Credentials.bearer("new")
OTHER: Final = Credentials.bearer("other")
_SECRET: Final = "token-of-the-conformance-kit"  # noqa: S105 - opens nothing
_SIMILAR_NAMES: Final = ("acme", "ACME", "acme ", "acm\u00e9", "acm_", "acm%")


def _view(factory: Factory, renew: AsyncRenew) -> AsyncCredentialProvider:
    """Make a synchronous provider, and return an asynchronous view that runs calls in threads."""

    async def renewed_credentials(
        service: str, tenant: str | None, stale: Credentials
    ) -> Credentials:
        return await renew(service, tenant, stale)

    def run(service: str, tenant: str | None, stale: Credentials) -> Credentials:
        return asyncio.run(renewed_credentials(service, tenant, stale))

    return cast("AsyncCredentialProvider", AsyncView(factory(run), threads=True))


class Renewals:
    """A fake renewal of credentials `OLD` to `NEW`, which records owners, and can wait or fail."""

    def __init__(self, *, waits: bool = False, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self.begun, self.may_end = Flag(), Flag()
        self.error = error
        if not waits:
            self.may_end.set()

    async def __call__(self, service: str, tenant: str | None, stale: Credentials) -> Credentials:
        """Return the new credentials, after waiting or raising an error if configured."""
        self.calls.append((service, tenant))
        self.begun.set()
        if tenant != "unhindered":
            await self.may_end.wait()
        if self.error is not None:
            raise self.error
        require(stale == OLD, f"{stale!r} was renewed, although it was not stale.")
        return NEW


async def the_last_stored_credential_is_returned(factory: AsyncFactory) -> None:
    """A provider returns the credential that was stored last."""
    provider = factory(Renewals())
    for credentials in (OLD, NEW):
        await provider.rotate("stripe", None, credentials)
        require(await provider.has("stripe", None), "A credential that was set is not found.")
        result = await provider.get("stripe", None)
        require(
            result == credentials,
            "The provider returned another credential than the one that was set.",
        )


async def a_tenant_without_credentials_gets_none(factory: AsyncFactory) -> None:
    """A tenant without credentials gets none, and no renewal is attempted."""
    renewals = Renewals()
    provider = factory(renewals)
    require(
        not await provider.has("stripe", None),
        "The provider returned a credential that was never stored.",
    )
    for ask in (
        partial(provider.get, "stripe", None),
        partial(provider.refresh, "stripe", None, OLD),
    ):
        raised_error = await _raised_error(ask())
        is_missing = isinstance(raised_error, CredentialNotFound)
        require(is_missing, f"Reading a credential that was never stored raised {raised_error!r}.")
    require(renewals.calls == [], "A credential was renewed that was never stored.")


async def owners_have_separate_credentials(factory: AsyncFactory) -> None:
    """Credentials belong to a service and to one tenant; without a tenant, to the service alone."""
    owners = [(service, tenant) for service in ("a", "b") for tenant in (None, "a", "None", "")]
    for owner in owners:
        provider = factory(Renewals())
        await provider.rotate(*owner, OLD)
        for other_owner in owners:
            has_credentials = await provider.has(*other_owner)
            require(
                has_credentials == (other_owner == owner),
                f"{other_owner} has the credential of {owner}.",
            )
            if other_owner != owner:
                is_missing = isinstance(
                    await _raised_error(provider.get(*other_owner)), CredentialNotFound
                )
                require(is_missing, f"{other_owner} gets the credential of {owner}.")
                await provider.rotate(*other_owner, OTHER)
        await wait_soon(provider.refresh(*owner, OLD), _HANGS)
        for other_owner in owners:
            expected = NEW if other_owner == owner else OTHER
            require(
                await provider.get(*other_owner) == expected,
                f"Renewing {owner} renewed {other_owner}.",
            )


async def similar_owners_have_separate_credentials(factory: AsyncFactory) -> None:
    """Names of tenants are compared exactly, unless the provider refuses a name."""
    provider = factory(Renewals())
    stored_credentials: dict[str, Credentials] = {}
    for number, tenant in enumerate(_SIMILAR_NAMES):
        credentials = Credentials.bearer(f"secret-{number}")
        with suppress(ConfigurationError):
            is_known = await provider.has("stripe", tenant)
            require(not is_known, f"{tenant!r} has the credential of another.")
            await provider.rotate("stripe", tenant, credentials)
            stored_credentials[tenant] = credentials
    for tenant, credentials in stored_credentials.items():
        result = await provider.get("stripe", tenant)
        require(result == credentials, f"{tenant!r} gets the credential of another tenant.")


async def stale_credentials_are_renewed(factory: AsyncFactory) -> None:
    """Refreshing outdated credentials requests new credentials, stores them and returns them."""
    renewals = Renewals()
    provider = factory(renewals)
    await provider.rotate("stripe", "acme", OLD)
    renewed_credentials = await wait_soon(provider.refresh("stripe", "acme", OLD), _HANGS)
    require(renewed_credentials == NEW, "A refresh did not return the new credential.")
    require(
        renewals.calls == [("stripe", "acme")],
        f"Only one credential should be renewed: {renewals.calls}.",
    )
    require(await provider.get("stripe", "acme") == NEW, "A renewed credential was not kept.")


async def replaced_credentials_are_not_renewed(factory: AsyncFactory) -> None:
    """Renewing credentials that were already replaced returns the replacement."""
    renewals = Renewals()
    provider = factory(renewals)
    for credentials in (OLD, OTHER):
        await provider.rotate("stripe", None, credentials)
    renewed_credentials = await wait_soon(provider.refresh("stripe", None, OLD), _HANGS)
    require(
        renewed_credentials == OTHER, "A refresh did not return the newer credential that is there."
    )
    require(renewals.calls == [], "A credential was renewed that had been replaced already.")


async def concurrent_callers_share_one_renewal(factory: AsyncFactory) -> None:
    """If many callers renew credentials concurrently, one caller does so for all."""
    renewals = Renewals(waits=True)
    provider = factory(renewals)
    await provider.rotate("stripe", None, OLD)
    callers = [asyncio.ensure_future(provider.refresh("stripe", None, OLD)) for _ in range(8)]
    require(await renewals.begun.wait(), _HANGS)
    renewals.may_end.set()
    renewed_credentials = await wait_soon(asyncio.gather(*callers), _HANGS)
    require(
        renewed_credentials == [NEW] * 8, "Some waiting callers did not get the new credential."
    )
    require(len(renewals.calls) == 1, f"One credential was renewed {len(renewals.calls)} times.")


async def owners_do_not_wait_for_each_other(factory: AsyncFactory) -> None:
    """Two tenants' credentials can be renewed at the same time."""
    renewals = Renewals(waits=True)
    provider = factory(renewals)
    for tenant in ("acme", "unhindered"):
        await provider.rotate("stripe", tenant, OLD)
    slow_task = asyncio.ensure_future(provider.refresh("stripe", "acme", OLD))
    require(await renewals.begun.wait(), _HANGS)
    fast_credentials = await wait_soon(provider.refresh("stripe", "unhindered", OLD), _HANGS)
    is_waited = slow_task.done()
    renewals.may_end.set()
    renewed_credentials = (await wait_soon(slow_task, _HANGS), fast_credentials)
    require(renewed_credentials == (NEW, NEW), "A refresh did not return the new credential.")
    require(not is_waited, "A tenant had to wait for the renewal of another tenant's credential.")


async def a_failed_renewal_keeps_the_old_credential(factory: AsyncFactory) -> None:
    """A failed renewal raises CredentialRefreshFailed and keeps the old credential."""
    for error in (ValueError("No."), CredentialRefreshFailed("No."), ConnectionFailed("No.")):
        renewals = Renewals(error=error)
        provider = factory(renewals)
        await provider.rotate("stripe", None, OLD)
        raised_error = await _raised_error(provider.refresh("stripe", None, OLD))
        is_failed = isinstance(raised_error, CredentialRefreshFailed)
        require(is_failed, f"A renewal failed with {error!r}, and {raised_error!r} was raised.")
        require(await provider.get("stripe", None) == OLD, "A failed renewal lost a credential.")
        renewals.error = None
        renewed_credentials = await wait_soon(provider.refresh("stripe", None, OLD), _HANGS)
        require(
            renewed_credentials == NEW, "After a failed renewal, the next renewal did not succeed."
        )


async def waiting_callers_get_the_error_of_a_renewal(factory: AsyncFactory) -> None:
    """If a renewal fails, every waiting caller gets its error."""
    renewals = Renewals(waits=True, error=ValueError("no"))
    provider = factory(renewals)
    await provider.rotate("stripe", None, OLD)
    callers = [_raised_error(provider.refresh("stripe", None, OLD)) for _ in range(4)]
    tasks = [asyncio.ensure_future(caller) for caller in callers]
    require(await renewals.begun.wait(), _HANGS)
    renewals.may_end.set()
    raised_errors = await wait_soon(asyncio.gather(*tasks), _HANGS)
    all_failed = all(isinstance(error, CredentialRefreshFailed) for error in raised_errors)
    require(all_failed, f"Callers that waited for a failed renewal got {raised_errors!r}.")
    require(
        len({*map(id, raised_errors)}) == 4,
        "Callers that waited for one renewal raise the same exception object.",
    )


async def a_cancelled_renewal_is_taken_over(factory: AsyncFactory) -> None:
    """If the renewing task is cancelled, a waiting caller renews instead."""
    renewals = Renewals(waits=True)
    provider = factory(renewals)
    await provider.rotate("stripe", None, OLD)
    first_refresh = asyncio.ensure_future(provider.refresh("stripe", None, OLD))
    require(await renewals.begun.wait(), _HANGS)
    other_tasks = [asyncio.ensure_future(provider.refresh("stripe", None, OLD)) for _ in range(3)]
    await asyncio.sleep(0)
    first_refresh.cancel()
    await asyncio.wait([first_refresh])
    renewals.may_end.set()
    renewed_credentials = await wait_soon(asyncio.gather(*other_tasks), _HANGS)
    require(first_refresh.cancelled(), "A cancellation was swallowed.")
    require(renewed_credentials == [NEW] * 3, "Waiting callers did not get a new credential.")


async def nothing_shows_a_secret(factory: AsyncFactory) -> None:
    """No repr of a provider, of its results or of its errors shows a secret."""
    provider, credentials = factory(Renewals(error=ValueError("No."))), Credentials.bearer(_SECRET)
    for tenant in (None, "acme"):
        await provider.rotate("stripe", tenant, credentials)
    for value in (
        await provider.get("stripe", None),
        await _raised_error(provider.get("paypal", None)),
        await _raised_error(provider.refresh("stripe", None, credentials)),
        provider,
    ):
        text = f"{value!r} {value} {getattr(value, '__dict__', '')}"
        kind = "provider" if value is provider else type(value).__name__
        require(_SECRET not in text, f"The {kind} shows a secret.")


async def _raised_error(awaitable: Awaitable[object]) -> BaseException | None:
    get_task = asyncio.ensure_future(awaitable)
    await wait_soon(asyncio.wait([get_task]), _HANGS)
    return get_task.exception()


_SHARED_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    the_last_stored_credential_is_returned,
    a_tenant_without_credentials_gets_none,
    owners_have_separate_credentials,
    similar_owners_have_separate_credentials,
    stale_credentials_are_renewed,
    replaced_credentials_are_not_renewed,
    concurrent_callers_share_one_renewal,
    owners_do_not_wait_for_each_other,
    a_failed_renewal_keeps_the_old_credential,
    waiting_callers_get_the_error_of_a_renewal,
    nothing_shows_a_secret,
)

CHECKS: Final[tuple[Check, ...]] = tuple(sync_check(check, _view) for check in _SHARED_CHECKS)

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (*_SHARED_CHECKS, a_cancelled_renewal_is_taken_over)
