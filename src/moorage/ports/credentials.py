"""The interface of stores and services that provide credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.auth.methods import Credentials


class CredentialProvider(Protocol):
    """Stores the credentials of services, separately for each tenant.

    `get` returns the current credentials, or raises `CredentialNotFound`; it never falls back to
    another tenant's. `has` returns whether there are any. `refresh` is called after the vendor
    refused `stale`: it renews and returns the current credentials, or returns newer ones
    immediately if another caller has renewed them since; if renewal fails it raises
    `CredentialRefreshFailed` and keeps the old ones. `rotate` replaces the credentials. All methods
    are safe from several threads.
    """

    def get(self, service: str, tenant: str | None, /) -> Credentials: ...

    def has(self, service: str, tenant: str | None, /) -> bool: ...

    def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Credentials: ...

    def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None: ...


class AsyncCredentialProvider(Protocol):
    """The asynchronous `CredentialProvider`."""

    async def get(self, service: str, tenant: str | None, /) -> Credentials: ...

    async def has(self, service: str, tenant: str | None, /) -> bool: ...

    async def refresh(
        self, service: str, tenant: str | None, stale: Credentials, /
    ) -> Credentials: ...

    async def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None: ...
