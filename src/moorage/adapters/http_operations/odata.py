"""The kind "odata" of connectors in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.options import checked_options
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.http_operations.connector_async import AsyncHttpConnector
    from moorage.adapters.http_operations.connector_sync import HttpConnector
    from moorage.ports.connector import AsyncPerformer, Performer


@checked_options
@attrs.frozen(kw_only=True)
class ODataSettings:
    """The settings of an OData v4 connector, which calls one of the configured services.

    Attributes:
        service: the name of the service; by default that of the connector.
        path: the path of the OData service below the base URL of the service, such as /odata/v4.
    """

    service: str | None = None
    path: str = ""


def _options(settings: ODataSettings) -> dict[str, Any]:
    from moorage.domain.odata.named import named_operations  # noqa: PLC0415 - few programs have one
    from moorage.domain.odata.service import OData  # noqa: PLC0415 - few programs have one

    client = OData(settings.path)
    return {
        "client": client,
        "operations": named_operations(client),
        "ping": client.ping(),
        "service": settings.service,
    }


def _build(name: str, settings: ODataSettings, performer: Performer) -> HttpConnector:
    from moorage.adapters.http_operations.connector_sync import HttpConnector  # noqa: PLC0415 - few programs have one

    return HttpConnector(name, "odata", performer, **_options(settings))


def _build_async(
    name: str, settings: ODataSettings, performer: AsyncPerformer
) -> AsyncHttpConnector:
    from moorage.adapters.http_operations.connector_async import (  # noqa: PLC0415 - few programs have one
        AsyncHttpConnector,
    )

    return AsyncHttpConnector(name, "odata", performer, **_options(settings))


ODATA: Final = ConnectorKind(
    name="odata", settings=ODataSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of OData v4 services."""
