"""Credentials in a secret manager, over HTTP without the vendor's SDK.

The requests are coroutines that await a `NetworkAccess` only, so the synchronous and the
asynchronous provider share them. The provider logs in when it first needs to, keeps the login, and
renews it after two thirds of its lifetime; if the manager refuses a login, the provider logs in
again once.
Nothing else is cached: put a cache in front of the provider.

A secret contains a token, or a table in JSON as in a file of credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from moorage.adapters.concurrency._closing import ContextClosable
from moorage.adapters.credentials._renewing import (
    AsyncCredentialRenewal,
    CredentialRenewal,
    check_credential,
)
from moorage.adapters.credentials._vaults import PlainVault
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.secret_managers._session_async import session_async
from moorage.adapters.secret_managers.managed_secrets import session_now
from moorage.domain.auth.credential_tables import read_credentials_text, write_credentials
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import ConfigurationError, ConnectorError, CredentialNotFound

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from moorage.adapters.credentials._renewing import AsyncRenew, Owner, Renew
    from moorage.adapters.secret_managers._session import Session
    from moorage.domain.auth.credential_codec import AnyCredentials
    from moorage.domain.auth.methods import Credentials
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.clock import Clock
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.ports.secret_manager import SecretManager

Answer = TypeVar("Answer")


@with_careful_constructor
class ManagedCredentialProvider(CredentialRenewal, ContextClosable):
    """Reads and writes credentials in a secret manager.

    Args:
        manager: the secret manager: `HashiCorpVault`, `AwsSecretsManager`, `GcpSecretManager`,
            `AzureKeyVault`, or a class of your own.
        names: the names of secrets that differ from the manager's rule, by service and tenant.
        renew: called with the service, the tenant and the stale credential, returns a new one;
            without it, a refresh checks whether the credential was replaced. One thread at a time
            calls it for a credential. Its result is dropped if the credential was replaced
            meanwhile.
        http: the HTTP client; by default its own.
        timeout: seconds, or a timedelta, for each request. The first use may make several requests.
        clock: measures time.
    """

    def __init__(
        self,
        manager: SecretManager,
        *,
        names: Mapping[Owner, str] | None = None,
        renew: Renew | None = None,
        http: HttpClient | None = None,
        timeout: float | timedelta = 5.0,
        clock: Clock | None = None,
    ) -> None:
        client: HttpClient = StdlibHttpClient() if http is None else http
        self._close = client.close if http is None else None
        session = session_now(manager, client, timeout, clock)
        super().__init__(PlainVault(_Secrets(session, names or {})), renew)

    def close(self) -> None:
        """Close the HTTP client, unless the application passed it."""
        if self._close is not None:
            self._close()


@with_careful_constructor
class AsyncManagedCredentialProvider(AsyncCredentialRenewal):
    """The asynchronous `ManagedCredentialProvider`.

    Args:
        manager: the secret manager: `HashiCorpVault`, `AwsSecretsManager`, `GcpSecretManager`,
            `AzureKeyVault`, or a class of your own.
        names: the names of secrets that differ from the manager's rule, by service and tenant.
        renew: awaited with the service, the tenant and the stale credential, returns a new one;
            without it, a refresh checks whether the credential was replaced. One task at a time
            awaits it for a credential. Its result is dropped if the credential was replaced
            meanwhile.
        http: the HTTP client; by default its own.
        timeout: seconds, or a timedelta, for each request. The first use may make several requests.
        clock: measures time.
    """

    def __init__(
        self,
        manager: SecretManager,
        *,
        names: Mapping[Owner, str] | None = None,
        renew: AsyncRenew | None = None,
        http: AsyncHttpClient | None = None,
        timeout: float | timedelta = 5.0,
        clock: Clock | None = None,
    ) -> None:
        client: AsyncHttpClient = AsyncStdlibHttpClient() if http is None else http
        self._close = client.close if http is None else None
        session = session_async(manager, client, timeout, clock)
        super().__init__(_Secrets(session, names or {}), renew)

    async def close(self) -> None:
        """Close the HTTP client, unless the application passed it."""
        if self._close is not None:
            await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class _Secrets:
    """The secrets of a secret manager, read and written as credentials."""

    def __init__(self, session: Session[SecretManager], names: Mapping[Owner, str]) -> None:
        self._session = session
        self._manager = session.manager
        self._names = dict(names)

    async def get(self, owner: Owner) -> Any:
        """Return the current credentials of a service and tenant."""
        name = self._name(owner)
        content = None if name is None else await self._read(owner, name)
        if content is None:
            raise self._missing_error(owner, name)
        return read_credentials_text(content, f"The secret {name!r} of {self._manager.where}")

    async def has(self, owner: Owner) -> bool:
        """Return whether credentials of this service and tenant are stored."""
        name = self._name(owner)
        return name is not None and await self._read(owner, name) is not None

    async def put(self, owner: Owner, new: AnyCredentials) -> None:
        """Store new credentials of a service and tenant."""
        name = self._name(owner)
        if name is None:
            raise ConfigurationError(
                self._missing_error(owner, None).message,
                path="names",
                remedy="Set the secret's name in `names`.",
                service=owner[0],
            )
        content, manager = write_credentials(check_credential(new)), self._manager

        async def write(credentials: Credentials) -> None:
            await manager.write(self._session.wire, credentials, name, content)

        await self._named_errors(owner, self._session.do(write))

    async def replace(self, owner: Owner, old: AnyCredentials, new: AnyCredentials) -> None:
        """Replace stale credentials, unless another caller has already replaced them."""
        if await self.get(owner) == old:
            await self.put(owner, new)

    async def _read(self, owner: Owner, name: str) -> Secret | None:
        manager, wire = self._manager, self._session.wire

        async def read(credentials: Credentials) -> Secret | None:
            return await manager.read(wire, credentials, name)

        return await self._named_errors(owner, self._session.do(read))

    async def _named_errors(self, owner: Owner, request: Coroutine[Any, Any, Answer]) -> Answer:
        """Await a request for a service's secret, and add the service's name to its errors."""
        try:
            return await request
        except ConnectorError as error:
            error.service = owner[0]
            raise

    def _name(self, owner: Owner) -> str | None:
        return self._names.get(owner) or self._manager.name(*owner)

    def _missing_error(self, owner: Owner, name: str | None) -> CredentialNotFound:
        location = self._manager.where
        if name is not None:
            return CredentialNotFound(
                f"There is no secret {name!r} in {location}.",
                service=owner[0],
                remedy="Write the secret there, or correct the name of the service or tenant.",
            )
        tenant_phrase = "no tenant" if owner[1] is None else f"tenant {owner[1]!r}"
        return CredentialNotFound(
            f"{location} has no secret for {owner[0]!r} with {tenant_phrase}, because they do"
            " not form a valid name.",
            service=owner[0],
            remedy="Set the secret's name in `names`.",
        )
