"""Credentials of accounts: moorage gets OAuth tokens itself; the host's provider has the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.oauth.token_store_names import token_store_name
from moorage.wiring.defaults import NoCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.oauth.client import OAuthClient
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider


class AccountTokens:
    """Provides accounts' OAuth tokens; all other credentials come from the host's provider.

    Args:
        tokens: the provider of the OAuth tokens.
        clients: the OAuth clients that get the tokens, by service.
        others: the host's provider of all other credentials, if there is one.
    """

    def __init__(
        self,
        tokens: CredentialProvider,
        clients: Mapping[str, OAuthClient],
        host_provider: CredentialProvider | None,
    ) -> None:
        self._tokens = tokens
        # While this object exists, looking up a client finds it.
        self._known = {name: (token_store_name(client), client) for name, client in clients.items()}
        self._others: Any = NoCredentials() if host_provider is None else host_provider
        # Only the host's provider stores credentials of consents.
        self.rotate = getattr(host_provider, "rotate", None)
        self.read_only = getattr(host_provider, "read_only", False)

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        if service in self._known:
            return self._tokens.get(service, self._known[service][0])
        return self._others.get(service, tenant)

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Return a valid credential to replace one that the service refused."""
        if service in self._known:
            return self._tokens.refresh(service, self._known[service][0], stale)
        return self._others.refresh(service, tenant, stale)


class AsyncAccountTokens:
    """The asynchronous counterpart of `AccountTokens`."""

    def __init__(
        self,
        tokens: AsyncCredentialProvider,
        clients: Mapping[str, OAuthClient],
        host_provider: AsyncCredentialProvider | None,
    ) -> None:
        self._tokens = tokens
        # While this object exists, looking up a client finds it.
        self._known = {name: (token_store_name(client), client) for name, client in clients.items()}
        self._others: Any = host_provider
        self.rotate = getattr(host_provider, "rotate", None)
        self.read_only = getattr(host_provider, "read_only", False)

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        if service in self._known:
            return await self._tokens.get(service, self._known[service][0])
        if self._others is None:
            return NoCredentials().get(service, tenant)
        return await self._others.get(service, tenant)

    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Return a valid credential to replace one that the service refused."""
        if service in self._known:
            return await self._tokens.refresh(service, self._known[service][0], stale)
        return await self._others.refresh(service, tenant, stale)
