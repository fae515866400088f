"""The integration log: an entry for each call, with filters and statistics."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.call_events import (
    FACTS_OF_SUCCESS,
    CallFinished,
    error_text,
    full_call_facts,
    message_of,
    method_name,
    operation_of,
    trace_of,
)
from moorage.domain.observation.late_fields import (
    LateFields,
    complete_facts_with,
    make_late,
    new_late,
    stored_facts_of,
)
from moorage.domain.values.durations import count
from moorage.domain.values.frozen_values import field, fields_of, frozen
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import attrs

    from moorage.domain.observation.call_events import CallFacts, SuccessFacts
    from moorage.domain.observation.events import Event


class IntegrationStatus(Enum):
    """The outcome of a call as the integration log names it.

    `INTERNAL` is an error of this program or its machine; such an error does not concern the
    service.
    """

    SUCCESS = "success"
    REPLAYED = "replayed"
    CACHED = "cached"
    FALLBACK = "fallback"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMEOUT = "timeout"
    HELD_BACK = "held_back"
    INTERNAL = "internal"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


_STATUS_OF_ERROR: Final[Mapping[str, IntegrationStatus]] = {
    "AuthenticationFailed": IntegrationStatus.REJECTED,
    "VendorRejected": IntegrationStatus.REJECTED,
    "InvalidRequest": IntegrationStatus.REJECTED,
    "PaymentDeclined": IntegrationStatus.REJECTED,
    "FileNotFound": IntegrationStatus.REJECTED,
    "AlreadyExists": IntegrationStatus.REJECTED,
    "ChangedMeanwhile": IntegrationStatus.REJECTED,
    "ChangesExpired": IntegrationStatus.REJECTED,
    "DeviceGone": IntegrationStatus.REJECTED,
    "IdempotencyConflict": IntegrationStatus.REJECTED,
    "TransactionConflict": IntegrationStatus.REJECTED,
    "AttemptTimeout": IntegrationStatus.TIMEOUT,
    "DeadlineExceeded": IntegrationStatus.TIMEOUT,
    "RateLimitExceeded": IntegrationStatus.HELD_BACK,
    "BulkheadFull": IntegrationStatus.HELD_BACK,
    "PoolExhausted": IntegrationStatus.HELD_BACK,
    "CircuitBreakerOpen": IntegrationStatus.HELD_BACK,
    "DestinationRefused": IntegrationStatus.HELD_BACK,
    "HostKeyRefused": IntegrationStatus.HELD_BACK,
    "RetryBudgetExhausted": IntegrationStatus.HELD_BACK,
    "IdempotencyInProgress": IntegrationStatus.HELD_BACK,
    "TenantRecordsExhausted": IntegrationStatus.HELD_BACK,
    "NotCached": IntegrationStatus.HELD_BACK,
    "HeldBack": IntegrationStatus.HELD_BACK,
    "DryRun": IntegrationStatus.HELD_BACK,
    "RecipientRefused": IntegrationStatus.HELD_BACK,
    "CopiedStore": IntegrationStatus.HELD_BACK,
    "OutcomeUnknown": IntegrationStatus.UNKNOWN,
}


_GOOD_STATUSES: Final = (
    IntegrationStatus.SUCCESS,
    IntegrationStatus.REPLAYED,
    IntegrationStatus.CACHED,
)
_NEUTRAL_STATUSES: Final = (IntegrationStatus.INTERNAL, IntegrationStatus.CANCELLED)

USABLE_STATUSES: Final = (*_GOOD_STATUSES, IntegrationStatus.FALLBACK)
"""The statuses of calls that returned a result; all other calls are failures."""


def _check_aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"{attribute.name} must be an aware datetime.",
            field=attribute.name,
            remedy="Add a time zone, such as datetime.now(UTC).",
        )


@frozen(kw_only=True)
class IntegrationLog(LateFields):
    """The integration log's entry of one call.

    Attributes:
        id: the correlation id of the call.
        service, operation, tenant: the service and operation that were called, and the tenant.
        status: the outcome.
        started_at, duration: the time at which it began, and its duration in seconds.
        attempts: the number of attempts to call the vendor.
        error: the class of the error that it ended with.
        http_status, vendor_code: the status and error code of the vendor's last response.
        idempotency_key: the idempotency key of the call.
        region: the region in which it ended, if its service has several.
        subject: the person whose data it was about, if the caller named one.
        vendor, account: the vendor and the account, if the call was an operation of a contract.
        trace_id: the id of the trace that the call belongs to, if the caller traces its calls.
        method, route: the HTTP method, and the path of the endpoint, with names in braces for its
            parts that vary.
        error_message: the message of the error and the vendor's message, without secrets.
        request, response: the last request and its response, redacted and cut, if the service has
            `log_content`.
    """

    id: str
    service: str
    status: IntegrationStatus
    started_at: datetime = field(validator=_check_aware)
    duration: float
    attempts: int = 0
    operation: str | None = None
    tenant: str | None = None
    error: str | None = None
    http_status: int | None = None
    vendor_code: str | None = None
    idempotency_key: str | None = None
    region: str | None = None
    subject: str | None = None
    vendor: str | None = None
    account: str | None = None
    trace_id: str | None = None
    method: str | None = None
    route: str | None = None
    error_message: str | None = None
    request: str | None = field(default=None, repr=False)
    response: str | None = field(default=None, repr=False)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            # A reader of one field usually reads most fields of the entry, so all of them are
            # computed.
            if name not in _POSITIONS:
                return super().__getattr__(name)
            values = _computed_values(self._facts)
            for set_field, value in zip(_SETTERS, values, strict=True):
                set_field(self, value)
            return values[_POSITIONS[name]]


complete_facts_with(full_call_facts, IntegrationLog)

_NAMES: Final = tuple(field.name for field in fields_of(IntegrationLog))
_SETTERS: Final = tuple(vars(IntegrationLog)[name].__set__ for name in _NAMES)
_POSITIONS: Final = {name: position for position, name in enumerate(_NAMES)}
_stored_values: Final = attrgetter(*_NAMES)

EQUAL_FIELDS: Final = (
    *("service", "operation", "tenant", "region", "subject", "id", "idempotency_key"),
    *("vendor", "account", "trace_id"),
)
"""The text fields of log entries that a query compares as a whole."""

TEXT_FIELDS: Final = ("error", "error_message", "vendor_code", "route")
"""The fields of log entries in which a query's `text` is searched."""

