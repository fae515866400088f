"""Renews expired credentials that are stored in a vault.

One caller at a time renews a credential: the first starts a renewal, and the others wait until it
ends. The renewal is registered atomically in a dictionary, so no lock is held while it runs.

If the store fails, the new credentials wait in memory, and the next renewal stores them first: the
old ones may contain a refresh token that has ended.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from copy import copy
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from moorage.adapters.concurrency.forking import in_child
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.values.text import with_article
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConnectorError, CredentialNotFound, CredentialRefreshFailed, InvalidData

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable

    from moorage.domain.auth.credential_codec import AnyCredentials

Owner: TypeAlias = "tuple[str, str | None]"
"""A service and a tenant. Credentials of the tenant None are not used for any other tenant."""

_Unstored: TypeAlias = "dict[Owner, tuple[AnyCredentials, AnyCredentials]]"
"""New credentials that could not be stored yet, each after the credentials that they replace."""

Renew: TypeAlias = "Callable[[str, str | None, Any], AnyCredentials]"
AsyncRenew: TypeAlias = "Callable[[str, str | None, Any], Awaitable[AnyCredentials]]"


class Vault(Protocol):
    """The interface of a store of credentials.

    `get` raises the error of `missing` if there are no credentials. `replace` stores new
    credentials, unless the old ones have been replaced already.
    """

    def get(self, owner: Owner, /) -> Any: ...

    def has(self, owner: Owner, /) -> bool: ...

    def put(self, owner: Owner, new: AnyCredentials, /) -> None: ...

    def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials, /) -> None: ...


class AsyncVault(Protocol):
    """The asynchronous `Vault`."""

    async def get(self, owner: Owner, /) -> Any: ...

    async def has(self, owner: Owner, /) -> bool: ...

    async def put(self, owner: Owner, new: AnyCredentials, /) -> None: ...

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials, /) -> None: ...


class _Renewal:
    """A running renewal of credentials; it succeeds, fails or is interrupted."""

    def __init__(self) -> None:
        self.renewed = False
        self.failure: CredentialRefreshFailed | None = None

    def succeeded(self) -> bool:
        """Return whether the renewal succeeded; raise a copy of its error if it failed."""
        if self.failure is not None:
            raise copy(self.failure) from self.failure.__cause__
        return self.renewed

    def fail(self, owner: Owner, error: Exception) -> None:
        """Record that the renewal failed with this error."""
        self.failure = _refresh_error(owner, error)


class _ThreadRenewal(_Renewal):
    def __init__(self) -> None:
        super().__init__()
        self._finished = Event()
        self.finish = self._finished.set
        self.wait = self._finished.wait


class CredentialRenewal(Uncopyable):
    """A credential provider that reads credentials from a store and renews expired ones.

    Args:
        vault: the store of the credentials.
        renew: returns new credentials; without it nothing can be refreshed.
    """

    def __init__(self, vault: Vault, renew: Renew | None) -> None:
        self._vault = vault
        self._renew = renew or _cannot_renew
        self._unstored: _Unstored = {}
        self._clear_renewals()
        in_child(self, CredentialRenewal._clear_renewals)

    def _clear_renewals(self) -> None:
        self._renewals: dict[Owner, _ThreadRenewal] = {}

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return self._vault.get((service, tenant))

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._vault.has((service, tenant))

    def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        """Store new credentials, and replace any earlier credentials."""
        self._vault.put((service, tenant), new)

    def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        """Renew stale credentials, or return credentials that another caller has just renewed."""
        vault, owner, is_succeeded = self._vault, (service, tenant), False
        while not is_succeeded and vault.get(owner) == stale:
            own_renewal = _ThreadRenewal()
            try:
                renewal = self._renewals.setdefault(owner, own_renewal)
                if renewal is own_renewal:
                    self._run_renewal(own_renewal, owner, stale)
            finally:
                if self._renewals.get(owner) is own_renewal:
                    del self._renewals[owner]
                own_renewal.finish()
            renewal.wait()
            is_succeeded = renewal.succeeded()
        return vault.get(owner)

    def _run_renewal(self, renewal: _Renewal, owner: Owner, stale: AnyCredentials) -> None:
        current_credentials = self._vault.get(owner)
        if current_credentials != stale:  # another caller has just renewed them
            return
        try:
            new_credentials = _unstored_successor(self._unstored, owner, current_credentials)
            if new_credentials is None:
                new_credentials = check_credential(self._renew(*owner, current_credentials))
                self._unstored[owner] = current_credentials, new_credentials
            self._vault.replace(owner, current_credentials, new_credentials)
            self._unstored.pop(owner, None)
            renewal.renewed = True
        except Exception as error:  # noqa: BLE001 - raised as a refresh error
            renewal.fail(owner, error)


class _TaskRenewal(_Renewal):
    def __init__(self) -> None:
        super().__init__()
        self._finished = False
        self._waiting: deque[tuple[AbstractEventLoop, Future[None]]] = deque()

    async def wait(self) -> None:
        """Wait in the running event loop until the renewal has ended."""
        from asyncio import get_running_loop  # noqa: PLC0415 - the synchronous provider needs none

        loop = get_running_loop()
        signal = loop.create_future()
        self._waiting.append((loop, signal))
        if not self._finished:
            await signal

    def finish(self) -> None:
        """Wake the callers that wait for this renewal."""
        self._finished = True
        while self._waiting:
            loop, signal = self._waiting.popleft()
            with suppress(RuntimeError):  # a closed event loop waits for nothing
                loop.call_soon_threadsafe(_set, signal)


class AsyncCredentialRenewal(Uncopyable):
    """The asynchronous `CredentialRenewal`.

    Args:
        vault: the store of the credentials.
        renew: returns new credentials; without it nothing can be refreshed.
    """

    def __init__(self, vault: AsyncVault, renew: AsyncRenew | None) -> None:
        self._vault = vault
        self._renew = renew or _cannot_renew_async
        self._unstored: _Unstored = {}
        self._clear_renewals()
        in_child(self, AsyncCredentialRenewal._clear_renewals)

    def _clear_renewals(self) -> None:
        self._renewals: dict[Owner, _TaskRenewal] = {}

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return await self._vault.get((service, tenant))

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return await self._vault.has((service, tenant))

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:
        """Store new credentials, and replace any earlier credentials."""
        await self._vault.put((service, tenant), new)

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        """Renew stale credentials, or return credentials that another caller has just renewed."""
        vault, owner, is_succeeded = self._vault, (service, tenant), False
        while not is_succeeded and await vault.get(owner) == stale:
            own_renewal = _TaskRenewal()
            try:
                renewal = self._renewals.setdefault(owner, own_renewal)
                if renewal is own_renewal:
                    await self._run_renewal(own_renewal, owner, stale)
            finally:
                if self._renewals.get(owner) is own_renewal:
                    del self._renewals[owner]
                own_renewal.finish()
            await renewal.wait()
            is_succeeded = renewal.succeeded()
        return await vault.get(owner)

    async def _run_renewal(self, renewal: _Renewal, owner: Owner, stale: AnyCredentials) -> None:
        current_credentials = await self._vault.get(owner)
        if current_credentials != stale:  # another caller has just renewed them
            return
        try:
            new_credentials = _unstored_successor(self._unstored, owner, current_credentials)
            if new_credentials is None:
                new_credentials = check_credential(await self._renew(*owner, current_credentials))
                self._unstored[owner] = current_credentials, new_credentials
            await self._vault.replace(owner, current_credentials, new_credentials)
            self._unstored.pop(owner, None)
            renewal.renewed = True
        except Exception as error:  # noqa: BLE001 - raised as a refresh error
            renewal.fail(owner, error)


def _unstored_successor(
    unstored: _Unstored, owner: Owner, current: AnyCredentials
) -> AnyCredentials | None:
    """Return renewed credentials that could not be stored yet; None if there are none."""
    old, new = unstored.get(owner, (None, None))
    return new if old == current else None


def _set(signal: Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)


def check_credential(new: object) -> AnyCredentials:
    """Return the value if it is a credential; otherwise raise an error."""
    if isinstance(new, (Credentials, OAuthCredentials)):
        return new
    raise InvalidData(
        f"The new credential is {with_article(type(new).__name__)}, not a credential.",
        field="credentials",
        remedy="Return or pass a Credentials or OAuthCredentials object.",
    )


def missing_credential_error(owner: Owner) -> CredentialNotFound:
    """Return the error for credentials that do not exist."""
    return CredentialNotFound(f"There is no credential {_owner_text(owner)}.", service=owner[0])


def _refresh_error(owner: Owner, error: Exception) -> CredentialRefreshFailed:
    if isinstance(error, CredentialRefreshFailed):
        return error
    connector_error = error if isinstance(error, ConnectorError) else None
    refresh_error = CredentialRefreshFailed(
        f"Renewing the credential {_owner_text(owner)} failed with {type(error).__name__}.",
        service=owner[0],
        retryable=connector_error is not None and connector_error.retryable,
        retry_at=None if connector_error is None else connector_error.retry_at,
    )
    refresh_error.__cause__ = error
    return refresh_error


def _owner_text(owner: Owner) -> str:
    return "without a tenant" if owner[1] is None else f"for tenant {owner[1]!r}"


def _cannot_renew(service: str, _tenant: str | None, _stale: AnyCredentials, /) -> AnyCredentials:
    raise CredentialRefreshFailed(
        "This provider has no function that renews credentials.",
        remedy="Pass the argument `renew`, or store a new credential with `rotate`.",
        service=service,
    )


async def _cannot_renew_async(
    service: str, tenant: str | None, stale: AnyCredentials, /
) -> AnyCredentials:
    return _cannot_renew(service, tenant, stale)
