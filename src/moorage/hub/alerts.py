"""Evaluates alert rules and sends notifications, in one process at a time."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.monitoring.alert_book import (
    AddSilence,
    AlertBook,
    AlertDelivery,
    EvaluateAlerts,
    ReadAlerts,
    SettleDeliveries,
)
from moorage.domain.monitoring.alert_figures import (
    CallFigures,
    FigureQuery,
    from_figures,
    from_health,
    queries,
)
from moorage.domain.monitoring.alert_settings import AlertSettings, ChannelSettings
from moorage.domain.monitoring.alerts import (
    FIGURES,
    Alert,
    AlertNotice,
    AlertRule,
    Measurement,
    Notification,
    Severity,
    Silence,
)
from moorage.domain.observation.figures import FiguresQuery, added
from moorage.domain.observation.integration_log import LogQuery
from moorage.domain.values.durations import micros
from moorage.errors import ConfigurationError, StorageUnavailable
from moorage.hub.alert_channels import LOGGER, log_notification, open_channel
from moorage.hub.health import HealthMonitor
from moorage.runtime.bridge import run_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from threading import Event

    from moorage.domain.state.commands import Command, State
    from moorage.hub.alert_channels import Channel
    from moorage.hub.hub import Hub

__all__ = [
    "Alert",
    "AlertBook",
    "AlertDelivery",
    "AlertNotice",
    "AlertRound",
    "AlertRule",
    "AlertRunner",
    "AlertSettings",
    "CallFigures",
    "ChannelSettings",
    "FigureQuery",
    "Measurement",
    "Notification",
    "Severity",
    "Silence",
]

_LEASES: Final = 3
"""Number of intervals after which another process evaluates, if this one has stopped."""
_PATIENCE: Final = 2.0


@attrs.frozen(kw_only=True)
class AlertRound:
    """The result of one evaluation.

    Attributes:
        evaluated: false if another process evaluates at present.
        delivered: the notifications that a channel accepted.
        failed: the notifications that a channel refused; they are sent again in the next round.
        unmeasured: the names of the rules that could not be measured.
    """

    evaluated: bool
    delivered: tuple[AlertDelivery, ...] = ()
    failed: tuple[AlertDelivery, ...] = ()
    unmeasured: tuple[str, ...] = ()


class AlertRunner:
    """Evaluates the alert rules of a hub, and sends notifications to channels.

    Alerts, silences and unsent notifications are in the store of shared state: several processes
    may run, and one of them evaluates at a time. While the store is unreachable, each evaluates in
    its own memory.

    Args:
        hub: the hub.
        settings: the rules and channels; by default those of the hub's configuration.
        channels: further channels by name: functions of an `AlertDelivery`, which raise an
            exception if they could not deliver it.
        figures: returns the figures of some calls; by default from the metrics of the hub, or else
            from its integration log.
        monitor: reads the health for rules about it; by default one of the hub.
    """

    def __init__(
        self,
        hub: Hub,
        settings: AlertSettings | None = None,
        *,
        channels: dict[str, Channel] | None = None,
        figures: Callable[[FigureQuery], CallFigures] | None = None,
        monitor: HealthMonitor | None = None,
    ) -> None:
        settings = settings or hub.alert_settings or AlertSettings()
        self._hub = hub
        self._rules = settings.rules
        self._every = settings.every
        self._channels: dict[str, Channel] = {
            name: open_channel(hub, channel) for name, channel in settings.channels.items()
        }
        self._channels |= channels or {}
        if not self._channels:
            self._channels["log"] = log_notification
        self._figures = figures or _figures_of(hub, self._rules)
        self._monitor = monitor or HealthMonitor(hub)
        self._core = hub.manager.flows.core
        self._owner: int = self._core.token()
        self._local: State | None = None

    def run(self, stop: Event, *, tell: Callable[[AlertRound], object] = lambda _: None) -> None:
        """Evaluate at intervals until `stop` is set.

        Args:
            stop: ends it.
            tell: receives the result of each round.
        """
        while not stop.is_set():
            tell(self.evaluate())
            stop.wait(self._every)

    def measure(self) -> dict[str, tuple[Measurement, ...]]:
        """Measure all rules; a rule that could not be measured is missing."""
        measured: dict[str, tuple[Measurement, ...]] = {}
        health = None
        for rule in self._rules:
            if rule.when not in FIGURES:
                health = health or self._monitor.recent()
                measured[rule.name] = from_health(rule, health)
                continue
            try:
                figures = tuple(map(self._figures, queries(rule)))
            except StorageUnavailable as error:
                LOGGER.warning("The alert rule %r cannot be measured: %s", rule.name, error)
                continue
            measured[rule.name] = (from_figures(rule, figures),)
        return measured

    def check(self) -> list[tuple[AlertRule, Measurement, bool]]:
        """Measure all rules without telling anybody; return if each is active."""
        measured = self.measure()
        return [
            (rule, measurement, rule.is_active(measurement.value, firing=False))
            for rule in self._rules
            for measurement in measured.get(rule.name, ())
        ]

    def evaluate(self) -> AlertRound:
        """Measure and evaluate all rules once, and send what is to be told."""
        measured = self.measure()
        command = EvaluateAlerts(
            self._rules,
            measured,
            tuple(self._channels),
            self._core.utc(),
            owner=self._owner,
            lease=micros(_LEASES * self._every),
        )
        deliveries: tuple[AlertDelivery, ...] | None = self._execute(command)
        if deliveries is None:
            return AlertRound(evaluated=False)
        errors = {delivery.id: self._deliver(delivery) for delivery in deliveries}
        if errors:
            self._execute(SettleDeliveries(errors))
        return AlertRound(
            evaluated=True,
            delivered=tuple(item for item in deliveries if errors[item.id] is None),
            failed=tuple(item for item in deliveries if errors[item.id] is not None),
            unmeasured=tuple(rule.name for rule in self._rules if rule.name not in measured),
        )

    def silence(
        self,
        duration: float | timedelta,
        reason: str,
        *,
        rule: str | None = None,
        subject: str | None = None,
    ) -> Silence:
        """Tell nobody of some alerts for a while.

        Args:
            duration: seconds, or a timedelta.
            reason: the reason, for whoever wonders.
            rule: the name of the rule; by default all rules.
            subject: the service or part; by default all.

        Raises:
            ConfigurationError: there is no such rule.
            StorageUnavailable: it could not be stored.
        """
        names = [item.name for item in self._rules]
        if rule is not None and rule not in names:
            raise ConfigurationError(
                f"There is no alert rule {rule!r}.",
                path="rule",
                remedy=f"Use one of: {', '.join(names) or 'none'}.",
            )
        span = duration if isinstance(duration, timedelta) else timedelta(seconds=duration)
        silence = Silence(until=self._core.utc() + span, reason=reason, rule=rule, subject=subject)
        run_now(self._core.execute(AddSilence(silence), None))
        return silence

    def book(self) -> AlertBook:
        """Read the active alerts, the silences, and the notifications that were not sent yet."""
        book: AlertBook = self._execute(ReadAlerts())
        return book

    def _deliver(self, delivery: AlertDelivery) -> str | None:
        """Send a notification; return the name of the error's class, or None."""
        channel = self._channels.get(delivery.channel)
        if channel is None:
            # A configuration without the channel has replaced the one that it was for.
            channel = log_notification
        try:
            channel(delivery)
        except Exception as error:  # noqa: BLE001 - other channels go on, and it is told
            name = type(error).__name__
            LOGGER.error(
                "The channel %r did not take an alert (%s), which is sent again: %s",
                delivery.channel,
                name,
                delivery.notification.subject,
            )
            return name
        return None

    def _execute(self, command: Command[Any]) -> Any:
        """Execute a command in the store, or in this process's memory if it is unreachable."""
        try:
            answer = run_now(self._core.execute(command, _PATIENCE))
        except StorageUnavailable:
            now = self._core.nanoseconds() // 1000
            (self._local,), answer = command.apply((self._local,), now)
        return answer


