"""Operations that read a hub's health from its stores, and probe its vendors."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.idempotency.claims import ReadRecord
from moorage.domain.idempotency.tenant_records import CountRecords
from moorage.domain.monitoring.alert_book import ReadAlerts
from moorage.domain.monitoring.assessment import as_of, assess_health, unreadable_health
from moorage.domain.monitoring.health import Backlog, Health, HealthState
from moorage.domain.monitoring.probes import (
    due_probes,
    initial_state,
    probe_problem,
    reading_of,
    state_after,
)
from moorage.domain.monitoring.readings import HealthReadings, ServiceReading, TenantRecordsReading
from moorage.domain.state.keys import state_key
from moorage.errors import ConfigurationError, ConnectorError, StorageUnavailable
from moorage.services.monitoring.probing import make_probe
from moorage.services.monitoring.service_status import plans_of, service_status
from moorage.services.monitoring.unknown_calls import unknown_calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.domain.http.requests import Request
    from moorage.domain.monitoring.health import Expiry, HealthPolicy
    from moorage.domain.monitoring.probes import Probe, ProbeState
    from moorage.domain.monitoring.readings import Signals
    from moorage.domain.observation.integration_log import LogPage, LogQuery
    from moorage.domain.state.commands import Command
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.steps import CallOperations
    from moorage.services.contracts.unsettled_payments import UnsettledFlows
    from moorage.services.entries.processing import EntryProcessing
    from moorage.services.monitoring.service_status import ServiceStatus

_TIMEOUT: Final = 2.0
"""Seconds that the store of shared state may take to respond to a health check."""
_MOST_CONCURRENT: Final = 16
_STATE: Final = "state"
_KEYS: Final = "claims"
_TEST_COMMAND: Final = ReadRecord(state_key("health", "moorage", None, "check"))
"""A command that only a reachable store of idempotency keys can execute."""


@attrs.frozen(kw_only=True)
class HealthSources:
    """The objects of an application from which its health is read.

    Attributes:
        calling: returns the current flows of calls.
        step: converts a function to a step of a call.
        ping: returns the harmless request of a service, if its vendor has one.
        unsettled: the register of payments; None without one.
        find_calls: returns a page of the integration log; None without a log that can be read.
        queues: outbox and inbox, by name.
        signals: returns the problems that events of this process have reported.
        policy: the rules of the assessment.
        probes: the probes.
        expiries: certificates and secrets whose end is known.
        tenant: the tenant whose circuits, limits and number of idempotency records are read.
        records_per_tenant: the bound of a tenant's idempotency records; None without one.
        separate_keys: True if idempotency keys have a store of their own.
    """

    calling: Callable[[], CallOperations]
    step: Callable[[Callable[[], object]], AttemptStep]
    ping: Callable[[str], Request | None]
    unsettled: Callable[[], UnsettledFlows] | None
    find_calls: Callable[[LogQuery], Awaitable[LogPage]] | None
    queues: Mapping[str, EntryProcessing[Any]]
    signals: Callable[[], Signals]
    policy: HealthPolicy
    probes: tuple[Probe, ...]
    expiries: tuple[Expiry, ...]
    tenant: str | None
    records_per_tenant: int | None
    separate_keys: bool = False


class HealthFlows:
    """Reads the health of a hub from its stores, and runs its probes.

    Args:
        sources: the parts whose health is read.

    Attributes:
        health: the health at the last check; unknown before the first.
    """

    def __init__(self, sources: HealthSources) -> None:
        self._sources = sources
        self.core = sources.calling().core
        self._requests = {probe.service: self._request(probe) for probe in sources.probes}
        now = self._now()
        self._states: dict[str, ProbeState] = {
            probe.service: initial_state(probe, now, self.core.fraction())
            for probe in sources.probes
        }
        self.health = Health(at=self.core.utc(), state=HealthState.UNKNOWN)

    def current(self, longest_age: float) -> Health:
        """Return the health at the last check; unknown if it is older than `longest_age`."""
        return as_of(self.health, self.core.utc(), longest_age)

    async def recent(self, longest_age: float = 10.0) -> Health:
        """Return the last health; check again if it is older than `longest_age` seconds."""
        health = self.current(longest_age)
        return health if health.state is not HealthState.UNKNOWN else await self.check()

    def _seconds_until_probe(self) -> float:
        """Return the seconds until the next probe is due; infinite if there are no probes."""
        now = self._now()
        return min((max(0.0, state.due - now) for state in self._states.values()), default=inf)

    def _now(self) -> float:
        return self.core.nanoseconds() / 1e9

    def _request(self, probe: Probe) -> Request | None:
        """Return the request that a probe sends, after checking it."""
        services = self._sources.calling().plans.services
        if probe.service not in services:
            raise _unknown_service(probe, services)
        ping = self._sources.ping(probe.service)
        problem = probe_problem(
            services[probe.service],
            probe.request,
            has_function=probe.function is not None,
            is_pinged=ping is not None,
        )
        if problem is not None:
            raise ConfigurationError(
                problem.found, path=f"probes.{problem.path}", remedy=problem.remedy
            )
        return None if probe.function is not None else probe.request or ping

    async def check(self) -> Health:
        """Read the state of stores, services and tokens, and return the resulting health.

        The result is also stored as `health`; others can read it without waiting.
        """
        sources = self._sources
        signals = sources.signals()
        outages = dict(signals.outages)
        problem = keys_problem = await self._store_problem(
            ReadAlerts() if sources.separate_keys else _TEST_COMMAND
        )
        problems = {_STATE: problem}
        if sources.separate_keys:
            problems[_KEYS] = keys_problem = await self._store_problem(_TEST_COMMAND)
        for store, outage in problems.items():
            if outage is None:
                outages.pop(store, None)
            else:
                outages[store] = outage
        probes = {
            probe.service: reading_of(probe, self._states[probe.service])
            for probe in sources.probes
        }
        calling = sources.calling()
        services = [
            attrs.evolve(
                await self._service(plan, problem),
                probe=probes.get(plan.service.name),
                token=signals.tokens.get(plan.service.name),
            )
            for plan in plans_of(calling, sources.tenant)
        ]
        readings = HealthReadings(
            services=tuple(services),
            queues={name: await _backlog(queue) for name, queue in sources.queues.items()},
            separate_keys=sources.separate_keys,
            unsettled=0 if keys_problem else await self._count_unsettled(),
            unknown_keys=0 if keys_problem else await self._count_unknown_keys(),
            outages=outages,
            lost_entries=signals.lost_entries,
            expiries=sources.expiries,
            records=await self._count_records(signals.near_bound),
        )
        self.health = assess_health(readings, self.core.utc(), sources.policy)
        return self.health

    async def probe(self, *, everything: bool = False) -> tuple[str, ...]:
        """Send the probes that are due, concurrently; return the names of the probed services.

        Args:
            everything: True to make all probes, even those that are not due.
        """
        sources = self._sources
        probes = (
            sources.probes if everything else due_probes(sources.probes, self._states, self._now())
        )
        if probes:
            steps = [partial(self._probe, probe) for probe in probes]
            await self.core.run_all(steps, at_once=_MOST_CONCURRENT)
        return tuple(probe.service for probe in probes)

    async def refresh(self) -> float:
        """Send the due probes and assess the health; after a failure the health is unknown.

        Returns:
            The seconds until the next probe is due; infinite without probes, and after a failure,
                so that due probes which cannot be made are not tried again at once.
        """
        try:
            await self.probe()
            await self.check()
        except Exception as error:  # noqa: BLE001 - the monitor continues, and shows the failure
            self.health = unreadable_health(error, self.core.utc())
            return inf
        return self._seconds_until_probe()

    async def _probe(self, probe: Probe) -> None:
        sources, core, name = self._sources, self.core, probe.service
        calling = sources.calling()
        services = calling.plans.services
        error: Exception | None
        if name in services:
            request = self._requests[name]
            error = await make_probe(calling, probe, request, sources.step, sources.tenant)
        else:
            # The configuration was reloaded, and no longer contains this service.
            error = _unknown_service(probe, services)
        state = state_after(probe, self._states[name], error, self._now(), core.fraction())
        self._states[name] = state

    async def _store_problem(self, read: Command[Any]) -> str | None:
        """Return why a store does not answer a command that reads; None if it answers."""
        try:
            await self.core.execute(read, _TIMEOUT)
        except StorageUnavailable as error:
            return error.message
        return None

    async def _service(self, plan: Any, problem: str | None) -> ServiceReading:
        if problem is None:
            try:
                status = await service_status(self.core, plan, _TIMEOUT)
            except StorageUnavailable as error:
                problem = error.message
            else:
                return _service_reading(status, self._sources.tenant)
        return ServiceReading(service=plan.service.name, region=plan.region, problem=problem)

    async def _count_unsettled(self) -> int:
        if self._sources.unsettled is None:
            return 0
        try:
            payments = await self._sources.unsettled().unsettled()
        except StorageUnavailable:
            # A store that holds only claims leaves the register to the store of limits.
            return 0
        return sum(payment.wait == 0 for payment in payments)

    async def _count_unknown_keys(self) -> int:
        sources = self._sources
        if sources.find_calls is None:
            return 0
        try:
            return len(await unknown_calls(sources.calling(), sources.find_calls, _TIMEOUT))
        except ConnectorError:
            # An unreadable log tells nothing about the keys.
            return 0

    async def _count_records(
        self, near_bound: Mapping[str, TenantRecordsReading]
    ) -> dict[str, TenantRecordsReading]:
        """Return the number of each tenant's records, or the number from the last count.

        The tenant of this check is always counted: another process may have reached its bound.
        """
        sources = self._sources
        records: dict[str, TenantRecordsReading] = {}
        readings = dict(near_bound)
        if sources.tenant is not None and sources.records_per_tenant is not None:
            unknown = TenantRecordsReading(used=0, bound=sources.records_per_tenant)
            readings.setdefault(sources.tenant, unknown)
        for tenant, reading in readings.items():
            records[tenant] = reading
            with suppress(StorageUnavailable):
                record_count = await self.core.execute(CountRecords(tenant), _TIMEOUT)
                records[tenant] = attrs.evolve(reading, used=record_count)
        return records


def _unknown_service(probe: Probe, services: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"The service {probe.service!r}, which is to be probed, is not configured.",
        path="probes.service",
        remedy=f"Use one of: {', '.join(sorted(services)) or 'none'}.",
    )


def _service_reading(status: ServiceStatus, tenant: str | None) -> ServiceReading:
    circuit = status.circuit
    return ServiceReading(
        service=status.service,
        region=status.region,
        tenant=tenant,
        circuit=None if circuit is None else circuit.state.value,
        retry_after=None if circuit is None else circuit.retry_after,
        failures=None if circuit is None else circuit.failures,
        waits=tuple(limit.wait for limit in status.limits),
        pause=max((limit.paused for limit in status.limits), default=0.0),
        retries=status.budget is None or status.budget.allows,
    )


async def _backlog(queue: EntryProcessing[Any]) -> Backlog:
    try:
        return await queue.backlog()
    except StorageUnavailable as error:
        return Backlog(problem=error.message)
