"""Credentials of accounts that get tokens by OAuth, before those that the host knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.wiring.defaults import NoCredentials

if TYPE_CHECKING:
    from collections.abc import Container

    from mooring.ports.credentials import AsyncCredentialProvider, CredentialProvider


class AccountTokens:
    """The tokens of accounts, which are one for all tenants; what is not theirs is the host's.

    Args:
        tokens: has the tokens.
        services: of which services.
        others: has every other credential, if the host has given any.
    """

    def __init__(
        self,
        tokens: CredentialProvider,
        services: Container[str],
        others: CredentialProvider | None,
    ) -> None:
        self._tokens = tokens
        self._services = services
        self._others: Any = NoCredentials() if others is None else others

    def get(self, service: str, tenant: str | None, /) -> Any:
        """What is current."""
        if service in self._services:
            return self._tokens.get(service, None)
        return self._others.get(service, tenant)

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """What is valid instead of a credential that the service has refused."""
        if service in self._services:
            return self._tokens.refresh(service, None, stale)
        return self._others.refresh(service, tenant, stale)


class AsyncAccountTokens:
    """As `AccountTokens`, awaited."""

    def __init__(
        self,
        tokens: AsyncCredentialProvider,
        services: Container[str],
        others: AsyncCredentialProvider | None,
    ) -> None:
        self._tokens = tokens
        self._services = services
        self._others: Any = others

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """What is current."""
        if service in self._services:
            return await self._tokens.get(service, None)
        if self._others is None:
            return NoCredentials().get(service, tenant)
        return await self._others.get(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """What is valid instead of a credential that the service has refused."""
        if service in self._services:
            return await self._tokens.refresh(service, None, stale)
        return await self._others.refresh(service, tenant, stale)
