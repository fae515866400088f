"""Events: immutable values that report to observers what happens to calls.

No event holds a secret, a body or the value of a header. Events show only the method and path of a
request.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from moorage.domain.observation.event_kinds import EventKind, frozen
from moorage.domain.observation.late_fields import LateFields
from moorage.domain.values.frozen_values import NOTHING, refuse_change

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.resilience.circuit import CircuitState


_set_field: Final = object.__setattr__


@frozen(kw_only=True)
class Event(LateFields, metaclass=EventKind):
    """The base class of events, which report what happens to calls.

    Attributes:
        at: the time by the local clock (aware, UTC).
        service, tenant: the call's service and tenant.
        operation: the operation of a contract, such as "payments.charge"; otherwise the endpoint.
        request_id: the call's correlation id.
        region: the region of the service that was called, once it is chosen.
        vendor, account: the vendor and the account, if the call belongs to a contract.
        idempotency_key: the key that the caller gave.
    """

    __slots__ = ("__weakref__",)

    at: datetime
    service: str
    operation: str | None = None
    tenant: str | None = None
    request_id: str | None = None
    region: str | None = None
    vendor: str | None = None
    account: str | None = None
    idempotency_key: str | None = None

    if not TYPE_CHECKING:

        def __init__(self, **values: object) -> None:
            defaults = type(self).field_defaults
            all_values = {**defaults, **values}
            if len(all_values) > len(defaults):
                names = ", ".join(repr(name) for name in values if name not in defaults)
                raise TypeError(f"{type(self).__name__} has no field {names}.")
            for name, value in all_values.items():
                if value is NOTHING:
                    raise TypeError(f"{type(self).__name__} needs the argument {name!r}.")
                _set_field(self, name, value)

        def __setattr__(self, name: str, value: object) -> NoReturn:
            refuse_change()

        def __delattr__(self, name: str) -> NoReturn:
            refuse_change()

    def __eq__(self, other: object) -> bool:
        """Return whether another event has the same class and the same values."""
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        fields = zip(type(self).field_defaults, self._values(), strict=True)
        field_list = ", ".join(f"{name}={value!r}" for name, value in fields)
        return f"{type(self).__name__}({field_list})"

    def __reduce__(self) -> tuple[partial[Self], tuple[()]]:
        values: dict[str, Any] = dict(zip(type(self).field_defaults, self._values(), strict=True))
        return partial(type(self), **values), ()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in type(self).field_defaults)


@frozen(kw_only=True)
class RetryScheduled(Event):
    """Another attempt will follow in `delay` seconds."""

    attempt: int
    delay: float
    error: str


@frozen(kw_only=True)
class PauseEnded(Event):
    """An operator ended a pause of a service's rate limits, `remaining` seconds early."""

    remaining: float


@frozen(kw_only=True)
class RateLimitWaited(Event):
    """A call waits `delay` seconds for a rate limit."""

    delay: float


@frozen(kw_only=True)
class BulkheadWaited(Event):
    """A call has waited `delay` seconds for a slot of its service's bulkhead.

    Waits shorter than a millisecond are not reported.
    """

    delay: float


@frozen(kw_only=True)
class BulkheadShrank(Event):
    """The limit of a service's adaptive bulkhead shrank to `limit` calls, because of overload."""

    limit: int


@frozen(kw_only=True)
class CallRefused(Event):
    """moorage refused a call without sending it; `error` is the class of the refusal."""

    error: str
    retry_after: float


@frozen(kw_only=True)
class VendorPaused(Event):
    """The vendor asked for a pause of `delay` seconds, in which no caller sends requests."""

    delay: float


@frozen(kw_only=True)
class CircuitChanged(Event):
    """A circuit changed its mode.

    In the mode `HALF_OPEN`, there is one event for each admitted probe. `circuit` names the circuit
    of the tenant: its service, with `@` and the region if there are several, and with `/` and the
    endpoint if the endpoint has a separate circuit. `by_hand` is true if a person changed it.
    """

    state: CircuitState
    circuit: str = ""
    by_hand: bool = False


@frozen(kw_only=True)
class CredentialRefreshed(Event):
    """The vendor refused a credential, and it was renewed."""


@frozen(kw_only=True)
class TokenRenewed(Event):
    """An authorisation server granted a new token, and it is stored."""

    duration: float
    attempts: int


@frozen(kw_only=True)
class TokenNotRenewed(Event):
    """A token could not be renewed. Calls continue with the old token while it is valid."""

    error: str
    still_works: bool


