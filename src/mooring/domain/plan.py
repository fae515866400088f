"""A service's configuration compiled for one tenant and endpoint: everything a call looks up.

What is not configured leaves no step behind: a plan without limits, circuit and budget has no
admission at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mooring.domain.admission import Admission, Gates
from mooring.domain.budget import BudgetRule
from mooring.domain.circuit import CircuitRule
from mooring.domain.durations import micros
from mooring.domain.http import Headers, Timeouts
from mooring.domain.keys import state_key
from mooring.domain.retry import RetryPolicy
from mooring.domain.service import INHERIT

if TYPE_CHECKING:
    from typing import Any

    from mooring.domain.service import Endpoint, Service

MARGIN: Final = 5.0
"""Seconds that a lease outlives the work it is for."""

ONCE: Final = RetryPolicy.none()


def _setting(service: Service, endpoint: Endpoint | None, name: str) -> Any:  # noqa: ANN401 - as each is
    own = INHERIT if endpoint is None else getattr(endpoint, name)
    return getattr(service, name) if own is INHERIT else own


class Plan:
    """How calls to one operation of one tenant are made. Immutable once built."""

    __slots__ = (
        "admission",
        "attempt_timeout",
        "base_url",
        "bulkhead",
        "bulkhead_key",
        "circuit",
        "circuit_key",
        "classify",
        "easy",
        "endpoint",
        "fallback",
        "gates",
        "headers",
        "hedge",
        "lease",
        "limit_wait",
        "operation",
        "question",
        "refresh_key",
        "repeatable",
        "request_transforms",
        "response_transforms",
        "retry",
        "service",
        "slow",
        "span",
        "tenant",
        "timeout",
        "timeouts",
    )

    def __init__(self, service: Service, tenant: str | None, endpoint: Endpoint | None) -> None:
        self.service = service
        self.tenant = tenant
        self.endpoint = endpoint
        self.operation = None if endpoint is None else endpoint.name
        self.base_url = service.base_url
        self.timeout: float = _setting(service, endpoint, "timeout")
        self.span = int(self.timeout * 1e9)
        attempt_timeout: float | None = _setting(service, endpoint, "attempt_timeout")
        self.attempt_timeout = attempt_timeout
        self.timeouts = Timeouts(total=attempt_timeout or self.timeout)
        self.retry: RetryPolicy = _setting(service, endpoint, "retry") or ONCE
        self.fallback = _setting(service, endpoint, "fallback")
        self.hedge = _setting(service, endpoint, "hedge")
        self.classify = service.classify
        self.headers = service.headers
        self.repeatable = None if endpoint is None else endpoint.idempotent
        self.request_transforms = service.request_transforms
        self.response_transforms = service.response_transforms
        if endpoint is not None:
            self.request_transforms += endpoint.request_transforms
            self.response_transforms = endpoint.response_transforms + self.response_transforms
        self.bulkhead = service.bulkhead
        self.bulkhead_key = state_key("bulkhead", service.name, tenant)
        self.refresh_key = state_key("refresh", service.name, tenant)
        self.lease = micros((attempt_timeout or self.timeout) + MARGIN)
        self.limit_wait = min(
            micros(self.timeout),
            micros(self.timeout if service.max_limit_wait is None else service.max_limit_wait),
        )
        self.gates = _gates(service, tenant, endpoint)
        self.circuit: CircuitRule | None = self.gates.circuit
        self.circuit_key = self.gates.circuit_key
        slow = None if self.circuit is None else self.circuit.config.slow_call
        self.slow = None if slow is None else micros(slow) * 1000
        self.question = Admission(
            self.gates,
            within=self.limit_wait,
            lease=self.lease,
            costs=(1 if endpoint is None else endpoint.cost,) * len(self.gates.limits),
        )
        self.easy = self.bulkhead is None and self.fallback is None and self.slow is None
        self.admission = self.question if self.question.keys else None

    def claim_key(self, key: str) -> str:
        """Where the claim of an idempotency key lives."""
        return state_key("key", self.service.name, self.tenant, key)


def _gates(service: Service, tenant: str | None, endpoint: Endpoint | None) -> Gates:
    name = service.name
    limits = [("", limit) for limit in service.limits]
    circuit_of = ""
    circuit = service.circuit
    if endpoint is not None:
        for _, limit in limits:
            limit.check_cost(endpoint.cost)
        limits += [(endpoint.name, limit) for limit in endpoint.limits]
        if endpoint.circuit is not INHERIT:
            circuit, circuit_of = endpoint.circuit, endpoint.name
        for limit in endpoint.limits:
            limit.check_cost(endpoint.cost)
    rule = None if circuit is None else CircuitRule(circuit)
    # A state is only readable by the rule that wrote it, so what shapes it is part of its name.
    return Gates(
        circuit=rule,
        circuit_key=state_key("circuit", name, tenant, circuit_of, rule.shape) if rule else "",
        limits=[limit.rule for _, limit in limits],
        limit_keys=[
            state_key("limit", name, tenant, of, limit.rule.shape, str(number))
            for number, (of, limit) in enumerate(limits)
        ],
        budget=None if service.retry_budget is None else BudgetRule(service.retry_budget),
        budget_key=state_key("budget", name, tenant),
    )


def with_idempotency_key(headers: Headers, service: Service, key: str | None) -> Headers:
    """The headers with the key where the vendor takes it."""
    if key is None or service.idempotency_header is None:
        return headers
    return headers.with_header(service.idempotency_header, key)
