"""A message broker in memory, which records messages and fails on request."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.links.shared_async import AsyncSharedLink
from moorage.adapters.links.shared_sync import SharedLink
from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
from moorage.adapters.messages.publisher_sync import MessagePublisher
from moorage.domain.messages.broker_rules import BrokerRules
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moorage.domain.messages.message import Message, OutgoingMessage

RULES: Final = BrokerRules(
    system="memory", title="MemoryBroker", longest_delay=86_400.0, repeated_headers=True
)


@attrs.frozen
class StoredMessage:
    """A message that a broker in memory has stored.

    Attributes:
        topic: the topic that it was published to.
        message: the message.
        id: the id by which the broker recognises a repeat; None if there is none.
        offset: the number of messages in the topic before it.
    """

    topic: str
    message: Message
    id: str | None
    offset: int


class MemoryBroker:
    """A broker in memory, for tests of programs that publish messages.

    Attributes:
        arrivals: the number of messages that arrived, including repeated and refused messages.
        outages: how often the broker went down, which ended all connections that were open.
        problem: set it to a sentence and a remedy to have its health degraded.

    Args:
        topics: the topics that exist; by default every topic does.
        deduplicates: whether it stores only one message for each id.
        rules: the rules for messages; by default they allow everything.
    """

    def __init__(
        self,
        topics: Iterable[str] | None = None,
        *,
        deduplicates: bool = False,
        rules: BrokerRules = RULES,
    ) -> None:
        self.rules = attrs.evolve(rules, deduplicates=deduplicates)
        self.arrivals = 0
        self.outages = 0
        self._is_down = False
        self.problem: tuple[str, str] | None = None
        self._topics = None if topics is None else frozenset(topics)
        self._messages: list[StoredMessage] = []
        self._failures: list[ConnectorError] = []
        self._lost_acknowledgements = 0
        self._lock = Lock()

    @property
    def is_down(self) -> bool:
        """True if the broker is down; setting it to True ends all open connections."""
        return self._is_down

    @is_down.setter
    def is_down(self, value: bool) -> None:
        self.outages += value and not self._is_down
        self._is_down = value

    @property
    def messages(self) -> tuple[StoredMessage, ...]:
        """The messages that the broker has stored, in order of arrival."""
        return tuple(self._messages)

    def publisher(self, name: str = "events", *, service: str | None = None) -> MessagePublisher:
        """Return a synchronous connector that publishes to this broker."""
        links = SharedLink(self._link)
        return MessagePublisher(
            name,
            self.rules,
            links,
            translate_error=_no_judgement,
            library="memory",
            service=service,
        )

    def async_publisher(
        self, name: str = "events", *, service: str | None = None
    ) -> AsyncMessagePublisher:
        """Return an asynchronous connector that publishes to this broker."""
        links = AsyncSharedLink(self._async_link)
        return AsyncMessagePublisher(
            name,
            self.rules,
            links,
            translate_error=_no_judgement,
            library="memory",
            service=service,
        )

    def fail(self, error: ConnectorError, *, times: int = 1) -> None:
        """Make the next messages fail with an error instead of storing them."""
        self._failures += [error] * times

    def lose_acknowledgements(self, times: int = 1) -> None:
        """Store the next messages, but break the connection before they are acknowledged."""
        self._lost_acknowledgements += times

    def store(self, item: OutgoingMessage) -> PublishReceipt:
        """Store a message like its publisher would, and return the receipt."""
        with self._lock:
            if self.is_down:
                raise publish_error(PublishFault.UNSENT, self.rules)
            self.arrivals += 1
            if self._failures:
                raise copy(self._failures.pop(0))
            if self._topics is not None and item.topic not in self._topics:
                raise publish_error(PublishFault.TOPIC, self.rules, item.topic)
            stored_message = self._stored(item)
            is_duplicate = stored_message is not None
            if stored_message is None:
                offset = sum(1 for other in self._messages if other.topic == item.topic)
                stored_message = StoredMessage(item.topic, item.message, item.id, offset)
                self._messages.append(stored_message)
            if self._lost_acknowledgements:
                self._lost_acknowledgements -= 1
                raise publish_error(PublishFault.LOST, self.rules)
        return PublishReceipt(
            broker=self.rules.system,
            topic=item.topic,
            at=datetime.now(UTC),
            partition=0,
            offset=stored_message.offset,
            id=item.id,
            is_duplicate=is_duplicate,
        )

    def _stored(self, item: OutgoingMessage) -> StoredMessage | None:
        """Return the stored message that this message repeats; None if it is new."""
        if not self.rules.deduplicates or item.id is None:
            return None
        equal_messages = (
            other for other in self._messages if other.topic == item.topic and other.id == item.id
        )
        return next(equal_messages, None)

    def _link(self, _: float) -> MemoryLink:
        if self.is_down:
            raise publish_error(PublishFault.REFUSED, self.rules)
        return MemoryLink(self)

    async def _async_link(self, timeout: float) -> AsyncMemoryLink:
        return AsyncMemoryLink(self._link(timeout))


class MemoryLink:
    """A synchronous program's connection to a broker in memory."""

    version = "memory"

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._outages = broker.outages
        self._is_open = True

    def is_connected(self) -> bool:
        """Return whether the connection is open, and the broker was up all the time."""
        return self._is_open and self._outages == self._broker.outages

    def ping(self, _: float, /) -> None:
        """Raise an error if the connection has ended."""
        if not self.is_connected():
            raise publish_error(PublishFault.REFUSED, self._broker.rules)

    def problem(self) -> tuple[str, str] | None:
        """Return the broker's problem that the test has set, if any."""
        return self._broker.problem

    def publish(self, item: OutgoingMessage, _: float, /) -> PublishReceipt:
        """Store a message in the broker."""
        if not self.is_connected():
            raise publish_error(PublishFault.UNSENT, self._broker.rules)
        return self._broker.store(item)

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> list[Result[PublishReceipt]]:
        """Store messages in the broker, and return a result for each message."""
        results: list[Result[PublishReceipt]] = []
        for item in items:
            try:
                results.append(Result(self.publish(item, timeout)))
            except ConnectorError as error:
                results.append(Result(error=error))
        return results

    def leave(self, _: float, /) -> None:
        """Do nothing, because every message is stored immediately."""

    def close(self) -> None:
        """Close the connection."""
        self._is_open = False


class AsyncMemoryLink:
    """An asynchronous program's connection to a broker in memory."""

    version = "memory"

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self.is_connected = link.is_connected
        self.problem = link.problem
        self.close = link.close

    async def ping(self, timeout: float) -> None:
        """Raise an error if the connection has ended."""
        self._link.ping(timeout)

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Store a message in the broker."""
        return self._link.publish(item, timeout)

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Store messages in the broker, and return a result for each message."""
        return self._link.publish_batch(items, timeout)

    async def leave(self, timeout: float) -> None:
        """Do nothing, because every message is stored immediately."""
        self._link.leave(timeout)


def _no_judgement(_: Exception) -> None:
    """Return None, because a broker in memory raises only errors of moorage."""
