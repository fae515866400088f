"""The connector of a SOAP service, for synchronous programs.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.http_operations.connector_sync import HttpConnector
from moorage.adapters.http_operations.soap.loading_sync import load_sync
from moorage.adapters.http_operations.soap.named import named_operations, ping_of
from moorage.adapters.http_operations.soap.wsdl import wsdl_request

if TYPE_CHECKING:
    from moorage.adapters.http_operations.soap.client import Soap
    from moorage.adapters.http_operations.soap.settings import SoapSettings
    from moorage.ports.connector import Performer


class SoapConnector(HttpConnector):
    """The operations of a SOAP service by name, for synchronous programs.

    The WSDL is loaded when the connector is opened or first used. Until then `operations` is empty,
    and `client` is None; afterwards `client` is a `moorage.Soap`.
    """

    def __init__(self, name: str, performer: Performer, settings: SoapSettings) -> None:
        super().__init__(
            name,
            "soap",
            performer,
            client=None,
            operations=(),
            ping=wsdl_request(settings.wsdl),
            service=settings.service,
        )
        self._settings = settings

    def open(self, timeout: float = 5.0, /) -> None:
        """Load the WSDL, unless it is loaded.

        Raises:
            ConnectorError: the WSDL could not be loaded, or the document is not a WSDL.
        """
        self._check_open()
        self.soap(timeout)

    def soap(self, timeout: float = 5.0, /) -> Soap:
        """Return the object that makes operations; the first caller loads the WSDL.

        Raises:
            ConnectorError: the WSDL could not be loaded, or the document is not a WSDL.
        """
        client: Soap | None = self.client
        if client is None:
            settings = self._settings
            wsdl = load_sync(self._performer, self.service, settings, timeout)
            client = settings.client(wsdl)
            self._ping = ping_of(client, settings)
            self.operations = {item.name: item for item in named_operations(client)}
            self.client = client
        return client

    def _ping_server(self, timeout: float) -> None:
        """Load the WSDL, and perform the configured ping operation."""
        self.soap(timeout)
        super()._ping_server(timeout)
