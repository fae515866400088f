"""One MQTT session with paho-mqtt, which uses memory buffers instead of a socket.

paho writes to memory and reads from it, and has no thread, no timer and no socket. So synchronous
and asynchronous programs share this code, and a link moves the bytes. A session object ends with
its connection: paho never reconnects, never queues a message and never sends one twice.

A received message is acknowledged only by `acknowledge`. With QoS 2 paho itself would acknowledge a
message as soon as it arrives, and a process that dies then would lose it.
"""

from __future__ import annotations

from collections import deque
from math import inf
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from moorage.domain.messages.mqtt import (
    LARGEST_PACKET,
    MqttLimits,
    MqttVersion,
    is_failure,
    publish_fault,
    user_properties,
)
from moorage.domain.messages.publish_failures import PublishFault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.adapters.mqtt.kind import Mqtt
    from moorage.domain.messages.message import OutgoingMessage
    from moorage.domain.messages.mqtt_subscriptions import MqttSubscription

_LARGEST_INCOMING: Final = 65_536
"""The bytes of a packet of the broker at most; no packet that a publisher gets is as large."""

_MOST_JUDGED: Final = 10_000
"""The number of topics of which the session knows that it need not look at them again."""

_FILTERS_AT_ONCE: Final = 8
"""The number of filters in one request; AWS IoT Core accepts no more."""

_QOS_EXACTLY_ONCE: Final = 2
_PUBACK: Final = Struct("!BBH")
"""An acknowledgement of QoS 1: the kind of packet, the number of further bytes, the message."""

_VERSIONS: Final = {
    MqttVersion.V5: MQTTProtocolVersion.MQTTv5,
    MqttVersion.V311: MQTTProtocolVersion.MQTTv311,
}


class _Memory:
    """The received and outgoing bytes of a session, which replace a socket for paho."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        self.outgoing += data
        return len(data)

    def close(self) -> None:
        """Do nothing, because the link closes the connection."""

    def setblocking(self, _: bool) -> None:  # noqa: FBT001 - as sockets have it
        """Do nothing, because memory never blocks."""


class Acknowledgement(NamedTuple):
    """The broker's acknowledgement of a message.

    Attributes:
        fault: the reason why the broker did not accept the message; None if it accepted it.
        code: the broker's code.
    """

    fault: PublishFault | None
    code: int


class _Client(Client):
    """A paho client that stores the codes of acknowledgements.

    paho ignores a failure in the first acknowledgement of QoS 2, and cannot read codes that it does
    not know. These methods are not public; the tests run with the oldest and the newest paho.
    """

    def __init__(self, session: MqttSession, **options: Any) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2, reconnect_on_failure=False, manual_ack=True, **options
        )
        self._session = session
        # With a limit, paho would queue the messages that exceed it.
        self.max_inflight_messages = 0

    def forget(self, number: int) -> None:
        """Remove a message that is acknowledged, or must not be sent."""
        self._out_messages.pop(number, None)

    def ping(self) -> None:
        """Send a ping to the broker."""
        self._send_pingreq()

    def incoming_size(self) -> int:
        """Return the total size of the packet that is arriving."""
        return self._in_packet["remaining_length"]

    def _create_socket(self) -> Any:
        return self._session.memory

    def _packet(self) -> bytes:
        return bytes(self._in_packet["packet"])

    def _handle_connack(self) -> MQTTErrorCode:
        self._session.note_connack(self._packet())
        return super()._handle_connack()

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        self._session.note_acknowledgement(self._packet(), is_second=cmd == "PUBCOMP")
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubrec(self) -> MQTTErrorCode:
        packet = self._packet()
        if is_failure(_code_of(packet)):
            self._session.note_acknowledgement(packet)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._handle_pubrec()

    def acknowledge(self, number: int, qos: int) -> None:
        """Acknowledge a received message; with QoS 2 this frees its packet id."""
        if qos == 1:
            # paho would queue the four bytes first, and then take them from its queue.
            self._session.memory.outgoing += _PUBACK.pack(PacketTypes.PUBACK << 4, 2, number)
        elif qos == _QOS_EXACTLY_ONCE:
            super()._send_pubrec(number)

    def _handle_on_message(self, message: Any) -> None:
        # paho would first look for callbacks of each topic, under two locks. A topic that is not
        # UTF-8 raises an error here, which ends the session.
        self._session.messages.append((message.topic, message))

    def _handle_publish(self) -> MQTTErrorCode:
        result = super()._handle_publish()
        # paho keeps a QoS 2 message until the broker has released its packet id.
        self._session.messages.extend((item.topic, item) for item in self._in_messages.values())
        self._in_messages.clear()
        return result

    def _send_pubrec(self, mid: int) -> MQTTErrorCode:
        del mid  # `acknowledge` sends the acknowledgement
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubrel(self) -> MQTTErrorCode:
        return self._send_pubcomp(int.from_bytes(self._packet()[:2]))

    def _handle_pingresp(self) -> MQTTErrorCode:
        self._session.awaits_ping = False
        return super()._handle_pingresp()

    def _handle_disconnect(self) -> None:
        self._session.note_end(self._packet())
        super()._handle_disconnect()


def _properties(packet: int) -> Any:
    """Return paho's properties object for a kind of packet."""
    kind: Any = Properties
    return kind(packet)


