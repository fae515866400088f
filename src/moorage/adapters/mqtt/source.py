"""A source of records from topics of an MQTT broker.

Laws:

1. A message of QoS 1 or 2 is acknowledged only after `commit`. Messages that are not acknowledged
   when the connection ends are delivered again to the client with the same id.
2. The broker keeps the session of a client that is away, with the messages that arrive meanwhile.
3. A topic that was removed from the source's list stays subscribed in the session, because a client
   cannot list the subscriptions of a session. With MQTT 5 the first message that belongs to no
   current subscription ends those that could have brought it. With MQTT 3.1.1 nothing ends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from moorage.domain.messages.mqtt import LONGEST_TEXT, MqttVersion
from moorage.domain.messages.mqtt_subscriptions import (
    NEVER,
    MqttSubscription,
    end_error,
    topic_filters,
)
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import count, seconds
from moorage.errors import ConfigurationError, UnsupportedByVendor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from moorage.adapters.mqtt._reader import MqttReader
    from moorage.adapters.mqtt.kind import Mqtt
    from moorage.domain.pipelines.records import Offset, Partition, SinkRecord
    from moorage.ports.pipelines import PollLimits, Revocation


@with_careful_constructor
class MqttSource:
    """A source that reads topics of an MQTT broker, in a persistent session.

    MQTT gives messages neither positions nor ids, and a client cannot give a message back: the
    broker delivers it again when the client with the same id returns. A message that is published
    without an id gets a new `identity` with each delivery. A message that is published with QoS 0
    is not acknowledged, and is lost with the worker. After you remove a topic, its subscription
    ends with the first message that still arrives; with MQTT 3.1.1, change `client_id` too.

    Args:
        settings: the broker.
        topics: the topics, which may have the wildcards "+" and "#".
        client_id: the client id of this worker, which no other living client may have, and which
            stays the same when the worker starts again. The broker keeps the subscriptions and the
            messages of the worker under it.
        group: a group of workers that share the messages, each with a client id of its own; None
            for a worker that gets all messages. It needs MQTT 5.
        qos: 1, or 2 for brokers that deliver each message once.
        prefetch: the number of messages that are delivered and not acknowledged, at most. With MQTT
            3.1.1 the broker's own settings determine this.
        session_expiry: the seconds for which the broker keeps the session of a worker that is
            away; None for ever. With MQTT 3.1.1 the broker's own settings determine this.
    """

    commits: Literal["each", "prefix"] = "each"
    extend_every: float | None = None

    def __init__(
        self,
        settings: Mqtt,
        topics: Sequence[str],
        *,
        client_id: str,
        group: str | None = None,
        qos: int = 1,
        prefetch: int = 100,
        session_expiry: float | timedelta | None = None,
    ) -> None:
        if not client_id:
            raise ConfigurationError(
                "The MQTT source needs a client id, so that the broker stores messages for it.",
                path="client_id",
                remedy="Set a name that always stays the same, such as billing-1.",
            )
        if group is not None and settings.version is not MqttVersion.V5:
            raise ConfigurationError(
                "Shared subscriptions (`group`) need MQTT 5.",
                path="group",
                remedy='Set protocol = "5", or leave out `group`.',
            )
        self.topics = tuple(topics)
        self.client_id = client_id
        # The settings' `qos` and `retain` are for publishers; replacing `qos` validates it, too.
        self._settings = attrs.evolve(settings, qos=qos, retain=False)
        expiry = NEVER
        if session_expiry is not None:
            expiry = max(1, min(NEVER, round(seconds(session_expiry, "session_expiry"))))
        self._subscription = MqttSubscription(
            filters=topic_filters(topics, group),
            qos=qos,
            prefetch=count(prefetch, "prefetch", most=LONGEST_TEXT),
            expiry=expiry,
        )
        self._reader: MqttReader | None = None

    async def open(self, revoked: Revocation, /) -> None:
        """Connect, and resume the session; earlier deliveries can no longer be acknowledged."""
        from moorage.adapters.mqtt._links import (  # noqa: PLC0415 - only some need it
            connect_subscriber,
        )
        from moorage.adapters.mqtt._reader import MqttReader  # noqa: PLC0415 - only some need it

        if self._reader is not None and self._reader.has_delivered:
            await revoked(None)
        await self.close()
        link = await connect_subscriber(self._settings, self.client_id, self._subscription)
        self._reader = MqttReader(link, self._subscription.prefetch)

    async def poll(self, limits: PollLimits, /) -> list[SinkRecord]:
        """Return messages in order of arrival."""
        return await self._connected().take(limits)

    async def commit(self, records: Sequence[SinkRecord], /) -> None:
        """Acknowledge processed messages, each after all messages that arrived earlier."""
        await self._connected().acknowledge(records)

    async def release(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing, because MQTT redelivers unacknowledged messages after a reconnection."""

    async def extend(self, records: Sequence[SinkRecord], /) -> None:
        """Do nothing, because MQTT has no lease that could expire."""

    async def seek(self, partition: Partition, offset: Offset, /) -> None:
        """Raise an error, because MQTT topics have no positions."""
        del partition, offset
        raise UnsupportedByVendor(
            "An MQTT source cannot seek, because topics have no positions.",
            remedy="Publish the messages again, or read them from another broker.",
        )

    async def close(self) -> None:
        """Disconnect; the broker keeps unacknowledged messages for this client id."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def _connected(self) -> MqttReader:
        if self._reader is None:
            raise end_error(None)
        return self._reader
