"""The common code of librdkafka's producers and consumers."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from moorage.domain.messages.kafka import RULES, connecting_fault
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

STEP: Final = 0.1
"""Seconds of one wait for librdkafka, after which errors and signals are looked at."""

KNOWN_TOPIC: Final = "__consumer_offsets"
"""A topic that nearly every cluster has, for which metadata are cheap to ask."""

ALL_DOWN: Final = "_ALL_BROKERS_DOWN"

_MOST_EVENTS: Final = 20
_FINAL_ERRORS: Final = frozenset(
    {PublishFault.HOST, PublishFault.PASSWORD, PublishFault.REFUSED, PublishFault.TLS}
)

# librdkafka's own messages contain users and addresses, and would go to standard error.
SILENT: Final = logging.Logger("moorage.kafka")  # noqa: LOG001 - outside the tree of loggers
SILENT.disabled = True


class ClusterWatch:
    """Records the errors of a Kafka client, and waits until its cluster responds.

    Args:
        serve: lets the client run its callbacks, which report errors.
        is_open: returns False when the client is closed, so that nobody needs to wait.
    """

    def __init__(self, serve: Callable[[], object], is_open: Callable[[], bool]) -> None:
        self._events: list[tuple[str, str]] = []
        self._serve = serve
        self._is_open = is_open

    def note(self, error: Any) -> None:
        """Record an error that the client reports."""
        del self._events[:-_MOST_EVENTS]
        self._events.append((error.name(), error.str()))

    def metadata(self, client: Any, topic: str, until: float) -> Any:
        """Return a topic's and its cluster's metadata, once the cluster has answered.

        Raises:
            ConnectorError: the cluster did not answer before the deadline.
        """
        self._events.clear()
        while self._is_open():
            seconds_left = until - monotonic()
            if seconds_left <= 0:
                break
            try:
                return client.list_topics(topic, timeout=min(seconds_left, STEP))
            except KafkaException:
                self._serve()
                names = {name for name, _ in self._events}
                if ALL_DOWN in names and connecting_fault(self._events) in _FINAL_ERRORS:
                    break
        raise publish_error(connecting_fault(self._events), RULES)


def options_error() -> ConfigurationError:
    """Return the error for settings that librdkafka refuses, without the settings' values."""
    return ConfigurationError(
        "The library librdkafka refuses the settings of the connector.",
        path="options",
        remedy="Check the names and values in `options`, and the TLS files.",
    )
