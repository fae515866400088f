"""Reads the circuits, limits and retry budgets of every service, without changing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.resilience.admission import ReadCircuit
from moorage.domain.state.commands import reading, unchanged
from moorage.runtime.bridge import run_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.resilience.admission import Gates
    from moorage.domain.service.plan import Plan
    from moorage.domain.state.commands import States
    from moorage.hub.hub import Hub

_MICROS: Final = 1e6


class ReadLimits:
    """A store operation that reads each limit's wait in microseconds and the retry budget."""

    once = False
    durable = False

    def __init__(self, gates: Gates) -> None:
        self._limits, self._budget = gates.limits, gates.budget
        self.rules = (*self._limits, *((gates.budget,) if gates.budget else ()))
        self.keys = (*gates.limit_keys, *((gates.budget_key,) if gates.budget else ()))

    @reading
    def apply(self, states: States, now: int, /) -> tuple[States, tuple[tuple[int, ...], bool]]:
        """Return the waits, and whether the retry budget allows a retry."""
        waits: list[int] = []
        for rule, state in zip(self._limits, states, strict=False):
            present = rule.present(state, now)
            waits.append(max(0, rule.earliest(present, 1, present[0]) - present[0]))
        budget = self._budget
        retries = budget is None or budget.retry(budget.present(states[-1], now)) is not None
        return unchanged(self.rules, states, now), (tuple(waits), retries)


def service_statuses(hub: Hub, tenant: str | None) -> list[dict[str, Any]]:
    """Return the status of each service, with a row for each region."""
    plans = hub.manager.flows.plans
    return [
        {"service": name, "region": region, **_read(hub, plan)}
        for name in plans.services
        for region, plan in _regions(plans.find(name, tenant, None))
    ]


def _regions(plan: Plan) -> Iterator[tuple[str | None, Plan]]:
    if plan.regions:
        yield from plan.regions.items()
    else:
        yield None, plan


def _read(hub: Hub, plan: Plan) -> dict[str, Any]:
    gates, execute = plan.gates, hub.manager.flows.core.execute
    status: dict[str, Any] = {"circuit": None, "retry_after": None, "failures": None, "calls": None}
    if gates.circuit is not None:
        circuit = run_now(execute(ReadCircuit(gates.circuit, gates.circuit_key), None))
        status = {
            "circuit": circuit.state.value,
            "retry_after": circuit.retry_after,
            "failures": circuit.failures,
            "calls": circuit.calls,
        }
    waits: tuple[int, ...] = ()
    retries = True
    if gates.limits or gates.budget is not None:
        waits, retries = run_now(execute(ReadLimits(gates), None))
    return {**status, "limits": [wait / _MICROS for wait in waits], "retries": retries}
