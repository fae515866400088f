"""A service's configuration compiled for one tenant and endpoint: everything a call looks up.

What is not configured leaves no step behind: a plan without limits, circuit and budget has no
admission at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mooring.domain.admission import Admission, Gates
from mooring.domain.budget import BudgetRule
from mooring.domain.circuit import CircuitRule
from mooring.domain.durations import FOREVER, micros
from mooring.domain.http import Headers, Timeouts
from mooring.domain.keys import state_key
from mooring.domain.retry import RetryPolicy
from mooring.domain.service import INHERIT

if TYPE_CHECKING:
    from typing import Any

    from mooring.domain.service import Endpoint, Fallback, HedgeConfig, Service

MARGIN: Final = 5.0
"""Seconds that a lease outlives the work it is for."""

ONCE: Final = RetryPolicy.none()


def _setting(service: Service, endpoint: Endpoint | None, name: str) -> Any:  # noqa: ANN401 - as each is
    own = INHERIT if endpoint is None else getattr(endpoint, name)
    return getattr(service, name) if own is INHERIT else own


class Plan:
    """How calls to one operation of one tenant are made. Immutable once built.

    Attributes:
        span: nanoseconds for a whole call.
        timeouts: what one attempt may take.
        patience, limit_wait: microseconds to wait for a limit at most; the latter within `span`.
        question: what an attempt asks before it leaves.
        attempt_timeout: seconds for one attempt, where it has a bound of its own.
        admission: the same, or None if nothing could answer no.
        slow: nanoseconds from which on an answer counts as slow.
        easy: whether a face may call a function itself while all is calm.
        repeatable: whether repeating is harmless, where the endpoint says so.
    """

    __slots__ = (
        "admission",
        "attempt_timeout",
        "base_url",
        "bulkhead",
        "bulkhead_key",
        "classify",
        "easy",
        "fallback",
        "gates",
        "headers",
        "hedge",
        "limit_wait",
        "operation",
        "patience",
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
        "timeouts",
    )

    def __init__(self, service: Service, tenant: str | None, endpoint: Endpoint | None) -> None:
        timeout: float = _setting(service, endpoint, "timeout")
        self.attempt_timeout: float | None = _setting(service, endpoint, "attempt_timeout")
        attempt = self.attempt_timeout or timeout
        self.service = service
        self.tenant = tenant
        self.operation = None if endpoint is None else endpoint.name
        self.base_url = service.base_url
        self.span = int(timeout * 1e9)
        self.timeouts = Timeouts(total=attempt)
        self.retry: RetryPolicy = _setting(service, endpoint, "retry") or ONCE
        self.fallback: Fallback | None = _setting(service, endpoint, "fallback")
        self.hedge: HedgeConfig | None = _setting(service, endpoint, "hedge")
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
        wait = service.max_limit_wait
        self.patience = FOREVER if wait is None else micros(wait)
        self.limit_wait = min(micros(timeout), self.patience)
        self.gates = _gates(service, tenant, endpoint)
        slow = None if self.gates.circuit is None else self.gates.circuit.config.slow_call
        self.slow = None if slow is None else micros(slow) * 1000
        self.question = Admission(
            self.gates,
            within=self.limit_wait,
            lease=micros(attempt + MARGIN),
            costs=(1 if endpoint is None else endpoint.cost,) * len(self.gates.limits),
        )
        self.admission = self.question if self.question.keys else None
        self.easy = all(
            setting is None
            for setting in (self.bulkhead, self.fallback, self.slow, self.attempt_timeout)
        )

    def claim_key(self, key: str) -> str:
        """Where the claim of an idempotency key lives."""
        return state_key("key", self.service.name, self.tenant, key)


def _gates(service: Service, tenant: str | None, endpoint: Endpoint | None) -> Gates:
    name = service.name
    limits = [("", limit) for limit in service.limits]
    circuit_of = ""
    circuit = service.circuit
    if endpoint is not None:
        limits += [(endpoint.name, limit) for limit in endpoint.limits]
        if endpoint.circuit is not INHERIT:
            circuit, circuit_of = endpoint.circuit, endpoint.name
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
