"""The events of calls and attempts, which are the most frequent events.

They are made for every call that has observers, and most of their fields are never read. So each
event is made from a tuple of facts, and computes a field when the field is first read.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from moorage.domain.http.redaction import Redaction
from moorage.domain.observation.call_identity import CallIdentity, CallOutcome
from moorage.domain.observation.event_kinds import frozen
from moorage.domain.observation.events import Event
from moorage.domain.observation.late_fields import complete_facts_with, facts_of, make_late
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.domain.http.requests import HttpMethod
    from moorage.domain.observation.operation_target import OperationTarget


LONGEST_MESSAGE: Final = 500
"""The maximum number of characters of an error's message in an event."""

_TRACEPARENT: Final = late_pattern(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-.*")
_USUAL_REDACTION: Final = Redaction()


@frozen(kw_only=True)
class CallStarted(Event):
    """A call has begun."""


@frozen(kw_only=True)
class CallFinished(Event):
    """A call has ended.

    Attributes:
        started_at: the time at which the call began.
        duration: the seconds that it took.
        attempts: the number of its attempts.
        error: the name of the error's class; None after a success.
        status: the last HTTP status; None if there was no response.
        vendor_code: the error code of the vendor.
        replayed: whether a repeated idempotency key got the stored response.
        cached: whether the response came from the cache.
        fallback: whether the caller got the value of the fallback.
        cancelled: whether the caller cancelled the call, or closed its stream early.
        internal: whether the error comes from this program or its machine, not from the service.
        subject: the person whose data the call was about.
        outcome: the outcome of this call's own attempts: for a replayed or cached response the
            vendor did nothing.
        error_message: the error's message and the vendor's message, without secrets.
        method: as in `AttemptStarted`.
        route: as in `AttemptStarted`.
        trace_id: the id of the trace that the call belongs to, from the caller's OpenTelemetry
            context or from the request's header `traceparent`.
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
    """An attempt begins: it was admitted, but its request has not been sent yet.

    Only observers whose `event_classes` names this class receive it.

    Attributes:
        attempt: the number of the attempt, from 1.
        hedge: the number of the hedged (concurrent extra) request; 0 for the ordinary request.
        method: the HTTP method; None if a function is called.
        host: the host that the request is sent to.
        route: the path of the endpoint, with names in braces for its parts that vary; None if no
            endpoint with a path matches. The path of the request itself is in no event.
        bytes_out: the size of the request's body, if it is known before it is sent.
        target: the part of a database or a broker that the operation concerns, if it is known.
        trace_id: the id of the trace that the call belongs to, if a tracing observer knows it.
        span_id: the id of the attempt's span, if a tracing observer before this one knows it.
    """

    attempt: int
    hedge: int = 0
    method: str | None = None
    host: str | None = None
    route: str | None = None
    bytes_out: int | None = None
    target: OperationTarget | None = None
    trace_id: str | None = None
    span_id: str | None = None


@frozen(kw_only=True)
class AttemptFinished(Event):
    """One attempt has ended.

    The attributes that are not listed here are those of `AttemptStarted`.

    Attributes:
        duration: the seconds that the attempt took.
        error: the name of the error's class; None after a success.
        status: the HTTP status; None if there was no response.
        slow: whether the attempt took longer than the circuit's `slow_call`.
        bytes_in: the size of the response's body, if it was read.
        outcome: the outcome at the vendor.
        vendor_code: the error code of the foreign system, such as an SQLSTATE.
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
    target: OperationTarget | None = None
    vendor_code: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class CalledPlan(Protocol):
    """The properties of a call that its events report, such as service and tenant."""

    @property
    def service(self) -> Any:
        """The called service, an object with a `name`."""
        ...

    @property
    def operation(self) -> str | None:
        """The name of the operation, if the call has one."""
        ...

    @property
    def tenant(self) -> str | None:
        """The tenant of the call, if any."""
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
        """The path of the endpoint, if any."""
        ...


Facts: TypeAlias = "tuple[CallIdentity, CalledPlan, int]"
"""The facts of a `CallStarted` event: the call, its plan, and the time of the event."""

BeginningFacts: TypeAlias = (
    "tuple[CallIdentity, CalledPlan, int, int, int, HttpMethod | None, int | None]"
)
"""The facts of an `AttemptStarted` event: call, plan, time, attempt, hedge, method, bytes out."""

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
    str | None,
]
"""The facts of an `AttemptFinished` event: call, plan and time, then attempt, nanoseconds, error,
status, slow, hedge, method, bytes out, bytes in, outcome and the vendor's code."""

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
"""The facts of a `CallFinished` event: call, plan and time, then its fields from `attempts` to
`method` in their order, and last the header `traceparent` of the request."""

SuccessFacts: TypeAlias = tuple[
    CallIdentity,
    CalledPlan,
    int,
    int | None,
    str | None,
    "HttpMethod | None",
    str | None,
    "tuple[int, int | None, int | None] | None",
]
"""The facts of a call whose first attempt succeeded, which are few: call, plan and time of its end,
then status, subject and method, and the header `traceparent` of the request. Last, if an observer
hears of the attempt, its start, bytes out and bytes in."""

FACTS_OF_SUCCESS: Final = 8
"""The number of facts of a success, which distinguishes them from all other facts."""

