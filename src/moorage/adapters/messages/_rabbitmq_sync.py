"""A connection of a synchronous program to RabbitMQ, with pika.

The thread that uses the connection drives pika's loop until it has its answer, or until its time is
over: pika's blocking connections have no time limit for a confirmation.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from math import inf
from os import urandom
from select import POLLIN, poll
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.exceptions import AMQPError, ConnectionClosedByClient, InvalidFrameError
from pika.frame import decode_frame
from pika.spec import FRAME_END_SIZE, FRAME_HEADER_SIZE, FRAME_MAX_SIZE, Basic

from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.adapters.messages.rabbitmq import (
    OF_CHANNEL,
    RULES,
    check_properties,
    connecting_error,
    sending_error,
)
from moorage.adapters.trust import context_for
from moorage.domain.messages.broker_rules import headers_of
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.publish_failures import (
    PublishFault,
    publish_error,
    shared_refusal_error,
)
from moorage.domain.resilience.interruptions import dropped_errors
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.messages.rabbitmq import RabbitMq
    from moorage.domain.messages.message import OutgoingMessage

_CONFIRMATIONS: Final = frozenset({Basic.Ack, Basic.Nack})

_SMALL: Final = 65_536
"""The bytes of a message up to which its frames are copied together, and sent at once."""


def connect_pika(settings: RabbitMq, timeout: float) -> PikaLink:
    """Open a connection and a channel, and check that the exchange exists."""
    link = PikaLink(settings)
    try:
        link.connect(min(timeout, settings.connect_timeout))
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = connecting_error(error) or error
        link.close()
    except BaseException:
        link.close()
        raise
    else:
        return link
    raise without_frames(failure)


class PikaLink:
    """A synchronous program's connection to RabbitMQ, for one thread at a time."""

    def __init__(self, settings: RabbitMq) -> None:
        self._settings = settings
        self._connection: Any = None
        self._channel: Any = None
        self._end: BaseException | None = None
        self._sent = 0
        self._unconfirmed: dict[int, str] = {}
        self._returned: set[str] = set()
        self._faults: dict[int, PublishFault] = {}
        self._is_blocked = False
        self._wakes_at = inf
        self._arrivals = poll()
        self._id = urandom(12).hex()
        self._numbers = count(1)
        self.version: str | None = None

    def connect(self, timeout: float) -> None:
        """Open the connection and its channel."""
        until = monotonic() + timeout
        steps: list[object] = []

        def proceed(*answer: object) -> None:
            steps.append(answer)

        parameters = self._parameters(timeout)
        loop = _SocketLoop()
        connection: Any = _Connection(parameters, proceed, self._on_end, self._on_end, loop)
        self._connection = connection
        connection.ioloop.activate_poller()
        self._run_loop_until(lambda: len(steps) > 0, until)
        loop.is_open = True
        self._arrivals.register(loop.socket, POLLIN)
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        channel = self._channel = connection.channel(on_open_callback=proceed)
        channel.add_on_close_callback(self._on_end)
        channel.add_on_return_callback(self._on_return)
        self._run_loop_until(lambda: len(steps) > 1, until)
        if self._settings.exchange:
            channel.exchange_declare(self._settings.exchange, passive=True, callback=proceed)
        else:
            proceed()
        connection.on_confirmation = self._on_confirmation
        channel.confirm_delivery(self._on_confirmation, proceed)
        self._run_loop_until(lambda: len(steps) > 3, until)
        properties: dict[str, Any] = connection.server_properties or {}
        self.version = f"RabbitMQ {properties.get('version', '')}".strip()

    def is_connected(self) -> bool:
        """Return whether the connection and its channel are open."""
        return self._end is None

    def ping(self, timeout: float) -> None:
        """Open and close a channel, to check that the broker answers."""
        answers: list[object] = []

        def proceed(channel: Any) -> None:
            answers.append(channel)
            channel.close()

        # An idle connection learns here that it was blocked or released in the meantime.
        _run_once(self._connection.ioloop)
        if self._is_blocked:
            return
        self._connection.channel(on_open_callback=proceed)
        self._run_loop_until(lambda: self._is_blocked or len(answers) > 0, monotonic() + timeout)

    def problem(self) -> tuple[str, str] | None:
        """Return the broker's alarm about memory or disk space; None if there is none."""
        if not self._is_blocked:
            return None
        error = publish_error(PublishFault.BLOCKED, RULES)
        return error.message, error.remedy

    def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish a message, and wait until the broker has confirmed it."""
        return self.publish_batch((item,), timeout)[0].unwrap()

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages one after another, and wait for all confirmations together."""
        until = monotonic() + timeout
        # An idle connection learns here that it was blocked or closed in the meantime.
        if self._end is None and self._arrivals.poll(0):
            _run_once(self._connection.ioloop)
        if self._end is not None:
            raise publish_error(PublishFault.UNSENT, RULES)
        if self._is_blocked:
            raise publish_error(PublishFault.BLOCKED, RULES)
        check_properties(items, self._connection.params.frame_max)
        tags = [self._send(item) for item in items]
        remaining_fault: PublishFault | None = None
        is_shared = False
        try:
            self._run_loop_until(lambda: not self._unconfirmed, until)
        except TimeoutError:
            remaining_fault = PublishFault.TIMEOUT
        except (OSError, AMQPError) as error:
            remaining_fault = rabbitmq_fault(error)
            is_shared = remaining_fault in OF_CHANNEL and len(self._unconfirmed) > 1
        results = [
            self._result(item, tag, remaining_fault, is_shared=is_shared)
            for item, tag in zip(items, tags, strict=True)
        ]
        self._faults.clear()
        if self._unconfirmed:
            # A late confirmation would be attributed to one of the next messages.
            self.close()
        return results

    def close(self) -> None:
        """Drop the connection without waiting for the broker."""
        self._end = self._end or ConnectionError()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        loop = connection.ioloop
        with dropped_errors():  # the connection is lost in any case
            if connection.is_open:
                connection.close()
                _run_once(loop)
            if not connection.is_closed:
                reason = ConnectionClosedByClient(200, "closed")
                connection._terminate_stream(reason)  # noqa: SLF001 - pika waits for the broker otherwise
            _run_once(loop)
        with dropped_errors():  # the connection is lost in any case
            loop.deactivate_poller()
            loop.close()

    def _parameters(self, timeout: float) -> pika.ConnectionParameters:
        settings = self._settings
        address = settings.address()
        options = None
        if address.tls is not None:
            options = pika.SSLOptions(context_for(address.tls, ""), address.host)
        return pika.ConnectionParameters(
            host=address.host,
            port=address.port,
            virtual_host=address.path,
            credentials=pika.PlainCredentials(address.user, address.password_text()),
            ssl_options=options,
            heartbeat=settings.heartbeat,
            connection_attempts=1,
            socket_timeout=timeout,
            stack_timeout=timeout,
            client_properties={"connection_name": "moorage"},
        )

    def _send(self, item: OutgoingMessage) -> int:
        message = item.message
        # A returned message is recognised by its id.
        message_id = item.id or f"{self._id}-{next(self._numbers)}"
        properties = pika.BasicProperties(
            headers=dict(headers_of(message, RULES)),
            content_type=message.content_type,
            message_id=message_id,
            delivery_mode=2 if self._settings.persistent else 1,
        )
        # If pika cannot encode a message, it is not sent, and RabbitMQ does not count it.
        self._channel.basic_publish(
            self._settings.exchange,
            item.topic,
            message.payload,
            properties,
            mandatory=self._settings.mandatory,
        )
        self._sent += 1
        self._unconfirmed[self._sent] = message_id
        return self._sent

    def _run_loop_until(self, is_done: Callable[[], bool], until: float) -> None:
        """Process pika's events until a condition is true; raise an error at the deadline."""
        connection = self._connection
        loop = connection.ioloop
        connection.until = until
        while not is_done():
            if self._end is not None:
                raise self._end
            now = monotonic()
            if now >= until:
                raise TimeoutError
            if until < self._wakes_at:
                # A timer per message would cost more than the message, because pika keeps ended
                # timers.
                self._wakes_at = until
                loop.call_later(until - now, self._on_wake)
            loop.poll()
            loop.process_timeouts()
        connection.until = inf

    def _result(
        self, item: OutgoingMessage, tag: int, rest: PublishFault | None, *, is_shared: bool
    ) -> Result[PublishReceipt]:
        """Return the result of a message.

        Args:
            item: the message.
            tag: its number on the channel.
            rest: the fault of the messages that were not confirmed.
            is_shared: whether this fault is that of one of several messages.
        """
        fault = self._faults.get(tag)
        if fault is None and tag in self._unconfirmed:
            fault = rest
        else:
            is_shared = False
        if fault is not None:
            error = sending_error(fault, self._settings, item)
            return Result(error=shared_refusal_error(error, RULES) if is_shared else error)
        return Result(
            PublishReceipt(
                broker=RULES.system,
                topic=item.topic,
                at=datetime.now(UTC),
                id=item.id,
                stream=self._settings.exchange or None,
            )
        )

    def _on_end(self, _: object, error: BaseException | str) -> None:
        if self._end is None:
            self._end = error if isinstance(error, BaseException) else ConnectionError()

    def _on_wake(self) -> None:
        self._wakes_at = inf

    def _on_blocked(self, *_: object) -> None:
        self._is_blocked = True

    def _on_unblocked(self, *_: object) -> None:
        self._is_blocked = False

    def _on_return(self, _: object, __: object, properties: Any, ___: object) -> None:
        self._returned.add(properties.message_id)

    def _on_confirmation(self, frame: Any) -> None:
        method = frame.method
        last_tag: int = method.delivery_tag
        first_tag = min(self._unconfirmed, default=last_tag) if method.multiple else last_tag
        for tag in range(first_tag, last_tag + 1):
            message_id = self._unconfirmed.pop(tag, None)
            if message_id in self._returned:
                self._returned.discard(message_id)
                self._faults[tag] = PublishFault.UNROUTABLE
            elif isinstance(method, Basic.Nack):
                self._faults[tag] = PublishFault.REJECTED