def _code_of(packet: bytes) -> int:
    """Return the code of an acknowledgement; a missing code means success."""
    return packet[2] if len(packet) > 2 else 0


class MqttSession:
    """An MQTT session on one connection.

    Args:
        settings: the broker.
        client_id: the client id.
        subscription: the messages to receive. With a subscription, the broker keeps the session
            when the connection ends.

    Attributes:
        memory: the bytes that arrived, and those to send.
        limits: the limits that the broker announced.
        refusal: the code with which the broker rejected the connection; None if it did not refuse.
        end_code: the code with which the broker ended the connection; None if it sent no code.
        is_accepted: whether the broker accepted the connection.
        is_ended: whether the session is over.
        awaits_ping: whether the broker still has to answer a ping.
        unacknowledged: the numbers of the messages that the broker has not acknowledged.
        acknowledged: the acknowledgements that nobody has taken, by the numbers of their messages.
        messages: the messages that arrived and that nobody has taken: the topic of each, and the
            message as paho has it.
        granted: the codes with which the broker answers the subscription; None before its answer.
    """

    def __init__(
        self, settings: Mqtt, client_id: str, subscription: MqttSubscription | None = None
    ) -> None:
        self._settings = settings
        self.memory = _Memory()
        self.limits = MqttLimits()
        self.refusal: int | None = None
        self.end_code: int | None = None
        self.is_accepted = self.is_ended = self.awaits_ping = False
        self.unacknowledged: set[int] = set()
        self.acknowledged: dict[int, Acknowledgement] = {}
        self.messages: deque[tuple[str, Any]] = deque()
        self.granted: list[int] | None = None
        self._subscription = subscription
        self._judged_topics: set[str] = set()
        self._largest = _LARGEST_INCOMING if subscription is None else LARGEST_PACKET
        self._is_v5 = settings.version is MqttVersion.V5
        options: dict[str, Any] = {"client_id": client_id, "protocol": _VERSIONS[settings.version]}
        if not self._is_v5:
            options["clean_session"] = subscription is None
        self._client = client = _Client(self, **options)
        client.on_connect = self._note_limits
        client.on_subscribe = self._note_granted
        address = settings.address()
        if address.user:
            client.username_pw_set(address.user, address.password_text() or None)
        connect_options: dict[str, Any] = {}
        if self._is_v5:
            properties = _properties(PacketTypes.CONNECT)
            if subscription is None:
                properties.MaximumPacketSize = _LARGEST_INCOMING
            else:
                properties.SessionExpiryInterval = subscription.expiry
                properties.ReceiveMaximum = subscription.prefetch
            connect_options = {"clean_start": subscription is None, "properties": properties}
        # The host and port are those of the link's own connection.
        client.connect("broker", 1, settings.keepalive, **connect_options)

    def publish(self, item: OutgoingMessage) -> int | None:
        """Buffer a message, and return its packet id; None if it is too large."""
        outgoing = self.memory.outgoing
        begin = len(outgoing)
        settings = self._settings
        number = self._client.publish(
            item.topic,
            item.message.payload,
            qos=settings.qos,
            retain=settings.retain,
            properties=self._properties(item),
        ).mid
        if len(outgoing) - begin > self.limits.largest_packet:
            del outgoing[begin:]
            self._client.forget(number)
            return None
        self.unacknowledged.add(number)
        return number

    def subscribe(self, subscription: MqttSubscription) -> None:
        """Buffer a subscription request."""
        filters = subscription.filters
        topic_filters: list[Any] = [(item, subscription.qos) for item in filters]
        if self._is_v5:
            # The broker sends a retained message only with a new subscription.
            options = SubscribeOptions(qos=subscription.qos, retainHandling=1)
            topic_filters = [(item, options) for item in filters]
        properties = None
        if self.limits.identifies:
            properties = _properties(PacketTypes.SUBSCRIBE)
            properties.SubscriptionIdentifier = subscription.identifier
        self._client.subscribe(topic_filters, properties=properties)

    def end_removed_subscriptions(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Buffer requests to end the subscriptions that the source does not have any more.

        A client cannot list the subscriptions of its session. But a message that belongs to none of
        the current ones tells that there is another one, of which only the filter is not known.

        Args:
            messages: the messages that have arrived: the topic of each, and the message.
        """
        subscription = self._subscription
        if subscription is None or not self.limits.identifies:
            return
        for topic, message in messages:
            if topic in self._judged_topics:
                continue
            if len(self._judged_topics) >= _MOST_JUDGED:
                self._judged_topics.clear()
            self._judged_topics.add(topic)
            identifiers = getattr(message.properties, "SubscriptionIdentifier", ())
            # A broker that renames topics sends messages of topics that match no filter.
            if subscription.identifier not in identifiers and not subscription.matches(topic):
                names = subscription.possible_filters(topic)
                for start in range(0, len(names), _FILTERS_AT_ONCE):
                    self._client.unsubscribe(names[start : start + _FILTERS_AT_ONCE])

    def acknowledge(self, number: int, qos: int) -> None:
        """Buffer the acknowledgement of a received message."""
        self._client.acknowledge(number, qos)

    def ping(self) -> None:
        """Buffer a ping for the broker."""
        self.awaits_ping = True
        self._client.ping()

    def leave(self) -> None:
        """Buffer the packet that ends the session."""
        self._client.disconnect()

    def receive(self, data: bytes, until: float = inf) -> None:
        """Process bytes from the broker; b"" means that the broker closed the connection.

        Bytes that are not processed at the time `until`, by the monotonic clock, are left for
        later.
        """
        self.memory.incoming += data
        if not data:
            self.is_ended = True
        while self.memory.incoming and not self.is_ended and monotonic() < until:
            try:
                result = self._client.loop_read()
            except Exception:  # noqa: BLE001 - paho raises many kinds for bytes that are not MQTT
                self.is_ended = True
            else:
                is_too_large = self._client.incoming_size() > self._largest
                self.is_ended = self.is_ended or is_too_large or bool(result)

    def note_connack(self, packet: bytes) -> None:
        """Record the broker's answer to the opening of the session."""
        code = packet[1] if len(packet) > 1 else 0
        self.refusal = code or None

    def note_acknowledgement(self, packet: bytes, *, is_second: bool = False) -> None:
        """Record the broker's acknowledgement of a message.

        Args:
            packet: the number of the message, and the code if it is not a plain success.
            is_second: whether this is the second acknowledgement of QoS 2. A failure then means
                that the broker does not know the message any more.
        """
        number, code = int.from_bytes(packet[:2]), _code_of(packet)
        if number not in self.unacknowledged:
            return
        self.unacknowledged.remove(number)
        self._client.forget(number)
        fault = None
        if is_failure(code):
            fault = PublishFault.LOST if is_second else publish_fault(code)
        self.acknowledged[number] = Acknowledgement(fault, code)

    def note_end(self, packet: bytes) -> None:
        """Record the code with which the broker has ended the session."""
        self.end_code = packet[0] if packet else 0
        self.is_ended = True

    def _note_granted(self, _: Any, __: Any, ___: Any, codes: Any, ____: Any) -> None:
        self.granted = [code.value for code in codes]

    def _note_limits(self, _: Any, __: Any, ___: Any, reason: Any, properties: Any) -> None:
        """Record the limits that the broker announces."""
        if reason.is_failure:
            return
        limits = MqttLimits()
        self.is_accepted = True
        self.limits = MqttLimits(
            in_flight=getattr(properties, "ReceiveMaximum", limits.in_flight),
            largest_packet=getattr(properties, "MaximumPacketSize", limits.largest_packet),
            highest_qos=getattr(properties, "MaximumQoS", limits.highest_qos),
            retains=bool(getattr(properties, "RetainAvailable", 1)),
            identifies=self._is_v5
            and bool(getattr(properties, "SubscriptionIdentifierAvailable", 1)),
            keepalive=getattr(properties, "ServerKeepAlive", None),
        )

    def _properties(self, item: OutgoingMessage) -> Any:
        if not self._is_v5:
            return None
        properties = _properties(PacketTypes.PUBLISH)
        if item.message.content_type is not None:
            properties.ContentType = item.message.content_type
        if self._settings.expiry is not None:
            properties.MessageExpiryInterval = self._settings.expiry
        pairs = user_properties(item)
        if pairs:
            properties.UserProperty = pairs
        return properties
