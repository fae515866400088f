"""Metrics about calls: outcomes, time windows, roll-ups, and recording in one process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import ConfigurationError, InvalidData, Service
from moorage.domain.observation.call_events import AttemptFinished, CallFinished, CallStarted
from moorage.domain.observation.call_identity import CallIdentity, CallOutcome
from moorage.domain.observation.events import RetryScheduled
from moorage.domain.observation.figures import (
    DAY,
    HOUR,
    MINUTE,
    CallTally,
    Figures,
    FiguresQuery,
    Outcome,
    Retention,
    WindowFigures,
    grouped_figures,
    outcome_of,
    rolled_up,
    sum_of_figures,
)
from moorage.domain.observation.late_fields import make_late
from moorage.domain.observation.recording import RecordedMetrics, UnstoredMetrics
from moorage.domain.service.plan import Plan

if TYPE_CHECKING:
    from moorage.domain.observation.call_events import AttemptFacts, CallFacts
    from moorage.domain.observation.recording import Windows

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
NO_FLAGS = (False, False, False, False, False)


def row(minute: int = 0, service: str = "stripe", tenant: str = "", **changes: Any) -> Any:
    """Return the metrics of one call in a minute."""
    tally = CallTally()
    tally.add(Outcome.SUCCESS, 1, 10**9)
    fields: dict[str, Any] = {
        "start": NOON + timedelta(minutes=minute),
        "seconds": MINUTE,
        "service": service,
        "operation": "payments.charge",
        "tenant": tenant,
        "figures": tally.freeze(),
    }
    return WindowFigures(**{**fields, **changes})


def finished_call(second: float = 0, **changes: Any) -> CallFinished:
    """Return the event for the end of a call."""
    fields: dict[str, Any] = {
        "at": NOON + timedelta(seconds=second),
        "service": "stripe",
        "started_at": NOON,
        "duration": 0.5,
        "attempts": 1,
    }
    return CallFinished(**{**fields, **changes})


# --- outcomes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, flags, expected",
    [
        (None, NO_FLAGS, Outcome.SUCCESS),
        (None, (False, True, False, False, False), Outcome.SUCCESS),
        ("PaymentDeclined", NO_FLAGS, Outcome.REJECTED),
        ("VendorFailed", NO_FLAGS, Outcome.FAILED),
        ("AttemptTimeout", NO_FLAGS, Outcome.FAILED),
        ("OutcomeUnknown", NO_FLAGS, Outcome.UNKNOWN),
        ("CircuitBreakerOpen", NO_FLAGS, Outcome.CIRCUIT_OPEN),
        ("RetryBudgetExhausted", NO_FLAGS, Outcome.FAILED),
        ("RateLimitExceeded", NO_FLAGS, Outcome.REFUSED),
        ("CircuitBreakerOpen", (False, False, True, False, False), Outcome.FAILED),
        ("KeyError", (False, False, False, False, True), Outcome.ABORTED),
        (None, (False, False, False, True, False), Outcome.ABORTED),
    ],
)
def test_error_of_a_call_decides_its_outcome_in_metrics(
    error: Any, flags: Any, expected: Outcome
) -> None:
    """A call's error decides the outcome under which metrics count it."""
    assert expected is outcome_of(error, flags)


def test_rejections_lower_only_the_success_rate() -> None:
    """Rejections by the vendor lower only the success rate.

    Rejections by moorage do not lower the availability.
    """
    figures = Figures(
        success=90, rejected=2, failed=3, unknown=1, circuit_open=4, refused=5, aborted=7
    )

    assert 112 == figures.calls
    assert pytest.approx(90 / 105) == figures.success_rate
    assert pytest.approx(92 / 100) == figures.availability
    assert (None, None) == (Figures().success_rate, Figures(refused=3).availability)


# --- queries ----------------------------------------------------------------------------

