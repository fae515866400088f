"""Fixtures that make message publishers in sync and async mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import Mqtt, Secret
from moorage.adapters.messages.rabbitmq import RabbitMq
from tests.adapters.messages.publisher_harness import PATIENCE, Harness
from tests.adapters.messages.rabbitmq_harness import Broker
from tests.support.servers import rabbitmq_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.testing import MemoryBroker


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the mode of the publisher under test: "sync" or "async"."""
    value: str = request.param
    return value


@pytest.fixture
def harnesses(mode: str) -> Generator[Callable[..., Harness]]:
    """Return a function that makes publishers; the fixture closes the publishers after the test."""
    made: list[Harness] = []

    def make_harness(publisher: Callable[[bool], Any], **settings: Any) -> Harness:
        made.append(Harness(mode, publisher, **settings))
        return made[-1]

    yield make_harness
    for harness in made:
        harness.close()


@pytest.fixture
def memory_harness(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers to the in-memory broker."""

    def make_harness(broker: MemoryBroker, **settings: Any) -> Harness:
        return harnesses(
            lambda is_async: broker.async_publisher() if is_async else broker.publisher(),
            **settings,
        )

    return make_harness


@pytest.fixture
def broker() -> Generator[Broker]:
    """Yield a queue on the RabbitMQ server that the tests share."""
    broker = Broker(rabbitmq_url())
    yield broker
    broker.close()


@pytest.fixture
def rabbit(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers to RabbitMQ."""

    def make_harness(
        url: str, *, service: dict[str, Any] | None = None, **settings: Any
    ) -> Harness:
        options: dict[str, Any] = {"connect_timeout": PATIENCE, **settings}
        values = RabbitMq(url=Secret(url), **options)
        return harnesses(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_harness


@pytest.fixture
def mqtt(harnesses: Callable[..., Harness]) -> Callable[..., Harness]:
    """Return a function that makes publishers over MQTT."""

    def make_harness(
        url: str, *, service: dict[str, Any] | None = None, **settings: Any
    ) -> Harness:
        options: dict[str, Any] = {"connect_timeout": PATIENCE, **settings}
        values = Mqtt(url=Secret(url), **options)
        return harnesses(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_harness
