"""Manual operations of a manager: set circuits, reset limits, settle idempotency keys."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.domain.http.requests import Response
from moorage.domain.idempotency.claims import Resolve, checked_key
from moorage.domain.observation.events import CircuitChanged, PauseEnded
from moorage.domain.resilience.circuit import CircuitState, joint_state, mode_to_force
from moorage.domain.resilience.gate_commands import ReadCircuit, Resume, SetCircuit
from moorage.domain.service.plan import circuit_name
from moorage.domain.values.durations import SECOND, micros
from moorage.domain.values.frozen_values import as_dict, frozen
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, StorageUnavailable
from moorage.services.calling.admission import execute_for_parts
from moorage.services.calling.answers import seal_answer
from moorage.services.calling.call import Call
from moorage.services.calling.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.domain.resilience.circuit import CircuitBreakerState, CircuitRule
    from moorage.domain.service.plan import Plan
    from moorage.domain.service.settings import Service
    from moorage.services.core.core import Core


R = TypeVar("R")

_CIRCUIT_ACTS: Final = {
    CircuitState.FORCED_OPEN: "circuit.open",
    CircuitState.DISABLED: "circuit.close",
    CircuitState.CLOSED: "circuit.reset",
}


@frozen(kw_only=True)
class ManualAct:
    """A user's manual action, as the audit trail records it.

    Attributes:
        act: the name of the act, such as "circuit.open".
        subject: the object of the action.
        actor: the person; None for the user of the operating system.
        reason: the reason that the person gave.
        before, after: the state before and after the action: plain values by name.
    """

    act: str
    subject: str
    actor: str | None
    reason: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


async def perform_recorded(core: Core, act: ManualAct, perform: Callable[[], Awaitable[R]]) -> R:
    """Record an action in the audit trail, then perform it; record a failure as well.

    Raises:
        ConnectorError: the action could not be recorded, and was not carried out.
    """
    record = core.audit
    if record is None:
        return await perform()
    fields = as_dict(act)
    await record(**fields)
    try:
        return await perform()
    except Exception as error:
        failure_fields = {
            **fields,
            "act": f"{act.act}.failed",
            "after": {"error": type(error).__name__},
        }
        with suppress(ConnectorError):
            await record(**failure_fields)
        raise


class ManualOperations:
    """The manual operations of a manager, which send nothing to a service.

    Attributes:
        of_requests: services that receive only requests, so that the result under a key is a
            Response.
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
        """Return the state of a service's circuit, or of one region if it has several.

        If the service's limits are in parts, it is the joint state of all parts' circuits.
        """
        with self.plans.named(service, endpoint):
            plan, rule = self._with_circuit(service, tenant, endpoint, region)
            return await read_circuit(self.core, rule, plan)

    async def set_circuit(
        self,
        service: str,
        state: CircuitState,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> None:
        """Set a circuit manually: closed (a reset), forced open, or disabled.

        If the circuit of one region is forced open, all calls go to the other regions.

        Args:
            service: name of the service.
            state: new state.
            tenant: tenant whose circuit to set, if tenants have separate circuits.
            endpoint: endpoint whose circuit to set, if it has its own.
            region: region whose circuit to set, if the service has several.
            actor: person who performs the action, for the audit trail; by default the system's
                user.
            reason: reason for the audit trail.

        Raises:
            StorageUnavailable: a store or the audit trail is not available; nothing was changed.
        """
        core = self.core
        with self.plans.named(service, endpoint):
            mode_to_force(state)
            plan, rule = self._with_circuit(service, tenant, endpoint, region)
            state_before = None
            if core.audit is not None:
                # If the store of one part is unreachable, the other parts must still be changed.
                with suppress(StorageUnavailable):
                    state_before = {"state": (await read_circuit(core, rule, plan)).state.value}
            manual_act = ManualAct(
                act=_CIRCUIT_ACTS.get(state, "circuit.set"),
                subject=_subject("circuit of", service, tenant, endpoint, region),
                actor=actor,
                reason=reason,
                before=state_before,
                after={"state": CircuitState(state).value},
            )

            commands = [
                SetCircuit(rule, part.gates.circuit_key, state) for part in plan.parts or (plan,)
            ]
            await perform_recorded(core, manual_act, lambda: execute_for_parts(core, commands))
        if core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            circuit = circuit_name(plan)
            call.emit(core, CircuitChanged, state=state, circuit=circuit, by_hand=True)

    async def reset_limits(
        self,
        service: str,
        *,
        tenant: str | None = None,
        endpoint: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> float:
        """End the pause of a service's rate limits that a vendor's response caused.

        Granted calls stay granted, and no tokens are returned.

        Args:
            service: name of the service.
            tenant: tenant whose limits to reset, if tenants have separate limits.
            endpoint: endpoint whose limits to reset in addition to the service's.
            actor: person who performs the action, for the audit trail; by default the system's
                user.
            reason: reason for the audit trail.

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
                    remedy="Set a rate limit, such as RateLimitConfig.per_second(10).",
                )
            manual_act = ManualAct(
                act="limits.reset",
                subject=_subject("limits of", service, tenant, endpoint),
                actor=actor,
                reason=reason,
            )

            commands = [Resume(part.gates) for part in plan.parts or (plan,)]
            pauses = await perform_recorded(
                core, manual_act, lambda: execute_for_parts(core, commands)
            )
            remaining = max(pauses) / SECOND
        if remaining and core.observers:
            call = Call(plan, core.nanoseconds(), plan.span)
            call.emit(core, PauseEnded, remaining=remaining)
        return remaining

    async def resolve_key(
        self,
        service: str,
        idempotency_key: str,
        *,
        done: bool,
        answer: object = None,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> bool:
        """Settle an idempotency key whose outcome you have looked up at the vendor.

        Args:
            service: service that was called under the key.
            idempotency_key: the key.
            done: True if the effect happened. False releases the key for use; that is refused while
                the request may still be in progress.
            answer: result that repeats of the key get; a Response if the key belongs to a request.
            tenant: tenant of the key.
            actor: person who performs the action, for the audit trail; by default the system's
                user.
            reason: reason for the audit trail.

        Returns:
            True if this settled the key. False if nothing was changed: the key was never used or
            has expired, its result is stored already (perhaps by `settle_payments`), a call is
            using it, or, with `done=False`, its request may still be in progress.

        Raises:
            InvalidData: the key belongs to a request, and `answer` is not a Response.
        """
        if done and service in self.of_requests and not isinstance(answer, Response):
            raise InvalidData(
                f"The answer for an idempotency key of {service} must be a Response, not"
                f" {with_article(type(answer).__name__)}, because moorage sends requests to"
                " this service.",
                field="answer",
                service=service,
                remedy="Pass the Response that the vendor sent. To close a payment, call"
                " `hub.close_payment`, which takes a receipt.",
            )
        with self.plans.named(service, None):
            plan = self.plans.find(service, tenant, None)
            claim_key = plan.claim_key(checked_key(idempotency_key))
            stored_answer = ("value", self.core.copy(answer)) if done else None
            resolve = Resolve(
                claim_key,
                done=done,
                ttl=micros(plan.service.idempotency_ttl),
                answer=stored_answer
                and seal_answer(self.core.cipher, plan, idempotency_key, stored_answer),
            )
            manual_act = ManualAct(
                act="key.resolve",
                subject=_subject(f"key {idempotency_key} of", service, tenant),
                actor=actor,
                reason=reason,
                after={"done": done},
            )
            core = self.core
            return await perform_recorded(core, manual_act, lambda: core.execute(resolve, None))

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
                remedy="Set one with CircuitBreakerConfig().",
            )
        return plan, rule


async def read_circuit(
    core: Core, rule: CircuitRule, plan: Plan, timeout: float | None = None
) -> CircuitBreakerState:
    """Read a plan's circuit; if the plan is split into parts, return their combined state."""
    return joint_state(
        [
            await core.execute(ReadCircuit(rule, part.gates.circuit_key), timeout)
            for part in plan.parts or (plan,)
        ]
    )


def _subject(kind: str, *parts: str | None) -> str:
    """Return the name of an object in the audit trail, such as "circuit of vat/acme"."""
    return f"{kind} {'/'.join(part for part in parts if part)}"


def _in_region(plan: Plan, region: str | None) -> Plan:
    if isinstance(region, str) and region in plan.regions:
        return plan.regions[region]
    regions = ", ".join(plan.regions)
    raise ConfigurationError(
        "The service has a separate circuit breaker for each region, and no region is named."
        if region is None
        else f"The service has no region {region!r}.",
        path="region",
        remedy=f"Name one of: {regions}." if regions else "Leave the region out.",
    )