CONTENT_FIELDS: Final = ("request", "response")
"""The long fields of log entries, which lists leave out."""

SCAN_LIMIT: Final = 50_000
"""The default number of log entries that are read for one page at most."""


@frozen(kw_only=True)
class LogQuery:
    """A filter for log entries: an entry must meet every condition that is given.

    Attributes:
        service, operation, tenant, region, subject, vendor, account: the values of these fields.
        status: the outcome.
        failures: if true, only calls without a result: every status except `SUCCESS`, `REPLAYED`,
            `CACHED` and `FALLBACK`.
        id: the correlation id.
        idempotency_key, trace_id: the values of these fields.
        text: a string in the class or the message of the error, the vendor's code or the route; the
            case of ASCII letters does not matter.
        since, until: the interval of the start; `until` is excluded.
        limit: the maximum number of entries of a page.
        after: the `next` of a page.
        scan_limit: the maximum number of entries that the log looks through for one page,
            unless an index can find them; such a page states that, and its `next` continues there.
    """

    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    region: str | None = None
    subject: str | None = None
    status: IntegrationStatus | None = None
    failures: bool = False
    id: str | None = None
    idempotency_key: str | None = None
    vendor: str | None = None
    account: str | None = None
    trace_id: str | None = None
    text: str | None = None
    since: datetime | None = field(default=None, validator=_check_aware)
    until: datetime | None = field(default=None, validator=_check_aware)
    limit: int = field(default=100, validator=lambda _, __, value: count(value, "limit"))
    after: str | None = None
    scan_limit: int = field(
        default=SCAN_LIMIT, validator=lambda _, __, value: count(value, "scan_limit")
    )

    def matches(self, entry: IntegrationLog) -> bool:
        """Return whether a log entry meets the conditions; the time `until` is excluded."""
        return (
            all(
                getattr(self, name) is None or getattr(self, name) == getattr(entry, name)
                for name in (*EQUAL_FIELDS, "status")
            )
            and (not self.failures or entry.status not in USABLE_STATUSES)
            and (self.text is None or self._is_in_text(self.text.lower(), entry))
            and (self.since is None or entry.started_at >= self.since)
            and (self.until is None or entry.started_at < self.until)
        )

    @staticmethod
    def _is_in_text(text: str, entry: IntegrationLog) -> bool:
        return any(text in (getattr(entry, name) or "").lower() for name in TEXT_FIELDS)


