"""The Kafka connector passes the connector conformance kit.

The mock cluster tells its clients its own address, so that they bypass any proxy. It imitates a
broken network itself: it delays its responses, or refuses connections. It cannot break a connection
after a number of responses, nor answer only some clients, which two checks need.
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
    from collections.abc import Callable, Iterable, Iterator

PASSWORD = "open-sesame"


class ClusterNetwork:
    """The network faults that a mock cluster can simulate by itself."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        cluster.track_requests()

    @property
    def requests(self) -> int:
        """The number of requests that the cluster received."""
        return len(self._cluster.requests)

    def withhold(self) -> None:
        """Make the cluster answer no request for a minute."""
        self._cluster.set_delay(60_000)

    withhold_responses = withhold

    def cut_connections(self) -> None:
        """Make the cluster close its connections and refuse new ones."""
        self._cluster.set_down(is_down=True)

    def cut_after(self, responses: int) -> None:
        """Raise an error, because the cluster cannot cut a connection after some responses."""
        raise AssertionError("the mock cluster cannot count its responses")

    def restore(self) -> None:
        """Make the cluster answer at once and accept connections again."""
        self._cluster.set_delay(0)
        self._cluster.set_down(is_down=False)


@pytest.fixture(scope="module", name="cluster")
def _cluster() -> Iterator[KafkaCluster]:
    """Yield a mock cluster for the conformance checks."""
    with KafkaCluster(orders=4, noise=4) as cluster:
        yield cluster


def subject(
    cluster: KafkaCluster, *, is_async: bool, network: ClusterNetwork | None = None
) -> connector_conformance.ConnectorSubject:
    """Return the Kafka connector under test.

    Publishing to a second topic replaces the read of other connectors.
    """

    def make_subject_of(**settings: Any) -> Callable[[Any], Any]:
        make_settings: Any = Kafka
        kafka = make_settings(**{"servers": cluster.servers, **settings})
        make: Any = kafka.async_publisher if is_async else kafka.publisher
        return lambda _: make("connector")

    def refusal(error: type[Any], because: str, **settings: Any) -> connector_conformance.Refusal:
        return connector_conformance.Refusal(
            make=make_subject_of(**settings), error=error, because=because
        )

    def count(text: str) -> int:
        stored = cluster.messages("orders", cluster.size("orders"))
        return sum(message.value() == text.encode() for message in stored)

    return connector_conformance.ConnectorSubject(
        make=make_subject_of(),
        read=lambda connector, text: connector.publish("noise", Message(text)),
        write=lambda connector, text: connector.publish("orders", Message(text)),
        count=count,
        network=network,
        refusals={
            "unknown host": refusal(ConnectionFailed, "host", servers="broker.invalid:9092"),
            "no server": refusal(ConnectionFailed, "accepts", servers="127.0.0.1:9"),
            "no TLS": refusal(ConnectionFailed, "TLS", tls=True),
            "wrong password": refusal(
                AuthenticationFailed, "password", username="ada", password=PASSWORD
            ),
        },
        secret=PASSWORD,
        operations=operations(300),
    )


@pytest.mark.parametrize("check", connector_conformance.CHECKS, ids=name_of)
def test_synchronous_kafka_connector_passes_conformance_kit(
    check: connector_conformance.Check, cluster: KafkaCluster
) -> None:
    """The synchronous Kafka connector passes the conformance kit."""
    check(subject(cluster, is_async=False))


@pytest.mark.parametrize("check", connector_conformance.ASYNC_CHECKS, ids=name_of)
def test_asynchronous_kafka_connector_passes_conformance_kit(
    check: connector_conformance.AsyncCheck, cluster: KafkaCluster
) -> None:
    """The asynchronous Kafka connector passes the conformance kit."""
    asyncio.run(check(subject(cluster, is_async=True)))


@pytest.mark.parametrize("check", connector_conformance.FORK_CHECKS, ids=name_of)
def test_forked_child_has_its_own_kafka_producer(
    check: connector_conformance.Check, cluster: KafkaCluster
) -> None:
    """A forked child has its own Kafka producer."""
    check(subject(cluster, is_async=False))


NOT_BY_ITSELF = {"connection_cut_at_each_point", "unanswered_write_is_unknown"}


def applicable(checks: Iterable[Any]) -> list[Any]:
    """Return the checks whose faults the mock cluster can simulate."""
    return [check for check in checks if name_of(check) not in NOT_BY_ITSELF]


@pytest.mark.parametrize("check", applicable(connector_conformance.NETWORK_CHECKS), ids=name_of)
def test_synchronous_connector_conforms_under_network_faults(
    check: connector_conformance.Check,
) -> None:
    """With network faults, the synchronous Kafka connector passes the checks of the kit."""
    with KafkaCluster(orders=4, noise=4) as cluster:
        check(subject(cluster, is_async=False, network=ClusterNetwork(cluster)))


@pytest.mark.parametrize(
    "check", applicable(connector_conformance.ASYNC_NETWORK_CHECKS), ids=name_of
)
def test_asynchronous_connector_conforms_under_network_faults(
    check: connector_conformance.AsyncCheck,
) -> None:
    """With network faults, the asynchronous Kafka connector passes the checks of the kit."""
    with KafkaCluster(orders=4, noise=4) as cluster:
        asyncio.run(check(subject(cluster, is_async=True, network=ClusterNetwork(cluster))))
