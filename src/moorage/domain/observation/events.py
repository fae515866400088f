"""Events: frozen values for everything that happens to calls, which observers receive.

No event holds a secret, a body or a header's value: of a request they show method and path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.resilience.circuit import CircuitState


@attrs.frozen(kw_only=True)
class Event:
    """An event in the life of a call.

    Attributes:
        at: the time by the local clock (aware, UTC).
        service, operation, tenant: the call's service, operation and tenant.
        request_id: the call's correlation id.
        region: the region of the service that was called, once it is chosen.
    """

    at: datetime
    service: str
    operation: str | None = None
    tenant: str | None = None
    request_id: str | None = None
    region: str | None = None


@attrs.frozen(kw_only=True)
class CallStarted(Event):
    """A call entered the pipeline."""


@attrs.frozen(kw_only=True)
class CallFinished(Event):
    """A call left the pipeline.

    `error` is the name of the error's class, None after a success; `status` the last HTTP status.
    `replayed` means that a repeated key got the stored answer, and `cached` that the answer came
    from the cache. `internal` means that the error is this program's own or its machine's, and says
    nothing about the service. `subject` is the person whose data the call was about.
    """

    started_at: datetime
    duration: float
    attempts: int
    error: str | None = None
    status: int | None = None
    vendor_code: str | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    cached: bool = False
    fallback: bool = False
    cancelled: bool = False
    internal: bool = False
    subject: str | None = None


@attrs.frozen(kw_only=True)
class AttemptFinished(Event):
    """One attempt ended; `slow` if it took longer than the circuit's `slow_call`."""

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
class PauseEnded(Event):
    """A person ended a pause of a service's limits, `remaining` seconds early."""

    remaining: float


@attrs.frozen(kw_only=True)
class RateLimitWaited(Event):
    """A call waits `delay` seconds for its turn."""

    delay: float


@attrs.frozen(kw_only=True)
class CallRefused(Event):
    """A call was refused before it reached the vendor; `error` is the class of the refusal."""

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
class TokenRenewed(Event):
    """An authorisation server granted a new token, and it is stored."""

    duration: float
    attempts: int


@attrs.frozen(kw_only=True)
class TokenNotRenewed(Event):
    """A token could not be renewed. Where the old one still works, calls go on with it."""

    error: str
    still_works: bool


@attrs.frozen(kw_only=True)
class ConsentNeeded(Event):
    """An OAuth grant has ended: a person must authorise the application again."""

    reason: str


@attrs.frozen(kw_only=True)
class IdempotencyReplayed(Event):
    """A repeated key was answered from the stored answer; nothing was sent."""

    idempotency_key: str


@attrs.frozen(kw_only=True)
class AnswerNotStored(Event):
    """A call had its effect, but its answer could not be stored for a repeat of the key."""

    idempotency_key: str
    error: str


@attrs.frozen(kw_only=True)
class CacheHit(Event):
    """A call was answered from the cache, `age` seconds after the service gave the answer.

    With `stale` the answer has expired, and was used because the service cannot be reached or
    failed, because another call is revalidating it, or because the request allows it.
    """

    age: float
    stale: bool


@attrs.frozen(kw_only=True)
class CacheMissed(Event):
    """No cached answer could be used, so the service is called.

    With `stale` there is an expired answer, which the service may confirm.
    """

    stale: bool


@attrs.frozen(kw_only=True)
class CacheRevalidated(Event):
    """The service confirmed that a cached answer, `age` seconds old, still holds."""

    age: float


@attrs.frozen(kw_only=True)
class CacheSkipped(Event):
    """A call went on without the cache, because of the named `error`."""

    error: str


@attrs.frozen(kw_only=True)
class StorageLost(Event):
    """A shared store does not answer; the next probe follows in `retry_after` seconds.

    `service` is the name of the port: "state", or "claims" where idempotency keys have a store of
    their own, or "cache". `node` is the node that does not answer, if others may still. During the
    outage each process has limits and circuits of its own, calls with an idempotency key are
    refused, and calls skip the cache.
    """

    node: str = ""
    error: str
    retry_after: float


@attrs.frozen(kw_only=True)
class StorageRecovered(Event):
    """A shared store answers again, after `duration` seconds; `service` and `node` as above."""

    node: str = ""
    duration: float


@attrs.frozen(kw_only=True)
class StateSubstituted(Event):
    """One stored state cannot be read, such as one that a newer release wrote; others can.

    Limits and circuits go on with a substitute state in the same store; a call with an idempotency
    key is refused if the state is the one of its key. The event is emitted once for each `key`;
    `service` is the name of the port, as in `StorageLost`.
    """

    key: str
    error: str


@attrs.frozen(kw_only=True)
class FailedOver(Event):
    """An operation goes on at another account, `to`, as `service` certainly did nothing."""

    to: str
    error: str


@attrs.frozen(kw_only=True)
class Rehearsed(Event):
    """A dry run held back a request: `request` describes it."""

    request: str


@attrs.frozen(kw_only=True)
class Reloaded(Event):
    """A new configuration applies to calls that begin from now on; `service` is "configuration".

    The attributes have the paths that differ, such as "vendors.stripe", without their values.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ReloadFailed(Event):
    """A changed configuration is invalid, so the old one stays in use.

    `service` is "configuration", `path` is the path of the invalid value, and `problem` describes
    it.
    """

    error: str
    path: str | None
    problem: str


@attrs.frozen(kw_only=True)
class TlsUnverified(Event):
    """A client is configured not to verify TLS certificates; emitted whenever a manager starts.

    `service` is the name of the port: "http".
    """

    because: str


@attrs.frozen(kw_only=True)
class WebhookReceived(Event):
    """A webhook was verified; `operation` is its scheme, `events` the number of its events."""

    events: int


@attrs.frozen(kw_only=True)
class WebhookRefused(Event):
    """A webhook was rejected; `operation` is its scheme, `reason` the cause."""

    reason: str


@attrs.frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised `error`; the call that it observed went on."""

    observer: str
    error: str
