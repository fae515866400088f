"""A connection that receives messages from durable JetStream consumers, with nats-py.

Laws:

1. A consumer has at most one request for messages under way. The delivered messages are kept in
   memory until a poll takes them, even if polling has stopped.
2. Deliveries outlive the connection: they can be acknowledged over another one.
3. When the source closes, no delivered message has to wait for its timeout: the server ends the
   requests first, and then all delivered messages are given back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from json import dumps
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.messages.nats import RULES
from moorage.domain.messages.nats_consumers import (
    NO_CONSUMER,
    api_error,
    can_pin,
    consumer_differs_error,
    consumer_name,
    ends_consumer,
    error_code,
    has_wildcards,
    missing_permission_error,
    names_in,
    no_pinning_error,
    no_stream_error,
    read_answer,
    read_delivery,
    record_fields,
    subjects_overlap,
    unavailable,
)
from moorage.domain.messages.publish_failures import PublishFault
from moorage.domain.messages.read_failures import read_error
from moorage.domain.pipelines.records import SinkRecord
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from moorage.adapters.messages._nats_links import AsyncNatsLink
    from moorage.domain.messages.nats_consumers import ConsumerSettings, Delivery
    from moorage.domain.pipelines.records import Offset, Partition
    from moorage.ports.pipelines import PollLimits

_ACKNOWLEDGEMENT: Final = b"+ACK"
_GIVE_BACK: Final = b"-NAK"
_PROGRESS: Final = b"+WPI"

_REPLY_TIMEOUT: Final = 10.0
"""Seconds in which the server must answer."""

_REQUEST_END_TIMEOUT: Final = 5.0
"""Seconds after the end of a request's lifetime in which the server must report its end."""

_CLOSING_SECONDS: Final = 0.2
"""Seconds of each step of closing: to end the requests, to give back, and to leave."""

_WAKING_REQUEST_SECONDS: Final = 0.001
"""The lifetime in seconds of a request that makes the server check the other requests."""

_LONGEST_REQUEST: Final = 30.0
"""The maximum lifetime of a request for messages, in seconds."""

_SHORTEST_REQUEST: Final = 0.1
"""The minimum lifetime of a request in seconds; the next poll returns messages that come late."""

_PAUSE_AFTER_REFUSAL: Final = 0.5
"""Seconds without a request after the server refused one."""

_ATTEMPTS: Final = 5
"""Attempts to replace a consumer that other workers create at the same time."""

_PIN_HEADER: Final = "Nats-Pin-Id"
_HEARTBEAT: Final = "100"
_EXPIRED_STATUS: Final = "408"
_OTHER_PIN: Final = "423"
_NO_RESPONDERS: Final = "503"

_USUAL_SIZE: Final = 1_000
"""The bytes of a payload that are assumed before the first message is read."""

_Stored: TypeAlias = "tuple[str, int, datetime | None]"
"""The stream of a message, its position in it, and the time at which the stream stored it."""


