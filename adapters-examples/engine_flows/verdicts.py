"""The rules by which an engine reacts to errors, and the rule for a flow's idempotency key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import attrs

from moorage import ConfigurationError, ConnectorError, OutcomeUnknown

_USUAL: Final = 60.0
"""The seconds until the next try if the error names no time."""


@attrs.frozen
class WaitVerdict:
    """The engine retries the part after a number of seconds."""

    seconds: float


@attrs.frozen
class AskPerson:
    """An operator must decide before the part is retried, because it may have been done."""

    reason: str


@attrs.frozen
class GiveUp:
    """The flow fails, because a retry of the part would also fail."""

    reason: str


def verdict(error: ConnectorError, now: datetime | None = None) -> WaitVerdict | AskPerson | GiveUp:
    """Return the action that a workflow engine must take after moorage raises this error.

    moorage has already made all retries that can help within seconds. So the engine only waits
    until another try may help, and needs no other retries.
    """
    if isinstance(error, OutcomeUnknown):
        return AskPerson(str(error))
    if not error.retryable:
        return GiveUp(str(error))
    if error.retry_at is None:
        return WaitVerdict(_USUAL)
    return WaitVerdict(max(1.0, (error.retry_at - (now or datetime.now(UTC))).total_seconds()))


def flow_key(business: str | None, *, host: str | None = None) -> str:
    """Return a flow's idempotency key, made from the business's id or else the engine's id.

    Args:
        business: the business's own name of the effect, such as the number of an order. It is the
            best choice, because it stays the same whoever starts the flow again.
        host: an id that the engine keeps when it runs the flow again, so not the number of an
            attempt, a run or a message.

    Raises:
        ConfigurationError: both are missing, and a random key would be new at each run.
    """
    if business:
        return f"order {business}"
    if host:
        return f"flow {host}"
    raise ConfigurationError(
        "The flow has no key that stays the same when it runs again.",
        path="key",
        remedy="Give the number of the order, or start the flow with an id of the engine.",
    )
