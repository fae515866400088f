"""Sinks that send each record or batch to a vendor or a service."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from moorage.domain.idempotency.claims import checked_key
from moorage.errors import InvalidData
from moorage.pipelines.functions import BatchSink, RecordSink, is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.domain.http.requests import Request
    from moorage.domain.pipelines.records import SinkRecord


class CallSink(RecordSink):
    """A sink that calls an operation for each record; the record's identity is the idempotency key.

    The identity of a record is its idempotency key. A record that is delivered again is therefore
    not sent twice, as long as the operation remembers the key.

    Args:
        operation: an operation of a contract, such as `hub.sms.send`, or another function that
            accepts a request and an `idempotency_key`. A synchronous operation runs in a thread.
        request: makes the operation's request from a record.
    """

    def __init__(self, operation: Callable[..., Any], request: Callable[[SinkRecord], Any]) -> None:
        super().__init__(_with_idempotency_key(operation, request, idempotency_key))


class HttpSink(RecordSink):
    """A sink that sends an HTTP request to a service for each record.

    Args:
        manager: sends the requests under the protections of the service. A synchronous manager
            works in a thread.
        service: the name of the service.
        request: makes the request from a record.
    """

    def __init__(
        self, manager: Any, service: str, request: Callable[[SinkRecord], Request]
    ) -> None:
        super().__init__(
            _with_idempotency_key(partial(manager.call, service), request, idempotency_key)
        )


class HttpBatchSink(BatchSink):
    """A sink that sends an HTTP request to a service for each batch.

    The service must process a request as a whole. Records that are delivered again may come in
    other batches, and then have another idempotency key: the service must recognise them itself.

    Args:
        manager: sends the requests under the protections of the service. A synchronous manager
            works in a thread.
        service: the name of the service.
        request: makes the request from a list of records.
    """

    def __init__(
        self, manager: Any, service: str, request: Callable[[list[SinkRecord]], Request]
    ) -> None:
        super().__init__(
            _with_idempotency_key(
                partial(manager.call, service), request, batch_key, returns=_no_failures
            )
        )


def _with_idempotency_key(
    operation: Callable[..., Any],
    request: Callable[[Any], Any],
    key: Callable[[Any], str],
    *,
    returns: Callable[[Any], Any] = lambda value: value,
) -> Callable[[Any], Any]:
    """Return a function that passes a record or batch to an operation, with its idempotency key."""
    if is_async(operation):

        async def call(subject: Any) -> Any:
            return returns(await operation(request(subject), idempotency_key=key(subject)))

        return call
    return lambda subject: returns(operation(request(subject), idempotency_key=key(subject)))


def _no_failures(_: object) -> None:
    """Return None, which means that the sink processed the whole batch."""


def idempotency_key(record: SinkRecord) -> str:
    """Return a record's idempotency key: its identity, or a digest if that is not a valid key."""
    identity = record.identity
    try:
        return checked_key(identity)
    except InvalidData:
        return sha256(identity.encode()).hexdigest()


def batch_key(records: Sequence[SinkRecord]) -> str:
    """Return the idempotency key of a batch, which is the same for the same records."""
    digest = sha256()
    for record in records:
        digest.update(sha256(record.identity.encode()).digest())
    return digest.hexdigest()
