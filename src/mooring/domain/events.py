"""Everything that happens, as frozen values.

Observers are handed these. None holds a secret, a body or a header's value: what may be shown of
a request is its method and path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from mooring.domain.circuit import CircuitState


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to a call.

    Attributes:
        at: when, by the local clock (aware, UTC).
        service, operation, tenant: whose call it was.
        request_id: the call's correlation id.
    """

    at: datetime
    service: str
    operation: str | None = None
    tenant: str | None = None
    request_id: str | None = None


@attrs.frozen(kw_only=True)
class CallStarted(Event):
    """A call entered the pipeline."""


@attrs.frozen(kw_only=True)
class CallFinished(Event):
    """A call left the pipeline.

    `error` is the name of the error's class, None after a success; `status` the last HTTP status.
    """

    started_at: datetime
    duration: float
    attempts: int
    error: str | None = None
    status: int | None = None
    vendor_code: str | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    fallback: bool = False
    cancelled: bool = False


@attrs.frozen(kw_only=True)
class AttemptFinished(Event):
    """One attempt ended; `slow` if it took longer than the circuit calls slow."""

    attempt: int
    duration: float
    error: str | None = None
    status: int | None = None
    slow: bool = False


@attrs.frozen(kw_only=True)
class RetryScheduled(Event):
    """Another attempt will follow in `delay` seconds."""

    attempt: int
    delay: float
    error: str


@attrs.frozen(kw_only=True)
class RateLimitWaited(Event):
    """A call waits `delay` seconds for its turn."""

    delay: float


@attrs.frozen(kw_only=True)
class CallRefused(Event):
    """A call was held back without reaching for the vendor; `error` says by what."""

    error: str
    retry_after: float


@attrs.frozen(kw_only=True)
class VendorPaused(Event):
    """The vendor asked for a pause of `delay` seconds, which all callers now keep."""

    delay: float


@attrs.frozen(kw_only=True)
class CircuitChanged(Event):
    """A circuit changed its mode."""

    state: CircuitState


@attrs.frozen(kw_only=True)
class CredentialRefreshed(Event):
    """The vendor refused a credential, and it was renewed."""


@attrs.frozen(kw_only=True)
class IdempotencyReplayed(Event):
    """A repeated key was answered from the stored answer; nothing was sent."""

    idempotency_key: str


@attrs.frozen(kw_only=True)
class AnswerNotStored(Event):
    """An effect happened, but its answer could not be stored for a repeat of the key."""

    idempotency_key: str
    error: str


@attrs.frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised `error`; the call it was told about went on."""

    observer: str
    error: str
