"""Log entries of calls, and queries over them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import errors
from moorage.domain.observation.call_events import CallFinished, CallStarted
from moorage.domain.observation.integration_log import (
    IntegrationLog,
    IntegrationStatus,
    LogQuery,
    entry_of,
    summarise,
)
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ENTRY = IntegrationLog(
    id="call-1",
    service="stripe",
    operation="charge",
    tenant="acme",
    status=IntegrationStatus.SUCCESS,
    started_at=NOON,
    duration=0.2,
)


FINISHED = CallFinished(
    at=NOON + SECOND,
    service="stripe",
    operation="charge",
    tenant="acme",
    request_id="call-1",
    started_at=NOON,
    duration=0.2,
    attempts=2,
)


def finished_call(**fields: Any) -> CallFinished:
    """Return the event for the end of a call to Stripe."""
    return attrs.evolve(FINISHED, **fields)


def tree(kind: type[ConnectorError] = ConnectorError) -> Iterator[str]:
    """Yield the names of all public error classes."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            if not child.__name__.startswith("_"):
                yield child.__name__
            yield from tree(child)


STATUSES_BY_ERROR = {
    "AuthenticationFailed": "rejected",
    "VendorRejected": "rejected",
    "InvalidRequest": "rejected",
    "PaymentDeclined": "rejected",
    "FileNotFound": "rejected",
    "AlreadyExists": "rejected",
    "ChangedMeanwhile": "rejected",
    "ChangesExpired": "rejected",
    "ConsentRequired": "rejected",
    "DeviceGone": "rejected",
    "MessageUnroutable": "rejected",
    "SchemaIncompatible": "rejected",
    "SchemaNotFound": "rejected",
    "TopicNotFound": "rejected",
    "IdempotencyConflict": "rejected",
    "TransactionConflict": "rejected",
    "AttemptTimeout": "timeout",
    "DeadlineExceeded": "timeout",
    "RateLimitExceeded": "held_back",
    "BulkheadFull": "held_back",
    "PoolExhausted": "held_back",
    "CircuitBreakerOpen": "held_back",
    "DestinationRefused": "held_back",
    "HostKeyRefused": "held_back",
    "RetryBudgetExhausted": "held_back",
    "IdempotencyInProgress": "held_back",
    "TenantRecordsExhausted": "held_back",
    "NotCached": "held_back",
    "HeldBack": "held_back",
    "DryRun": "held_back",
    "RecipientRefused": "held_back",
    "CopiedStore": "held_back",
    "OutcomeUnknown": "unknown",
}


@pytest.mark.parametrize("error", sorted({*tree(), *STATUSES_BY_ERROR, "KeyError"}))
def test_every_error_has_its_status(error: str) -> None:
    """Each error class has a defined status in the integration log."""
    entry = entry_of(finished_call(error=error))

    assert entry is not None
    assert STATUSES_BY_ERROR.get(error, "failed") == entry.status.value
    assert hasattr(errors, error) or error == "KeyError"


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, IntegrationStatus.SUCCESS),
        ({"replayed": True}, IntegrationStatus.REPLAYED),
        ({"replayed": True, "error": "PaymentDeclined"}, IntegrationStatus.REPLAYED),
        ({"cached": True}, IntegrationStatus.CACHED),
        ({"fallback": True, "error": "VendorFailed"}, IntegrationStatus.FALLBACK),
        ({"cancelled": True, "error": "CancelledError"}, IntegrationStatus.CANCELLED),
        ({"internal": True, "error": "TypeError"}, IntegrationStatus.INTERNAL),
    ],
)
def test_status_of_replayed_and_cancelled_calls(
    fields: dict[str, Any], expected: IntegrationStatus
) -> None:
    """Replayed, cached and cancelled calls each have their own status in the integration log."""
    entry = entry_of(finished_call(**fields))

    assert entry is not None
    assert expected is entry.status


def test_entry_has_every_field_of_the_event() -> None:
    """A log entry has every field of the event for the call's end."""
    event = finished_call(
        error="PaymentDeclined",
        status=402,
        vendor_code="card_declined",
        idempotency_key="INV-2041/1",
        region="eu",
        vendor="stripe",
        account="stripe-eu",
        trace_id="ab" * 16,
        method="POST",
        route="/v1/charges/{id}",
        error_message="The card was declined.",
    )
    expected = attrs.evolve(
        ENTRY,
        status=IntegrationStatus.REJECTED,
        attempts=2,
        error="PaymentDeclined",
        http_status=402,
        vendor_code="card_declined",
        idempotency_key="INV-2041/1",
        region="eu",
        vendor="stripe",
        account="stripe-eu",
        trace_id="ab" * 16,
        method="POST",
        route="/v1/charges/{id}",
        error_message="The card was declined.",
    )

    assert expected == entry_of(event)
    nameless_entry = entry_of(finished_call(request_id=None))
    assert nameless_entry is not None
    assert "" == nameless_entry.id


def test_only_the_end_of_a_call_is_an_entry() -> None:
    """Only the event at the end of a call makes a log entry."""
    assert entry_of(CallStarted(at=NOON, service="stripe")) is None


