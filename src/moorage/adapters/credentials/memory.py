"""Credentials in the memory of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.adapters.credentials._renewing import (
    AsyncCredentialRenewal,
    CredentialRenewal,
    check_credential,
    missing_credential_error,
)
from moorage.domain.secrets.frames import with_careful_constructor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.credentials._renewing import AsyncRenew, Owner, Renew
    from moorage.domain.auth.credential_codec import AnyCredentials


class _Vault:
    """The credentials in memory, by service and tenant."""

    def __init__(self, credentials: Mapping[Owner, AnyCredentials]) -> None:
        self._credentials: dict[Owner, AnyCredentials] = {}
        self._lock = ForkSafeLock()
        for owner, new_credentials in credentials.items():
            self.put(owner, new_credentials)

    def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        credentials = self._credentials.get(owner)
        if credentials is None:
            raise missing_credential_error(owner)
        return credentials

    def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        return owner in self._credentials

    def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        new = check_credential(new)
        with self._lock.current:
            self._credentials[owner] = new

    def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        credentials = self._credentials
        with self._lock.current:
            if credentials[owner] is old:
                credentials[owner] = new


class _AsyncVault:
    """The asynchronous `_Vault`, which never waits."""

    def __init__(self, credentials: Mapping[Owner, AnyCredentials]) -> None:
        self._vault = _Vault(credentials)

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        return self._vault.get(owner)

    async def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        return self._vault.has(owner)

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        self._vault.put(owner, new)

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        self._vault.replace(owner, old, new)


@with_careful_constructor
class MemoryCredentialProvider(CredentialRenewal):
    """Credentials in the memory of this process, safe to share between threads.

    Args:
        credentials: the initial credentials, by service and tenant.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One thread at a time calls it for a credential. Its
            result is dropped if `rotate` was called meanwhile.
    """

    def __init__(
        self,
        credentials: Mapping[Owner, AnyCredentials] | None = None,
        *,
        renew: Renew | None = None,
    ) -> None:
        super().__init__(_Vault(credentials or {}), renew)


@with_careful_constructor
class AsyncMemoryCredentialProvider(AsyncCredentialRenewal):
    """The asynchronous `MemoryCredentialProvider`, safe to share between event loops.

    Args:
        credentials: the initial credentials, by service and tenant.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it nothing can be refreshed. One task at a time awaits it for a credential. Its
            result is dropped if `rotate` was called meanwhile. If its task is cancelled, another
            waiting task calls it again.
    """

    def __init__(
        self,
        credentials: Mapping[Owner, AnyCredentials] | None = None,
        *,
        renew: AsyncRenew | None = None,
    ) -> None:
        super().__init__(_AsyncVault(credentials or {}), renew)
