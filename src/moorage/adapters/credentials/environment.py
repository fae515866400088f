"""Credentials in environment variables.

A variable is called `MOORAGE_CREDENTIAL_SHOP` for the service `shop`, and
`MOORAGE_CREDENTIAL_SHOP__ACME_FR` for its tenant `acme-fr`. No two owners share one: only names of
small letters and digits, in words with single hyphens between them, have one. For any other, give
its variable. What a variable holds is a bearer token, or a credential's table in JSON.

The environment is read at every call, so a variable that is set later counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from moorage.adapters.credentials._read_only import ReadOnly
from moorage.adapters.secret_managers._owner_names import unambiguous_names
from moorage.domain.auth.credential_tables import read_credentials_text
from moorage.domain.secrets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.auth.keeping import Kept


class _Environment(ReadOnly):
    def __init__(self, variables: Mapping[tuple[str, str | None], str], prefix: str) -> None:
        self._variables = dict(variables)
        self._prefix = prefix

    def find(self, service: str, tenant: str | None) -> Kept | None:
        variable = self._variable(service, tenant)
        if variable is None or variable not in os.environ:
            return None
        # In a secret, because frames show their locals.
        text = Secret(os.environ[variable])
        return read_credentials_text(text, f"The environment variable {variable}")

    def where(self, service: str, tenant: str | None) -> str:
        variable = self._variable(service, tenant)
        if variable is not None:
            return f"the environment variable {variable}"
        whose = "no tenant" if tenant is None else f"tenant {tenant!r}"
        return f"any environment variable: {service!r} of {whose} has none by itself"

    def _variable(self, service: str, tenant: str | None) -> str | None:
        named = self._variables.get((service, tenant))
        if named is not None:
            return named
        names = unambiguous_names(service, tenant)
        if names is None:
            return None
        return self._prefix + "__".join(name.upper().replace("-", "_") for name in names)


class EnvironmentCredentialProvider:
    """Reads credentials from environment variables.

    Args:
        variables: the variable of a service and tenant whose own would be called otherwise.
        prefix: what the others begin with.
    """

    def __init__(
        self,
        variables: Mapping[tuple[str, str | None], str] | None = None,
        *,
        prefix: str = "MOORAGE_CREDENTIAL_",
    ) -> None:
        self._environment = _Environment(variables or {}, prefix)

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials in the variable of a service and tenant."""
        return self._environment.got(service, tenant)

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether the variable of a service and tenant is set."""
        return self._environment.find(service, tenant) is not None

    def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:
        """Return the credentials that replaced the stale ones."""
        return self._environment.renewed(service, tenant, stale)

    def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:  # noqa: ARG002 - the port's
        """Refuse: nothing is written to the environment."""
        self._environment.refuse(service, tenant)


class AsyncEnvironmentCredentialProvider:
    """As `EnvironmentCredentialProvider`, awaited.

    Args:
        variables: the variable of a service and tenant whose own would be called otherwise.
        prefix: what the others begin with.
    """

    def __init__(
        self,
        variables: Mapping[tuple[str, str | None], str] | None = None,
        *,
        prefix: str = "MOORAGE_CREDENTIAL_",
    ) -> None:
        self._environment = _Environment(variables or {}, prefix)

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the credentials in the variable of a service and tenant."""
        return self._environment.got(service, tenant)

    async def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether the variable of a service and tenant is set."""
        return self._environment.find(service, tenant) is not None

    async def refresh(self, service: str, tenant: str | None, stale: Kept, /) -> Any:
        """Return the credentials that replaced the stale ones."""
        return self._environment.renewed(service, tenant, stale)

    async def rotate(self, service: str, tenant: str | None, new: Kept, /) -> None:  # noqa: ARG002 - the port's
        """Refuse: nothing is written to the environment."""
        self._environment.refuse(service, tenant)
