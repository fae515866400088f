"""Measures the values that alert rules compare, from metrics of calls and from health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.domain.monitoring.alert_conditions import FIGURES, LATENCIES
from moorage.domain.monitoring.alerts import Measurement

if TYPE_CHECKING:
    from moorage.domain.monitoring.alerts import AlertRule
    from moorage.domain.monitoring.health import Health


@attrs.frozen(kw_only=True)
class FigureQuery:
    """A query for the metrics of the calls that an alert rule watches.

    Attributes:
        service, operation, tenant: the exact value.
        window: the seconds before now.
    """

    service: str | None = None
    operation: str | None = None
    tenant: str | None = None
    window: float


@attrs.frozen(kw_only=True)
class CallFigures:
    """The number of some calls, their error rate, and percentiles of their duration.

    Attributes:
        calls: the number of calls.
        error_rate: the share of failures among the calls whose outcome depends on the service; None
            if there are no such calls.
        p50, p90, p95, p99: percentiles of the duration in seconds; None without calls.
    """

    calls: int
    error_rate: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


def figure_queries(rule: AlertRule) -> tuple[FigureQuery, ...]:
    """Return the queries for the metrics that an alert rule needs.

    A rule about health needs none, and a rule about the burn rate needs two.
    """
    if rule.when not in FIGURES:
        return ()
    query = FigureQuery(
        service=rule.service, operation=rule.operation, tenant=rule.tenant, window=rule.window
    )
    if rule.when == "burn_rate":
        return query, attrs.evolve(query, window=rule.short_window)
    return (query,)


def from_figures(rule: AlertRule, figures: tuple[CallFigures, ...]) -> Measurement:
    """Return an alert rule's measured value, computed from the metrics that its queries found."""
    subject = "/".join(filter(None, (rule.service, rule.operation, rule.tenant))) or "all calls"
    first_figures = figures[0]
    if rule.when in {"calls", "absence"}:
        text = f"{first_figures.calls} calls in {rule.window:.0f} s."
        return Measurement(subject=subject, value=float(first_figures.calls), text=text)
    if rule.when == "burn_rate":
        budget = 1 - rule.objective
        rates = [_rate(rule, figure) for figure in figures]
        burns = [None if rate is None else rate / budget for rate in rates]
        if None in burns:
            return _insufficient_calls(rule, subject, first_figures)
        long_burn, short_burn = (burn or 0.0 for burn in burns)
        text = (
            f"The error budget is used {long_burn:.1f} times too fast over {rule.window:.0f}"
            f" s, and {short_burn:.1f} times too fast over {rule.short_window:.0f} s."
        )
        return Measurement(subject=subject, value=min(long_burn, short_burn), text=text)
    if rule.when in LATENCIES:
        latency: float | None = getattr(first_figures, rule.when)
        if latency is None or first_figures.calls < rule.minimum_calls:
            return _insufficient_calls(rule, subject, first_figures)
        text = f"{rule.when} of {first_figures.calls} calls is {latency:.3f} s."
        return Measurement(subject=subject, value=latency, text=text)
    rate = _rate(rule, first_figures)
    if rate is None:
        return _insufficient_calls(rule, subject, first_figures)
    text = f"{rate:.1%} of {first_figures.calls} calls in {rule.window:.0f} s failed."
    return Measurement(subject=subject, value=rate, text=text)


def from_health(rule: AlertRule, health: Health) -> tuple[Measurement, ...]:
    """Return a health rule's measured values, one for each part that has a problem."""
    found_measurements: dict[str, Measurement] = {}
    for reason in health.all_reasons:
        if reason.concern.value != rule.when or rule.service not in {None, reason.part}:
            continue
        amount = reason.amount if rule.above is not None or rule.below is not None else 1.0
        worst_measurement = found_measurements.get(reason.part)
        if worst_measurement is None or (worst_measurement.value or 0.0) < amount:
            text = f"{reason.text} {reason.remedy}"
            found_measurements[reason.part] = Measurement(
                subject=reason.part, value=amount, text=text
            )
    return tuple(found_measurements.values())


def _rate(rule: AlertRule, figures: CallFigures) -> float | None:
    return None if figures.calls < rule.minimum_calls else figures.error_rate


def _insufficient_calls(rule: AlertRule, subject: str, figures: CallFigures) -> Measurement:
    text = f"{figures.calls} calls in {rule.window:.0f} s are too few for a decision."
    return Measurement(subject=subject, value=None, text=text)