ROWS = [row(), row(1, tenant="acme"), row(61), row(61, "vat")]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [("stripe", "", 2), ("stripe", "acme", 1), ("vat", "", 1)]),
        ({"by": "service"}, [("stripe", None, 3), ("vat", None, 1)]),
        ({"by": ()}, [(None, None, 4)]),
        ({"by": "service", "tenant": ""}, [("stripe", None, 2), ("vat", None, 1)]),
        ({"by": (), "service": "vat"}, [(None, None, 1)]),
        ({"by": (), "since": NOON + timedelta(minutes=1)}, [(None, None, 3)]),
        ({"by": (), "until": NOON + timedelta(minutes=1)}, [(None, None, 1)]),
        ({"by": (), "window": 3_600}, [(None, None, 2), (None, None, 2)]),
        ({"service": "none"}, []),
    ],
)
def test_query_adds_up_rows_that_differ_in_unrequested_fields(options: Any, expected: Any) -> None:
    """A metrics query filters rows, and adds up rows that differ only in unrequested fields."""
    windows = grouped_figures(ROWS, FiguresQuery(**options))

    assert expected == [(item.service, item.tenant, item.figures.calls) for item in windows]


def test_windows_have_a_start_and_a_length() -> None:
    """A metrics window starts at a multiple of its length, or covers the whole query."""
    hours = grouped_figures(ROWS, FiguresQuery(by=(), window=timedelta(hours=1)))
    (whole_figures,) = grouped_figures(ROWS, FiguresQuery(by=()))
    (named_figures,) = grouped_figures(
        ROWS, FiguresQuery(by=(), since=NOON - timedelta(hours=1), until=NOON + timedelta(hours=3))
    )

    assert [NOON, NOON + timedelta(hours=1)] == [item.start for item in hours]
    assert {HOUR} == {item.seconds for item in hours}
    assert (NOON, 62 * MINUTE) == (whole_figures.start, whole_figures.seconds)
    assert (NOON - timedelta(hours=1), 4 * HOUR) == (named_figures.start, named_figures.seconds)
    assert pytest.approx(4 / (62 * 60)) == whole_figures.rate


def test_metrics_that_were_rolled_up_to_hour_stay_one_hour() -> None:
    """Metrics that were merged to hours stay hourly, even if a query asks for minutes."""
    (window,) = grouped_figures([row(seconds=HOUR)], FiguresQuery(window=60))

    assert HOUR == window.seconds


@pytest.mark.parametrize(
    "options",
    [
        {"by": "month"},
        {"window": 90},
        {"since": datetime(2030, 1, 1)},  # noqa: DTZ001 - without a time zone
    ],
)
def test_wrong_queries_are_refused(options: Any) -> None:
    """The error for an invalid metrics query contains the reason."""
    with pytest.raises(InvalidData):
        FiguresQuery(**options)


def test_text_groups_metrics_by_dimensions_that_it_lists() -> None:
    """A string of dimensions groups metrics by these dimensions, as on the command line."""
    assert ("service", "tenant") == FiguresQuery(by="service,tenant").by


@given(st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from("ab")), max_size=20))
def test_minutes_add_up_exactly_to_hours_and_days(places: list[tuple[int, str]]) -> None:
    """Metrics of minutes add up exactly to those of hours, and hours to those of days."""
    rows = [row(minute, service) for minute, service in places]
    days = rolled_up(rolled_up(rows, HOUR), DAY)
    query = FiguresQuery(by="service", window=DAY)

    assert [item.figures for item in grouped_figures(rows, query)] == [
        item.figures for item in days
    ]
    assert sum_of_figures(item.figures for item in rows) == sum_of_figures(
        item.figures for item in days
    )


@pytest.mark.parametrize("options", [{"minutes": 60}, {"hours": HOUR}, {"days": DAY}])
def test_retention_grows_with_windows(options: Any) -> None:
    """Metrics with longer windows are kept for longer."""
    with pytest.raises(InvalidData, match="must not be kept longer"):
        Retention(**options)
    with pytest.raises(ConfigurationError):
        Retention(days=-1)


# --- recording --------------------------------------------------------------------------


def calls_of(windows: Windows) -> dict[tuple[str, str, str], int]:
    """Return the number of calls in each metrics series."""
    calls: dict[tuple[str, str, str], int] = {}
    for window in windows.values():
        for key, tally in window.items():
            calls[key] = calls.get(key, 0) + tally.calls
    return calls


