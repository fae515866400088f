"""Service-level objectives, and the share of calls that met them, month by month.

An objective allows a share of the calls to fail: its error budget. With a target of 99.9 %, the
budget is one call of a thousand. A month complies as long as its bad calls are within the budget.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.observation.figures import DIMENSIONS, sum_of_figures
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import if_given, is_seconds, plain_seconds
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.names import repeated_names
from moorage.errors import InvalidData, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import attrs

    from moorage.domain.observation.figures import Figures, WindowFigures


_DEFAULT_WITHIN: Final = 0.95


def _maybe_plain(value: Any) -> Any:
    return None if value is None else plain_seconds(value)


def _names(value: Collection[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _name(value: object) -> str:
    return checked_name(value, "name")


def _is_target(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < 1:
        raise InvalidData(
            f"{str(value)[:80]!r} is not a target.",
            field=attribute.name,
            remedy="Set a share above 0 and below 1, such as 0.999. A target of 1 would allow"
            " no failures at all.",
        )


@frozen(kw_only=True)
class Objective:
    """A service-level objective for the calls of a service, an operation or a tenant.

    Attributes:
        name: The name in reports.
        service: The service that it is for; all services by default.
        operation: The operation that it is for; all operations by default.
        tenant: The tenant that it is for; all tenants by default.
        by: The dimensions whose values each have to comply: some of service, operation and tenant.
        availability: The share of calls to which the vendor has to respond, such as 0.999.
        latency: The seconds within which calls have to end, such as 0.8.
        within: The share of calls that have to end within the latency.
    """

    name: str = field(converter=_name)
    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    by: tuple[str, ...] = field(default=(), converter=_names)
    availability: float | None = field(default=None, validator=if_given(_is_target))
    latency: float | None = field(
        default=None, converter=_maybe_plain, validator=if_given(is_seconds)
    )
    within: float = field(default=_DEFAULT_WITHIN, validator=_is_target)

    def __attrs_post_init__(self) -> None:
        if self.availability is None and self.latency is None:
            raise InvalidData(
                f"The objective {self.name!r} has no target.",
                field="availability",
                remedy="Set an availability such as 0.999, a latency such as 0.8, or both.",
            )
        if self.latency is None and self.within != _DEFAULT_WITHIN:
            raise InvalidData(
                f"The objective {self.name!r} has `within`, but no latency objective that uses it.",
                field="within",
                remedy="Set a latency such as 0.8, or remove `within`.",
            )
        if not set(self.by) <= set(DIMENSIONS):
            raise InvalidData(
                f"The objective {self.name!r} cannot be grouped by {', '.join(self.by)}.",
                field="by",
                remedy=f"Use some of {', '.join(DIMENSIONS)}.",
            )

    def covers(self, row: WindowFigures) -> bool:
        """Return whether the objective applies to the calls in this row of metrics."""
        return all(getattr(self, name) in {None, getattr(row, name)} for name in DIMENSIONS)


def repeated_objectives(objectives: Iterable[tuple[str, object]]) -> Iterator[Problem]:
    """Yield a problem for each service-level objective with the name of an earlier one.

    Args:
        objectives: the path and the name of each objective.
    """
    for path, name in repeated_names(objectives):
        yield Problem(
            f"{path}.name",
            f"Another objective is named {name!r}, so reports could not distinguish them.",
            "Pass each objective a different name.",
        )


@frozen
class Compliance:
    """The numbers of calls in a month that met a target of an objective and that missed it.

    Attributes:
        target: the share of calls that have to be good.
        calls: the number of calls that count.
        bad: the number of bad calls among them.
        last_calls, last_bad: the same numbers for the last day of the month that had calls.
    """

    target: float
    calls: int
    bad: int
    last_calls: int
    last_bad: int

    @property
    def share(self) -> float | None:
        """The share of calls that met the target; None if no call was counted."""
        return 1 - self.bad / self.calls if self.calls else None

    @property
    def is_met(self) -> bool | None:
        """True if the calls that missed the target are within the budget; None without calls."""
        return self.bad <= self.calls * self._allowed_share if self.calls else None

    @property
    def budget_left(self) -> float | None:
        """The remaining share of the error budget; negative if more than all was used.

        The budget is computed from the calls so far; None if there are no calls.
        """
        return float(1 - self.bad / (self.calls * self._allowed_share)) if self.calls else None

    @property
    def burn(self) -> float | None:
        """The share of the error budget that the last day's failures would use.

        1 means the whole budget.

        None if there are no calls.
        """
        if not self.last_calls:
            return None
        return float(Fraction(self.last_bad, self.last_calls) / self._allowed_share)

    @property
    def _allowed_share(self) -> Fraction:
        # Fractions are exact; with floats, 1/10 would count as more than 10 % of ten.
        return 1 - Fraction(str(self.target))


@frozen(kw_only=True)
class ObjectiveMonth:
    """A service-level objective in one month, with the numbers of calls that met its targets.

    Attributes:
        objective: the objective.
        month: the start of the month (UTC).
        service, operation, tenant: the calls that were counted; None for all.
        figures: the figures of the month.
        availability: the compliance with the availability, if the objective has one.
        latency: the compliance with the latency, if the objective has one.
    """

    objective: Objective
    month: datetime
    service: str | None
    operation: str | None
    tenant: str | None
    figures: Figures
    availability: Compliance | None
    latency: Compliance | None

    @property
    def is_met(self) -> bool | None:
        """True if all targets were met; None if no call was counted for any."""
        results = [part.is_met for part in (self.availability, self.latency) if part is not None]
        known_results = [result for result in results if result is not None]
        return all(known_results) if known_results else None


def first_month(now: datetime, months: int) -> datetime:
    """Return the start of the first of `months` months that end with the current month."""
    number = max(now.year * 12 + now.month - months, 1970 * 12)
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def compliance(
    objectives: Iterable[Objective], days: Iterable[WindowFigures]
) -> tuple[ObjectiveMonth, ...]:
    """Return the compliance with each objective for each month, newest month first.

    Args:
        objectives: the objectives.
        days: the figures of each day, service, operation and tenant.
    """
    rows = sorted(days, key=lambda row: row.start)
    months = [month for objective in objectives for month in _months_of(objective, rows)]
    # The sort is stable: within a month, objectives keep their order.
    return tuple(sorted(months, key=lambda item: item.month, reverse=True))


def _months_of(objective: Objective, rows: Iterable[WindowFigures]) -> list[ObjectiveMonth]:
    groups: dict[tuple[Any, ...], list[WindowFigures]] = {}
    for row in rows:
        if objective.covers(row):
            month = row.start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            series = (
                getattr(row, name) if name in objective.by else getattr(objective, name)
                for name in DIMENSIONS
            )
            groups.setdefault((month, *series), []).append(row)
    return [
        _month(objective, group, members) for group, members in sorted(groups.items(), key=_order)
    ]


def _order(group: tuple[tuple[Any, ...], object]) -> tuple[Any, ...]:
    month, *series = group[0]
    return (month, *(name or "" for name in series))


def _month(
    objective: Objective, group: tuple[Any, ...], rows: list[WindowFigures]
) -> ObjectiveMonth:
    month, service, operation, tenant = group
    figures = sum_of_figures(row.figures for row in rows)
    last_figures = sum_of_figures(row.figures for row in rows if row.start == rows[-1].start)
    availability = latency = None
    if objective.availability is not None:
        availability = Compliance(
            objective.availability, figures.valid, figures.bad, last_figures.valid, last_figures.bad
        )
    if objective.latency is not None:
        counts = (
            *_count_slow(figures, objective.latency),
            *_count_slow(last_figures, objective.latency),
        )
        latency = Compliance(objective.within, *counts)
    return ObjectiveMonth(
        objective=objective,
        month=month,
        service=service,
        operation=operation,
        tenant=tenant,
        figures=figures,
        availability=availability,
        latency=latency,
    )


def _count_slow(figures: Figures, limit: float) -> tuple[int, int]:
    """Return the numbers of calls with a known duration, and of those above the limit."""
    measured_calls = figures.durations.count
    return measured_calls, measured_calls - figures.durations.number_within(limit)
