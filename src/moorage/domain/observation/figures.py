"""Metrics of calls: counts by outcome, and durations, for each series and time window.

A series is the calls of one service, operation and tenant. Each process counts its own calls. A
reader adds up the figures of several processes, series or windows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.integration_log import IntegrationStatus, status_of
from moorage.domain.observation.sketch import Sketch, SketchRecorder
from moorage.domain.values.durations import is_seconds, plain_seconds, seconds
from moorage.domain.values.frozen_values import field, fields_of, frozen
from moorage.domain.values.text import column_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import attrs

OTHER: Final = "other"
"""The name under which calls beyond the limit of metric series are counted."""

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
STEPS: Final = (MINUTE, HOUR, DAY)
"""The lengths of the stored time windows of metrics, in seconds."""

LABEL_LENGTH: Final = 255
"""The maximum number of characters in the name of a service, an operation or a tenant."""

DIMENSIONS: Final = ("service", "operation", "tenant")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Outcome(Enum):
    """The outcome of a call, as metrics count it.

    Attributes:
        SUCCESS: the call succeeded, or was answered from the cache or with a stored response.
        REJECTED: the vendor responded that this request is wrong, such as a declined card.
        FAILED: the call failed, and certainly did nothing or may be repeated.
        UNKNOWN: the effect of the call is not known yet.
        CIRCUIT_OPEN: nothing was sent, because the circuit was open after earlier failures.
        REFUSED: nothing was sent, because of a limit or another rule, yours or the vendor's.
        ABORTED: the program cancelled the call or failed itself, which does not concern the vendor.
    """

    SUCCESS = "success"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CIRCUIT_OPEN = "circuit_open"
    REFUSED = "refused"
    ABORTED = "aborted"


_OUTCOMES: Final[Mapping[IntegrationStatus, Outcome]] = {
    IntegrationStatus.SUCCESS: Outcome.SUCCESS,
    IntegrationStatus.REPLAYED: Outcome.SUCCESS,
    IntegrationStatus.CACHED: Outcome.SUCCESS,
    IntegrationStatus.FALLBACK: Outcome.FAILED,
    IntegrationStatus.REJECTED: Outcome.REJECTED,
    IntegrationStatus.FAILED: Outcome.FAILED,
    IntegrationStatus.TIMEOUT: Outcome.FAILED,
    IntegrationStatus.HELD_BACK: Outcome.REFUSED,
    IntegrationStatus.INTERNAL: Outcome.ABORTED,
    IntegrationStatus.UNKNOWN: Outcome.UNKNOWN,
    IntegrationStatus.CANCELLED: Outcome.ABORTED,
}
_OUTCOMES_OF_ERRORS: Final = {
    "CircuitBreakerOpen": Outcome.CIRCUIT_OPEN,
    "RetryBudgetExhausted": Outcome.FAILED,  # the last attempt of the call has failed
}


def outcome_of(error: str | None, flags: tuple[bool, bool, bool, bool, bool]) -> Outcome:
    """Return the outcome of a finished call, as metrics count it.

    Args:
        error: the class of its error, if any.
        flags: whether it was replayed, cached, answered by a fallback, cancelled, or ended by an
            error of this program, as in `CallFinished`.
    """
    status = status_of(error, flags)
    if status is IntegrationStatus.HELD_BACK and error in _OUTCOMES_OF_ERRORS:
        return _OUTCOMES_OF_ERRORS[error]
    return _OUTCOMES[status]


@frozen(kw_only=True)
class Figures:
    """The counts and durations of some calls.

    Attributes:
        success, rejected, failed, unknown, circuit_open, refused, aborted: the number of calls with
            each `Outcome`.
        attempts: the number of attempts to call the vendor.
        retries: the number of attempts that repeated a failed attempt.
        bytes_out, bytes_in: the bytes of the bodies that were sent and received, as far as their
            sizes were known.
        durations: the durations of calls with at least one attempt, except aborted ones.
    """

    success: int = 0
    rejected: int = 0
    failed: int = 0
    unknown: int = 0
    circuit_open: int = 0
    refused: int = 0
    aborted: int = 0
    attempts: int = 0
    retries: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    durations: Sketch = field(factory=Sketch)

    @property
    def calls(self) -> int:
        """The number of calls."""
        return self.success + self.bad + self.rejected + self.refused + self.aborted

    @property
    def bad(self) -> int:
        """The number of calls that reduce the vendor's availability."""
        return self.failed + self.unknown + self.circuit_open

    @property
    def valid(self) -> int:
        """The number of calls from which the vendor's availability is computed."""
        return self.success + self.rejected + self.bad

    @property
    def success_rate(self) -> float | None:
        """The share of successful calls, without aborted calls; None if there were no calls."""
        calls = self.calls - self.aborted
        return self.success / calls if calls else None

    @property
    def availability(self) -> float | None:
        """The share of calls to which the vendor responded with a success or a rejection.

        Calls that were refused or aborted on this side do not count; None if there is no such call.
        """
        valid = self.valid
        return 1 - self.bad / valid if valid else None