def test_calls_are_recorded_by_minute_and_series() -> None:
    """Metrics count each event in its minute and series."""
    recording = RecordedMetrics(10, 100)
    series_fields: dict[str, Any] = {
        "service": "stripe",
        "operation": "payments.charge",
        "tenant": "acme",
    }
    recording.record(finished_call(1, **series_fields))
    recording.record(finished_call(61, error="OutcomeUnknown", attempts=3, **series_fields))
    recording.record(finished_call(62, error="RateLimitExceeded", attempts=0, **series_fields))
    recording.record(
        RetryScheduled(at=NOON, attempt=1, delay=1.0, error="VendorFailed", **series_fields)
    )
    attempt = AttemptFinished(at=NOON, attempt=1, duration=0.2, **series_fields)
    recording.record(attempt)
    recording.record(attrs.evolve(attempt, bytes_out=70, bytes_in=900))
    recording.record(attrs.evolve(attempt, bytes_out=None, bytes_in=100))
    recording.record(CallStarted(at=NOON, service="stripe"))
    windows = recording.take()
    first, second = (windows[minute] for minute in sorted(windows))
    (tally,), (two,) = first.values(), second.values()

    assert [("stripe", "payments.charge", "acme")] == list(first)
    assert {"success": 1, "attempts": 1, "retries": 1, "bytes_out": 70, "bytes_in": 1_000} == {
        name: value
        for name, value in attrs.asdict(tally.freeze()).items()
        if value and name != "durations"
    }
    assert (2, 1, 1, 3) == (two.calls, two.freeze().unknown, two.freeze().refused, two.attempts)
    assert [1, 1] == [tally.freeze().durations.count, two.freeze().durations.count]
    assert {} == recording.take()


def test_late_events_are_recorded_like_others() -> None:
    """Metrics count an event with lazily computed fields like an ordinary event."""
    identity = CallIdentity(5_000, int(NOON.timestamp()) * 10**9, lambda _: "id")
    plan = Plan(Service("stripe"), "acme", None)
    attempt: AttemptFacts = (
        *(identity, plan, 2_005_000),
        *(1, 1_500_000, None, 200, False, 0, None, 7, 9, CallOutcome.DONE, None),
    )
    end: CallFacts = (
        *(identity, plan, 500_005_000, 2),
        *("VendorFailed", 503, None, None, False, False, False, False, False, None),
        *(CallOutcome.NOTHING, None, None, None),
    )
    recording, other_recording = RecordedMetrics(10, 100), RecordedMetrics(10, 100)
    for event in (make_late(AttemptFinished, attempt), make_late(CallFinished, end)):
        recording.record(event)
        fields = {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
        other_recording.record(type(event)(**fields))
    own_figures, other_figures = (
        {
            minute: {key: tally.freeze() for key, tally in window.items()}
            for minute, window in windows.items()
        }
        for windows in (recording.take(), other_recording.take())
    )

    assert own_figures == other_figures
    assert ("stripe", "", "acme") in next(iter(own_figures.values()))


@pytest.mark.untraced
def test_tenants_and_operations_beyond_the_limit_are_combined() -> None:
    """Above a limit on metrics series, further tenants and then operations are combined."""
    recording = RecordedMetrics(100, 10_000)
    for number in range(100_000):
        recording.record(finished_call(tenant=f"tenant-{number}", operation="charge"))
    for number in range(1_000):
        recording.record(finished_call(operation=f"operation-{number}"))
    calls = calls_of(recording.take())

    assert 111 == len(calls)
    assert 99_900 == calls["stripe", "charge", "other"]
    assert 991 == calls["other", "other", "other"]
    assert 101_000 == sum(calls.values())
    assert 0 == recording.lost


def test_tenants_beyond_the_limit_form_one_series() -> None:
    """Above a metrics limit, the other tenants form one series, and the other operations one."""
    recording = RecordedMetrics(1, 100)
    for operation, tenant in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "")):
        recording.record(finished_call(operation=operation, tenant=tenant))

    assert {
        ("stripe", "a", "1"): 1,
        ("stripe", "a", "other"): 2,
        ("other", "other", "other"): 2,
    } == calls_of(recording.take())


def test_series_of_later_minutes_are_the_same() -> None:
    """For a whole day, a metrics series is either separate or combined with other series."""
    recording = RecordedMetrics(1, 100)
    for second in (0, 70, 140):
        for tenant in ("a", "b"):
            recording.record(finished_call(second, tenant=tenant))

    assert {"a": 3, "other": 3} == {
        tenant: number for (_, _, tenant), number in calls_of(recording.take()).items()
    }