@pytest.mark.parametrize(
    "query, expected",
    [
        ({}, True),
        ({"service": "stripe", "operation": "charge", "tenant": "acme", "id": "call-1"}, True),
        ({"status": IntegrationStatus.SUCCESS}, True),
        ({"service": "adyen"}, False),
        ({"operation": "refund"}, False),
        ({"tenant": "acme-fr"}, False),
        ({"region": "eu"}, False),
        ({"id": "call-2"}, False),
        ({"status": IntegrationStatus.FAILED}, False),
        ({"failures": True}, False),
        ({"service": "stripe", "tenant": "acme-fr"}, False),
        ({"since": NOON}, True),
        ({"since": NOON + SECOND}, False),
        ({"until": NOON}, False),
        ({"until": NOON + SECOND}, True),
    ],
)
def test_query_conditions_are_combined(query: dict[str, Any], *, expected: bool) -> None:
    """A log entry matches a query if it meets all conditions; the query's end time is excluded."""
    assert expected is LogQuery(**query).matches(ENTRY)


@pytest.mark.parametrize("status", IntegrationStatus, ids=lambda status: status.value)
def test_failures_are_all_calls_without_a_result(status: IntegrationStatus) -> None:
    """A query for failures chooses every status except those of calls that returned a result."""
    has_result = status.value in {"success", "replayed", "cached", "fallback"}

    assert has_result is not LogQuery(failures=True).matches(attrs.evolve(ENTRY, status=status))


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize("time", [NOON.replace(tzinfo=None), "yesterday"])
def test_time_without_a_zone_is_refused(field: str, time: Any) -> None:
    """In the integration log, times without a time zone are refused in queries and in entries."""
    with pytest.raises(InvalidData, match=f"{field} must be an aware"):
        LogQuery(**{field: time})
    with pytest.raises(InvalidData, match="started_at must be an aware"):
        attrs.evolve(ENTRY, started_at=time)


@pytest.mark.parametrize("limit", [0, -1, True, 2.5])
def test_page_size_of_zero_is_refused(limit: int) -> None:
    """A log query with a page size of zero is refused."""
    with pytest.raises(ConfigurationError, match="limit"):
        LogQuery(limit=limit)


def test_summary_without_entries_has_no_rates() -> None:
    """A log summary without entries has neither rates nor durations."""
    summary = summarise([])

    assert (0, {}, None) == (summary.count, summary.by_status, summary.success_rate)
    assert (None,) * 4 == (summary.p50, summary.p90, summary.p95, summary.p99)


@given(
    st.lists(
        st.tuples(st.sampled_from(IntegrationStatus), st.floats(0, 1e6)), min_size=1, max_size=300
    )
)
def test_a_summary_counts_and_measures(calls: list[tuple[IntegrationStatus, float]]) -> None:
    """A log summary counts the calls of each status, and treats replays as successes."""
    entries = [attrs.evolve(ENTRY, status=status, duration=duration) for status, duration in calls]
    good_status = {
        IntegrationStatus.SUCCESS,
        IntegrationStatus.REPLAYED,
        IntegrationStatus.CACHED,
    }

    summary = summarise(iter(entries))

    assert len(calls) == summary.count == sum(summary.by_status.values())
    assert {status for status, _ in calls} == set(summary.by_status)
    neutral = {IntegrationStatus.INTERNAL, IntegrationStatus.CANCELLED}
    conclusive = sum(status not in neutral for status, _ in calls)
    if conclusive:
        assert summary.success_rate is not None
        assert math.isclose(
            sum(status in good_status for status, _ in calls), summary.success_rate * conclusive
        )
    else:
        assert summary.success_rate is None
    for percent, result in (
        (50, summary.p50),
        (90, summary.p90),
        (95, summary.p95),
        (99, summary.p99),
    ):
        durations = [duration for _, duration in calls]
        sufficient_durations = [
            value
            for value in durations
            if 100 * sum(other_duration <= value for other_duration in durations)
            >= percent * len(durations)
        ]
        assert min(sufficient_durations) == result


def test_percentiles_are_durations_that_were_measured() -> None:
    """A log summary's percentiles of 200 durations are the 100th, 190th and 198th."""
    entries = [attrs.evolve(ENTRY, duration=float(second)) for second in range(1, 201)]
    summary = summarise(reversed(entries))

    assert (100.0, 180.0, 190.0, 198.0) == (
        summary.p50,
        summary.p90,
        summary.p95,
        summary.p99,
    )


class OverdrawnError(errors.PaymentDeclined):
    """An application's own error class."""


class StrangeError(ConnectorError):
    """An error whose base class moorage does not know."""


@pytest.mark.parametrize(
    "name, internal, status",
    [
        ("OverdrawnError", False, IntegrationStatus.REJECTED),
        ("StrangeError", False, IntegrationStatus.FAILED),
        ("StrangeError", True, IntegrationStatus.INTERNAL),
        ("ZeroDivisionError", False, IntegrationStatus.FAILED),
    ],
)
def test_error_of_an_application_has_the_status_of_its_base(
    name: str, *, internal: bool, status: IntegrationStatus
) -> None:
    """An application's subclass of a rejection error has the log status of a rejection."""
    entry = entry_of(finished_call(error=name, internal=internal))

    assert entry is not None
    assert status is entry.status
