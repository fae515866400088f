"""The steps of an alert runner, written once for synchronous and asynchronous hubs."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.domain.monitoring.alert_book import (
    AddSilence,
    AlertBook,
    AlertDelivery,
    EvaluateAlerts,
    ReadAlerts,
    SettleDeliveries,
    state_of,
)
from moorage.domain.monitoring.alert_conditions import FIGURES
from moorage.domain.monitoring.alert_figures import (
    CallFigures,
    FigureQuery,
    figure_queries,
    from_figures,
    from_health,
)
from moorage.domain.monitoring.alerts import AlertRule, Measurement, Silence
from moorage.domain.observation.figures import (
    MINUTE,
    FiguresQuery,
    sum_of_figures,
    window_start,
)
from moorage.domain.observation.integration_log import LogQuery
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.durations import micros, seconds
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable
from moorage.hub.alert_channels import LOGGER, await_if_needed, log_notification, open_channel
from moorage.hub.internals import core_of, ports_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from moorage.domain.monitoring.alert_settings import AlertSettings
    from moorage.domain.monitoring.health import Health
    from moorage.domain.state.commands import Command, State
    from moorage.hub.alert_channels import Channel
    from moorage.hub.hub import AsyncHub, Hub
    from moorage.services.core.core import Core

    Figures: TypeAlias = Callable[[FigureQuery], CallFigures | Awaitable[CallFigures]]

_LEASES: Final = 3
"""Number of intervals after which another process takes over the evaluation of the alert rules."""
_TIMEOUT: Final = 2.0


@attrs.frozen(kw_only=True)
class AlertRound:
    """The result of one evaluation of all alert rules.

    Attributes:
        evaluated: False if another process is evaluating the rules at present.
        delivered: the notifications that a channel accepted.
        failed: the notifications that a channel refused; they are sent again in the next round.
        unmeasured: the names of the rules that could not be measured.
    """

    evaluated: bool
    delivered: tuple[AlertDelivery, ...] = ()
    failed: tuple[AlertDelivery, ...] = ()
    unmeasured: tuple[str, ...] = ()


class AlertFlows:
    """Measures and evaluates alert rules, and sends notifications.

    Attributes:
        rules: the rules.
        every: seconds between two evaluations.
        channels: the channels by name.
        figures: returns the figures of some calls.
        recent: returns the current health, for rules about health.
    """

    def __init__(
        self,
        hub: Hub | AsyncHub,
        settings: AlertSettings,
        channels: dict[str, Channel],
        figures: Figures | None,
        recent: Callable[[], Awaitable[Health]],
    ) -> None:
        self.rules = settings.rules
        self.every = settings.every
        self.channels: dict[str, Channel] = {
            name: open_channel(hub, channel) for name, channel in settings.channels.items()
        }
        self.channels |= channels
        if not self.channels:
            self.channels["log"] = log_notification
        self.figures = figures or figures_of(hub, self.rules)
        self.recent = recent
        self._core: Core = core_of(hub.manager)
        self._owner: int = self._core.token()
        self._local: State | None = None

    async def measure(self) -> dict[str, tuple[Measurement, ...]]:
        """Measure all alert rules; log and omit rules whose measurement fails for any reason."""
        measurements: dict[str, tuple[Measurement, ...]] = {}
        health = None
        for rule in self.rules:
            try:
                if rule.when not in FIGURES:
                    health = health or await self.recent()
                    measurements[rule.name] = from_health(rule, health)
                    continue
                figures = [
                    await await_if_needed(self.figures(query)) for query in figure_queries(rule)
                ]
            except Exception as error:
                if is_interruption(error):
                    raise
                # The text of a foreign exception may contain a secret.
                cause = error if isinstance(error, ConnectorError) else f"{type(error).__name__}."
                LOGGER.warning("The alert rule %r cannot be measured: %s", rule.name, cause)
                continue
            measurements[rule.name] = (from_figures(rule, tuple(figures)),)
        return measurements

    async def check(self) -> list[tuple[AlertRule, Measurement, bool]]:
        """Measure all alert rules and return which are active, without sending notifications."""
        measurements = await self.measure()
        return [
            (rule, measurement, rule.is_active(measurement.value, firing=False))
            for rule in self.rules
            for measurement in measurements.get(rule.name, ())
        ]

    async def evaluate(self) -> AlertRound:
        """Measure and evaluate all alert rules once, and send the notifications that are due."""
        measurements = await self.measure()
        command = EvaluateAlerts(
            self.rules,
            measurements,
            tuple(self.channels),
            self._core.utc(),
            owner=self._owner,
            lease=micros(_LEASES * self.every),
        )
        deliveries: tuple[AlertDelivery, ...] | None
        is_shared = True
        try:
            deliveries = await self._core.execute(command, _TIMEOUT)
        except StorageUnavailable:
            is_shared, deliveries = False, self._execute_in_memory(command)
        errors = {delivery.id: await self._deliver(delivery) for delivery in deliveries or ()}
        if is_shared:
            await self._end_shared_round(errors, is_own=deliveries is not None)
        else:
            self._execute_in_memory(SettleDeliveries(errors))
        if deliveries is None:
            return AlertRound(evaluated=False)
        return AlertRound(
            evaluated=True,
            delivered=tuple(item for item in deliveries if errors[item.id] is None),
            failed=tuple(item for item in deliveries if errors[item.id] is not None),
            unmeasured=tuple(rule.name for rule in self.rules if rule.name not in measurements),
        )

    async def silence(
        self,
        duration: float | timedelta,
        reason: str,
        *,
        rule: str | None = None,
        subject: str | None = None,
    ) -> Silence:
        """Silence some alerts for a while, so that no notifications about them are sent.

        Args:
            duration: seconds, or a timedelta.
            reason: the reason, which lists of silences show.
            rule: the name of the rule; by default all rules.
            subject: the service or component; by default all.

        Raises:
            ConfigurationError: there is no such rule, or the duration is not a positive number.
            StorageUnavailable: the silence could not be stored.
        """
        names = [item.name for item in self.rules]
        if rule is not None and rule not in names:
            raise ConfigurationError(
                f"There is no alert rule {rule!r}.",
                path="rule",
                remedy=f"Use one of: {', '.join(names) or 'none'}.",
            )
        span = timedelta(seconds=seconds(duration, "duration"))
        silence = Silence(until=self._core.utc() + span, reason=reason, rule=rule, subject=subject)
        await self._core.execute(AddSilence(silence), None)
        return silence

    async def book(self) -> AlertBook:
        """Read the active alerts, the silences and the pending notifications."""
        alert_book: AlertBook
        try:
            alert_book = await self._core.execute(ReadAlerts(), _TIMEOUT)
        except StorageUnavailable:
            alert_book = self._execute_in_memory(ReadAlerts())
        return alert_book

    async def _deliver(self, delivery: AlertDelivery) -> str | None:
        """Send a notification; return the class name of the error if it fails, otherwise None."""
        channel = self.channels.get(delivery.channel)
        if channel is None:
            # The channel of this notification was removed from the configuration by a reload.
            channel = log_notification
        try:
            await await_if_needed(channel(delivery))
        except Exception as error:
            # Other channels continue after another error, which the result contains.
            if is_interruption(error):
                raise
            name = type(error).__name__
            LOGGER.error(
                "The channel %r could not deliver an alert (%s), which will be sent again: %s",
                delivery.channel,
                name,
                delivery.notification.subject,
            )
            return name
        return None

    async def _end_shared_round(self, errors: Mapping[str, str | None], *, is_own: bool) -> None:
        """Settle deliveries in the store, and copy the store's state of alerting to memory.

        An evaluation during an outage of the store then starts from its alerts and silences.

        Args:
            errors: the name of the error of each delivery by its id; None if it succeeded.
            is_own: False if another process evaluates the rules, and so sends the notifications.
        """
        with suppress(StorageUnavailable):
            if errors:
                await self._core.execute(SettleDeliveries(errors), _TIMEOUT)
            book: AlertBook = await self._core.execute(ReadAlerts(), _TIMEOUT)
            self._local = state_of(book if is_own else attrs.evolve(book, outgoing=()))

    def _execute_in_memory(self, command: Command[Any]) -> Any:
        """Run a command on this process's own state of alerting, as the store is unreachable."""
        micros_now = self._core.nanoseconds() // 1000
        (self._local,), answer = command.apply((self._local,), micros_now)
        return answer


