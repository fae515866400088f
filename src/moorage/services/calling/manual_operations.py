"""Manual operations: reading and setting circuits, resetting limits, and settling keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.http.requests import Response
from moorage.domain.idempotency.claims import Resolve, checked_key
from moorage.domain.observation.events import CircuitChanged, PauseEnded
from moorage.domain.resilience.admission import ReadCircuit, Resume, SetCircuit
from moorage.domain.values.durations import SECOND, micros
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, InvalidData
from moorage.services.calling.answers import sealed
from moorage.services.calling.call import Call
from moorage.services.calling.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.resilience.circuit import CircuitBreakerState, CircuitRule, CircuitState
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import Service
    from moorage.services.core.core import Core


class ManualOperations:
    """The manual operations of a manager, which send nothing to a service.

    Attributes:
        of_requests: services that receive only requests, so that the answer of a key is a Response.
    """

    of_requests: frozenset[str] = frozenset()

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
        """Return the state of a service's circuit, or of one region if it has several."""
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
        """Set a circuit manually: closed (a reset), forced open, or disabled.

        If the circuit of one region is forced open, all calls go to the other regions.
        """
        core = self.core
        with self.plans.named(service, endpoint):
            plan, rule = self._with_circuit(service, tenant, endpoint, region)
            await core.execute(SetCircuit(rule, plan.gates.circuit_key, state), None)
        if core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            core.tell(CircuitChanged(**call.event_fields(core), state=state))

    async def reset_limits(
        self, service: str, *, tenant: str | None = None, endpoint: str | None = None
    ) -> float:
        """End the pause that a vendor's answer imposed on a service's limits.

        Granted calls stay granted, and no tokens are returned.

        Args:
            service: name of the service.
            tenant: tenant whose limits to reset, if tenants have separate limits.
            endpoint: endpoint whose limits to reset in addition to the service's.

        Returns:
            Seconds that remained of the pause; 0.0 if there was none.
        """
        core = self.core
        with self.plans.named(service, endpoint):
            plan = self.plans.find(service, tenant, endpoint)
            if not plan.gates.limits:
                raise ConfigurationError(
                    "The service has no rate limit.",
                    path="limits",
                    remedy="Configure one with RateLimitConfig.per_second(10).",
                )
            remaining = await core.execute(Resume(plan.gates), None) / SECOND
        if remaining and core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            core.tell(PauseEnded(**call.event_fields(core), remaining=remaining))
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
            service: service that was called under the key.
            idempotency_key: the key.
            done: True if the effect happened. False releases the key for use; that is refused while
                the request may still be in progress.
            answer: answer that repeats of the key get; a Response if the key belongs to a request.
            tenant: tenant of the key.

        Returns:
            True if this settled the key. False if nothing was changed: the key was never used or
            has expired, its answer is stored already (perhaps by `settle_payments`), a call is
            using it, or, with `done=False`, its request may still be in progress.

        Raises:
            InvalidData: the key belongs to a request, and the answer is not a Response.
        """
        if done and service in self.of_requests and not isinstance(answer, Response):
            raise InvalidData(
                f"The answer of a key of {service} must be a Response, not"
                f" {with_article(type(answer).__name__)}: the service receives only requests.",
                field="answer",
                service=service,
                remedy="Close a payment with `hub.close_payment`, which takes the payment; or give"
                " the Response that the vendor sent.",
            )
        with self.plans.named(service, None):
            plan = self.plans.find(service, tenant, None)
            claim_key = plan.claim_key(checked_key(idempotency_key))
            stored = ("value", self.core.copy(answer)) if done else None
            resolve = Resolve(
                claim_key,
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
                "The service has no circuit breaker.",
                path="circuit",
                remedy="Configure one with CircuitBreakerConfig().",
            )
        return plan, rule


def _in_region(plan: Plan, region: str | None) -> Plan:
    if region in plan.regions:
        return plan.regions[region]
    regions = ", ".join(plan.regions)
    raise ConfigurationError(
        "Each region has a circuit of its own."
        if region is None
        else f"There is no region {region!r}.",
        path="region",
        remedy=f"Name one of: {regions}." if regions else "Leave the region out.",
    )
