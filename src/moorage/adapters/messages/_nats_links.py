"""Connections to NATS JetStream with nats-py, each shared by all callers.

nats-py needs an event loop. So the connection of a synchronous program wraps an asynchronous one,
which runs in a background event loop.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from json import dumps
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nats import errors as nats_errors

from moorage.adapters.concurrency.background import Background
from moorage.adapters.messages._nats_client import NatsClient
from moorage.adapters.messages._nats_keys import nats_key, read_credentials
from moorage.adapters.messages.network_faults import network_fault
from moorage.adapters.trust import context_for
from moorage.domain.messages.message import PublishReceipt
from moorage.domain.messages.nats import (
    RULES,
    STREAM_RULES,
    StreamAcknowledgement,
    acknowledgement,
    denied_operation,
    headers_to_send,
    new_stream,
    read_reply,
    refusal,
    stored_subject,
    window_of,
    wire_size,
    with_subject_in_id,
)
from moorage.domain.messages.nats_consumers import names_in
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.messages.read_failures import read_error
from moorage.domain.secrets.frames import without_frames
from moorage.domain.values.result import Result
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.adapters.messages.nats import Nats
    from moorage.domain.connectors.server_address import ServerAddress
    from moorage.domain.messages.message import OutgoingMessage

_MOST_STREAMS: Final = 32
"""Streams whose memory of ids is compared with the settings."""

_BACKGROUND_LOOP: Final = Background()


async def connect_nats_async(settings: Nats, timeout: float) -> AsyncNatsLink:
    """Return a connection to the first server that accepts it."""
    until = monotonic() + min(timeout, settings.connect_timeout)
    failures: list[ConnectorError] = []
    addresses = settings.addresses()
    for position, address in enumerate(addresses):
        seconds = max(0.0, until - monotonic()) / (len(addresses) - position)
        try:
            return await _connected_link(settings, address, seconds)
        except ConnectorError as error:
            failures.append(error)
    raise next((error for error in failures if error.retryable), failures[0])


def connect_nats(settings: Nats, timeout: float) -> NatsLink:
    """Return a connection to NATS for a synchronous program."""
    return NatsLink(_BACKGROUND_LOOP.run(connect_nats_async(settings, timeout)))


async def _connected_link(settings: Nats, address: ServerAddress, seconds: float) -> AsyncNatsLink:
    options = _login(settings, address)
    if address.tls is not None:
        options["tls"] = context_for(address.tls, "")
    link = AsyncNatsLink(settings, address, options.pop("public_key", None))
    try:
        async with asyncio.timeout(seconds):
            await link.begin(address, options, seconds)
    except Exception as error:  # noqa: BLE001 - judged, and raised again
        failure = _connecting_error(error)
        link.close()
    except BaseException:
        link.close()
        raise
    else:
        return link
    raise without_frames(failure)


def _login(settings: Nats, address: ServerAddress) -> dict[str, Any]:
    """Return the nats-py options that identify the user."""
    if settings.credentials is not None:
        token, key = read_credentials(settings.credentials)
        return {"user_jwt_cb": token.reveal_bytes, "signature_cb": key.sign}
    if settings.nkey is not None:
        key = nats_key(settings.nkey)
        return {"public_key": key.public, "signature_cb": key.sign}
    if settings.token is not None:
        return {"token": settings.token.reveal()}
    if address.user and address.password is None:
        return {"token": address.user}
    if address.user:
        return {"user": address.user, "password": address.password_text()}
    return {}


def _connecting_error(error: Exception) -> Exception:
    """Return the error for an exception during the opening of a connection."""
    if isinstance(error, ConnectorError):
        return error
    fault = network_fault(error)
    if fault is None and isinstance(error, nats_errors.Error):
        fault = refusal(str(error))
    if fault is None and isinstance(error, OSError | EOFError | ValueError):
        fault = PublishFault.UNSENT
    return error if fault is None else publish_error(fault, RULES)


class AsyncNatsLink:
    """A connection of an asynchronous program, which many tasks use concurrently."""

    def __init__(self, settings: Nats, address: ServerAddress, public_key: str | None) -> None:
        self._settings = settings
        self._client = NatsClient(
            insists_on_tls=address.tls is not None, public_key=public_key, on_end=self._on_end
        )
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._inbox = ""
        self._count = 0
        self._waiting: dict[str, tuple[str, asyncio.Future[Any]]] = {}
        self._denials: dict[str, int] = {}
        self._is_stuck = False
        self._gets_replies = True
        self._windows: dict[str, float | None] = {}
        self._listener: Callable[[], None] | None = None
        self._subscription: Any = None
        self.version: str | None = None

    async def begin(self, address: ServerAddress, options: dict[str, Any], seconds: float) -> None:
        """Connect, and subscribe to the acknowledgements."""
        settings = self._settings
        client: Any = self._client
        host = f"[{address.host}]" if ":" in address.host else address.host
        await client.open(
            servers=[f"{'nats' if address.tls is None else 'tls'}://{host}:{address.port}"],
            name="moorage",
            error_cb=self._on_error,
            allow_reconnect=False,
            connect_timeout=seconds,
            ping_interval=settings.heartbeat,
            max_outstanding_pings=1,
            pending_size=0,
            inbox_prefix=settings.inbox_prefix,
            **options,
        )
        if not client.is_connected:
            raise publish_error(PublishFault.UNSENT, RULES)
        version = client.connected_server_version
        self.version = f"NATS {version.major}.{version.minor}.{version.patch}"
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        # The first reply proves that the subscription was sent; the second, that the server checked
        # it.
        for _ in range(2):
            await self.ping(seconds)
        if not self._gets_replies:
            raise publish_error(PublishFault.NO_REPLIES, RULES)

    def is_connected(self) -> bool:
        """Return False if the connection has ended, or cannot send bytes for too long."""
        client = self._client
        return client.is_connected and not self._is_stuck and not client.has_hung_up()

    async def ping(self, timeout: float) -> None:
        """Check that the server answers, and how long its streams remember message ids."""
        until = monotonic() + timeout
        flush = asyncio.ensure_future(self._client.flush(max(timeout, 0.001)))  # type: ignore[arg-type]  # asyncio takes it
        try:
            await asyncio.wait({flush, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if not flush.done():
                raise publish_error(PublishFault.UNSENT, RULES)
            await flush
        except nats_errors.TimeoutError:
            raise TimeoutError from None
        except nats_errors.Error:
            raise publish_error(PublishFault.UNSENT, RULES) from None
        finally:
            flush.cancel()
        for stream in [name for name, window in self._windows.items() if window is None]:
            await self._read_window(stream, until)

    def problem(self) -> tuple[str, str] | None:
        """Return the problem of a stream that remembers message ids too briefly, or None."""
        promised_window = self._settings.duplicate_window or 0.0
        for stream, window in self._windows.items():
            if window is not None and window < promised_window:
                text = (
                    f"The NATS stream {stream!r} remembers message ids for only {window:g}"
                    f" seconds, but `duplicate_window` is {promised_window:g} seconds."
                )
                return text, "Set `duplicate_window` to the shortest window of the streams."
        return None

    async def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish a message, and wait until a stream has stored it."""
        return (await self.publish_batch((item,), timeout))[0].unwrap()

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages one after another, and wait for all acknowledgements together."""
        until = monotonic() + timeout
        replies = await self._publish_items(items, until)
        is_missing = all(reply is PublishFault.TOPIC for reply in replies)
        if is_missing and self._settings.creates_streams:
            await self._create_stream(items[0].topic, until)
            replies = await self._publish_items(items, until)
        if PublishFault.TOPIC in replies and await self._has_stream(items[0].topic, until):
            replies = [
                PublishFault.STARTING if reply is PublishFault.TOPIC else reply for reply in replies
            ]
        replies = await self._publish_mistaken_items(items, replies, until)
        return [self._result(item, reply) for item, reply in zip(items, replies, strict=True)]

    async def listen(self, receive: Callable[[Any], None], end: Callable[[], None]) -> str:
        """Pass all messages under a new subject prefix to `receive`, and return this prefix.

        Args:
            receive: called with each message.
            end: called when the connection has ended, or when a right is missing.

        Raises:
            ConnectionFailed: the connection was lost.
        """

        async def on_message(message: Any) -> None:
            receive(message)

        self._listener = end
        self._ended.add_done_callback(lambda _: end())
        prefix: str = self._client.new_inbox()
        # nats-py would drop messages beyond these limits; the pull requests limit what arrives.
        client: Any = self._client
        try:
            self._subscription = await client.subscribe(
                f"{prefix}.*", cb=on_message, pending_bytes_limit=0, pending_msgs_limit=0
            )
        except nats_errors.Error:
            raise read_error(PublishFault.LOST, RULES) from None
        return prefix

    async def stop_listening(self) -> None:
        """Unsubscribe, and receive the messages sent before; this must not be cancelled."""
        with suppress(nats_errors.Error, TimeoutError):
            await self._subscription.drain()

    @property
    def denied_subjects(self) -> frozenset[str]:
        """The subjects, in lower case, to which the user may not publish."""
        return frozenset(self._denials)

    async def send(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Send a message without waiting for an acknowledgement."""
        try:
            await self._client.publish(subject, payload, reply=reply)
        except nats_errors.Error:
            raise publish_error(PublishFault.UNSENT, RULES) from None

    async def request_all(
        self, requests: Sequence[tuple[str, bytes]], until: float
    ) -> list[tuple[str | None, bytes] | PublishFault]:
        """Send requests (pairs of subject and payload); return their replies or errors.

        A reply is a status, with which the server itself answers, and a content.
        """
        replies = [await self._request(subject, payload, {}) for subject, payload in requests]
        await self._wait(replies, until)
        return [_answer(reply) for reply in replies]

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str], until: float
    ) -> tuple[str | None, bytes] | PublishFault:
        """Send one request with headers, and return its reply or fault."""
        reply = await self._request(subject, payload, headers)
        await self._wait([reply], until)
        answer: tuple[str | None, bytes] | PublishFault = _answer(reply)
        return answer

    async def leave(self, timeout: float) -> None:
        """Close the connection to NATS, and let the client finish."""
        with suppress(TimeoutError, OSError, nats_errors.Error):
            async with asyncio.timeout(timeout):
                await self._client.close()

    def close(self) -> None:
        """Drop the connection; any thread may do this, even if the event loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._client.abort)

    async def _publish_items(
        self, items: Sequence[OutgoingMessage], until: float
    ) -> list[StreamAcknowledgement | PublishFault]:
        replies: list[Any] = []
        for item in items:
            headers = headers_to_send(item, self._settings.stream)
            replies.append(await self._request(item.topic, item.message.payload, headers))
        await self._wait(replies, until)
        answers = [_answer(reply) for reply in replies]
        return [
            answer if isinstance(answer, PublishFault) else acknowledgement(*answer)
            for answer in answers
        ]

    async def _publish_mistaken_items(
        self,
        items: Sequence[OutgoingMessage],
        replies: Sequence[StreamAcknowledgement | PublishFault],
        until: float,
    ) -> list[StreamAcknowledgement | PublishFault]:
        """Publish messages again that a stream mistook for repeats; return the new replies.

        A stream stores one message per id, even if another message has it in another subject. If
        the stored message cannot be read, the new one counts as its repeat.
        """
        new_replies = [*replies]
        repeated_items = [
            (number, reply)
            for number, reply in enumerate(replies)
            if not isinstance(reply, PublishFault) and reply.is_duplicate
        ]
        if not repeated_items:
            return new_replies
        answers = await self.request_all(
            [
                (
                    f"{self._settings.api}.STREAM.MSG.GET.{reply.stream}",
                    dumps({"seq": reply.sequence}).encode(),
                )
                for _, reply in repeated_items
            ],
            until,
        )
        subjects = [
            None if isinstance(answer, PublishFault) else stored_subject(answer[1])
            for answer in answers
        ]
        numbers = [
            number
            for (number, _), subject in zip(repeated_items, subjects, strict=True)
            if subject not in {None, items[number].topic}
        ]
        if numbers:
            repeated_replies = await self._publish_items(
                [with_subject_in_id(items[number]) for number in numbers], until
            )
            for number, reply in zip(numbers, repeated_replies, strict=True):
                new_replies[number] = reply
        return new_replies

    async def _request(self, subject: str, payload: bytes, headers: dict[str, str]) -> Any:
        """Send a request; return a future for its reply, or the reason why it was not sent."""
        if wire_size(payload, headers) > self._client.max_payload:
            return PublishFault.TOO_LARGE
        self._count += 1
        reply = f"{self._inbox}.{self._count}"
        future: asyncio.Future[Any] = self._loop.create_future()
        try:
            # nats-py's write buffer is disabled, so this call never waits.
            await self._client.publish(subject, payload, reply=reply, headers=headers or None)
        except nats_errors.Error:
            return PublishFault.UNSENT
        self._waiting[reply] = subject.lower(), future
        return future

    async def _wait(self, replies: Sequence[Any], until: float) -> None:
        """Wait for the replies to requests, and abandon requests whose time is over."""
        futures = [future for future in map(_future, replies) if future is not None]
        try:
            if futures:
                await asyncio.wait(futures, timeout=max(0.0, until - monotonic()))
        finally:
            late_futures = {future for future in futures if not future.done()}
            if late_futures:
                for key in [key for key, item in self._waiting.items() if item[1] in late_futures]:
                    del self._waiting[key]
                # Bytes in this buffer must not be sent after their caller has left.
                self._is_stuck = self._is_stuck or self._client.has_unsent()

    async def _create_stream(self, subject: str, until: float) -> None:
        settings = self._settings
        name, config = new_stream(
            subject, window=settings.duplicate_window, replicas=settings.replicas
        )
        reply = await self._api(f"STREAM.CREATE.{name}", config, until)
        if isinstance(reply, PublishFault):
            # Nothing was published, whatever happened to the stream.
            fault = PublishFault.STARTING if reply in _UNCLEAR_FAULTS else reply
            raise publish_error(fault, STREAM_RULES, subject)

    async def _has_stream(self, subject: str, until: float) -> bool:
        """Return whether a stream stores this subject, even if no server answers for it now."""
        reply = await self._api("STREAM.NAMES", {"subject": subject}, until)
        if isinstance(reply, PublishFault):
            return reply is PublishFault.STARTING
        return bool(names_in(reply))

    async def _read_window(self, stream: str, until: float) -> None:
        reply = await self._api(f"STREAM.INFO.{stream}", None, until)
        if isinstance(reply, dict):
            self._windows[stream] = window_of(reply)

    async def _api(
        self, command: str, body: dict[str, Any] | None, until: float
    ) -> dict[str, Any] | PublishFault:
        """Return JetStream's reply to an API request, or the reason why there is none."""
        payload = b"" if body is None else dumps(body).encode()
        [answer] = await self.request_all([(f"{self._settings.api}.{command}", payload)], until)
        if isinstance(answer, PublishFault):
            return answer
        status, data = answer
        return PublishFault.NAMESPACE if status is not None else read_reply(data)

    def _result(
        self, item: OutgoingMessage, reply: StreamAcknowledgement | PublishFault
    ) -> Result[PublishReceipt]:
        if isinstance(reply, PublishFault):
            rules = STREAM_RULES if reply is PublishFault.TOPIC else RULES
            return Result(error=publish_error(reply, rules, item.topic))
        if item.id is not None and len(self._windows) < _MOST_STREAMS:
            self._windows.setdefault(reply.stream, None)
        return Result(
            PublishReceipt(
                broker=RULES.system,
                topic=item.topic,
                at=datetime.now(UTC),
                offset=reply.sequence,
                id=item.id,
                stream=reply.stream,
                is_duplicate=reply.is_duplicate,
            )
        )

    async def _on_reply(self, message: Any) -> None:
        headers: dict[str, str] = message.headers or {}
        self._settle(message.subject, (headers.get("Status"), message.data))

    def _settle(self, key: str, reply: object) -> None:
        subject, future = self._waiting.pop(key, ("", None))
        if future is not None:
            future.set_result(reply)
            self._settle_denied(subject)

    async def _on_error(self, error: Exception) -> None:
        match = denied_operation(str(error).lower())
        if match is None:
            return
        action, subject = match
        if action == "publish":
            self._denials[subject] = self._denials.get(subject, 0) + 1
            self._settle_denied(subject)
            if self._listener is not None:
                self._listener()
        else:
            self._gets_replies = False

    def _settle_denied(self, subject: str) -> None:
        """Fail all messages that wait for a subject, once the server has refused that many.

        The server names the refused subject, but not the message.
        """
        if not self._denials:
            return
        keys = [key for key, item in self._waiting.items() if item[0] == subject]
        if keys and self._denials.get(subject, 0) >= len(keys):
            del self._denials[subject]
            for key in keys:
                self._waiting.pop(key)[1].set_result(PublishFault.PERMISSION)

    def _on_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
        waiting_messages, self._waiting = self._waiting, {}
        for _, future in waiting_messages.values():
            future.set_result(PublishFault.LOST)


