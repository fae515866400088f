"""Providers of credentials that somebody else writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from moorage.errors import ConfigurationError, CredentialNotFound, CredentialRefreshFailed

if TYPE_CHECKING:
    from moorage.domain.auth.keeping import Kept


class ReadOnly(ABC):
    """Finds credentials; renewing one is looking whether somebody has replaced it."""

    @abstractmethod
    def find(self, service: str, tenant: str | None) -> Kept | None:
        """Return the current credentials; None if there are none."""

    @abstractmethod
    def where(self, service: str, tenant: str | None) -> str:
        """Where it is written, or would be."""

    def got(self, service: str, tenant: str | None) -> Any:
        """Return the current credentials."""
        kept = self.find(service, tenant)
        if kept is None:
            raise CredentialNotFound(
                f"There is no credential at {self.where(service, tenant)}.",
                service=service,
                remedy="Write one there, or correct the name of the service or tenant.",
            )
        return kept

    def renewed(self, service: str, tenant: str | None, stale: Kept) -> Any:
        """Return the credentials that replaced the stale ones."""
        kept = self.got(service, tenant)
        if kept != stale:
            return kept
        raise CredentialRefreshFailed(
            f"The credential at {self.where(service, tenant)} is still the one that was refused.",
            service=service,
            remedy="Write a new one there; this provider only reads.",
        )

    def refuse(self, service: str, tenant: str | None) -> NoReturn:
        """Refuse to write."""
        raise ConfigurationError(
            f"Nothing is written to {self.where(service, tenant)} from here.",
            path="credentials",
            remedy="Write it where it is kept, or use a provider that stores.",
        )
