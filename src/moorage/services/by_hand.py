"""What a person or a program asks by hand: of circuits, and of keys whose outcome is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.admission import ReadCircuit, Resume, SetCircuit
from moorage.domain.durations import SECOND, micros
from moorage.domain.events import CircuitChanged, PauseEnded
from moorage.domain.idempotency import Resolve, checked_key
from moorage.errors import ConfigurationError
from moorage.services.answers import sealed
from moorage.services.call import Call
from moorage.services.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.circuit import CircuitBreakerState, CircuitRule, CircuitState
    from moorage.domain.plan import Plan
    from moorage.domain.service import Service
    from moorage.services.core import Core


class ByHand:
    """The flows of a manager that call nobody."""

    def __init__(self, core: Core, services: Iterable[Service]) -> None:
        self.core = core
        self.plans = Plans(core, services)

    async def circuit_state(
        self,
        service: str,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> CircuitBreakerState:
        """What the circuit of a service knows now; of one region, if it has several."""
        with self.plans.named(service, endpoint):
            plan, rule = self._with_circuit(service, tenant, endpoint, region)
            return await self.core.execute(ReadCircuit(rule, plan.gates.circuit_key), None)  # type: ignore[no-any-return]  # as it says

    async def set_circuit(
        self,
        service: str,
        state: CircuitState,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> None:
        """Set a circuit by hand: closed (a reset), forced open, or disabled.

        Forced open, the circuit of one region sends all calls to the others.
        """
        core = self.core
        with self.plans.named(service, endpoint):
            plan, rule = self._with_circuit(service, tenant, endpoint, region)
            await core.execute(SetCircuit(rule, plan.gates.circuit_key, state), None)
        if core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            core.tell(CircuitChanged(**call.told(core), state=state))

    async def reset_limits(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> float:
        """End the pause that an answer of the vendor imposed on a service's limits.

        What was granted stays granted, and no tokens come back.

        Args:
            service: the service whose limits.
            tenant: whose limits, if each tenant has some of its own.
            endpoint: the endpoint whose limits to reset besides the service's.

        Returns:
            Seconds that the pause would have gone on; 0.0 if there was none.
        """
        core = self.core
        with self.plans.named(service, endpoint):
            plan = self.plans.find(service, tenant, endpoint)
            if not plan.gates.limits:
                raise ConfigurationError(
                    "there is no limit.",
                    path="limits",
                    remedy="Configure one with RateLimitConfig.per_second(10).",
                )
            remaining = await core.execute(Resume(plan.gates), None) / SECOND
        if remaining and core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            core.tell(PauseEnded(**call.told(core), remaining=remaining))
        return remaining  # type: ignore[no-any-return]  # as Resume says

    async def resolve_key(
        self,
        service: str,
        idempotency_key: str,
        *,
        done: bool,
        answer: object = None,
        tenant: str | None = None,
    ) -> bool:
        """Settle a key whose outcome is unknown, after looking it up at the vendor.

        Args:
            service: the service that was called under the key.
            idempotency_key: the key.
            done: whether it happened. If not, the key may be used again; while the request may
                still be under way, that is refused.
            answer: what repeats of the key are to get: a Response if it was a request's.
            tenant: whose key it is.

        Returns:
            Whether there was an unknown key to settle.
        """
        with self.plans.named(service, None):
            plan = self.plans.find(service, tenant, None)
            at = plan.claim_key(checked_key(idempotency_key))
            stored = ("value", self.core.copy(answer)) if done else None
            resolve = Resolve(
                at,
                done=done,
                ttl=micros(plan.service.idempotency_ttl),
                answer=stored and sealed(self.core.cipher, plan, idempotency_key, stored),
            )
            return await self.core.execute(resolve, None)  # type: ignore[no-any-return]  # as Resolve says

    def _with_circuit(
        self, service: str, tenant: str | None, endpoint: str | None, region: str | None
    ) -> tuple[Plan, CircuitRule]:
        plan = self.plans.find(service, tenant, endpoint)
        if plan.regions or region is not None:
            plan = _in_region(plan, region)
        rule = plan.gates.circuit
        if rule is None:
            raise ConfigurationError(
                "there is no circuit.",
                path="circuit",
                remedy="Configure one with CircuitBreakerConfig().",
            )
        return plan, rule


def _in_region(plan: Plan, region: str | None) -> Plan:
    if region in plan.regions:
        return plan.regions[region]
    known = ", ".join(plan.regions)
    raise ConfigurationError(
        "each region has a circuit." if region is None else f"there is no region {region!r}.",
        path="region",
        remedy=f"Name one of: {known}." if known else "Leave the region out.",
    )
