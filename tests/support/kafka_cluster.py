"""A mock Kafka cluster, which librdkafka serves over TCP on this machine.

Apache Kafka cannot be installed from the registries of packages, so tests use the cluster that
librdkafka brings for its own tests. It speaks Kafka's protocol, keeps messages in memory, and fails
on demand. `tansu_servers` beside this file has a broker that shares no code with it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Final, Self

import pytest

_PRODUCE: Final = 0
_PRODUCER: Final = 0
COMMIT: Final = 8
"""The number of requests that store positions of a group."""
JOIN: Final = 11
"""The number of requests that join a group."""
LEAVE: Final = 13
"""The number of requests that leave a group."""


class KafkaCluster:
    """A mock Kafka cluster that runs until it is closed.

    Args:
        topics: the names of topics, with the numbers of their partitions.

    Attributes:
        servers: the addresses of its brokers.
    """

    def __init__(self, **topics: int) -> None:
        pytest.importorskip("confluent_kafka", reason="install moorage with the extra kafka")
        import confluent_kafka  # noqa: PLC0415 - only where it is installed

        folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
        (path,) = folder.glob("librdkafka*.so*")
        self._library = library = ctypes.CDLL(str(path))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(library, name).restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        problem = ctypes.create_string_buffer(512)
        options = ctypes.c_void_p(library.rd_kafka_conf_new())
        library.rd_kafka_conf_set(options, b"log_level", b"0", problem, 512)
        self._client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, options, problem, 512))
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._client, 1))
        for topic, partitions in topics.items():
            self.create(topic, partitions)
        # By default the first member of a group waits for others for three seconds.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 50)
        self.servers: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int = 1) -> None:
        """Create a topic."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    def set_down(self, *, is_down: bool) -> None:
        """Close the broker's connections and refuse new ones, or accept them again."""
        command = "down" if is_down else "up"
        getattr(self._library, f"rd_kafka_mock_broker_set_{command}")(self._cluster, 1)

    def set_delay(self, milliseconds: int) -> None:
        """Delay every response of the broker."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds)

    def track_requests(self) -> None:
        """Record requests from now on, so that `requests` can count them."""
        self._library.rd_kafka_mock_start_request_tracking(self._cluster)

    @property
    def requests(self) -> list[int]:
        """The numbers of the kinds of the recorded requests."""
        count = ctypes.c_size_t()
        get = self._library.rd_kafka_mock_get_requests
        get.restype = ctypes.POINTER(ctypes.c_void_p)
        kind_of = self._library.rd_kafka_mock_request_api_key
        array = get(self._cluster, ctypes.byref(count))
        kinds = [kind_of(ctypes.c_void_p(array[number])) for number in range(count.value)]
        self._library.rd_kafka_mock_request_destroy_array(array, count)
        return kinds

    def fail_topic(self, topic: str, code: int) -> None:
        """Set the error code in a topic's metadata; 0 removes it."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def fail_next(self, *codes: int, request: int = _PRODUCE) -> None:
        """Respond to the next requests of a kind, by default Produce, with these error codes."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, ctypes.c_size_t(len(codes)), array
        )

    def end_failures(self, request: int) -> None:
        """Respond to all further requests of a kind without an error."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, request)

    def messages(self, topic: str, count: int) -> list[Any]:
        """Wait until a topic has this many messages, and return them."""
        from confluent_kafka import Consumer  # noqa: PLC0415 - only where it is installed

        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - only where it is installed

        partitions = consumer.list_topics(topic, timeout=30.0).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        messages: list[Any] = []
        try:
            while len(messages) < count:
                message = consumer.poll(120.0)
                assert message is not None, f"{len(messages)} of {count} messages came"
                assert message.error() is None, message.error()
                messages.append(message)
            # No further data may follow.
            messages += consumer.consume(1, timeout=0.3)
        finally:
            consumer.close()
        return messages

    def size(self, topic: str) -> int:
        """Return the number of messages of a topic."""
        from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - only where it is installed

        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "size", "log_level": 0})
        try:
            partitions = consumer.list_topics(topic, timeout=30.0).topics[topic].partitions
            end_events = [
                consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30.0)
                for number in partitions
            ]
        finally:
            consumer.close()
        return sum(end[1] for end in end_events if end is not None)

    def committed(self, group: str, topic: str) -> list[int]:
        """Return the offsets that a group has committed for each partition of a topic."""
        from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - only where it is installed

        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        try:
            partitions = consumer.list_topics(topic, timeout=30.0).topics[topic].partitions
            places = [TopicPartition(topic, number) for number in partitions]
            positions = consumer.committed(places, timeout=30.0)
        finally:
            consumer.close()
        return [position.offset for position in positions if position.offset >= 0]

    def close(self) -> None:
        """Stop the cluster."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
