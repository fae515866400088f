"""The kind `ldap` of connectors in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.ldap.settings import Ldap
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.ldap.connector_async import AsyncLdapConnector
    from moorage.adapters.ldap.connector_sync import LdapConnector


def _build(name: str, settings: Ldap, _: object) -> LdapConnector:
    from moorage.adapters.ldap.connector_sync import (  # noqa: PLC0415 - only some need it
        LdapConnector,
    )

    return LdapConnector(settings, name=name)


def _build_async(name: str, settings: Ldap, _: object) -> AsyncLdapConnector:
    from moorage.adapters.ldap.connector_async import (  # noqa: PLC0415 - only some need it
        AsyncLdapConnector,
    )

    return AsyncLdapConnector(settings, name=name)


LDAP: Final = ConnectorKind(name="ldap", settings=Ldap, build=_build, build_async=_build_async)
"""The kind of connectors of directories over LDAP."""