def figures_of(hub: Hub | AsyncHub, rules: tuple[AlertRule, ...]) -> Figures:
    """Return a function that gets the call figures for alert rules, from the metrics or the log.

    Raises:
        ConfigurationError: a rule needs figures, and the hub has neither metrics nor a log.
    """
    utc = core_of(hub.manager).utc
    if hub.metrics is not None:
        return partial(_from_metrics, hub.metrics, utc)
    log: Any = ports_of(hub.manager).log
    if hasattr(log, "summarise"):
        return partial(_from_log, log, utc)
    for rule in rules:
        if rule.when in FIGURES:
            raise ConfigurationError(
                f"The alert rule {rule.name!r} needs metrics of calls, but the hub has neither"
                " metrics nor an integration log.",
                path="metrics.url",
                remedy="Configure [metrics], or give AlertRunner `figures`.",
            )
    # No rule needs the figures of calls.
    return partial(_from_log, log, utc)


async def _from_metrics(
    metrics: Any, utc: Callable[[], datetime], query: FigureQuery
) -> CallFigures:
    """Return the call figures of all processes, from the stored metrics.

    Metrics are stored by the minute. The minute in which the query's window begins counts as a
    whole, so that no call of the window is missing.
    """
    start = window_start(utc() - timedelta(seconds=query.window), MINUTE)
    windows = await await_if_needed(
        metrics.figures(
            FiguresQuery(
                service=query.service,
                operation=query.operation,
                tenant=query.tenant,
                since=start,
                until=utc() + timedelta(seconds=60),
                by=(),
            )
        )
    )
    figures = sum_of_figures(item.figures for item in windows)
    rate, durations = figures.availability, figures.durations
    return CallFigures(
        calls=figures.calls,
        error_rate=None if rate is None else 1 - rate,
        p50=durations.percentile(50),
        p90=durations.percentile(90),
        p95=durations.percentile(95),
        p99=durations.percentile(99),
    )


async def _from_log(log: Any, utc: Callable[[], datetime], query: FigureQuery) -> CallFigures:
    """Return the metrics of calls that follow from the entries of an integration log."""
    summary = await await_if_needed(
        log.summarise(
            LogQuery(
                service=query.service,
                operation=query.operation,
                tenant=query.tenant,
                since=utc() - timedelta(seconds=query.window),
            )
        )
    )
    rate = summary.success_rate
    return CallFigures(
        calls=summary.count,
        error_rate=None if rate is None else 1 - rate,
        p50=summary.p50,
        p90=summary.p90,
        p95=summary.p95,
        p99=summary.p99,
    )