class _Connection(SelectConnection):  # type: ignore[misc]  # pika has no types
    """A pika connection that sends the frames of a small message together.

    pika sends each frame by itself, which costs more than everything else about a message. While it
    receives, it would copy all it has for each piece that comes, and wait for four gigabytes if the
    first bytes say so.

    Attributes:
        until: the deadline of the caller that waits for it, by the monotonic clock.
        on_confirmation: is called with the frame of each confirmation.
    """

    until = inf
    on_confirmation: Callable[[Any], None] | None = None
    _frame_buffer: bytes

    def _on_data_available(self, data_in: bytes) -> None:
        """Process the frames that have arrived completely.

        Raises:
            InvalidFrameError: a frame is larger than any that RabbitMQ may send.
            TimeoutError: the deadline is over, and RabbitMQ sends without end.
        """
        if monotonic() > self.until:
            raise TimeoutError
        received_data = self._frame_buffer + data_in if self._frame_buffer else data_in
        start = 0
        while len(received_data) >= (content_start := start + FRAME_HEADER_SIZE):
            size = int.from_bytes(received_data[content_start - 4 : content_start], "big")
            if size > FRAME_MAX_SIZE:
                raise InvalidFrameError("A frame is too large.")
            end = content_start + size + FRAME_END_SIZE
            if end > len(received_data):
                break
            frame: Any = decode_frame(received_data[start:end])[1]
            self.bytes_received += end - start
            start = end
            confirm = self.on_confirmation
            if confirm and type(getattr(frame, "method", None)) in _CONFIRMATIONS:
                # pika would look up the function in tables, which costs more than sending the
                # frame.
                confirm(frame)
                continue
            self._process_frame(frame)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # pika has no types
        self._frame_buffer = received_data[start:]

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        if sum(map(len, marshaled_frames)) <= _SMALL:
            marshaled_frames = [b"".join(marshaled_frames)]
        super()._output_marshaled_frames(marshaled_frames)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # pika has no types