@frozen(kw_only=True)
class LogPage:
    """A page of log entries, newest first; `next` leads to the next page, if any.

    A log looks through a limited number of entries for one page. A page that ends there may have
    fewer entries than the query's limit, or none, and `next` continues after them.

    Attributes:
        items: the entries.
        next: the cursor of the next page.
        scanned: the number of entries that were looked through, if the page ended at the limit.
        scanned_to: the start of the last of them.
    """

    items: tuple[IntegrationLog, ...]
    next: str | None = None
    scanned: int | None = None
    scanned_to: datetime | None = None


@frozen(kw_only=True)
class LogSummary:
    """The counts and the percentiles of duration of many log entries."""

    count: int
    by_status: Mapping[IntegrationStatus, int]
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None

    @property
    def success_rate(self) -> float | None:
        """The success rate of the calls whose outcome depends on the service.

        Cancelled calls and errors of this program do not count; None if no other call is left.
        """
        statuses = self.by_status.items()
        counted_calls = sum(count for status, count in statuses if status not in _NEUTRAL_STATUSES)
        good_count = sum(count for status, count in statuses if status in _GOOD_STATUSES)
        return good_count / counted_calls if counted_calls else None


def summarise(entries: Iterable[IntegrationLog]) -> LogSummary:
    """Count log entries by status, and compute percentiles of their durations."""
    by_status: dict[IntegrationStatus, int] = {}
    durations: list[float] = []
    for entry in entries:
        by_status[entry.status] = by_status.get(entry.status, 0) + 1
        durations.append(entry.duration)
    durations.sort()
    return LogSummary(
        count=len(durations),
        by_status=by_status,
        p50=_percentile(durations, 50),
        p90=_percentile(durations, 90),
        p95=_percentile(durations, 95),
        p99=_percentile(durations, 99),
    )


def entry_of(event: Event) -> IntegrationLog | None:
    """Return the log entry for the end of a call; None for any other event.

    The fields of the entry are computed when they are first read, for example by the thread that
    stores the entry.
    """
    if not isinstance(event, CallFinished):
        return None
    stored_facts: CallFacts | SuccessFacts | None = stored_facts_of(event)
    if stored_facts is not None:
        return make_late(IntegrationLog, stored_facts)
    flags = (event.replayed, event.cached, event.fallback, event.cancelled, event.internal)
    return IntegrationLog(
        id=event.request_id or "",
        service=event.service,
        operation=event.operation,
        tenant=event.tenant,
        status=status_of(event.error, flags),
        started_at=event.started_at,
        duration=event.duration,
        attempts=event.attempts,
        error=event.error,
        http_status=event.status,
        vendor_code=event.vendor_code,
        idempotency_key=event.idempotency_key,
        region=event.region,
        subject=event.subject,
        vendor=event.vendor,
        account=event.account,
        trace_id=event.trace_id,
        method=event.method,
        route=event.route,
        error_message=event.error_message,
    )


def success_entry(facts: SuccessFacts) -> IntegrationLog:
    """Return the log entry for a successful first attempt, with fields computed on first read."""
    return make_late(IntegrationLog, facts)


