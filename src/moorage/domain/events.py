"""Everything that happens, as frozen values.

Observers are handed these. None holds a secret, a body or a header's value: what may be shown of
a request is its method and path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.circuit import CircuitState


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to a call.

    Attributes:
        at: when, by the local clock (aware, UTC).
        service, operation, tenant: whose call it was.
        request_id: the call's correlation id.
        region: where it was, once that is decided, if the service is in several.
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
    `replayed` tells that a repeated key got what is stored, and `cached` that the answer was kept
    from an earlier call, as `Response` says it. `internal` tells that the error is this program's
    own or its machine's, and says nothing of the service. `subject` says whose data the call was
    about.
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
class PauseEnded(Event):
    """Somebody ended by hand a pause of a service's limits, `remaining` seconds early."""

    remaining: float


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
    """A grant is over: a person must authorise the application again."""

    reason: str


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
class CacheHit(Event):
    """A call was answered with what was kept, `age` seconds old; the service was not asked.

    With `stale` it is past its lifetime: because the service cannot be asked or broke, because
    somebody is asking just now, or because the request allows it.
    """

    age: float
    stale: bool


@attrs.frozen(kw_only=True)
class CacheMissed(Event):
    """Nothing that was kept answers a call, so the service is asked.

    With `stale` there is something, and the service may only have to confirm it.
    """

    stale: bool


@attrs.frozen(kw_only=True)
class CacheRevalidated(Event):
    """The service confirmed that an answer kept, `age` seconds old, still holds."""

    age: float


@attrs.frozen(kw_only=True)
class CacheSkipped(Event):
    """A call went on without the cache, for the `error` that is named."""

    error: str


@attrs.frozen(kw_only=True)
class StorageLost(Event):
    """A shared store does not answer; it is looked for again in `retry_after` seconds.

    `service` is the name of the port: "state", or "claims" where keys live in a store of their own,
    or "cache". `node` is the node of the store that is away, where the others may still be there.
    Until it is found, each process goes on with limits and circuits of its own; calls with an
    idempotency key are refused; and all calls are made as if nothing was kept.
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
    """One stored state cannot be used, such as one that a newer release wrote; the others can.

    Limits and circuits go on with another state in its place, in the same store; a call whose
    idempotency key it is about is refused. It is told once for each `key`; `service` is the name of
    the port, as above.
    """

    key: str
    error: str


@attrs.frozen(kw_only=True)
class FailedOver(Event):
    """An operation of a contract goes `to` another account, as `service` certainly did nothing."""

    to: str
    error: str


@attrs.frozen(kw_only=True)
class Rehearsed(Event):
    """Something would have been sent, were this no rehearsal: `request` says what."""

    request: str


@attrs.frozen(kw_only=True)
class Reloaded(Event):
    """Calls that begin from now on go by another configuration; `service` is "configuration".

    What is another in it is told by its path, such as "vendors.stripe", and never by what it says.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ReloadFailed(Event):
    """A configuration that has changed is wrong, so that everything stays as it was.

    `service` is "configuration", `path` leads to what is wrong, and `problem` tells it.
    """

    error: str
    path: str | None
    problem: str


@attrs.frozen(kw_only=True)
class TlsUnverified(Event):
    """A client was given leave to talk to whoever answers; told whenever a manager starts.

    `service` is the name of the port: "http".
    """

    because: str


@attrs.frozen(kw_only=True)
class WebhookReceived(Event):
    """A webhook was verified; `operation` is its scheme, `events` how many it brought."""

    events: int


@attrs.frozen(kw_only=True)
class WebhookRefused(Event):
    """A webhook was not believed; `operation` is its scheme, `reason` says why."""

    reason: str


@attrs.frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised `error`; the call it was told about went on."""

    observer: str
    error: str
