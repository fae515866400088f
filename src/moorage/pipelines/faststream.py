"""A middleware that handles failures in FastStream applications as pipelines do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from faststream import BaseMiddleware
from faststream.exceptions import AckMessage, IgnoredException

from moorage.domain.pipelines.failures import FailureConsequence, Verdict, source_verdict, verdict
from moorage.domain.pipelines.records import SinkRecord
from moorage.domain.pipelines.settings import dead_letter_of, exhausted_of
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.state.keys import checked_name
from moorage.errors import ConfigurationError
from moorage.pipelines._numbers import PipelineNumbers
from moorage.pipelines._repeating import ActionRepeater, RecordAtFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faststream.context import ContextRepo
    from faststream.message import StreamMessage

    from moorage.ports.pipelines import DeadLetters

_TOPICS: Final = ("subject", "channel", "topic", "queue")
"""The names that FastStream's brokers give to the place that a message was read from."""


@with_careful_constructor
class DeadLetterMiddleware:
    """Repeats messages that failed temporarily, and stores other failed ones as dead letters.

    Pass it to a broker: `NatsBroker(middlewares=[DeadLetterMiddleware(letters, name="shop")])`.
    Errors of a handler have the same consequences as in a pipeline. A dead letter is stored before
    its message is acknowledged. Other errors, such as a wrong password, reach FastStream, whose
    `ack_policy` decides.

    Args:
        dead_letters: the store of dead letters, such as a `DeadLetterFile`.
        name: the name of the application in its dead letters.
        retry: the policy for repeating temporary failures while the message is not acknowledged.
        exhausted: the consequence if the last retry fails temporarily: "dead_letter" stores the
            message as a dead letter, "stop" raises the error, and "retry" continues to retry.
    """

    def __init__(
        self,
        dead_letters: DeadLetters,
        *,
        name: str,
        retry: RetryPolicy | None = None,
        exhausted: FailureConsequence | str = FailureConsequence.DEAD_LETTER,
    ) -> None:
        if not callable(getattr(dead_letters, "add", None)):
            raise ConfigurationError(
                f"An object of type {type(dead_letters).__name__} cannot store dead letters.",
                path="dead_letters",
                remedy='Pass a store, such as DeadLetterFile("dead-letters.jsonl").',
            )
        self._dead_letters = dead_letters
        self._name = checked_name(name, "name")
        self._retry = RetryPolicy(max_attempts=5) if retry is None else retry
        self._exhausted = exhausted_of(exhausted)

    def __call__(self, msg: Any = None, /, *, context: ContextRepo) -> BaseMiddleware[Any, Any]:
        """Return the middleware of one message."""
        return _MessageMiddleware(self, msg, context)

    async def process(
        self,
        handle: Callable[[StreamMessage[Any]], Any],
        message: StreamMessage[Any],
        topic: str,
    ) -> Any:
        """Handle a message, and return the handler's result.

        Raises:
            AckMessage: the message is stored as a dead letter, and must be acknowledged.
            Exception: a failure that the message did not cause.
        """
        repeater = self._repeater(self._exhausted, _consequence_of)
        try:
            return await repeater.run(lambda: handle(message))
        except RecordAtFault as fault:
            error, attempts = fault.error, fault.attempts
        storing = self._repeater(FailureConsequence.STOP, source_verdict)
        for record in _records(message, topic):
            letter = dead_letter_of(
                error, record, pipeline=self._name, attempts=attempts, at=datetime.now(UTC)
            )
            await storing.run(partial(self._dead_letters.add, letter))
        # FastStream publishes nothing after this exception.
        raise AckMessage

    def _repeater(
        self, exhausted: FailureConsequence, judge: Callable[[Exception, RetryPolicy], Verdict]
    ) -> ActionRepeater:
        return ActionRepeater(self._retry, exhausted, judge, PipelineNumbers(), asyncio.Event())


class _MessageMiddleware(BaseMiddleware[Any, Any]):
    """The middleware of one message, which exists while the message is handled."""

    def __init__(self, settings: DeadLetterMiddleware, msg: Any, context: ContextRepo) -> None:
        super().__init__(msg, context=context)
        self._settings = settings

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Any]) -> Any:
        """Handle the message, with retries and dead letters."""
        log_context: dict[str, Any] = self.context.get("log_context") or {}
        topic = next((log_context[name] for name in _TOPICS if log_context.get(name)), "messages")
        return await self._settings.process(call_next, msg, str(topic))


def _consequence_of(error: Exception, policy: RetryPolicy) -> Verdict:
    """Return a pipeline's reaction to a handler's error; FastStream's own signals stop it."""
    return Verdict.STOP if isinstance(error, IgnoredException) else verdict(error, policy)


def _records(message: StreamMessage[Any], topic: str) -> Iterator[SinkRecord]:
    """Yield the records of a message; each message of a batch is a record."""
    bodies: Any = message.body
    if not isinstance(message.body, (list, tuple)):
        yield _sink_record(bodies, message.headers, message.message_id, topic)
        return
    for number, body in enumerate(bodies):
        headers = message.batch_headers[number : number + 1] or [message.headers]
        yield _sink_record(body, headers[0], f"{message.message_id}/{number}", topic)


def _sink_record(body: Any, headers: dict[str, Any], id: str, topic: str) -> SinkRecord:
    fields: dict[str, Any] = {
        "topic": topic,
        "id": id,
        "attributes": [
            (name, value if isinstance(value, (str, bytes)) else str(value))
            for name, value in headers.items()
        ],
        "content_type": headers.get("content-type"),
    }
    if isinstance(body, (str, bytes)):
        return SinkRecord(body, **fields)
    return SinkRecord.of_json(body, **{**fields, "content_type": "application/json"})
