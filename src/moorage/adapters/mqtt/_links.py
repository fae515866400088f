"""Connections to MQTT brokers, for synchronous and asynchronous programs.

The code of a link is the same for tasks and threads; its network suspends a task or blocks a
thread. A link has no thread and no task of its own: the caller that waits for an acknowledgement
reads the connection.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Final

from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._threads import ThreadNetwork, run
from moorage.adapters.http.connections._wire import DeadlinePassed, Origin, dial
from moorage.adapters.messages.network_faults import network_fault
from moorage.adapters.mqtt._session import MqttSession
from moorage.adapters.trust import context_for
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.mqtt import RULES, connect_error, ending_fault
from moorage.domain.messages.mqtt_subscriptions import end_error
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.http.connections._wire import Network, Wire
    from moorage.adapters.mqtt.kind import Mqtt
    from moorage.domain.messages.message import OutgoingMessage
    from moorage.domain.messages.mqtt_subscriptions import MqttSubscription

_FULL_BUFFER: Final = 65_536
"""The bytes that are sent together at most, unless a message is larger."""

_LOOPS: Final = LoopNetwork()
_THREADS: Final = ThreadNetwork()


def connect(settings: Mqtt, timeout: float) -> MqttLink:
    """Open a connection to an MQTT broker for a synchronous program."""
    return MqttLink(run(_connected_link(settings, timeout, _THREADS, _client_id(settings))))


async def connect_async(settings: Mqtt, timeout: float) -> AsyncMqttLink:
    """Open a connection to an MQTT broker for an asynchronous program."""
    return await _connected_link(settings, timeout, _LOOPS, _client_id(settings))


async def connect_subscriber(
    settings: Mqtt, client_id: str, subscription: MqttSubscription
) -> AsyncMqttLink:
    """Open a connection to an MQTT broker, and resume the session of a client id."""
    return await _connected_link(
        settings, settings.connect_timeout, _LOOPS, client_id, subscription
    )


def _client_id(settings: Mqtt) -> str:
    if settings.exact_client_id:
        return settings.client_id
    return f"{settings.client_id}-{token_hex(6)}"


async def _connected_link(
    settings: Mqtt,
    timeout: float,
    network: Network,
    client_id: str,
    subscription: MqttSubscription | None = None,
) -> AsyncMqttLink:
    """Open a connection to an MQTT broker, and start or resume a session."""
    until = monotonic() + min(timeout, settings.connect_timeout)
    wire: Wire | None = None
    try:
        address = settings.address()
        context = None if address.tls is None else context_for(address.tls, "")
        origin = Origin(address.host, address.port, secure=context is not None)
        wire = await dial(network, origin, until, context)
        link = AsyncMqttLink(settings, wire, MqttSession(settings, client_id, subscription))
        await link.greet(until)
        if subscription is not None:
            await link.subscribe(subscription, until)
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = _connecting_error(error)
    except BaseException:
        _close_if_open(wire)
        raise
    else:
        return link
    _close_if_open(wire)
    raise without_frames(failure)


def _close_if_open(wire: Wire | None) -> None:
    if wire is not None:
        wire.close()


def _connecting_error(error: Exception) -> Exception:
    """Return the error for an exception during the opening of a connection."""
    fault = network_fault(error)
    if isinstance(error, DeadlinePassed):
        fault = PublishFault.SLOW_CONNECT
    elif isinstance(error, UnicodeError):
        fault = PublishFault.HOST
    elif fault is None and isinstance(error, OSError):
        fault = PublishFault.UNSENT
    return error if fault is None else publish_error(fault, RULES)


class AsyncMqttLink:
    """A connection to an MQTT broker, for one task at a time.

    Attributes:
        version: None, because MQTT brokers do not report their versions.
        session: the session on the connection.
    """

    version: str | None = None

    def __init__(self, settings: Mqtt, wire: Wire, session: MqttSession) -> None:
        self.session = session
        self._settings = settings
        self._wire = wire
        self._is_closed = False
        self._is_torn = False
        self._keepalive = float(settings.keepalive)
        self._last_sent = monotonic()

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the client sent something recently enough."""
        if self._is_closed or 0 < self._keepalive <= monotonic() - self._last_sent:
            return False
        received_bytes = self._wire.read_available()
        if received_bytes is not None:
            self.session.receive(received_bytes)
        return not self.session.is_ended

    def problem(self) -> tuple[str, str] | None:
        """Return None, because an MQTT broker reports no problems of its own."""
        return None

    async def greet(self, until: float) -> None:
        """Begin the session, and read the broker's limits."""
        session, settings = self.session, self._settings
        await self.flush(until)
        while not session.is_accepted and session.refusal is None:
            await self.receive(until)
        if session.refusal is not None:
            raise connect_error(session.refusal, settings.version)
        refusal = session.limits.refusal(qos=settings.qos, retain=settings.retain)
        if refusal is not None:
            raise refusal
        if session.limits.keepalive is not None:
            self._keepalive = float(session.limits.keepalive)

    async def subscribe(self, subscription: MqttSubscription, until: float) -> None:
        """Subscribe to messages, and wait for the broker's confirmation."""
        session = self.session
        session.subscribe(subscription)
        await self.flush(until)
        while session.granted is None:
            try:
                await self.receive(until)
            except OSError:
                raise end_error(session.end_code) from None
        refusal = subscription.refusal(session.granted)
        if refusal is not None:
            self.close()
            raise refusal

    async def ping(self, timeout: float) -> None:
        """Send a ping to the broker, and wait for the reply."""
        until = monotonic() + timeout
        try:
            self.session.ping()
            await self.flush(until)
            while self.session.awaits_ping:
                await self.receive(until)
        except DeadlinePassed:
            self.close()
            raise TimeoutError from None
        except OSError:
            self.close()
            raise publish_error(PublishFault.UNSENT, RULES) from None
        except BaseException:
            self.close()
            raise

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish one message, and wait for its acknowledgement."""
        return (await self.publish_batch([item], timeout))[0].unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages, without waiting for each acknowledgement before the next message."""
        batch = _Batch(items)
        try:
            await self._send(batch, monotonic() + timeout)
        except DeadlinePassed:
            batch.rest = PublishFault.TIMEOUT
        except OSError:
            session = self.session
            batch.rest = ending_fault(session.end_code, len(session.unacknowledged))
        except BaseException:
            self.close()
            raise
        results = batch.results(self.session)
        if batch.rest is not None:
            self.close()
        return results

    async def _send(self, batch: _Batch, until: float) -> None:
        """Send the messages of a batch, and wait for all acknowledgements."""
        session = self.session
        if session.is_ended:
            raise ConnectionResetError
        max_in_flight = min(self._settings.in_flight, session.limits.in_flight)
        for item in batch.items:
            if len(session.unacknowledged) >= max_in_flight:
                await self._flush_batch(batch, until)
                while len(session.unacknowledged) >= max_in_flight:
                    await self.receive(until)
            batch.numbers.append(session.publish(item))
            if len(session.memory.outgoing) >= _FULL_BUFFER:
                await self._flush_batch(batch, until)
        await self._flush_batch(batch, until)
        while session.unacknowledged:
            await self.receive(until)

    async def _flush_batch(self, batch: _Batch, until: float) -> None:
        """Send a batch's buffered bytes, and note which messages the broker may have received."""
        before, written = batch.sent, self._wire.written
        batch.sent = len(batch.numbers)
        try:
            await self.flush(until)
        except (OSError, DeadlinePassed):
            if self._wire.written == written:
                batch.sent = before
            raise

    async def flush(self, until: float) -> None:
        """Send the buffered bytes, unless another task is already sending them."""
        outgoing = self.session.memory.outgoing
        while outgoing and not self._is_torn:
            data = bytes(outgoing)
            outgoing.clear()
            self._is_torn = True
            await self._wire.send(data, until)
            self._is_torn = False
            self._last_sent = monotonic()

    async def receive(self, until: float) -> None:
        """Wait for bytes from the broker; if none arrive, send a ping.

        Raises:
            TimeIsUp: no bytes came before the deadline.
            ConnectionError: the connection or the session ended.
        """
        # A broker that sends endlessly must not be read endlessly.
        if monotonic() >= until:
            raise DeadlinePassed
        session = self.session
        due = self._last_sent + self._keepalive if self._keepalive else until
        try:
            data = await self._wire.receive(min(until, due))
        except DeadlinePassed:
            if until <= due:
                raise
            if session.awaits_ping:
                raise ConnectionResetError from None
            session.ping()
        else:
            session.receive(data, until)
        if session.is_ended and session.refusal is None:
            raise ConnectionResetError
        await self.flush(until)

    def close(self) -> None:
        """Drop the connection; if possible without waiting, send the end of the session first."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_torn and not self.session.is_ended:
            self.session.leave()
            end_of_session = self.flush(0.0)
            with suppress(Exception):  # the connection is lost in any case
                end_of_session.send(None)
            end_of_session.close()
        self._wire.close()


class _Batch:
    """Messages that are being published, and their acknowledgements.

    Attributes:
        items: the messages.
        numbers: the packet numbers of the messages that were written; None for a message that is
            too large.
        sent: the number of messages that may have been sent.
        rest: the failure of the messages that were not acknowledged; None if all were.
    """

    def __init__(self, items: Sequence[OutgoingMessage]) -> None:
        self.items = items
        self.numbers: list[int | None] = []
        self.sent = 0
        self.rest: PublishFault | None = None

    def results(self, session: MqttSession) -> list[Result[PublishReceipt]]:
        """Return the result of each message."""
        now = datetime.now(UTC)
        return [self._result(place, item, session, now) for place, item in enumerate(self.items)]

    def _result(
        self, place: int, item: OutgoingMessage, session: MqttSession, now: datetime
    ) -> Result[PublishReceipt]:
        code = None
        if place >= len(self.numbers):
            fault: PublishFault | None = PublishFault.UNSENT
        elif (number := self.numbers[place]) is None:
            fault = PublishFault.TOO_LARGE
        elif (acknowledgement := session.acknowledged.pop(number, None)) is not None:
            fault = acknowledgement.fault
            code = f"0x{acknowledgement.code:02X}"
        else:
            fault = self.rest if place < self.sent else PublishFault.UNSENT
        if fault is not None:
            return Result(error=publish_error(fault, RULES, item.topic, code=code))
        return Result(PublishReceipt(broker=RULES.system, topic=item.topic, at=now, id=item.id))


class MqttLink:
    """A connection to an MQTT broker, for one thread at a time."""

    version: str | None = None

    def __init__(self, link: AsyncMqttLink) -> None:
        self._link = link

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the client sent something recently enough."""
        return self._link.is_connected()

    def problem(self) -> tuple[str, str] | None:
        """Return None, because an MQTT broker reports no problems of its own."""
        return self._link.problem()

    def ping(self, timeout: float) -> None:
        """Send a ping to the broker, and wait for the reply."""
        run(self._link.ping(timeout))

    def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish one message, and wait for its acknowledgement."""
        return run(self._link.publish(item, timeout))

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages; later ones may be sent before the first one is acknowledged."""
        return run(self._link.publish_batch(items, timeout))

    def close(self) -> None:
        """Drop the connection; if possible without waiting, send the end of the session first."""
        self._link.close()