class _SocketLoop(IOLoop):  # type: ignore[misc]  # pika has no types
    """A pika event loop for one socket; it writes to the socket without polling it first.

    Attributes:
        socket: the file descriptor of the socket.
        is_open: whether the connection is open. Before it is open, a writable socket means that the
            connection was accepted, or that it failed.
    """

    socket: int

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self._handler: Any = None
        self._events: int | None = None
        self._is_writing = False

    def add_handler(self, fd: int, handler: Any, events: int) -> None:
        """Watch a file descriptor; pika registers the connection's own descriptor last."""
        self.socket, self._handler, self._events = fd, handler, events
        super().add_handler(fd, handler, events)  # pyright: ignore[reportUnknownMemberType]  # pika has no types

    def update_handler(self, fd: int, events: int) -> None:
        """Watch a file descriptor for other events; if possible, write pending bytes immediately.

        A socket nearly always has room for a message.
        """
        if not self.is_open or fd != self.socket:
            super().update_handler(fd, events)  # pyright: ignore[reportUnknownMemberType]  # pika has no types
            return
        watched_events, self._events = self._events, events
        if self._is_writing:
            return
        if events & self.WRITE:
            self._is_writing = True
            try:
                self._handler(fd, self.WRITE)
            finally:
                self._is_writing = False
        if self._events not in {None, watched_events}:
            super().update_handler(fd, self._events)  # pyright: ignore[reportUnknownMemberType]  # pika has no types

    def remove_handler(self, fd: int) -> None:
        """Stop watching a file descriptor."""
        self._events = None
        super().remove_handler(fd)  # pyright: ignore[reportUnknownMemberType]  # pika has no types


def _run_once(loop: Any) -> None:
    """Run pika's event loop once, without waiting."""
    # A timer would wake the event loop through a socket, which costs more than a callback.
    loop.call_later(0, _do_nothing)
    loop.poll()
    loop.process_timeouts()


def _do_nothing() -> None:
    """Do nothing; pika's loop calls this function when a wait ends."""
