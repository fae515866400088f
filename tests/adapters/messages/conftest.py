"""Fixtures that make message publishers in sync and async mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import Mqtt, Secret
from moorage.adapters.messages.rabbitmq import RabbitMq
from tests.adapters.messages.publisher_lab import PATIENCE, Lab
from tests.adapters.messages.rabbitmq_lab import Broker
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
def labs(mode: str) -> Generator[Callable[..., Lab]]:
    """Return a function that makes publishers; the fixture closes the publishers after the test."""
    made: list[Lab] = []

    def make_lab(publisher: Callable[[bool], Any], **settings: Any) -> Lab:
        made.append(Lab(mode, publisher, **settings))
        return made[-1]

    yield make_lab
    for lab in made:
        lab.close()


@pytest.fixture
def memory_lab(labs: Callable[..., Lab]) -> Callable[..., Lab]:
    """Return a function that makes publishers to the in-memory broker."""

    def make_lab(broker: MemoryBroker, **settings: Any) -> Lab:
        return labs(
            lambda is_async: broker.async_publisher() if is_async else broker.publisher(),
            **settings,
        )

    return make_lab


@pytest.fixture
def broker() -> Generator[Broker]:
    """Yield a queue on the RabbitMQ server that the tests share."""
    broker = Broker(rabbitmq_url())
    yield broker
    broker.close()


@pytest.fixture
def rabbit(labs: Callable[..., Lab]) -> Callable[..., Lab]:
    """Return a function that makes publishers to RabbitMQ."""

    def make_lab(url: str, *, service: dict[str, Any] | None = None, **settings: Any) -> Lab:
        options: dict[str, Any] = {"connect_timeout": PATIENCE, **settings}
        values = RabbitMq(url=Secret(url), **options)
        return labs(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_lab


@pytest.fixture
def mqtt(labs: Callable[..., Lab]) -> Callable[..., Lab]:
    """Return a function that makes publishers over MQTT."""

    def make_lab(url: str, *, service: dict[str, Any] | None = None, **settings: Any) -> Lab:
        options: dict[str, Any] = {"connect_timeout": PATIENCE, **settings}
        values = Mqtt(url=Secret(url), **options)
        return labs(
            lambda is_async: values.async_publisher() if is_async else values.publisher(),
            **(service or {}),
        )

    return make_lab
