"""Providers of credentials that another program writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from moorage.errors import ConfigurationError, CredentialNotFound, CredentialRefreshFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.auth.credential_codec import AnyCredentials


class Source(ABC):
    """A read-only source of credentials; a renewal only checks whether they were replaced."""

    @abstractmethod
    def find(self, service: str, tenant: str | None) -> AnyCredentials | None:
        """Return the current credentials of a service and tenant; None if there are none."""

    @abstractmethod
    def where(self, service: str, tenant: str | None) -> str:
        """Return where a service's and tenant's credentials are stored, for error messages."""

    def get(self, service: str, tenant: str | None) -> Any:
        """Return the current credentials of a service and tenant."""
        credentials = self.find(service, tenant)
        if credentials is None:
            raise CredentialNotFound(
                f"There is no credential at {self.where(service, tenant)}.",
                service=service,
                remedy="Write a credential there, or correct the name of the service or tenant.",
            )
        return credentials

    def refresh(self, service: str, tenant: str | None, stale: AnyCredentials) -> Any:
        """Return credentials that replace stale ones; raise an error if the source has none yet."""
        credentials = self.get(service, tenant)
        if credentials != stale:
            return credentials
        raise CredentialRefreshFailed(
            f"The vendor refused the credential at {self.where(service, tenant)}, and it has"
            " not changed since.",
            service=service,
            remedy="Write a new credential there. This provider only reads credentials.",
        )

    def refuse(self, service: str, tenant: str | None) -> NoReturn:
        """Raise an error, because this source is read-only."""
        raise ConfigurationError(
            "The provider only reads credentials and cannot write to"
            f" {self.where(service, tenant)}.",
            path="credentials",
            remedy="Change the credentials there, or use a provider that stores credentials.",
        )


class ReadOnlyProvider:
    """The synchronous operations of a read-only provider."""

    _source: Source
    read_only = True

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return self._source.get(service, tenant)

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return self._source.find(service, tenant) is not None

    def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        """Return credentials that replace stale ones; raise an error if the source has none yet."""
        return self._source.refresh(service, tenant, stale)

    def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:  # noqa: ARG002 - the port's
        """Raise an error, because this provider only reads credentials."""
        self._source.refuse(service, tenant)


class AsyncReadOnlyProvider:
    """The asynchronous operations of a read-only provider."""

    _source: Source
    read_only = True

    async def _run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call a function of the source directly, since it does not block."""
        return function(*arguments)

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of a service and tenant."""
        return await self._run(self._source.get, service, tenant)

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials of a service and tenant."""
        return await self._run(self._source.find, service, tenant) is not None

    async def refresh(self, service: str, tenant: str | None, stale: AnyCredentials, /) -> Any:
        """Return credentials that replace stale ones; raise an error if the source has none yet."""
        return await self._run(self._source.refresh, service, tenant, stale)

    async def rotate(self, service: str, tenant: str | None, new: AnyCredentials, /) -> None:  # noqa: ARG002 - the port's
        """Raise an error, because this provider only reads credentials."""
        self._source.refuse(service, tenant)
