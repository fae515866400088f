"""Monitors that assess the health of a hub from its stores and by probing its services.

A monitor does nothing by itself: call `check`, or use the monitor as a context manager. Then a
thread (in an asynchronous program, a task) checks and probes until the block ends.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.observers.health_signals import HealthSignals
from moorage.domain.monitoring.health import (
    Backlog,
    Expiry,
    Health,
    HealthConcern,
    HealthPolicy,
    HealthReason,
    HealthState,
    ServiceHealth,
)
from moorage.domain.monitoring.probes import Probe
from moorage.domain.monitoring.settings import HealthSettings
from moorage.domain.values.durations import seconds
from moorage.errors import ConfigurationError
from moorage.hub.certificates import certificate_expiries
from moorage.hub.hub import AsyncHub, Hub
from moorage.hub.internals import core_of, flows_of, ports_of
from moorage.runtime.flows import async_method, blocking_method, run_now, step_async, step_sync
from moorage.runtime.signatures import with_arguments_of
from moorage.services.monitoring.health import HealthFlows, HealthSources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from moorage.domain.http.requests import Request
    from moorage.domain.observation.integration_log import LogPage, LogQuery
    from moorage.hub.inbox import AsyncWebhookInbox, WebhookInbox
    from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
    from moorage.hub.outbox import AsyncOutbox, Outbox
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.core.core import Core

__all__ = [
    "AsyncHealthMonitor",
    "Backlog",
    "Expiry",
    "Health",
    "HealthConcern",
    "HealthMonitor",
    "HealthPolicy",
    "HealthReason",
    "HealthSettings",
    "HealthSignals",
    "HealthState",
    "Probe",
    "ServiceHealth",
    "certificate_expiries",
]

_MOST_MISSED: Final = 3
"""Number of missed checks after which the stored health counts as unknown."""


class _Monitor:
    """The code that both health monitors share; none of its methods blocks or awaits."""

    _flows: HealthFlows
    _every: float

    def _connect(
        self,
        hub: Hub | AsyncHub | ConnectorManager | AsyncConnectorManager,
        queues: dict[str, Any],
        settings: HealthSettings | None,
        every: float | timedelta,
        *,
        tenant: str | None,
        make_step: Callable[[Callable[[], Any], Core], AttemptStep],
    ) -> None:
        accounts = hub if isinstance(hub, (Hub, AsyncHub)) else None
        manager: Any = hub if accounts is None else accounts.manager
        if settings is None:
            settings = None if accounts is None else accounts.health_settings
        settings = settings or HealthSettings()
        signals = _signals_of(manager)
        core: Core = core_of(manager)
        ports = ports_of(manager)
        self._every = seconds(every, "every")
        self._flows = HealthFlows(
            HealthSources(
                calling=lambda: flows_of(manager),
                step=lambda function: make_step(function, core),
                ping=partial(_ping, accounts),
                unsettled=None if accounts is None else lambda: accounts.unsettled,
                find_calls=_find_calls(ports.log),
                queues={
                    name: queue._flows  # noqa: SLF001 - a class of the same package
                    for name, queue in queues.items()
                    if queue is not None
                },
                signals=lambda: signals.read(core.utc()),
                policy=settings.policy,
                probes=settings.probes,
                expiries=settings.expiries,
                tenant=tenant,
                records_per_tenant=ports.records_per_tenant,
                separate_keys=ports.claims is not None and ports.claims is not ports.state,
            )
        )

    @property
    def health(self) -> Health:
        """Return the health at the last check, without reading anything.

        The health is unknown before the first check, and when checks have stopped.
        """
        return self._flows.current(_MOST_MISSED * self._every)


def _find_calls(log: Any) -> Callable[[LogQuery], Awaitable[LogPage]] | None:
    """Return an async function that reads a page of a log; None if the log cannot be read."""
    if not hasattr(log, "find"):
        return None

    async def find(query: LogQuery) -> LogPage:
        answer: Any = log.find(query)
        page: LogPage = await answer if isawaitable(answer) else answer
        return page

    return find


def _signals_of(manager: Any) -> HealthSignals:
    """Return the manager's observer of health problems, or a new empty one if it has none."""
    observers = ports_of(manager).observers
    return next(
        (observer for observer in observers if isinstance(observer, HealthSignals)),
        HealthSignals(),
    )


def _ping(hub: Hub | AsyncHub | None, service: str) -> Request | None:
    """Return a harmless request that tests an account's vendor; None if there is none."""
    if hub is None:
        return None
    try:
        return hub.account(service).vendor.ping()
    except ConfigurationError:
        return None


class HealthMonitor(_Monitor):
    """Assesses the health of a hub from its stores, and states a reason for each problem.

    Use it as a context manager, so that a thread checks and probes until the block ends; or call
    `check` yourself.

    Args:
        hub: the hub, or a manager.
        outbox, inbox: the queues to watch, if the program has any.
        settings: the rules, probes and expiries; by default those of the hub's configuration.
        every: seconds between two checks within the block.
        tenant: the tenant whose circuits, limits and number of idempotency records are read.
    """

    def __init__(
        self,
        hub: Hub | ConnectorManager,
        *,
        outbox: Outbox | None = None,
        inbox: WebhookInbox | None = None,
        settings: HealthSettings | None = None,
        every: float | timedelta = 10.0,
        tenant: str | None = None,
    ) -> None:
        queues = {"outbox": outbox, "inbox": inbox}
        self._connect(hub, queues, settings, every, tenant=tenant, make_step=step_sync)
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    check = blocking_method(HealthFlows.check)
    recent = blocking_method(HealthFlows.recent)
    probe = blocking_method(HealthFlows.probe)

    def __enter__(self) -> Self:
        self._begin()
        in_child(self, HealthMonitor._restart_thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        while self._threads:
            self._threads.pop().join()

    def _begin(self) -> None:
        self._stop = threading.Event()
        thread = threading.Thread(
            target=self._keep_checking, args=(self._stop,), name="moorage-health", daemon=True
        )
        start_thread(thread)
        self._threads = [thread]

    def _restart_thread(self) -> None:  # pragma: no cover - runs in forked children
        """Restart the monitor's thread in a forked child process."""
        if self._threads:
            self._begin()

    def _keep_checking(self, stop: threading.Event) -> None:
        while not stop.is_set():
            next_probe = run_now(self._flows.refresh())
            stop.wait(min(self._every, next_probe))


@with_arguments_of(HealthMonitor)
class AsyncHealthMonitor(_Monitor):
    """The asynchronous `HealthMonitor`, which runs in a task instead of a thread."""

    def __init__(
        self,
        hub: AsyncHub | AsyncConnectorManager,
        *,
        outbox: AsyncOutbox | None = None,
        inbox: AsyncWebhookInbox | None = None,
        settings: HealthSettings | None = None,
        every: float | timedelta = 10.0,
        tenant: str | None = None,
    ) -> None:
        queues = {"outbox": outbox, "inbox": inbox}
        self._connect(hub, queues, settings, every, tenant=tenant, make_step=step_async)
        self._tasks: list[asyncio.Task[None]] = []

    check = async_method(HealthFlows.check)
    recent = async_method(HealthFlows.recent)
    probe = async_method(HealthFlows.probe)

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep_checking()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            # Awaiting the task directly would confuse the cancellation of this caller with that of
            # the task.
            await asyncio.wait([task])

    async def _keep_checking(self) -> None:
        while True:
            next_probe = await self._flows.refresh()
            await asyncio.sleep(min(self._every, next_probe))
