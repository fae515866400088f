"""Synchronous and asynchronous managers that call an OData service on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from moorage import AsyncConnectorManager, ConnectorManager, OData, RetryPolicy, Service
from tests.support.odata_server import ROOT

if TYPE_CHECKING:
    from moorage.testing import VendorServer

ERP = OData(ROOT)


class Caller:
    """A caller that performs each operation with a new manager, always sync or always async."""

    def __init__(self, server: VendorServer, *, is_async: bool) -> None:
        self.server = server
        self.is_async = is_async

    def perform(self, operation: Any, service: dict[str, Any] | None = None, **options: Any) -> Any:
        """Perform an operation with a new manager."""
        settings: dict[str, Any] = {"retry": RetryPolicy(3, 0), **(service or {})}
        erp = Service("erp", base_url=self.server.url, **settings)
        if not self.is_async:
            with ConnectorManager([erp]) as manager:
                return manager.perform("erp", operation, **options)

        async def perform() -> Any:
            async with AsyncConnectorManager([erp]) as manager:
                return await manager.perform("erp", operation, **options)

        return asyncio.run(perform())
