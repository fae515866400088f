"""Providers of credentials that another program writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from moorage.errors import ConfigurationError, CredentialNotFound, CredentialRefreshFailed

if TYPE_CHECKING:
    from moorage.domain.auth.keeping import Kept


class ReadOnly(ABC):
    """A read-only provider; a renewal checks whether the credentials were replaced."""

    @abstractmethod
    def find(self, service: str, tenant: str | None) -> Kept | None:
        """Return the current credentials; None if there are none."""

    @abstractmethod
    def where(self, service: str, tenant: str | None) -> str:
        """Return the place of the credentials, for messages."""

    def got(self, service: str, tenant: str | None) -> Any:
        """Return the current credentials."""
        credentials = self.find(service, tenant)
        if credentials is None:
            raise CredentialNotFound(
                f"There is no credential at {self.where(service, tenant)}.",
                service=service,
                remedy="Write one there, or correct the name of the service or tenant.",
            )
        return credentials

    def renewed(self, service: str, tenant: str | None, stale: Kept) -> Any:
        """Return the credentials that replaced the stale ones."""
        credentials = self.got(service, tenant)
        if credentials != stale:
            return credentials
        raise CredentialRefreshFailed(
            f"The credential at {self.where(service, tenant)} is still the one that was refused.",
            service=service,
            remedy="Write a new one there; this provider only reads.",
        )

    def refuse(self, service: str, tenant: str | None) -> NoReturn:
        """Raise an error for an attempt to write."""
        raise ConfigurationError(
            f"The provider cannot write to {self.where(service, tenant)}.",
            path="credentials",
            remedy="Change the credentials there, or use a provider that stores them.",
        )