def test_an_aborted_call_has_no_duration() -> None:
    """Metrics count a cancelled call's attempts, but not its duration."""
    recording = RecordedMetrics(1, 100)
    recording.record(finished_call(cancelled=True, attempts=2))
    (window,) = recording.take().values()
    (tally,) = window.values()

    assert Figures(aborted=1, attempts=2) == tally.freeze()


def test_limit_on_metrics_series_restarts_each_day() -> None:
    """The count for the limit on metrics series restarts each day."""
    recording = RecordedMetrics(1, 100)
    for second, tenant in ((0, "a"), (1, "b"), (DAY, "b"), (DAY + 1, "a")):
        recording.record(finished_call(second, tenant=tenant))

    assert {"a": 1, "other": 2, "b": 1} == {
        tenant: number for (_, _, tenant), number in calls_of(recording.take()).items()
    }


def test_metrics_of_names_that_database_would_store_alike_are_counted_in_one_series() -> None:
    """Names that a database would treat as equal are counted in one metrics series."""
    recording = RecordedMetrics(10, 100)
    for end in ("x", "y"):
        recording.record(finished_call(tenant="a\0\ud800" + "n" * 300 + end))

    assert {("stripe", "", ("a\\0\\ud800" + "n" * 300)[:255]): 2} == calls_of(recording.take())


def test_metrics_beyond_the_memory_limit_are_counted_as_lost() -> None:
    """If nobody fetches metrics, the excess over a memory limit is dropped and counted."""
    recording = RecordedMetrics(10, 2)
    for minute in range(3):
        recording.record(finished_call(60 * minute, error="VendorFailed"))
    recording.record(RetryScheduled(at=NOON, service="new", attempt=1, delay=1.0, error="E"))
    recording.record(AttemptFinished(at=NOON, service="new", attempt=1, duration=0.2, bytes_in=1))

    assert (2, 1) == (len(recording.take()), recording.lost)


def windows(minute: int, *services: str) -> Windows:
    """Return the metrics of one call in each of several minutes."""
    recording = RecordedMetrics(100, 100)
    for service in services:
        recording.record(finished_call(60 * minute, service=service))
    return recording.take()


def test_minute_stored_again_replaces_its_row() -> None:
    """If a minute is stored again with more calls, the new row replaces the stored one."""
    unsettled = UnstoredMetrics(100)
    unsettled.add(windows(0, "a"))
    (first,) = unsettled.rows()
    unsettled.stored([first])
    unsettled.add(windows(0, "a"))
    (repeated_row,) = unsettled.rows()

    assert first == repeated_row
    assert 2 == unsettled.tally(repeated_row[0], repeated_row[2]).calls

    unsettled.add(windows(1, "b"))
    unsettled.stored(unsettled.rows())
    unsettled.add(windows(0, "a"))
    (late_row,) = unsettled.rows()

    assert first[0] == late_row[0]
    assert first[1] != late_row[1]
    assert 1 == unsettled.tally(late_row[0], late_row[2]).calls


def test_metrics_survive_a_clock_that_was_ahead() -> None:
    """Once a clock that was years ahead is corrected, metrics are stored as before."""
    unsettled = UnstoredMetrics(100)
    years = 5 * 365 * 24 * 60
    for minute in (0, years, 1, 2):
        recorded = windows(minute, "a")
        unsettled.add(recorded)
        assert [*recorded] == [row[0] for row in unsettled.rows()] == [unsettled.current_minute]
        unsettled.stored(unsettled.rows())

    assert 0 == unsettled.lost


def test_the_oldest_unstored_windows_are_lost() -> None:
    """Metrics that are not stored are dropped beyond the limit, and after half a day."""
    unsettled = UnstoredMetrics(3)
    unsettled.add(windows(0, "a", "b"))
    unsettled.add(windows(1, "a", "b"))

    assert (2, 2) == (unsettled.lost, len(unsettled.rows()))
    unsettled.add(windows(12 * 60 + 2, "a"))
    assert (4, 1) == (unsettled.lost, len(unsettled.rows()))
    assert unsettled
    unsettled.stored(unsettled.rows())
    assert not unsettled
