"""Test helper: MongoDB connectors of sync and async mode, with their managers."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service
from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
from moorage.adapters.mongodb.connector_sync import MongoConnector

SERVICE = Service("erp", timeout=20.0, retry=RetryPolicy(max_attempts=1), circuit=None)


class Harness:
    """A MongoDB connector and its manager in sync or async mode; tests call both synchronously."""

    def __init__(self, mode: str, url: str, *, service: Service = SERVICE, **settings: Any) -> None:
        self.is_async = mode == "async"
        kind: Any = AsyncMongoConnector if self.is_async else MongoConnector
        self.connector: Any = kind(url, **{"name": "erp", "connect_timeout": 2.0, **settings})
        manager: Any = AsyncConnectorManager if self.is_async else ConnectorManager
        self.manager: Any = manager([service])
        self.loop = asyncio.new_event_loop() if self.is_async else None

    @staticmethod
    def new_name() -> str:
        """Return a new database name."""
        return f"erp_{uuid4().hex[:8]}"

    def run(self, value: Any) -> Any:
        """Return a value; if it is a coroutine, run it and return its result."""
        return self.loop.run_until_complete(value) if self.loop else value

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation through the manager."""
        return self.run(self.manager.perform("erp", operation, **options))

    def do(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make an operation with this method of the connector, and perform it."""
        return self.perform(getattr(self.connector, method)(*arguments, **options))

    def by_name(self, name: str, **arguments: Any) -> Any:
        """Perform an operation by name, and return its result as plain JSON."""
        named = self.connector.operations[name]
        return named.render(self.perform(named.operation(arguments)))

    def transact(self, *operations: Any, fails: bool = False, **options: Any) -> list[Any]:
        """Perform operations in a transaction, and return their results."""

        def run_transaction(transaction: Any) -> list[Any]:
            results = [transaction.perform(operation) for operation in operations]
            if fails:
                raise KeyError("mine")
            return results

        async def work_async(transaction: Any) -> list[Any]:
            results = [await transaction.perform(operation) for operation in operations]
            if fails:
                raise KeyError("mine")
            return results

        function = work_async if self.is_async else run_transaction
        transaction = self.connector.transaction(function, name="orders.move")
        results: list[Any] = self.perform(transaction, **options)
        return results

    def close(self) -> None:
        """Close the connector, its manager and the event loop."""
        self.run(self.connector.close())
        self.run(self.manager.close())
        if self.loop:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
