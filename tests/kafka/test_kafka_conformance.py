"""The Kafka connector passes the connector conformance kit.

The checks of a broken network are left out: the mock cluster tells its clients its own address, so
that they pass by any proxy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import AuthenticationFailed, ConnectionFailed, Message
from moorage.adapters.messages.kafka import Kafka
from moorage.testing import connector_conformance, name_of
from tests.support.kafka_cluster import KafkaCluster
from tests.support.volumes import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = "open-sesame"


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[KafkaCluster]:
    """Yield a mock cluster for the conformance checks."""
    with KafkaCluster(orders=4, noise=4) as cluster:
        yield cluster


def subject(cluster: KafkaCluster, *, is_async: bool) -> connector_conformance.ConnectorSubject:
    """Return the Kafka connector under test; publishing to another topic serves as a read."""

    def making(**settings: Any) -> Callable[[Any], Any]:
        make_settings: Any = Kafka
        kafka = make_settings(**{"servers": cluster.servers, **settings})
        make: Any = kafka.async_publisher if is_async else kafka.publisher
        return lambda _: make("connector")

    def refusal(error: type[Any], because: str, **settings: Any) -> connector_conformance.Refusal:
        return connector_conformance.Refusal(make=making(**settings), error=error, because=because)

    def count(text: str) -> int:
        stored = cluster.messages("orders", cluster.size("orders"))
        return sum(message.value() == text.encode() for message in stored)

    return connector_conformance.ConnectorSubject(
        make=making(),
        read=lambda connector, text: connector.publish("noise", Message(text)),
        write=lambda connector, text: connector.publish("orders", Message(text)),
        count=count,
        refusals={
            "unknown host": refusal(ConnectionFailed, "host", servers="broker.invalid:9092"),
            "no server": refusal(ConnectionFailed, "accepts", servers="127.0.0.1:9"),
            "wrong password": refusal(
                AuthenticationFailed, "password", username="ada", password=PASSWORD
            ),
        },
        secret=PASSWORD,
        operations=operations(300),
    )


@pytest.mark.parametrize("check", connector_conformance.CHECKS, ids=name_of)
def test_synchronous_connector(check: connector_conformance.Check, cluster: KafkaCluster) -> None:
    """The synchronous Kafka connector passes the conformance kit."""
    check(subject(cluster, is_async=False))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_connector(
    check: connector_conformance.AsyncCheck, cluster: KafkaCluster
) -> None:
    """The asynchronous Kafka connector passes the conformance kit."""
    asyncio.run(check(subject(cluster, is_async=True)))


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_forked_connector(check: connector_conformance.Check, cluster: KafkaCluster) -> None:
    """A forked child has its own Kafka producer."""
    check(subject(cluster, is_async=False))