COUNTS: Final = tuple(field.name for field in fields_of(Figures) if field.name != "durations")
"""The names of the counts in metrics of calls."""


class CallTally:
    """Adds up the counts and durations of calls, for one thread at a time."""

    __slots__ = (*COUNTS, "durations")

    success: int
    attempts: int
    retries: int
    bytes_out: int
    bytes_in: int

    def __init__(self) -> None:
        for name in COUNTS:
            setattr(self, name, 0)
        self.durations = SketchRecorder()

    @property
    def calls(self) -> int:
        """The number of calls."""
        return sum(getattr(self, outcome.value) for outcome in Outcome)

    def add(self, outcome: Outcome, attempts: int, nanoseconds: int) -> None:
        """Count a call with its outcome, its attempts and its duration in nanoseconds."""
        name = outcome.value
        setattr(self, name, getattr(self, name) + 1)
        if attempts:
            self.attempts += attempts
            if outcome is not Outcome.ABORTED:
                self.durations.add_nanoseconds(nanoseconds)

    def merge(self, figures: Figures | CallTally) -> None:
        """Add the counts and durations of other calls."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(figures, name))
        durations = figures.durations
        self.durations.merge(durations if isinstance(durations, Sketch) else durations.freeze())

    def freeze(self) -> Figures:
        """Return the counts and durations so far."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in COUNTS}
        return Figures(**counts, durations=self.durations.freeze())


def sum_of_figures(figures: Iterable[Figures]) -> Figures:
    """Return the sum of several counts and durations of calls."""
    tally = CallTally()
    for item in figures:
        tally.merge(item)
    return tally.freeze()


@frozen(kw_only=True)
class WindowFigures:
    """The counts and durations of one series of calls in one time window.

    Attributes:
        start: the start of the window (aware, UTC).
        seconds: the window's length.
        service, operation, tenant: the series; "" for calls without an operation or a tenant, and
        None if the figures cover all.
        figures: the figures.
    """

    start: datetime
    seconds: int
    service: str | None
    operation: str | None
    tenant: str | None
    figures: Figures

    @property
    def rate(self) -> float:
        """The number of calls per second."""
        return self.figures.calls / self.seconds


def _check_aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise InvalidData(
            f"{attribute.name} must be an aware datetime.",
            field=attribute.name,
            remedy="Add a time zone, such as datetime.now(UTC).",
        )


def _window(value: float | timedelta | None) -> int | None:
    if value is None:
        return None
    length = seconds(value, "window")
    if length % MINUTE:
        raise InvalidData(
            f"A window of {length:g} seconds is not a whole number of minutes.",
            field="window",
            remedy="Pass a multiple of 60 seconds.",
        )
    return int(length)


def _dimensions(value: Collection[str]) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else tuple(value)
    for name in names:
        if name not in DIMENSIONS:
            raise InvalidData(
                f"Metrics cannot be grouped by {str(name)[:80]!r}.",
                field="by",
                remedy=f"Use some of {', '.join(DIMENSIONS)}.",
            )
    return tuple(name for name in DIMENSIONS if name in names)


@frozen(kw_only=True)
class FiguresQuery:
    """A query for metrics of calls: every condition must be true.

    Attributes:
        service, operation, tenant: only this series; "" selects calls without one.
        since, until: only windows that start in this time; `until` is excluded.
        window: the length of a window in seconds, or a timedelta: a multiple of a minute. Without
            it there is one window for the whole time.
        by: the dimensions by which figures are grouped, as a list or as a string such as
            "service,tenant"; other dimensions are added up.
    """

    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    since: datetime | None = field(default=None, validator=_check_aware)
    until: datetime | None = field(default=None, validator=_check_aware)
    window: int | None = field(default=None, converter=_window)
    by: tuple[str, ...] = field(default=DIMENSIONS, converter=_dimensions)

    def matches(self, row: WindowFigures) -> bool:
        """Return whether the metrics of a stored window meet the query's conditions."""
        return (
            all(getattr(self, name) in {None, getattr(row, name)} for name in DIMENSIONS)
            and (self.since is None or row.start >= self.since)
            and (self.until is None or row.start < self.until)
        )


