"""The kind "soap" of connectors in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.http_operations.soap.settings import SoapSettings
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.http_operations.soap.connector_async import AsyncSoapConnector
    from moorage.adapters.http_operations.soap.connector_sync import SoapConnector
    from moorage.ports.connector import AsyncPerformer, Performer


def _build(name: str, settings: SoapSettings, performer: Performer) -> SoapConnector:
    from moorage.adapters.http_operations.soap.connector_sync import SoapConnector  # noqa: PLC0415 - few programs have one

    return SoapConnector(name, performer, settings)


def _build_async(
    name: str, settings: SoapSettings, performer: AsyncPerformer
) -> AsyncSoapConnector:
    from moorage.adapters.http_operations.soap.connector_async import AsyncSoapConnector  # noqa: PLC0415 - few programs have one

    return AsyncSoapConnector(name, performer, settings)


SOAP: Final = ConnectorKind(
    name="soap", settings=SoapSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of SOAP services."""
