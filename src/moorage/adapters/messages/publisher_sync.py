"""A connector that publishes messages to a broker, for synchronous programs.

`python -m tools.twins` makes this file; do not edit it.

A publisher makes operations, and a manager performs them:

    manager.perform("events", publisher.publish("orders", Message(b"…")))

The class is the same for every broker. What differs between brokers is passed to it: the rules for
messages, the source of connections, and a function that converts the exceptions of the client
library.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from moorage.adapters.links.connector_sync import LinkConnector, end_of
from moorage.adapters.messages._named_operations import named_operations
from moorage.domain.connectors.health import ConnectorVersions
from moorage.domain.messages.broker_rules import (
    batches,
    check_messages,
    check_topic,
    is_repeatable,
    outgoing_messages,
)
from moorage.domain.messages.publish_failures import (
    PublishFault,
    batch_error,
    check_repeat,
    complete_results,
    publish_error,
)
from moorage.domain.messages.stored_results import (
    pack_receipt,
    pack_results,
    unpack_receipt,
    unpack_results,
)
from moorage.domain.observation.operation_target import MessageTarget
from moorage.domain.resilience.health import may_have_acted
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Results
from moorage.errors import ConnectorError, InvalidData
from moorage.ports.publish_link import PublishLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.messages.broker_rules import BrokerRules
    from moorage.domain.messages.message import Message, OutgoingMessage, PublishReceipt
    from moorage.domain.service.operation import OperationAttempt
    from moorage.domain.values.result import Result
    from moorage.ports.link import LinkSource

R = TypeVar("R")


class PublishOperation(Generic[R]):
    """An operation that publishes messages, for `ConnectorManager.perform`.

    Attributes:
        name: the operation's name in events, errors and logs.
        system: the kind of the broker.
        safe: False, because publishing stores messages.
        repeatable: True if the broker recognises a repeat by the ids of the messages.
    """

    __slots__ = (
        "_doubtful_since",
        "_messages",
        "_publisher",
        "_topic",
        "is_batch",
        "name",
        "repeatable",
        "system",
    )

    safe = False

    def __init__(
        self,
        publisher: MessagePublisher,
        topic: str,
        messages: tuple[Message, ...],
        *,
        name: str,
        is_batch: bool,
    ) -> None:
        rules = publisher.rules.of(topic)
        check_topic(topic, rules)
        check_messages(messages, rules)
        self._doubtful_since: float | None = None
        self._publisher = publisher
        self._topic = topic
        self._messages = messages
        self.is_batch = is_batch
        self.name = name
        self.system = rules.system
        self.repeatable = is_repeatable(messages, rules)

    @property
    def target(self) -> MessageTarget:
        """The destination of the messages for traces and metrics: broker and topic."""
        publisher = self._publisher
        host, port = publisher.server or (None, None)
        single_message = None if self.is_batch else self._messages[0]
        return MessageTarget(
            system=self.system,
            destination=publisher.destination(self._topic),
            operation=publisher.rules.verb,
            host=host,
            port=None if port == publisher.rules.usual_port else port,
            message_id=None if single_message is None else single_message.id,
            count=len(self._messages) if single_message is None else None,
            size=None if single_message is None else len(single_message.payload),
        )

    def perform(self, attempt: OperationAttempt, /) -> R:
        """Publish the messages once, and wait for the broker's acknowledgement."""
        publisher = self._publisher
        key = attempt.idempotency_key
        rules = publisher.rules.of(self._topic)
        items = outgoing_messages(self._topic, self._messages, rules, key, attempt.trace_headers)
        started_at = monotonic()
        until = end_of(attempt.timeout)
        doubtful_since = self._doubtful_since if attempt.number > 1 else None
        if doubtful_since is not None:
            check_repeat(rules, started_at - doubtful_since)
        self._doubtful_since = doubtful_since
        try:
            if self.is_batch:
                return cast("R", publisher._send_batch(self.name, items, until))  # noqa: SLF001 - an operation of this publisher
            return cast("R", publisher._send(self.name, items[0], until))  # noqa: SLF001 - an operation of this publisher
        except ConnectorError as error:
            if doubtful_since is None and may_have_acted(error):
                self._doubtful_since = started_at
            raise

    def pack_result(self, result: R, /) -> object:
        """Return receipts as plain values, to be stored under the idempotency key."""
        return cast("Any", pack_results if self.is_batch else pack_receipt)(result)

    def unpack_result(self, stored: object, /) -> R:
        """Return the receipts from the plain values of `pack_result`."""
        return cast("R", (unpack_results if self.is_batch else unpack_receipt)(stored))

    def translate_error(self, error: Exception, /) -> ConnectorError | None:
        """Convert an exception of the client library to an error of moorage."""
        return self._publisher.translate_error(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.system})>"


