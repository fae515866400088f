"""A connector with its manager, for tests that run in sync and async mode."""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self

import pytest

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import ConnectorError


class ConnectorInMode:
    """A connector and the manager that performs its operations, without retries.

    Args:
        connector: a synchronous or asynchronous connector, which the block closes.
        service: the name of the service.
    """

    def __init__(self, connector: Any, service: str) -> None:
        services = [Service(service, retry=RetryPolicy.none(), circuit=None)]
        is_async = iscoroutinefunction(connector.open)
        self._runner = asyncio.Runner() if is_async else None
        kind: Any = AsyncConnectorManager if is_async else ConnectorManager
        self._manager = kind(services)
        self._service = service
        self.connector = connector

    def run(self, call: Callable[[], Any]) -> Any:
        """Call a method, and await its result if it is asynchronous."""
        if self._runner is None:
            return call()

        async def await_answer() -> Any:
            return await call()

        return self._runner.run(await_answer())

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation of the connector."""
        return self.run(lambda: self._manager.perform(self._service, operation, **options))

    def error(self, operation: Any, kind: type[ConnectorError]) -> Any:
        """Return the error of an operation, which must be of this class."""
        with pytest.raises(kind) as excinfo:
            self.perform(operation)
        return excinfo.value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.connector.close)
        if self._runner is not None:
            self._runner.close()