class Grouping:
    """Adds up stored metrics by group and time window, as a query requests.

    Args:
        query: the query; rows that it does not match must not be added.
    """

    def __init__(self, query: FiguresQuery) -> None:
        self._query = query
        self._groups: dict[tuple[Any, ...], tuple[CallTally, int]] = {}
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, rows: Iterable[WindowFigures]) -> None:
        """Add stored rows of metrics to their groups."""
        query = self._query
        for row in rows:
            series = tuple(getattr(row, name) if name in query.by else None for name in DIMENSIONS)
            start = None if query.window is None else window_start(row.start, query.window)
            tally, length = self._groups.get((start, *series)) or (CallTally(), query.window or 0)
            tally.merge(row.figures)
            self._groups[start, *series] = tally, max(length, row.seconds)
            end = row.start + timedelta(seconds=row.seconds)
            self._first = row.start if self._first is None else min(self._first, row.start)
            self._last = end if self._last is None else max(self._last, end)

    def result(self) -> tuple[WindowFigures, ...]:
        """Return the metrics of each group, sorted by start, service, operation and tenant.

        A window is longer than the query's if its figures are stored for longer windows only.
        """
        first_start, last_end = self._first, self._last
        if first_start is None or last_end is None:
            return ()
        first_start, last_end = self._query.since or first_start, self._query.until or last_end
        total_seconds = max(1, int((last_end - first_start).total_seconds()))
        windows = [
            WindowFigures(
                start=first_start if start is None else start,
                seconds=total_seconds if start is None else length,
                service=service,
                operation=operation,
                tenant=tenant,
                figures=tally.freeze(),
            )
            for (start, service, operation, tenant), (tally, length) in self._groups.items()
        ]
        return tuple(sorted(windows, key=_order))


def _order(row: WindowFigures) -> tuple[datetime, str, str, str]:
    return row.start, row.service or "", row.operation or "", row.tenant or ""


def grouped_figures(
    rows: Iterable[WindowFigures], query: FiguresQuery
) -> tuple[WindowFigures, ...]:
    """Return the metrics that a query asks for, computed from all stored rows."""
    grouping = Grouping(query)
    grouping.add(row for row in rows if query.matches(row))
    return grouping.result()


def column_label(text: str) -> str:
    """Return the name of a service, operation or tenant in a form that fits a database column."""
    return column_text(text, LABEL_LENGTH)


def window_start(time: datetime, length: int) -> datetime:
    """Return the start of the time window of `length` seconds that contains a time.

    Windows count from 1970, UTC.
    """
    number = (time - _EPOCH) // timedelta(seconds=length)
    return _EPOCH + timedelta(seconds=number * length)


@frozen(kw_only=True)
class Retention:
    """The seconds for which metrics are kept, in windows of a minute, an hour or a day.

    Attributes:
        minutes: the seconds for which windows of a minute stay, before they become windows of an
            hour.
        hours: the seconds for which windows of an hour stay, before they become windows of a day.
        days: the seconds for which windows of a day stay, before they are removed.
    """

    minutes: float = field(default=DAY, converter=plain_seconds, validator=is_seconds)
    hours: float = field(default=32 * DAY, converter=plain_seconds, validator=is_seconds)
    days: float = field(default=800 * DAY, converter=plain_seconds, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        if not DAY <= self.minutes <= self.hours <= self.days:
            raise InvalidData(
                "The retention is not valid: short windows must not be kept longer than long"
                " windows.",
                field="retention",
                remedy="Keep minutes for at least a day, and hours and days at least as long.",
            )

    def rollups(self, now: datetime) -> tuple[tuple[int, int, datetime], ...]:
        """Return which window lengths to merge into longer ones, and before which time.

        Windows of the old length that begin before the time are added up.

        Args:
            now: the time.
        """
        return tuple(
            (step, longer_step, window_start(now - timedelta(seconds=retention), longer_step))
            for step, longer_step, retention in (
                (MINUTE, HOUR, self.minutes),
                (HOUR, DAY, self.hours),
            )
        )

    def end(self, now: datetime) -> datetime:
        """Return the time before which stored windows are deleted."""
        return window_start(now - timedelta(seconds=self.days), DAY)


def rolled_up(rows: Iterable[WindowFigures], step: int) -> tuple[WindowFigures, ...]:
    """Return metrics merged into windows of `step` seconds."""
    return grouped_figures(rows, FiguresQuery(window=step))