class MessagePublisher(LinkConnector[PublishLink]):
    """A connector that publishes messages to a broker, for synchronous programs.

    The settings of a broker make it, such as `RabbitMq(...)`, or a configuration.

    Attributes:
        name: the name of the connector.
        service: the service whose protections apply.
        rules: the rules of the broker for messages.
        translate_error: converts an exception of the client library to an error of moorage.
        server: the host and the port of the broker, if there is one.

    Args:
        name: the name of the connector.
        rules: the rules of the broker for messages.
        links: lends connections to the broker.
        translate_error: converts an exception of the client library to an error of moorage; it
            returns None for an exception that it does not know.
        library: the name and the version of the client library.
        service: the service whose protections apply; by default the one of the connector's name.
        server: the host and the port of the broker, if there is one, for traces and metrics.
        exchange: the exchange that topics are routing keys of, for traces and metrics.
    """

    def __init__(
        self,
        name: str,
        rules: BrokerRules,
        links: LinkSource[PublishLink],
        *,
        translate_error: Callable[[Exception], ConnectorError | None],
        library: str | None = None,
        service: str | None = None,
        server: tuple[str, int] | None = None,
        exchange: str = "",
    ) -> None:
        super().__init__(name, service, links, title=rules.title)
        self.rules = rules
        self.translate_error = translate_error
        self.server = server
        self._exchange = exchange
        self._library = library

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.kind})>"

    @property
    def kind(self) -> str:
        """The kind of the broker, such as "rabbitmq"."""
        return self.rules.system

    @property
    def versions(self) -> ConnectorVersions:
        """The versions of the client library, and of the broker once connected."""
        return ConnectorVersions(library=self._library, server=self._server)

    @property
    def operations(self) -> Mapping[str, NamedOperation]:
        """The operations `publish` and `publish_batch`, by name."""
        return named_operations(self)

    def destination(self, topic: str) -> str:
        """Return the name of a destination at the broker, as "exchange:topic" or "topic"."""
        return f"{self._exchange}:{topic}" if self._exchange else topic

    def publish(
        self, topic: str, message: Message, *, name: str = "publish"
    ) -> PublishOperation[PublishReceipt]:
        """Return the operation that publishes a message and waits until the broker has stored it.

        Args:
            topic: the topic, subject, queue, stream or routing key.
            message: the message.
            name: the name of the operation in events, errors and logs; an endpoint of the service
                with this name applies to it.

        Raises:
            InvalidData: the broker does not accept such a message.
        """
        return PublishOperation(self, topic, (message,), name=name, is_batch=False)

    def publish_batch(
        self, topic: str, messages: Iterable[Message], *, name: str = "publish_batch"
    ) -> PublishOperation[Results[PublishReceipt]]:
        """Return the operation that publishes messages, and returns a result for each message.

        The results are in the order of the messages: a receipt or an error. The operation raises an
        error if certainly none of the messages was stored.

        Args:
            topic: the topic, subject, queue, stream or routing key.
            messages: the messages; they are sent in groups of a size that the broker accepts.
            name: the name of the operation in events, errors and logs.

        Raises:
            InvalidData: the broker does not accept one of the messages, or there are no messages.
        """
        batch = tuple(messages)
        if not batch:
            raise InvalidData(
                "The batch contains no messages.",
                field="messages",
                remedy="Pass at least one message.",
            )
        return PublishOperation(self, topic, batch, name=name, is_batch=True)

    def _send(self, name: str, item: OutgoingMessage, until: float) -> PublishReceipt:
        """Publish one message before a deadline."""
        try:
            with self._link(name, until) as link:
                self._server = link.version
                return link.publish(item, max(0.0, until - monotonic()))
        except Exception as error:  # noqa: BLE001 - judged, and raised again
            failure = self._converted(error)
        # The client library's stack frames contain the message and the credentials.
        raise without_frames(failure)

    def _send_batch(
        self, name: str, items: Sequence[OutgoingMessage], until: float
    ) -> Results[PublishReceipt]:
        """Publish messages before a deadline, and return a result for each."""
        parts: list[Sequence[Result[PublishReceipt]]] = []
        sent_count = 0
        failure: Exception | None = None
        try:
            with self._link(name, until) as link:
                self._server = link.version
                for batch in batches(items, self.rules):
                    sent_count += len(batch)
                    part = link.publish_batch(batch, max(0.0, until - monotonic()))
                    parts.append(part)
        except Exception as error:  # noqa: BLE001 - judged, and part of the results
            failure = self._converted(error)
        results = Results.joined(parts)
        if failure is not None:
            results = complete_results(
                results, without_frames(failure), self.rules, sent=sent_count, total=len(items)
            )
        common_error = batch_error(results)
        if common_error is not None:
            raise common_error
        return results

    def _converted(self, error: Exception) -> Exception:
        """Convert an exception to an error of moorage; return an unknown one unchanged."""
        if isinstance(error, ConnectorError):
            return error
        if isinstance(error, TimeoutError):
            return publish_error(PublishFault.TIMEOUT, self.rules)
        return self.translate_error(error) or error

    def _problem(self, link: PublishLink) -> tuple[str, str] | None:
        """Return the problem that the broker itself reports, and its remedy; None if healthy."""
        return link.problem()
