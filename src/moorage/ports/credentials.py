"""Where credentials come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.domain.auth import Credentials


class CredentialProvider(Protocol):
    """Keeps the credentials of services, apart for each tenant.

    `get` returns what is current and raises `CredentialNotFound` if there is nothing; it never
    falls back to another tenant's. `has` only tells. `refresh` is called after the vendor refused
    `stale`: it renews and returns what is current, or returns the newer one at once if somebody
    else has renewed it since; it raises `CredentialRefreshFailed` and keeps what it has if that
    fails. `rotate` puts a new one in place of the old. All are safe from several threads.
    """

    def get(self, service: str, tenant: str | None, /) -> Credentials: ...

    def has(self, service: str, tenant: str | None, /) -> bool: ...

    def refresh(self, service: str, tenant: str | None, stale: Credentials, /) -> Credentials: ...

    def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None: ...


class AsyncCredentialProvider(Protocol):
    """As `CredentialProvider`, awaited."""

    async def get(self, service: str, tenant: str | None, /) -> Credentials: ...

    async def has(self, service: str, tenant: str | None, /) -> bool: ...

    async def refresh(
        self, service: str, tenant: str | None, stale: Credentials, /
    ) -> Credentials: ...

    async def rotate(self, service: str, tenant: str | None, new: Credentials, /) -> None: ...
