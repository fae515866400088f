"""Synchronous and asynchronous Kafka connectors for a mock cluster, called through a manager."""

from __future__ import annotations

from typing import Any

from moorage import RetryPolicy, Service
from moorage.adapters.messages.kafka import Kafka
from tests.support.publisher_harness import PublisherHarness


class KafkaHarness(PublisherHarness):
    """A Kafka connector with its manager.

    Args:
        servers: the addresses of brokers.
        is_async: whether the connector is asynchronous.
        attempts: the number of attempts of a call.
        settings: further settings of the connector.
    """

    def __init__(self, servers: str, *, is_async: bool, attempts: int = 1, **settings: Any) -> None:
        cluster = Kafka(servers=servers, **settings)
        make: Any = cluster.async_publisher if is_async else cluster.publisher
        service = Service("events", retry=RetryPolicy(attempts, 0), timeout=60.0)
        super().__init__(make("events"), service, is_async=is_async)
