"""Stores of credentials whose methods never suspend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.concurrency.pooled_threads import to_thread

if TYPE_CHECKING:
    from moorage.adapters.credentials._renewing import AsyncVault, Owner
    from moorage.domain.auth.credential_codec import AnyCredentials


class PlainVault:
    """A store of credentials that never suspends, for synchronous providers."""

    def __init__(self, vault: AsyncVault) -> None:
        self._vault = vault

    def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        return run_now(self._vault.get(owner))

    def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        return run_now(self._vault.has(owner))

    def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        run_now(self._vault.put(owner, new))

    def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        run_now(self._vault.replace(owner, old, new))


class ThreadedVault:
    """A store of credentials for an event loop; its methods block threads instead of the loop."""

    def __init__(self, vault: AsyncVault) -> None:
        self._vault = PlainVault(vault)

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        return await to_thread(self._vault.get, owner)

    async def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        return await to_thread(self._vault.has, owner)

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        await to_thread(self._vault.put, owner, new)

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        await to_thread(self._vault.replace, owner, old, new)
