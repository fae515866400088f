"""OpenTelemetry's semantic conventions for attempts over HTTP, databases and brokers.

The conventions for HTTP and databases are stable (semconv 1.33), those for messages are in
development. Values of parameters, payloads and keys of messages are never attributes.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.operation_target import DatabaseTarget, MessageTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.observation.call_events import AttemptFinished, AttemptStarted
    from moorage.domain.observation.operation_target import OperationTarget

DATABASE: Final = "moorage.attempt.database"
MESSAGING: Final = "moorage.attempt.messaging"
"""The names in the registry of the two kinds of attempts whose spans are named by a target."""

_BROKERS: Final = {"redis-streams": "redis", "sqs": "aws_sqs"}
"""The names of `messaging.system` that differ from those of our connectors."""


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a mapping without its None values."""
    return {name: value for name, value in values.items() if value is not None}


def of_request(event: AttemptStarted | AttemptFinished) -> dict[str, Any]:
    """Return the OpenTelemetry attributes of an HTTP request."""
    return without_none(
        {
            "http.request.method": event.method,
            "server.address": event.host,
            "url.template": event.route,
        }
    )


def ending_of_request(event: AttemptFinished) -> dict[str, Any]:
    """Return the OpenTelemetry attributes for a received HTTP response or a failed request."""
    error_type = str(event.status) if event.error and event.status else event.error
    return without_none({"http.response.status_code": event.status, "error.type": error_type})


@singledispatch
def of_target(target: OperationTarget) -> dict[str, Any]:
    """Return the span attributes of an operation on a database or broker."""
    raise TypeError(f"{type(target).__name__} is not a supported kind of target.")


@of_target.register
def _of_database(target: DatabaseTarget) -> dict[str, Any]:
    return {
        **series_of_target(target),
        **without_none({"db.query.text": target.text, "db.operation.batch.size": _batch(target)}),
    }


@of_target.register
def _of_message(target: MessageTarget) -> dict[str, Any]:
    return {
        **series_of_target(target),
        **without_none(
            {
                "messaging.destination.name": target.destination,
                "messaging.message.id": target.message_id,
                "messaging.message.body.size": target.size,
                "messaging.batch.message_count": target.count,
            }
        ),
    }


def series_of_target(target: OperationTarget) -> dict[str, Any]:
    """Return the attributes of a target that have few different values, for metrics."""
    place = {"server.address": target.host, "server.port": target.port if target.host else None}
    if isinstance(target, MessageTarget):
        return without_none(
            {
                "messaging.system": _BROKERS.get(target.system, target.system),
                "messaging.operation.name": target.operation,
                "messaging.operation.type": "send",
                **place,
            }
        )
    return without_none(
        {
            "db.system.name": target.system,
            "db.namespace": target.namespace,
            "db.operation.name": target.operation,
            "db.collection.name": target.collection,
            "db.query.summary": target.summary,
            **place,
        }
    )


def ending_of_operation(event: AttemptFinished) -> dict[str, Any]:
    """Return the attributes for the end of an operation on a database or broker."""
    code = event.vendor_code if isinstance(event.target, DatabaseTarget) else None
    return without_none(
        {
            "db.response.status_code": code,
            "error.type": event.error and (code or event.error),
        }
    )


def _batch(target: DatabaseTarget) -> int | None:
    # By OpenTelemetry's conventions, a batch of one statement does not count as a batch.
    return None if target.batch_size == 1 else target.batch_size
