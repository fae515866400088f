"""Loads the WSDL of a connector from a path of the service or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.adapters.http_operations.soap.wsdl import Wsdl

if TYPE_CHECKING:
    from moorage.adapters.http_operations.soap.settings import SoapSettings
    from moorage.ports.connector import Performer


def load_sync(performer: Performer, service: str, settings: SoapSettings, timeout: float) -> Wsdl:
    """Load the WSDL from a file or from the service."""
    if settings.wsdl_file is not None:
        return Wsdl.from_file(settings.wsdl_file, copies=settings.copies)
    return Wsdl.fetch(performer, service, settings.wsdl, copies=settings.copies, timeout=timeout)
