"""A credential provider that writes each use of credentials to the audit trail first.

1. A use is the first time that a process gets the credentials of a service and tenant, and each
   renewal and change of them. Further reads by the same process are not recorded.
2. The record is written first. If it cannot be written, the credentials are not handed out, unless
   the trail is made with `required=False`.
3. A record names the process, the service and the tenant, and never a credential.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider

if TYPE_CHECKING:
    from moorage.ports.audit import AuditTrail

Provider = TypeVar("Provider", bound=CredentialProvider | AsyncCredentialProvider)

_MOST_OWNERS: Final = 10_000
"""Owners that a process remembers; past that it records the uses of all again."""


class _UsedCredentials:
    """The services and tenants whose credentials this process has used."""

    def __init__(self) -> None:
        self._begin()
        in_child(self, _UsedCredentials._begin)

    def _begin(self) -> None:
        self.owners: set[tuple[str, str | None]] = set()

    def add(self, owner: tuple[str, str | None]) -> None:
        """Remember that the credentials of this service and tenant have been used."""
        if len(self.owners) >= _MOST_OWNERS:
            self.owners.clear()
        self.owners.add(owner)


class _AuditedProvider(Generic[Provider]):
    """The common code of the synchronous and asynchronous audited providers."""

    def __init__(self, provider: Provider, trail: AuditTrail) -> None:
        """Wrap a provider, and record each use of its credentials.

        Args:
            provider: the provider.
            trail: the trail.
        """
        self._provider = provider
        self.read_only: bool = getattr(provider, "read_only", False)
        self._trail = trail
        self._uses = _UsedCredentials()

    def _record(self, verb: str, service: str, tenant: str | None) -> None:
        subject = f"credentials of {service if tenant is None else f'{service}/{tenant}'}"
        self._trail.record(f"credentials.{verb}", subject, after={"process": os.getpid()})


class AuditedCredentials(_AuditedProvider[CredentialProvider]):
    """A credential provider that records the uses of another provider's credentials."""

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials; their first use is recorded beforehand."""
        if (service, tenant) not in self._uses.owners:
            self._record("use", service, tenant)
            self._uses.add((service, tenant))
        return self._provider.get(service, tenant)

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._provider.has(service, tenant)

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Renew stale credentials, after recording the renewal in the audit trail."""
        self._record("refresh", service, tenant)
        return self._provider.refresh(service, tenant, stale)

    def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store new credentials, after recording the change in the audit trail."""
        self._record("set", service, tenant)
        self._provider.rotate(service, tenant, new)


class AsyncAuditedCredentials(_AuditedProvider[AsyncCredentialProvider]):
    """The asynchronous `AuditedCredentials`; threads write to the audit trail."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials; their first use is recorded beforehand."""
        if (service, tenant) not in self._uses.owners:
            await to_thread(partial(self._record, "use", service, tenant))
            self._uses.add((service, tenant))
        return await self._provider.get(service, tenant)

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return await self._provider.has(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Renew stale credentials, after recording the renewal in the audit trail."""
        await to_thread(partial(self._record, "refresh", service, tenant))
        return await self._provider.refresh(service, tenant, stale)

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store new credentials, after recording the change in the audit trail."""
        await to_thread(partial(self._record, "set", service, tenant))
        await self._provider.rotate(service, tenant, new)
