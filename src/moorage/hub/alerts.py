"""Evaluation of alert rules and sending of notifications, by one process at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from moorage.domain.monitoring.alert_book import AlertBook, AlertDelivery
from moorage.domain.monitoring.alert_figures import CallFigures, FigureQuery
from moorage.domain.monitoring.alert_settings import AlertSettings, ChannelSettings
from moorage.domain.monitoring.alerts import (
    Alert,
    AlertNotice,
    AlertRule,
    Measurement,
    Notification,
    Severity,
    Silence,
)
from moorage.hub.alert_flows import AlertFlows, AlertRound
from moorage.hub.health import AsyncHealthMonitor, HealthMonitor
from moorage.runtime.flows import as_async, async_method, blocking_method, documented_by

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from threading import Event

    from moorage.hub.alert_channels import Channel
    from moorage.hub.hub import AsyncHub, Hub

__all__ = [
    "Alert",
    "AlertBook",
    "AlertDelivery",
    "AlertNotice",
    "AlertRound",
    "AlertRule",
    "AlertRunner",
    "AlertSettings",
    "AsyncAlertRunner",
    "CallFigures",
    "ChannelSettings",
    "FigureQuery",
    "Measurement",
    "Notification",
    "Severity",
    "Silence",
]


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
        monitor: the health monitor, for rules about health; by default a new one of the hub.
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
        monitor = monitor or HealthMonitor(hub)
        settings = settings or hub.alert_settings or AlertSettings()
        self._flows = AlertFlows(hub, settings, channels or {}, figures, as_async(monitor.recent))

    def run(
        self, stop: Event, *, on_result: Callable[[AlertRound], object] = lambda _: None
    ) -> None:
        """Evaluate the alert rules at intervals until `stop` is set.

        Args:
            stop: event that ends the method when it is set.
            on_result: receives the result of each round.
        """
        while not stop.is_set():
            on_result(self.evaluate())
            stop.wait(self._flows.every)

    measure = blocking_method(AlertFlows.measure)
    check = blocking_method(AlertFlows.check)
    evaluate = blocking_method(AlertFlows.evaluate)
    silence = blocking_method(AlertFlows.silence)
    book = blocking_method(AlertFlows.book)


class AsyncAlertRunner:
    """The asynchronous `AlertRunner`.

    Args:
        hub: the hub.
        settings: the rules and channels; by default those of the hub's configuration.
        channels: further channels by name: functions of an `AlertDelivery`, which raise an
            exception if they could not deliver it. The result of an asynchronous function is
            awaited.
        figures: returns the figures of some calls, or an awaitable of them; by default from the
            metrics of the hub, or else from its integration log.
        monitor: the health monitor, for rules about health; by default a new one of the hub.
    """

    def __init__(
        self,
        hub: AsyncHub,
        settings: AlertSettings | None = None,
        *,
        channels: dict[str, Channel] | None = None,
        figures: Callable[[FigureQuery], CallFigures | Awaitable[CallFigures]] | None = None,
        monitor: AsyncHealthMonitor | None = None,
    ) -> None:
        monitor = monitor or AsyncHealthMonitor(hub)
        settings = settings or hub.alert_settings or AlertSettings()
        self._flows = AlertFlows(hub, settings, channels or {}, figures, monitor.recent)

    @documented_by(AlertRunner.run)
    async def run(  # noqa: D102 - documented by its twin
        self, stop: asyncio.Event, *, on_result: Callable[[AlertRound], object] = lambda _: None
    ) -> None:
        while not stop.is_set():
            on_result(await self.evaluate())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._flows.every):
                    await stop.wait()

    measure = async_method(AlertFlows.measure)
    check = async_method(AlertFlows.check)
    evaluate = async_method(AlertFlows.evaluate)
    silence = async_method(AlertFlows.silence)
    book = async_method(AlertFlows.book)
