"""Events: immutable values by which observers learn what happens to calls.

No event holds a secret, a body or the value of a header. Events show only the method and path of a
request.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self, TypeAlias

import attrs

from moorage.domain.http.redaction import Redaction
from moorage.domain.observation.event_kinds import EventKind, frozen
from moorage.domain.observation.late_fields import LateFields, facts_of
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.observation.call_content import CallContent
    from moorage.domain.resilience.circuit import CircuitState

LONGEST_MESSAGE: Final = 500
"""The number of characters of an error's message that an event has."""

_TRACEPARENT: Final = late_pattern(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-.*")
_USUAL_REDACTION: Final = Redaction()
_NO_DEFAULT: Final = attrs.NOTHING
_set_field: Final = object.__setattr__


class CallOutcome(enum.Enum):
    """The outcome of a call or an attempt at the vendor, as far as it is known.

    `NOTHING`: the vendor certainly did nothing for it, for example because nothing was sent.
    `DONE`: the vendor answered that it did the work. `UNKNOWN`: the vendor may have done the work,
    and no answer says so.
    """

    NOTHING = "nothing"
    DONE = "done"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@attrs.frozen
class ContractCall:
    """The operation of a contract that a call belongs to.

    Attributes:
        operation: the contract and its operation, such as "payments.charge".
        vendor: the name of the vendor, such as "stripe".
        account: the name of the account at the vendor.
        idempotency_key: the key that the caller of the operation gave.
    """

    operation: str
    vendor: str
    account: str
    idempotency_key: str | None = None


class CallIdentity:
    """The start of a call and its correlation id, which all events of the call share.

    Args:
        started: the start in nanoseconds of the local clock.
        started_at: the same moment by the wall clock.
        make_id: makes the correlation id of a call that started at this moment, when somebody first
            reads it; None if it is set at once.

    Attributes:
        started, started_at: as above.
        contract: the operation of a contract that the call belongs to, if any.
        idempotency_key: the key that the caller gave, if any.
        trace_id: the id of the trace that the call belongs to, once an observer knows it.
        content: the request and response for the integration log, if that stores them.
    """

    __slots__ = ("__dict__", "__weakref__", "_make_id", "started", "started_at")

    contract: ContractCall | None = None
    idempotency_key: str | None = None
    trace_id: str | None = None
    content: CallContent | None = None

    def __init__(
        self, started: int, started_at: datetime, make_id: Callable[[datetime], str] | None = None
    ) -> None:
        self.started = started
        self.started_at = started_at
        self._make_id = make_id

    @property
    def request_id(self) -> str:
        """The id of the request, the same for every reader in any thread."""
        existing_id: str | None = self.__dict__.get("id")
        if existing_id is not None:
            return existing_id
        make_id = self._make_id
        if make_id is None:
            raise AssertionError("a call without late ids has its id from the start")
        # One step, so that threads which read it at once get the same.
        request_id: str = self.__dict__.setdefault("id", make_id(self.started_at))
        return request_id

    @request_id.setter
    def request_id(self, request_id: str) -> None:
        self.__dict__["id"] = request_id

    def moment(self, nanoseconds: int) -> datetime:
        """Return the wall-clock time at which the local clock has the value `nanoseconds`."""
        return self.started_at + timedelta(0, 0, (nanoseconds - self.started) // 1000)


@frozen(kw_only=True)
class Event(LateFields, metaclass=EventKind):
    """An event in the life of a call.

    Attributes:
        at: the time by the local clock (aware, UTC).
        service, tenant: the call's service and tenant.
        operation: the operation of a contract, such as "payments.charge"; else the endpoint.
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
                if value is _NO_DEFAULT:
                    raise TypeError(f"{type(self).__name__} needs the argument {name!r}.")
                _set_field(self, name, value)

        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise attrs.exceptions.FrozenInstanceError

        def __delattr__(self, name: str) -> NoReturn:
            raise attrs.exceptions.FrozenInstanceError

    def __eq__(self, other: object) -> bool:
        """Return whether an event has the same class and the same values."""
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
class CallStarted(Event):
    """A call has begun."""


@frozen(kw_only=True)
class CallFinished(Event):
    """A call has ended.

    `error` is the name of the error's class, None after a success; `status` the last HTTP status.
    `replayed` means that a repeated key got the stored answer, and `cached` that the answer came
    from the cache. `internal` means that the error is this program's own or its machine's, and says
    nothing about the service. `subject` is the person whose data the call was about. `outcome`
    is that of this call's own attempts: for a replayed or cached answer the vendor did nothing.
    `error_message` is the error's message and that of the vendor, without secrets. `method` and
    `route` are those of `AttemptStarted`. `trace_id` is the id of the trace that the call belongs
    to: that of the caller's OpenTelemetry context, or of the request's header `traceparent`.
    """

    started_at: datetime
    duration: float
    attempts: int
    error: str | None = None
    status: int | None = None
    vendor_code: str | None = None
    replayed: bool = False
    cached: bool = False
    fallback: bool = False
    cancelled: bool = False
    internal: bool = False
    subject: str | None = None
    outcome: CallOutcome = CallOutcome.UNKNOWN
    error_message: str | None = None
    method: str | None = None
    route: str | None = None
    trace_id: str | None = None


@frozen(kw_only=True)
class AttemptStarted(Event):
    """One attempt begins: it was admitted, and nothing has been sent yet.

    Only observers whose `hears` names this class receive it.

    Attributes:
        attempt: the number of the attempt, from 1.
        hedge: 0, or the number of the concurrent extra request that it is.
        method: the HTTP method; None if a function is called.
        host: the host that the request is sent to.
        route: the path of the endpoint, with names in braces for its parts that vary; None if no
            endpoint with a path matches. The path of the request itself is in no event.
        bytes_out: the size of the request's body, if it is known before it is sent.
    """

    attempt: int
    hedge: int = 0
    method: str | None = None
    host: str | None = None
    route: str | None = None
    bytes_out: int | None = None


@frozen(kw_only=True)
class AttemptFinished(Event):
    """One attempt has ended; `slow` is true if it exceeded the circuit's `slow_call`.

    `bytes_in` is the size of the answer's body, if it was read, and `outcome` the outcome at the
    vendor. The remaining attributes are those of `AttemptStarted`.
    """

    attempt: int
    duration: float
    error: str | None = None
    status: int | None = None
    slow: bool = False
    hedge: int = 0
    method: str | None = None
    host: str | None = None
    route: str | None = None
    bytes_out: int | None = None
    bytes_in: int | None = None
    outcome: CallOutcome = CallOutcome.UNKNOWN


class CalledPlan(Protocol):
    """The properties of a call's plan that its events contain."""

    @property
    def service(self) -> Any:
        """The service that is called, which has a `name`."""
        ...

    @property
    def operation(self) -> str | None:
        """The name of the operation, if the call names one."""
        ...

    @property
    def tenant(self) -> str | None:
        """The tenant of the call, if it has one."""
        ...

    @property
    def region(self) -> str | None:
        """The region of the call, if its service has several."""
        ...

    @property
    def host(self) -> str | None:
        """The host that receives the requests, if there is one."""
        ...

    @property
    def route(self) -> str | None:
        """The path of the endpoint, if it has one."""
        ...


Facts: TypeAlias = "tuple[CallIdentity, CalledPlan, int]"
"""The facts of a `CallStarted`: the call, the plan that it follows, and the time of the event."""

BeginningFacts: TypeAlias = (
    "tuple[CallIdentity, CalledPlan, int, int, int, HttpMethod | None, int | None]"
)
"""The same of an `AttemptStarted`, then attempt, hedge, method and bytes out."""

AttemptFacts: TypeAlias = tuple[
    CallIdentity,
    CalledPlan,
    int,
    int,
    int,
    str | None,
    int | None,
    bool,
    int,
    "HttpMethod | None",
    int | None,
    int | None,
    CallOutcome,
]
"""The same of an `AttemptFinished`, then attempt, nanoseconds, error, status, slow, hedge, method,
bytes out, bytes in and outcome."""

CallFacts: TypeAlias = tuple[
    CallIdentity,
    CalledPlan,
    int,
    int,
    str | None,
    int | None,
    str | None,
    str | None,
    bool,
    bool,
    bool,
    bool,
    bool,
    str | None,
    CallOutcome,
    str | None,
    "HttpMethod | None",
    str | None,
]
"""The same of a `CallFinished`, then its fields from `attempts` to `method`, in their order. The
last is the header `traceparent` of the request."""

_OF_A_CALL: Final[dict[str, Callable[[Any], object]]] = {
    "at": lambda facts: facts[0].moment(facts[2]),
    "service": lambda facts: facts[1].service.name,
    "operation": lambda facts: operation_of(facts[0], facts[1]),
    "tenant": lambda facts: facts[1].tenant,
    "request_id": lambda facts: facts[0].request_id,
    "region": lambda facts: facts[1].region,
    "vendor": lambda facts: getattr(facts[0].contract, "vendor", None),
    "account": lambda facts: getattr(facts[0].contract, "account", None),
    "idempotency_key": lambda facts: facts[0].idempotency_key,
}
_OF_AN_ATTEMPT: Final[dict[str, Callable[[Any], object]]] = {
    **_OF_A_CALL,
    "host": lambda facts: facts[1].host,
    "route": lambda facts: facts[1].route,
}


def operation_of(identity: CallIdentity, plan: CalledPlan) -> str | None:
    """Return the name of a call's operation: that of its contract, or else its endpoint."""
    contract = identity.contract
    return plan.operation if contract is None else contract.operation


def method_name(method: HttpMethod | None) -> str | None:
    """Return the name of an HTTP method; None if there is no method."""
    return None if method is None else method.value


def ending_of(event: CallFinished) -> tuple[str | None, bool]:
    """Return the class of the error that ended a call, and whether the call was cancelled."""
    # Reading a field takes longer than reading the facts that it is computed from.
    facts: CallFacts | None = facts_of(event)
    return (event.error, event.cancelled) if facts is None else (facts[4], facts[11])


def error_text(plan: CalledPlan, message: str | None) -> str | None:
    """Return the message of the error that ended a call, without secrets; None without one."""
    if message is None:
        return None
    return (plan.service.redaction or _USUAL_REDACTION).words(message, LONGEST_MESSAGE)


def trace_of(identity: CallIdentity, traceparent: str | None) -> str | None:
    """Return the id of the trace that a call belongs to, from an observer or from its request."""
    if identity.trace_id is not None or traceparent is None:
        return identity.trace_id
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    return None if match is None or not match[1].strip("0") else match[1]


CallStarted.late_fields = _OF_A_CALL
AttemptStarted.late_fields = {
    **_OF_AN_ATTEMPT,
    "attempt": itemgetter(3),
    "hedge": itemgetter(4),
    "method": lambda facts: method_name(facts[5]),
    "bytes_out": itemgetter(6),
}
AttemptFinished.late_fields = {
    **_OF_AN_ATTEMPT,
    "attempt": itemgetter(3),
    "duration": lambda facts: facts[4] / 1e9,
    "error": itemgetter(5),
    "status": itemgetter(6),
    "slow": itemgetter(7),
    "hedge": itemgetter(8),
    "method": lambda facts: method_name(facts[9]),
    "bytes_out": itemgetter(10),
    "bytes_in": itemgetter(11),
    "outcome": itemgetter(12),
}

_END: Final = (
    *("attempts", "error", "status", "vendor_code", "idempotency_key", "replayed", "cached"),
    *("fallback", "cancelled", "internal", "subject", "outcome"),
)
_AFTER_END: Final = 3 + len(_END)
CallFinished.late_fields = {
    **_OF_A_CALL,
    "started_at": lambda facts: facts[0].started_at,
    "duration": lambda facts: (facts[2] - facts[0].started) / 1e9,
    **{name: itemgetter(number) for number, name in enumerate(_END, 3)},
    "idempotency_key": lambda facts: facts[0].idempotency_key or facts[7],
    "error_message": lambda facts: error_text(facts[1], facts[_AFTER_END]),
    "method": lambda facts: method_name(facts[_AFTER_END + 1]),
    "route": lambda facts: facts[1].route,
    "trace_id": lambda facts: trace_of(facts[0], facts[_AFTER_END + 2]),
}


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

    For `HALF_OPEN` there is one event for each probe that is admitted. `circuit` names the circuit
    of the tenant: its service, with `@` and the region if there are several, and with `/` and the
    endpoint if that has a circuit of its own. `by_hand` is true if a person changed it.
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
    """A call with a repeated key got the stored answer; nothing was sent."""


@frozen(kw_only=True)
class AnswerNotStored(Event):
    """A call had its effect, but its answer could not be stored for a repeat of the key."""

    error: str


@frozen(kw_only=True)
class CacheHit(Event):
    """A call was answered from the cache, `age` seconds after the service gave the answer.

    With `stale` the answer has expired, and was used because the service cannot be reached or
    failed, because another call is revalidating it, or because the request allows it.
    """

    age: float
    stale: bool


@frozen(kw_only=True)
class CacheMissed(Event):
    """No cached answer could be used, so the service is called.

    With `stale` there is an expired answer, which the service may confirm.
    """

    stale: bool


@frozen(kw_only=True)
class CacheRevalidated(Event):
    """The service confirmed that a cached answer, `age` seconds old, is still valid."""

    age: float


@frozen(kw_only=True)
class CacheSkipped(Event):
    """A call continued without the cache, which failed with the error named `error`."""

    error: str


@frozen(kw_only=True)
class StorageLost(Event):
    """A shared store does not answer; the next probe follows in `retry_after` seconds.

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
    """A shared store, or one of its nodes, answers again after `duration` seconds."""

    node: str = ""
    duration: float


@frozen(kw_only=True)
class StateSubstituted(Event):
    """A stored state cannot be read, for example since a newer release wrote it.

    Limits and circuits go on with a substitute state in the same store; a call with an idempotency
    key is refused if the state is the one of its key. The event is emitted once for each `key`;
    `service` is the name of the port, as in `StorageLost`.
    """

    key: str
    error: str


@frozen(kw_only=True)
class FailedOver(Event):
    """An operation moves to the account `to`, because `service` certainly did nothing."""

    to: str
    error: str


@frozen(kw_only=True)
class Rehearsed(Event):
    """A dry run held back a request: `request` describes it."""

    request: str


@frozen(kw_only=True)
class Reloaded(Event):
    """A new configuration applies to calls that begin from now on; `service` is "configuration".

    The attributes have the paths that differ, such as "vendors.stripe", without their values.
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
class ObserverFailed(Event):
    """An observer raised `error`; the observed call continued."""

    observer: str
    error: str