def _figures_of(hub: Hub, rules: tuple[AlertRule, ...]) -> Callable[[FigureQuery], CallFigures]:
    """The figures of the metrics of a hub, or else of its integration log.

    Raises:
        ConfigurationError: a rule needs figures, and the hub has neither.
    """
    manager: Any = hub.manager
    ports = manager._ports  # noqa: SLF001 - a part of the same package
    utc = hub.manager.flows.core.utc
    if hub.metrics is not None:
        return partial(_from_metrics, hub.metrics, utc)
    log: Any = ports.log
    if hasattr(log, "summarise"):
        return partial(_from_log, log, utc)
    for rule in rules:
        if rule.when in FIGURES:
            raise ConfigurationError(
                f"The alert rule {rule.name!r} needs figures of calls, and the hub has neither"
                " metrics nor an integration log to read them from.",
                path="metrics.url",
                remedy="Configure [metrics], or give AlertRunner `figures`.",
            )
    # No rule asks for figures.
    return partial(_from_log, log, utc)


def _from_metrics(metrics: Any, utc: Callable[[], datetime], query: FigureQuery) -> CallFigures:
    """Figures of whole minutes, over all processes."""
    windows = metrics.figures(
        FiguresQuery(
            service=query.service,
            operation=query.operation,
            tenant=query.tenant,
            since=utc() - timedelta(seconds=query.window),
            until=utc() + timedelta(seconds=60),
            by=(),
        )
    )
    figures = added(item.figures for item in windows)
    rate, durations = figures.availability, figures.durations
    return CallFigures(
        calls=figures.calls,
        error_rate=None if rate is None else 1 - rate,
        p50=durations.percentile(50),
        p95=durations.percentile(95),
        p99=durations.percentile(99),
    )


def _from_log(log: Any, utc: Callable[[], datetime], query: FigureQuery) -> CallFigures:
    """Figures of the entries of an integration log."""
    summary = log.summarise(
        LogQuery(
            service=query.service,
            operation=query.operation,
            tenant=query.tenant,
            since=utc() - timedelta(seconds=query.window),
        )
    )
    rate = summary.success_rate
    return CallFigures(
        calls=summary.count,
        error_rate=None if rate is None else 1 - rate,
        p50=summary.p50,
        p95=summary.p95,
        p99=summary.p99,
    )