_CALL_FIELDS: Final[dict[str, Callable[[Any], object]]] = {
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
_ATTEMPT_FIELDS: Final[dict[str, Callable[[Any], object]]] = {
    **_CALL_FIELDS,
    "host": lambda facts: facts[1].host,
    "route": lambda facts: facts[1].route,
    "target": lambda facts: target_of(facts[0]),
    "trace_id": lambda facts: facts[0].trace_id or None,
}


def operation_of(identity: CallIdentity, plan: CalledPlan) -> str | None:
    """Return the name of a call's operation: its contract's operation, or else its endpoint."""
    contract = identity.contract
    return plan.operation if contract is None else contract.operation


def target_of(identity: CallIdentity) -> OperationTarget | None:
    """Return the part of a database or broker that a call concerns, if known."""
    contract = identity.contract
    return None if contract is None else contract.target


def method_name(method: HttpMethod | None) -> str | None:
    """Return the name of an HTTP method; None if there is no method."""
    return None if method is None else method.value


def facts_of_success(facts: SuccessFacts) -> CallFacts:
    """Return the full data of a `CallFinished` event for a call whose first attempt succeeded."""
    identity, plan, now, status, subject, method, traceparent, _ = facts
    return (
        identity,
        plan,
        now,
        1,
        None,
        status,
        None,
        None,
        False,
        False,
        False,
        False,
        False,
        subject,
        CallOutcome.DONE,
        None,
        method,
        traceparent,
    )


def full_call_facts(facts: CallFacts | SuccessFacts) -> CallFacts:
    """Return the full data of a `CallFinished` event, from its full or its short data."""
    return facts_of_success(facts) if len(facts) == FACTS_OF_SUCCESS else facts


def full_attempt_facts(facts: AttemptFacts | SuccessFacts) -> AttemptFacts:
    """Return the full data of an `AttemptFinished` event, given either its full or short data."""
    return facts_of_first_attempt(facts) if len(facts) == FACTS_OF_SUCCESS else facts


def facts_of_first_attempt(facts: SuccessFacts) -> AttemptFacts:
    """Return the full data of an `AttemptFinished` event for a first attempt that succeeded."""
    identity, plan, now, status, _, method, _, attempt_facts = facts
    start_time, bytes_out, bytes_in = attempt_facts or (identity.started, None, None)
    return (
        identity,
        plan,
        now,
        1,
        now - start_time,
        None,
        status,
        False,
        0,
        method,
        bytes_out,
        bytes_in,
        CallOutcome.DONE,
        None,
    )


def message_of(facts: CallFacts | SuccessFacts) -> str | None:
    """Return the message of the error that ended a call, from its event's data; else None."""
    return None if len(facts) == FACTS_OF_SUCCESS else facts[_AFTER_END]  # type: ignore[return-value]  # of an error


def success_event(facts: SuccessFacts) -> CallFinished:
    """Return the event of the end of a call whose first attempt succeeded."""
    return make_late(CallFinished, facts)


def ending_of(event: CallFinished) -> tuple[str | None, bool]:
    """Return the class of the error that ended a call, and whether the call was cancelled."""
    # Reading an event's field is slower than reading the facts from which it is computed.
    event_facts: CallFacts | None = facts_of(event)
    return (
        (event.error, event.cancelled) if event_facts is None else (event_facts[4], event_facts[11])
    )


def error_text(plan: CalledPlan, message: str | None) -> str | None:
    """Return the message of the error that ended a call, without secrets; None if there is none."""
    if message is None:
        return None
    return (plan.service.redaction or _USUAL_REDACTION).words(message, LONGEST_MESSAGE)


def span_of(identity: CallIdentity, hedge: int) -> str | None:
    """Return the span id of a call's latest attempt with this hedge number."""
    return None if identity.span_ids is None else identity.span_ids.get(hedge)


def trace_of(identity: CallIdentity, traceparent: str | None) -> str | None:
    """Return the id of the call's trace, from an observer or from its request."""
    if identity.trace_id is not None or traceparent is None:
        return identity.trace_id
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    return None if match is None or not match[1].strip("0") else match[1]


CallStarted.late_fields = _CALL_FIELDS
AttemptStarted.late_fields = {
    **_ATTEMPT_FIELDS,
    "attempt": itemgetter(3),
    "hedge": itemgetter(4),
    "span_id": lambda facts: span_of(facts[0], facts[4]),
    "method": lambda facts: method_name(facts[5]),
    "bytes_out": itemgetter(6),
}
AttemptFinished.late_fields = {
    **_ATTEMPT_FIELDS,
    "attempt": itemgetter(3),
    "duration": lambda facts: facts[4] / 1e9,
    "error": itemgetter(5),
    "status": itemgetter(6),
    "slow": itemgetter(7),
    "hedge": itemgetter(8),
    "span_id": lambda facts: span_of(facts[0], facts[8]),
    "method": lambda facts: method_name(facts[9]),
    "bytes_out": itemgetter(10),
    "bytes_in": itemgetter(11),
    "outcome": itemgetter(12),
    "vendor_code": itemgetter(13),
}

_END: Final = (
    *("attempts", "error", "status", "vendor_code", "idempotency_key", "replayed", "cached"),
    *("fallback", "cancelled", "internal", "subject", "outcome"),
)
_AFTER_END: Final = 3 + len(_END)
complete_facts_with(full_call_facts, CallFinished)
complete_facts_with(full_attempt_facts, AttemptFinished)
CallFinished.late_fields = {
    **_CALL_FIELDS,
    "started_at": lambda facts: facts[0].started_at,
    "duration": lambda facts: (facts[2] - facts[0].started) / 1e9,
    **{name: itemgetter(number) for number, name in enumerate(_END, 3)},
    "idempotency_key": lambda facts: facts[0].idempotency_key or facts[7],
    "error_message": lambda facts: error_text(facts[1], facts[_AFTER_END]),
    "method": lambda facts: method_name(facts[_AFTER_END + 1]),
    "route": lambda facts: facts[1].route,
    "trace_id": lambda facts: trace_of(facts[0], facts[_AFTER_END + 2]),
}