class Deliveries:
    """The messages that were delivered, and are neither acknowledged nor returned.

    Attributes:
        waiting: the records that no poll has taken, by the stream, the position in it, and the time
            at which the stream stored the message. A stream that is restored from a backup gives
            the later positions to new messages.
        began: the time when the group got its first consumer, as the server wrote it.
    """

    def __init__(self) -> None:
        self.began: str | None = None
        self.waiting: dict[_Stored, SinkRecord] = {}
        self._replies: dict[_Stored, tuple[tuple[str, str], str]] = {}
        self._size = _USUAL_SIZE

    def add(self, delivery: Delivery, message: Any) -> None:
        """Add a delivered message; if it is delivered again, update only its reply subject."""
        key = delivery.stream, delivery.sequence, delivery.stored_at
        if key not in self._replies:
            record = SinkRecord(
                message.data,
                **record_fields(message.headers or {}),
                offset=delivery.sequence,
                published_at=delivery.stored_at,
                topic=message.subject,
                partition=delivery.stream,
                deliveries=delivery.number,
            )
            self._size = max(1, len(record.payload), self._size // 2)
            self.waiting[key] = record
        self._replies[key] = (delivery.stream, delivery.consumer), message.reply

    def room(self, limits: PollLimits) -> int:
        """Return the number of messages to request for a poll."""
        return max(1, min(limits.records, limits.size // self._size))

    def take(self, limits: PollLimits) -> list[SinkRecord]:
        """Remove and return waiting records, within limits."""
        records: list[SinkRecord] = []
        size = 0
        while self.waiting and len(records) < limits.records and size < limits.size:
            record = self.waiting.pop(next(iter(self.waiting)))
            size += len(record.payload)
            records.append(record)
        return records

    def note_beginning(self, created_at: object) -> None:
        """Record the time at which a consumer of the group was created, if it is the earliest."""
        if isinstance(created_at, str):
            times = [created_at] if self.began is None else [created_at, self.began]
            self.began = min(times, key=lambda time: time.removesuffix("Z"))

    def replies(self, records: Iterable[SinkRecord]) -> list[list[str]]:
        """Return the reply subjects of records, in order, grouped by consumer."""
        return _grouped_by_consumer(
            filter(None, (self._replies.get(_key(record)) for record in records))
        )

    def all_replies(self) -> list[list[str]]:
        """Return the reply subjects of all deliveries in stream order, grouped by consumer."""
        return _grouped_by_consumer(reply for _, reply in sorted(self._replies.items()))

    def settle(self, records: Iterable[SinkRecord]) -> None:
        """Forget records that were acknowledged or returned to the server."""
        for record in records:
            self._replies.pop(_key(record), None)

    def forget(self, stream: str, consumer: str) -> None:
        """Forget the deliveries of a consumer whose position changes."""
        dropped_keys = [
            key for key, (place, _) in self._replies.items() if place == (stream, consumer)
        ]
        for key in dropped_keys:
            del self._replies[key]
            self.waiting.pop(key, None)


def _key(record: SinkRecord) -> _Stored:
    return str(record.partition), int(record.offset or 0), record.published_at


def _grouped_by_consumer(replies: Iterable[tuple[tuple[str, str], str]]) -> list[list[str]]:
    subjects: dict[tuple[str, str], list[str]] = {}
    for place, subject in replies:
        subjects.setdefault(place, []).append(subject)
    return list(subjects.values())


@attrs.define
class _Consumer:
    """A durable consumer from which messages are read.

    Attributes:
        stream: the consumer's stream.
        name: the consumer's name.
        subject: the subject that it reads, which may have wildcards.
        token: the end of the subject to which the server sends the messages of the request under
            way; None if there is no request.
        missing: the number of messages that this request may still bring.
        until: the time at which the server must have ended the request, or the rest after one.
        pin: the id with which the server recognises the worker that it delivers to.
    """

    stream: str
    name: str
    subject: str
    token: str | None = None
    missing: int = 0
    until: float = 0.0
    pin: str | None = None


class NatsReader:
    """A NATS connection that receives messages of durable consumers.

    Args:
        link: the connection.
        api: the prefix of the subjects of JetStream's API.
        settings: the settings of the consumers.
        deliveries: the messages that were delivered and are not settled.
    """

    def __init__(
        self,
        link: AsyncNatsLink,
        api: str,
        settings: ConsumerSettings,
        deliveries: Deliveries,
    ) -> None:
        self._link = link
        self._prefix = api
        self._settings = settings
        self._deliveries = deliveries
        self._consumers: dict[tuple[str, str], _Consumer] = {}
        self._arrived = asyncio.Event()
        self._failure: ConnectorError | None = None
        self._inbox = ""
        self._count = 0
        self._next_discovery = 0.0

    async def begin(self) -> None:
        """Find or create the consumers, and prepare to receive messages."""
        if self._settings.exclusive and not can_pin(self._link.version):
            raise no_pinning_error(self._link.version)
        self._inbox = await self._link.listen(self._receive, self._arrived.set)
        await self._discover()
        stored = {subject for _, subject in self._consumers}
        for subject in self._settings.subjects:
            if subject not in stored and not has_wildcards(subject):
                raise no_stream_error(subject)

    async def poll(self, limits: PollLimits) -> list[SinkRecord]:
        """Return the messages that have arrived, waiting for the first if there are none."""
        until = monotonic() + limits.wait
        waiting_records = self._deliveries.waiting
        if monotonic() >= self._next_discovery:
            await self._discover()
        is_late = False
        while not waiting_records:
            self._raise_failure()
            if is_late:
                return []
            wake_time = await self._request(self._deliveries.room(limits), until)
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(wake_time, until) - monotonic())):
                    await self._arrived.wait()
            is_late = monotonic() >= until
        return self._deliveries.take(limits)

    async def _request(self, count: int, until: float) -> float:
        """Send a request for each consumer that has none open; return when to check again."""
        now = monotonic()
        wake_time = until
        for consumer in self._consumers.values():
            if consumer.until <= now:
                if consumer.token is not None:
                    # A server sends no reply to a request for a consumer that does not exist.
                    raise unavailable(consumer.name)
                await self._pull(consumer, count, self._lifetime(until - now))
            wake_time = min(wake_time, consumer.until)
        return wake_time

    def _lifetime(self, wait: float) -> float:
        """Return the lifetime of a request in seconds, for a poll that waits for `wait` seconds."""
        return max(_SHORTEST_REQUEST, min(_LONGEST_REQUEST, self._settings.ack_wait / 2, wait))

    async def _pull(self, consumer: _Consumer, count: int, seconds: float) -> None:
        self._count += 1
        consumer.token = token = str(self._count)
        consumer.missing = count
        consumer.until = monotonic() + seconds + _REQUEST_END_TIMEOUT
        body: dict[str, Any] = {"batch": count, "expires": round(seconds * 1_000_000_000)}
        if self._settings.exclusive:
            body |= {"group": self._settings.group}
            body |= {} if consumer.pin is None else {"id": consumer.pin}
        await self._link.send(
            f"{self._prefix}.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}",
            dumps(body).encode(),
            f"{self._inbox}.{token}",
        )

    def _receive(self, message: Any) -> None:
        """Store an incoming message, or record the status that ends a request."""
        delivery = read_delivery(message.reply)
        headers: dict[str, str] = message.headers or {}
        if delivery is None:
            self._note(message.subject, headers)
            return
        self._deliveries.add(delivery, message)
        for consumer in self._consumers.values():
            if (consumer.stream, consumer.name) == (delivery.stream, delivery.consumer):
                consumer.pin = headers.get(_PIN_HEADER, consumer.pin)
                consumer.missing -= 1
                if not consumer.missing:
                    consumer.token, consumer.until = None, 0.0
        self._arrived.set()

    def _note(self, subject: str, headers: dict[str, str]) -> None:
        """Record the status that ends a request; ignore the status of an older request."""
        status, token = headers.get("Status"), subject.rpartition(".")[2]
        for consumer in self._consumers.values():
            if consumer.token == token and status != _HEARTBEAT:
                consumer.token, consumer.until = None, 0.0
                if status == _OTHER_PIN:
                    consumer.pin = None
                elif status == _NO_RESPONDERS or ends_consumer(headers.get("Description", "")):
                    self._failure = unavailable(consumer.name)
                elif status != _EXPIRED_STATUS:
                    consumer.until = monotonic() + _PAUSE_AFTER_REFUSAL
                self._arrived.set()

    def _raise_failure(self) -> None:
        """Raise an error if the connection or a consumer failed, or a permission is missing."""
        if self._failure is not None:
            raise without_frames(self._failure)
        if self._link.denied_subjects:
            raise missing_permission_error(self._link.denied_subjects)
        if not self._link.is_connected():
            raise read_error(PublishFault.LOST, RULES)

    async def acknowledge(self, records: Sequence[SinkRecord]) -> None:
        """Acknowledge records, and wait for the server's confirmation."""
        await self._settle(records, _ACKNOWLEDGEMENT)

    async def give_back(self, records: Sequence[SinkRecord]) -> None:
        """End the source's requests, return its records, and wait for the confirmation."""
        if records:
            await self._end_requests(monotonic() + _REPLY_TIMEOUT)
            await self._settle(records, _GIVE_BACK)

    async def _settle(self, records: Sequence[SinkRecord], acknowledgement: bytes) -> None:
        self._raise_failure()
        await self._send_acknowledgements(
            self._deliveries.replies(records), acknowledgement, _REPLY_TIMEOUT
        )
        self._deliveries.settle(records)

    async def _send_acknowledgements(
        self, replies: Iterable[Sequence[str]], acknowledgement: bytes, seconds: float
    ) -> None:
        """Send one acknowledgement per delivery; the server confirms only each consumer's last."""
        last_messages: list[tuple[str, bytes]] = []
        for subjects in replies:
            for subject in subjects[:-1]:
                await self._link.send(subject, acknowledgement)
            last_messages.append((subjects[-1], acknowledgement))
        for answer in await self._link.request_all(last_messages, monotonic() + seconds):
            if isinstance(answer, PublishFault):
                raise read_error(answer, RULES)
            if answer[0] is not None:
                raise unavailable(self._settings.group)

    async def extend(self, records: Sequence[SinkRecord]) -> None:
        """Extend the leases of all delivered records, including those not polled yet."""
        self._raise_failure()
        open_records = [*records, *self._deliveries.waiting.values()]
        for subjects in self._deliveries.replies(open_records):
            for subject in subjects:
                await self._link.send(subject, _PROGRESS)
        if self._settings.exclusive:
            # A worker that sends no request for some time would lose the consumer to another
            # worker.
            await self._request(1, monotonic() + self._settings.ack_wait)

    async def seek(self, place: Partition, offset: Offset) -> None:
        """Replace a consumer by one with the same name that begins after a position."""
        subject, stream = place
        matches = (
            consumer
            for consumer in self._consumers.values()
            if consumer.stream == stream and subjects_overlap(consumer.subject, subject)
        )
        consumer = next(matches, None)
        if consumer is None or not str(offset).isdecimal():
            raise ConfigurationError(
                f"The source does not read position {offset!r} of {subject!r} in the stream"
                f" {stream!r}.",
                path="offset",
                remedy="Pass the subject, the stream and the position of a record that the"
                " source has read.",
            )
        config = self._settings.config(consumer.name, consumer.subject, int(offset))
        # Deleting the consumer ends the pending request; this is no failure.
        consumer.token, consumer.until = None, 0.0
        code: int | None = None
        for _ in range(_ATTEMPTS):
            await self._api("DELETE", consumer.stream, consumer.name)
            code = error_code(await self._create(consumer.stream, consumer.name, config))
            if code is None:
                break
        else:
            # Another worker recreates the consumer with the old settings each time.
            raise api_error(code or 0, consumer.stream, consumer.name)
        self._deliveries.forget(consumer.stream, consumer.name)

    async def lag(self) -> int:
        """Return the number of messages that wait for the consumers or are not settled yet."""
        waiting = 0
        for consumer in tuple(self._consumers.values()):
            answer = await self._api("INFO", consumer.stream, consumer.name)
            code = error_code(answer)
            if code is not None:
                raise api_error(code, consumer.stream, consumer.name)
            waiting += answer["num_pending"] + answer["num_ack_pending"]
        return waiting

    async def _end_requests(self, until: float) -> None:
        """Make the server end all requests, and keep the messages that it has sent already.

        A server notices only with its next message that nobody listens for a request any more. Some
        versions deliver this message again only after `ack_wait`. Another short request makes the
        server check at once, without a message.
        """
        requesting_consumers = [item for item in self._consumers.values() if item.token is not None]
        if not requesting_consumers:
            return
        # nats-py stops reading if this call is cancelled.
        stop_task = asyncio.ensure_future(self._link.stop_listening())
        await asyncio.wait({stop_task}, timeout=until - monotonic())
        if not stop_task.done():
            raise read_error(PublishFault.TIMEOUT, RULES)
        self._inbox = await self._link.listen(self._receive, self._arrived.set)
        for consumer in requesting_consumers:
            await self._pull(consumer, 1, _WAKING_REQUEST_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(until - monotonic()):
                while any(item.token is not None for item in requesting_consumers):
                    self._raise_failure()
                    self._arrived.clear()
                    await self._arrived.wait()

    async def end(self, *, gives_back: bool) -> None:
        """Close the connection.

        Args:
            gives_back: whether all deliveries are given back first.
        """
        until = monotonic() + _CLOSING_SECONDS
        try:
            if self._link.is_connected():
                with suppress(ConnectorError):
                    await self._end_requests(until)
                    if gives_back:
                        await self._send_acknowledgements(
                            self._deliveries.all_replies(), _GIVE_BACK, _CLOSING_SECONDS
                        )
            await self._link.leave(_CLOSING_SECONDS)
        finally:
            self._link.close()

    async def _discover(self) -> None:
        """Find the streams of the subjects, and prepare their consumers."""
        new_consumers: list[tuple[_Consumer, dict[str, Any]]] = []
        for subject in self._settings.subjects:
            name = consumer_name(self._settings.group, subject)
            for stream in await self._streams(subject):
                if (stream, subject) not in self._consumers:
                    answer = await self._api("INFO", stream, name)
                    self._deliveries.note_beginning(answer.get("created"))
                    new_consumers.append((_Consumer(stream, name, subject), answer))
        for consumer, answer in new_consumers:
            await self._prepare(consumer.stream, consumer.name, consumer.subject, answer)
            self._consumers[consumer.stream, consumer.subject] = consumer
        self._next_discovery = monotonic() + self._settings.discover_every

    async def _streams(self, subject: str) -> list[str]:
        if self._settings.stream is not None:
            return [self._settings.stream]
        names: list[str] = []
        while True:
            body = {"subject": subject, "offset": len(names)}
            answer = await self._ask("STREAM.NAMES", body)
            code = error_code(answer)
            if code is not None:
                raise api_error(code, subject, self._settings.group)
            page = names_in(answer)
            names += page
            if not page or len(names) >= answer.get("total", 0):
                return names

    async def _prepare(self, stream: str, name: str, subject: str, answer: dict[str, Any]) -> None:
        """Create a missing consumer, or update one with different settings.

        Args:
            stream: the stream.
            name: the name of the consumer.
            subject: the subject that it reads.
            answer: JetStream's description of the consumer, or its error.
        """
        config: Any = answer.get("config")
        changeable_settings = self._settings.changeable()
        if error_code(answer) == NO_CONSUMER:
            config = self._settings.config(name, subject, since=self._deliveries.began)
        elif error_code(answer) is None and is_object(config):
            setting = self._settings.difference(name, subject, config)
            if setting is not None:
                raise consumer_differs_error(stream, name, setting)
            if all(config.get(field) == value for field, value in changeable_settings.items()):
                return
            config = {**config, **changeable_settings}
        else:
            raise api_error(error_code(answer) or 0, stream, name)
        new_consumer = await self._create(stream, name, config)
        code = error_code(new_consumer)
        if code is not None:
            raise api_error(code, stream, name)
        self._deliveries.note_beginning(new_consumer.get("created"))

    async def _create(self, stream: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
        body = {"stream_name": stream, "config": config}
        return await self._ask(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", body)

    async def _api(self, action: str, stream: str, name: str) -> dict[str, Any]:
        return await self._ask(f"CONSUMER.{action}.{stream}.{name}", None)

    async def _ask(self, command: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Return JetStream's reply to an API request; the reply may report an error."""
        payload = b"" if body is None else dumps(body).encode()
        subject = f"{self._prefix}.{command}"
        [answer] = await self._link.request_all([(subject, payload)], monotonic() + _REPLY_TIMEOUT)
        if answer is PublishFault.PERMISSION:
            raise missing_permission_error([subject])
        if isinstance(answer, PublishFault):
            raise read_error(answer, RULES)
        status, data = answer
        return {"error": {"code": 503}} if status is not None else read_answer(data)