_UNCLEAR_FAULTS: Final = frozenset({PublishFault.TIMEOUT, PublishFault.LOST, PublishFault.BROKEN})
"""Faults that would leave open whether a message was stored."""


def _answer(reply: Any) -> Any:
    """Return the reply to a request, or the fault that prevented it."""
    future = _future(reply)
    if future is None:
        return reply
    return future.result() if future.done() else PublishFault.TIMEOUT


def _future(reply: Any) -> asyncio.Future[Any] | None:
    """Return the future of a request's reply; None if it was not sent."""
    return reply if isinstance(reply, asyncio.Future) else None  # pyright: ignore[reportUnknownVariableType] - of any result


class NatsLink:
    """A NATS connection of a synchronous program, which many threads use concurrently."""

    def __init__(self, link: AsyncNatsLink) -> None:
        self._link = link

    @property
    def version(self) -> str | None:
        """The version of the server."""
        return self._link.version

    def is_connected(self) -> bool:
        """Return False if the connection has ended, or cannot send bytes for too long."""
        return self._link.is_connected()

    def ping(self, timeout: float) -> None:
        """Check that the server answers, and how long its streams remember message ids."""
        _BACKGROUND_LOOP.run(self._link.ping(timeout))

    def problem(self) -> tuple[str, str] | None:
        """Return the problem of a stream that remembers message ids too briefly, or None."""
        return self._link.problem()

    def publish(self, item: OutgoingMessage, timeout: float) -> PublishReceipt:
        """Publish a message, and wait until a stream has stored it."""
        return _BACKGROUND_LOOP.run(self._link.publish(item, timeout))

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float
    ) -> list[Result[PublishReceipt]]:
        """Publish messages one after another, and wait for all acknowledgements together."""
        return _BACKGROUND_LOOP.run(self._link.publish_batch(items, timeout))

    def leave(self, timeout: float) -> None:
        """Close the connection to NATS, and let the client finish."""
        _BACKGROUND_LOOP.run(self._link.leave(timeout))

    def close(self) -> None:
        """Drop the connection to NATS."""
        self._link.close()
