"""Loads the WSDL of a connector from a path of the service or from a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.adapters.concurrency.pooled_threads import to_thread
from moorage.adapters.http_operations.soap.wsdl import Wsdl

if TYPE_CHECKING:
    from moorage.adapters.http_operations.soap.settings import SoapSettings
    from moorage.ports.connector import AsyncPerformer


async def load_async(
    performer: AsyncPerformer, service: str, settings: SoapSettings, timeout: float
) -> Wsdl:
    """Load the WSDL from a file or from the service, and parse it in a thread."""
    if settings.wsdl_file is not None:
        read = partial(Wsdl.from_file, settings.wsdl_file, copies=settings.copies)
        return await to_thread(read)
    return await Wsdl.afetch(
        performer, service, settings.wsdl, copies=settings.copies, timeout=timeout
    )
