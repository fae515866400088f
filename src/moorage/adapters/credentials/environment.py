"""Credentials in environment variables.

A variable is called `MOORAGE_CREDENTIAL_SHOP` for the service `shop`, and
`MOORAGE_CREDENTIAL_SHOP__ACME_FR` for its tenant `acme-fr`. Two owners must not share a variable.
So only names made of lower-case words and digits with single hyphens between them have such a
variable; set `variables` for other names. The value is a bearer token, or a table of credentials in
JSON.

The environment is read at every call, so a variable that is set later counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from moorage.adapters.credentials._read_only import AsyncReadOnlyProvider, ReadOnlyProvider, Source
from moorage.adapters.secret_managers._owner_names import unambiguous_names
from moorage.domain.auth.credential_tables import read_credentials_text
from moorage.domain.secrets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.auth.credential_codec import AnyCredentials


class _Environment(Source):
    def __init__(self, variables: Mapping[tuple[str, str | None], str], prefix: str) -> None:
        self._variables = dict(variables)
        self._prefix = prefix

    def find(self, service: str, tenant: str | None) -> AnyCredentials | None:
        variable = self._variable(service, tenant)
        if variable is None or variable not in os.environ:
            return None
        # Wrapped in a `Secret`, because crash reports show the locals of a frame.
        text = Secret(os.environ[variable])
        return read_credentials_text(text, f"The environment variable {variable}")

    def where(self, service: str, tenant: str | None) -> str:
        variable = self._variable(service, tenant)
        if variable is not None:
            return f"the environment variable {variable}"
        tenant_phrase = "no tenant" if tenant is None else f"tenant {tenant!r}"
        return (
            f"any environment variable, because {service!r} with {tenant_phrase} does not"
            " form a valid name"
        )

    def _variable(self, service: str, tenant: str | None) -> str | None:
        configured_name = self._variables.get((service, tenant))
        if configured_name is not None:
            return configured_name
        names = unambiguous_names(service, tenant)
        if names is None:
            return None
        return self._prefix + "__".join(name.upper().replace("-", "_") for name in names)


class EnvironmentCredentialProvider(ReadOnlyProvider):
    """Reads credentials from environment variables.

    Args:
        variables: the names of variables that differ from the rule, by service and tenant.
        prefix: the beginning of all other names.
    """

    def __init__(
        self,
        variables: Mapping[tuple[str, str | None], str] | None = None,
        *,
        prefix: str = "MOORAGE_CREDENTIAL_",
    ) -> None:
        self._source = _Environment(variables or {}, prefix)


class AsyncEnvironmentCredentialProvider(AsyncReadOnlyProvider):
    """The asynchronous `EnvironmentCredentialProvider`.

    Args:
        variables: the names of variables that differ from the rule, by service and tenant.
        prefix: the beginning of all other names.
    """

    def __init__(
        self,
        variables: Mapping[tuple[str, str | None], str] | None = None,
        *,
        prefix: str = "MOORAGE_CREDENTIAL_",
    ) -> None:
        self._source = _Environment(variables or {}, prefix)
