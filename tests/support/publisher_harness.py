"""Message connectors of sync and async mode, called through a manager."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import pytest

from moorage import AsyncConnectorManager, ConnectorManager

if TYPE_CHECKING:
    from moorage import Message, Service

IN_BOTH_MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class PublisherHarness:
    """A message connector, a manager for its service, and an event loop if needed.

    Args:
        connector: the connector.
        service: its service.
        is_async: whether the connector is asynchronous.
    """

    def __init__(self, connector: Any, service: Service, *, is_async: bool) -> None:
        self.runner = asyncio.Runner()
        self.connector = connector
        self.is_async = is_async
        self.manager: Any = (
            AsyncConnectorManager([service]) if is_async else ConnectorManager([service])
        )
        self._service_name = service.name

    def completed(self, value: Any) -> Any:
        """Return a value, awaiting it if necessary."""

        async def await_answer() -> Any:
            return await value

        return self.runner.run(await_answer()) if self.is_async else value

    def publish(self, place: str, message: Message, **options: Any) -> Any:
        """Publish a message through the manager."""
        operation = self.connector.publish(place, message)
        return self.completed(self.manager.perform(self._service_name, operation, **options))

    def publish_batch(self, place: str, messages: list[Message], **options: Any) -> Any:
        """Publish a batch of messages through the manager."""
        operation = self.connector.publish_batch(place, messages)
        return self.completed(self.manager.perform(self._service_name, operation, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.completed(self.connector.close())
        self.runner.close()
