"""Reads the state of each service's circuits, rate limits and retry budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.resilience.quota import CalendarQuota
from moorage.domain.state.commands import refusing_unreadable_states, with_times_moved_back
from moorage.services.calling.manual_operations import read_circuit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.domain.resilience.admission import Gates
    from moorage.domain.resilience.circuit import CircuitBreakerState
    from moorage.domain.resilience.rate_limit import Rule
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import States
    from moorage.services.calling.manual_operations import ManualOperations
    from moorage.services.core.core import Core

_MICROS: Final = 1e6
_UNITS: Final = (("second", 1.0), ("minute", 60.0), ("hour", 3_600.0), ("day", 86_400.0))


@attrs.frozen(kw_only=True)
class LimitStatus:
    """The current state of a rate limit.

    Attributes:
        name: the allowed number of calls, such as "10 per 1 s".
        wait: seconds that the next call waits for the limit; the average over the parts of a limit
            in parts.
        paused: seconds that remain of a pause that the vendor asked for; 0 without a pause.
        left: calls that are left of the present calendar day or month, or tokens if the limit is a
            budget of tokens; None for other limits.
    """

    name: str
    wait: float
    paused: float
    left: int | None = None


@attrs.frozen(kw_only=True)
class BudgetStatus:
    """The current state of a retry budget.

    Attributes:
        calls, retries: counts of the current period.
        allows: whether another retry is allowed.
        period: length of a period in seconds.
    """

    calls: int
    retries: int
    allows: bool
    period: float


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """The current state of a service's protections.

    A protection that the service lacks is None or empty.

    Attributes:
        service: name of the service.
        region: name of the region, if the service has several.
        circuit: the circuit.
        limits: the rate limits.
        budget: the retry budget.
    """

    service: str
    region: str | None
    circuit: CircuitBreakerState | None
    limits: tuple[LimitStatus, ...]
    budget: BudgetStatus | None


class ReadLimits:
    """A command that reads a service's limits and retry budget, without changing them."""

    once = False
    durable = False

    def __init__(self, gates: Gates, names: tuple[str, ...]) -> None:
        self._limits, self._budget, self._names = gates.limits, gates.budget, names
        self.rules = (*self._limits, *((gates.budget,) if gates.budget else ()))
        self.keys = (*gates.limit_keys, *((gates.budget_key,) if gates.budget else ()))

    @refusing_unreadable_states
    def apply(
        self, states: States, now: int, /
    ) -> tuple[States, tuple[tuple[LimitStatus, ...], BudgetStatus | None]]:
        """Return the state of each rate limit, and of the retry budget if one is set."""
        limits: list[LimitStatus] = []
        for rule, state, name in zip(self._limits, states, self._names, strict=False):
            limit_state = rule.present(state, now)
            wait = max(0, rule.earliest(limit_state, 1, limit_state[0]) - limit_state[0])
            pause_left = rule.paused(limit_state)
            limits.append(
                LimitStatus(
                    name=name,
                    wait=wait / _MICROS,
                    paused=pause_left / _MICROS,
                    left=rule.left(limit_state) if isinstance(rule, CalendarQuota) else None,
                )
            )
        budget = None
        if self._budget is not None:
            budget_state = self._budget.present(states[-1], now)
            budget = BudgetStatus(
                calls=budget_state[3],
                retries=budget_state[4],
                allows=self._budget.count_retry(budget_state) is not None,
                period=self._budget.period / _MICROS,
            )
        return with_times_moved_back(self.rules, states, now), (tuple(limits), budget)


def plans_of(
    operations: ManualOperations, tenant: str | None, services: tuple[str, ...] | None = None
) -> Iterator[Plan]:
    """Yield the plan of each service, or one plan per region if a service has regions.

    Args:
        operations: the flows that calls go through.
        tenant: the tenant that the plans belong to.
        services: the names of the services; by default all.
    """
    plans = operations.plans
    for name in plans.services if services is None else services:
        plan = plans.find(name, tenant, None)
        if plan.regions:
            yield from plan.regions.values()
        else:
            yield plan


async def service_status(core: Core, plan: Plan, timeout: float | None = None) -> ServiceStatus:
    """Read the state of a service, or of one of its regions.

    Args:
        core: the ports.
        plan: the plan of the service or region.
        timeout: seconds that the store may take for each reply; by default the store's own limit.

    Raises:
        StorageUnavailable: the store does not respond.
    """
    gates = plan.gates
    circuit: CircuitBreakerState | None = None
    limits: tuple[LimitStatus, ...] = ()
    budget: BudgetStatus | None = None
    if gates.circuit is not None:
        circuit = await read_circuit(core, gates.circuit, plan, timeout)
    if gates.limits or gates.budget is not None:
        names = tuple(_limit_name(limit.rule) for limit in plan.service.limits)
        limits, budget = _joint_limits(
            [
                await core.execute(ReadLimits(part.gates, names), timeout)
                for part in plan.parts or (plan,)
            ]
        )
    return ServiceStatus(
        service=plan.service.name,
        region=plan.region,
        circuit=circuit,
        limits=limits,
        budget=budget,
    )


def _joint_limits(
    parts: list[tuple[tuple[LimitStatus, ...], BudgetStatus | None]],
) -> tuple[tuple[LimitStatus, ...], BudgetStatus | None]:
    """Return the combined state of limits and a retry budget, from the states of their parts."""
    if len(parts) == 1:
        return parts[0]
    limits = tuple(
        LimitStatus(
            name=states[0].name,
            wait=sum(state.wait for state in states) / len(states),
            paused=max(state.paused for state in states),
            left=_joint_left(states),
        )
        for states in zip(*(limits for limits, _ in parts), strict=True)
    )
    budgets = [budget for _, budget in parts if budget is not None]
    if not budgets:
        return limits, None
    return limits, BudgetStatus(
        calls=sum(budget.calls for budget in budgets),
        retries=sum(budget.retries for budget in budgets),
        allows=any(budget.allows for budget in budgets),
        period=budgets[0].period,
    )


def _joint_left(states: Iterable[LimitStatus]) -> int | None:
    """Return the calls that all parts of a limit have left; None if it has no calendar period."""
    left = [state.left for state in states if state.left is not None]
    return sum(left) if left else None


def _limit_name(rule: Rule) -> str:
    """Return the name of a limit: its rate per unit of time, and its burst."""
    if isinstance(rule, CalendarQuota):
        return f"{rule.burst} per calendar {'month' if rule.monthly else 'day'}"
    bucket: Any = rule  # the only other kind of limit
    rate = bucket.n / bucket.price * _MICROS
    unit, seconds = next((unit for unit in _UNITS if rate * unit[1] >= 1), _UNITS[-1])
    return f"{rate * seconds:g} per {unit}, {bucket.burst} at once"