@frozen(kw_only=True)
class ConsentNeeded(Event):
    """An OAuth grant has ended: a person must authorise the application again."""

    reason: str


@frozen(kw_only=True)
class IdempotencyReplayed(Event):
    """A repeated call got the stored response of its idempotency key; nothing was sent."""


@frozen(kw_only=True)
class AnswerNotStored(Event):
    """A call had its effect, but its response could not be stored for repeated calls."""

    error: str


@frozen(kw_only=True)
class TenantRecordsNearBound(Event):
    """A tenant uses `used` idempotency records in the store, of at most `bound`.

    The event is emitted at 80 %, once in each process, and again after fewer than 70 % were in use.
    At the bound, the tenant's calls with new keys are refused with `TenantRecordsExhausted`.
    """

    used: int
    bound: int


@frozen(kw_only=True)
class CacheHit(Event):
    """A call was answered from the cache, `age` seconds after the service gave the response.

    With `stale` the response has expired, and was used because the service cannot be reached or
    failed, because another call is revalidating it, or because the request allows it.
    """

    age: float
    stale: bool


@frozen(kw_only=True)
class CacheMissed(Event):
    """No cached response could be used, so the service is called.

    With `stale` there is an expired response, which the service may confirm.
    """

    stale: bool


@frozen(kw_only=True)
class CacheRevalidated(Event):
    """The service confirmed that a cached response, `age` seconds old, is still valid."""

    age: float


@frozen(kw_only=True)
class CacheSkipped(Event):
    """A call continued without the cache, because the cache failed with the class `error`."""

    error: str


@frozen(kw_only=True)
class StorageLost(Event):
    """A shared store does not answer; the next attempt is in `retry_after` seconds.

    `service` is the name of the port: "state", "cache", or "claims" if idempotency keys have a
    store of their own. `node` is the node that does not answer, if other nodes may still answer.
    During the outage each process has its own limits and circuits, calls with an idempotency key
    are refused, and calls skip the cache.
    """

    node: str = ""
    error: str
    retry_after: float


@frozen(kw_only=True)
class StorageRecovered(Event):
    """A shared store, or one of its nodes, responds again after `duration` seconds."""

    node: str = ""
    duration: float


@frozen(kw_only=True)
class StateSubstituted(Event):
    """A stored state cannot be read, for example because a newer release wrote it.

    Limits and circuits go on with a substitute state in the same store; a call with an idempotency
    key is refused if the unreadable state belongs to its key. The event is emitted once for each
    `key`; `service` is the name of the port, as in `StorageLost`.
    """

    key: str
    error: str


@frozen(kw_only=True)
class FailedOver(Event):
    """An operation moves to the account `to`, because `service` certainly did not perform it."""

    to: str
    error: str


@frozen(kw_only=True)
class Rehearsed(Event):
    """A dry run held back a request: `request` describes it."""

    request: str


@frozen(kw_only=True)
class Reloaded(Event):
    """A new configuration applies to calls that begin from now on; `service` is "configuration".

    The attributes contain the paths that differ, such as "vendors.stripe", without values.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@frozen(kw_only=True)
class ReloadFailed(Event):
    """A changed configuration is invalid, so the old one stays in use.

    `service` is "configuration", `path` is the path of the invalid value, and `problem` describes
    it.
    """

    error: str
    path: str | None
    problem: str


@frozen(kw_only=True)
class TlsUnverified(Event):
    """A client is configured not to verify TLS certificates; emitted whenever a manager starts.

    `service` is the name of the port: "http".
    """

    because: str


@frozen(kw_only=True)
class WebhookReceived(Event):
    """A webhook was verified; `operation` is its scheme, `events` the number of its events."""

    events: int


@frozen(kw_only=True)
class WebhookRefused(Event):
    """A webhook was rejected; `operation` is its scheme, `reason` the cause."""

    reason: str


@frozen(kw_only=True)
class LogEntriesLost(Event):
    """The integration log of this process could not store some entries; `entries` counts them.

    `service` is the name of the port: "log". `total` is the number of lost entries since the log
    was opened. The event is emitted after the next call that ends, at most once a second.
    """

    entries: int
    total: int


@frozen(kw_only=True)
class ConnectorChecked(Event):
    """A connector's health was checked.

    `state` is "healthy", "degraded" or "unavailable". `text` describes the problem if it is not
    healthy; `duration` is the time that the server took to respond, if it responded.
    """

    connector: str
    state: str
    duration: float | None = None
    text: str | None = None


@frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised `error`; the observed call continued."""

    observer: str
    error: str
