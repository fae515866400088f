"""A message publisher and its manager, both sync or both async, for tests that run in both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service

if TYPE_CHECKING:
    from collections.abc import Callable


PATIENCE: Final = 60.0
"""Seconds that a broker of this machine may take to answer, however busy the machine is."""


class Harness:
    """A message publisher and the manager that protects it, both sync or both async.

    Args:
        mode: "sync" or "async".
        make: a function that makes the publisher; its argument is True in the asynchronous mode.
        settings: further settings of the service.
    """

    def __init__(self, mode: str, make: Callable[[bool], Any], **settings: Any) -> None:
        options: dict[str, Any] = {
            "retry": RetryPolicy(3, 0),
            "circuit": None,
            "timeout": 10.0,
            **settings,
        }
        service = Service("events", **options)
        self.loop = None if mode == "sync" else asyncio.new_event_loop()
        self.publisher = make(self.loop is not None)
        self.manager: Any = (
            ConnectorManager([service]) if mode == "sync" else AsyncConnectorManager([service])
        )

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation, which the manager protects."""
        return self.finish(self.manager.perform("events", operation, **options))

    def publish(self, topic: str, message: Any, **options: Any) -> Any:
        """Publish a message."""
        return self.perform(self.publisher.publish(topic, message), **options)

    def publish_batch(self, topic: str, messages: Any, **options: Any) -> Any:
        """Publish messages as a batch."""
        return self.perform(self.publisher.publish_batch(topic, messages), **options)

    def finish(self, value: Any) -> Any:
        """Return a value; in asynchronous mode, await it and return its result."""
        return value if self.loop is None else self.loop.run_until_complete(value)

    def close(self) -> None:
        """Close the publisher."""
        self.finish(self.publisher.close())
        if self.loop is not None:
            self.loop.run_until_complete(_wait_for_client_tasks())
            self.loop.close()


async def _wait_for_client_tasks() -> None:
    """Wait for client library tasks that are closing their connections."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=2.0)