class _NewEntry(IntegrationLog):
    """A mutable log entry, which becomes an `IntegrationLog` once all of its fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def full_success_entry(facts: SuccessFacts) -> IntegrationLog:
    """Return the log entry for a call whose first attempt succeeded, with all fields computed.

    This takes less than half of the time of `success_entry` and the first read of a field.
    """
    entry: Any = new_late(_NewEntry)
    (
        entry.id,
        entry.service,
        entry.status,
        entry.started_at,
        entry.duration,
        entry.attempts,
        entry.operation,
        entry.tenant,
        entry.error,
        entry.http_status,
        entry.vendor_code,
        entry.idempotency_key,
        entry.region,
        entry.subject,
        entry.vendor,
        entry.account,
        entry.trace_id,
        entry.method,
        entry.route,
        entry.error_message,
        entry.request,
        entry.response,
    ) = _computed_values(facts)
    entry._facts = None  # noqa: SLF001 - one of us
    entry.__class__ = IntegrationLog
    return entry  # type: ignore[no-any-return]  # its class was just set


def size_of_texts(entry: IntegrationLog) -> int:
    """Return the size in bytes of an entry's long strings: request, response and error.

    All other fields are short. Fields that the entry has not computed yet are not computed for
    this.
    """
    stored_facts: CallFacts | SuccessFacts | None = stored_facts_of(entry)
    request = response = None
    if stored_facts is None:
        request, response, message = entry.request, entry.response, entry.error_message
    else:
        content, message = stored_facts[0].content, message_of(stored_facts)
        if content is not None:
            request, response = content.request, content.response
    if request is None and response is None and message is None:
        return 0
    texts = request, response, message
    return sum(sys.getsizeof(text) for text in texts if text is not None)


def field_values(entry: IntegrationLog) -> tuple[object, ...]:
    """Return the values of a log entry's fields in order, without storing computed ones."""
    stored_facts: CallFacts | SuccessFacts | None = stored_facts_of(entry)
    return _stored_values(entry) if stored_facts is None else _computed_values(stored_facts)


def _computed_values(facts: CallFacts | SuccessFacts) -> tuple[object, ...]:
    """Return a log entry's field values in order, computed from the stored data of its call."""
    identity, plan, now = facts[:3]
    if len(facts) == FACTS_OF_SUCCESS:
        _, _, _, http_status, subject, method, traceparent, _ = facts
        attempts, status = 1, IntegrationStatus.SUCCESS
        error = vendor_code = key = message = None
    else:
        attempts, error, http_status, vendor_code, key = facts[3:8]
        status = status_of(error, facts[8:13])
        subject, _, message, method, traceparent = facts[13:]
    contract, content = identity.contract, identity.content
    vendor, account = (None, None) if contract is None else (contract.vendor, contract.account)
    return (
        identity.request_id,
        plan.service.name,
        status,
        identity.started_at,
        (now - identity.started) / 1e9,
        attempts,
        operation_of(identity, plan),
        plan.tenant,
        error,
        http_status,
        vendor_code,
        identity.idempotency_key or key,
        plan.region,
        subject,
        vendor,
        account,
        identity.trace_id if traceparent is None else trace_of(identity, traceparent),
        None if method is None else method_name(method),
        plan.route,
        None if message is None else error_text(plan, message),
        None if content is None else content.request,
        None if content is None else content.response,
    )


def status_of(error: str | None, flags: tuple[bool, bool, bool, bool, bool]) -> IntegrationStatus:
    """Return the status of a call from its error and from the flags of `CallFinished`."""
    is_replayed, is_cached, is_fallback, is_cancelled, is_internal = flags
    if is_cancelled:
        return IntegrationStatus.CANCELLED
    if is_replayed:
        return IntegrationStatus.REPLAYED
    if is_fallback:
        return IntegrationStatus.FALLBACK
    if error is None:
        return IntegrationStatus.CACHED if is_cached else IntegrationStatus.SUCCESS
    known_status = _STATUS_OF_ERROR.get(error) or _status_of_base(error)
    return known_status or (IntegrationStatus.INTERNAL if is_internal else IntegrationStatus.FAILED)


def _status_of_base(name: str) -> IntegrationStatus | None:
    """Return the status for an error class, from its nearest base class that has one."""
    kinds: list[type[ConnectorError]] = [ConnectorError]
    while kinds:
        kind = kinds.pop()
        if kind.__name__ == name:
            bases = (_STATUS_OF_ERROR.get(base.__name__) for base in kind.__mro__)
            return next((status for status in bases if status is not None), None)
        kinds += kind.__subclasses__()
    return None


def _percentile(sorted_values: list[float], percent: int) -> float | None:
    """Return the smallest value that `percent` of all values do not exceed."""
    return sorted_values[-(-len(sorted_values) * percent // 100) - 1] if sorted_values else None
