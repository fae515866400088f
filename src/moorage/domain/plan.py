"""A service's configuration compiled for one tenant and endpoint: everything a call looks up.

What is not configured leaves no step behind: a plan without limits, circuit and budget has no
admission at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.admission import Admission, Gates
from moorage.domain.auth import tells_in_query
from moorage.domain.budget import BudgetRule
from moorage.domain.circuit import CircuitRule
from moorage.domain.durations import FOREVER, micros
from moorage.domain.keys import state_key
from moorage.domain.retry import RetryPolicy
from moorage.domain.service import INHERIT

if TYPE_CHECKING:
    from typing import Any

    from moorage.domain.cache_policy import CachePolicy
    from moorage.domain.http import Request, Timeouts
    from moorage.domain.region import Region
    from moorage.domain.service import Endpoint, Fallback, HedgeConfig, Service

AFTERWARDS: Final = 0.5
"""Seconds for a store to be told how a call ended, once its deadline is over."""

MARGIN: Final = 5.0
"""Seconds that a lease outlives the work it is for."""

ONCE: Final = RetryPolicy.none()


def _setting(service: Service, endpoint: Endpoint | None, name: str) -> Any:
    own = INHERIT if endpoint is None else getattr(endpoint, name)
    return getattr(service, name) if own is INHERIT else own


class Plan:
    """How calls to one operation of one tenant are made. Immutable once built.

    Attributes:
        span, seconds: nanoseconds for a whole call, and the same in seconds.
        timeouts: what one attempt may take.
        patience, limit_wait: microseconds to wait for a limit at most; the latter within `span`.
        question: what an attempt asks before it leaves.
        attempt_timeout: seconds for one attempt, where it has a bound of its own.
        admission: the same, or None if nothing could answer no.
        slow: nanoseconds from which on an answer counts as slow.
        easy: whether a face may make an attempt itself while all is calm.
        plain: whether nothing happens to a request but what needs no port, and its answer is
            judged by its status alone.
        dresses: whether a request is given headers, or says who we are.
        timeouts_at_first: what the attempt may take that begins with its call.
        repeatable: whether repeating is harmless, where the endpoint says so.
        region: the name of the region that it is for, if it is for one.
        regions: for a service in several places, the plan of each, by name; this one is then for
            none of them.
        target: what a claim calls whoever it is sent to.
        cache: how answers are kept, if they are.
        cache_wait: seconds to wait for the cache; 0 if no answers of the service are kept, so that
            not even a write has to do with it.
    """

    __slots__ = (
        "admission",
        "attempt_timeout",
        "base_url",
        "bulkhead",
        "bulkhead_key",
        "cache",
        "cache_wait",
        "classify",
        "credentials",
        "dresses",
        "easy",
        "fallback",
        "gates",
        "headers",
        "hedge",
        "limit_wait",
        "operation",
        "patience",
        "plain",
        "question",
        "refresh_key",
        "region",
        "regions",
        "repeatable",
        "request_transforms",
        "response_transforms",
        "retry",
        "seconds",
        "service",
        "slow",
        "span",
        "target",
        "tenant",
        "timeouts",
        "timeouts_at_first",
    )

    def __init__(
        self,
        service: Service,
        tenant: str | None,
        endpoint: Endpoint | None,
        region: Region | None = None,
    ) -> None:
        timeout: float = _setting(service, endpoint, "timeout")
        self.attempt_timeout: float | None = _setting(service, endpoint, "attempt_timeout")
        attempt = self.attempt_timeout or timeout
        self.service = service
        self.tenant = tenant
        self.operation = None if endpoint is None else endpoint.name
        self.base_url = service.base_url
        self.credentials = service.credentials
        self.region: str | None = None
        self.regions: dict[str, Plan] = {}
        self.target = service.name
        if region is not None:
            self.base_url = region.base_url
            self.credentials = region.credentials or service.credentials
            self.region = region.name
            self.target = f"{service.name}@{region.name}"
        else:
            for each in service.regions:
                self.regions[each.name] = Plan(service, tenant, endpoint, each)
        self.span = int(timeout * 1e9)
        self.seconds = timeout
        steps: Timeouts = _setting(service, endpoint, "timeouts")
        self.timeouts = attrs.evolve(steps, total=attempt)
        self.timeouts_at_first = self.timeouts.within(timeout)
        self.retry: RetryPolicy = _setting(service, endpoint, "retry") or ONCE
        self.fallback: Fallback | None = _setting(service, endpoint, "fallback")
        self.hedge: HedgeConfig | None = _setting(service, endpoint, "hedge")
        self.cache: CachePolicy | None = _setting(service, endpoint, "cache")
        self.cache_wait = _cache_wait(service, self.cache)
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
        self.gates = _gates(service, tenant, endpoint, self.region)
        slow = None if self.gates.circuit is None else self.gates.circuit.config.slow_call
        self.slow = None if slow is None else micros(slow) * 1000
        self.question = Admission(
            self.gates,
            within=self.limit_wait,
            lease=micros(attempt + MARGIN),
            costs=(1 if endpoint is None else endpoint.cost,) * len(self.gates.limits),
        )
        self.admission = self.question if self.question.keys else None
        self.easy = not self.regions and all(
            setting is None
            for setting in (self.bulkhead, self.fallback, self.slow, self.attempt_timeout)
        )
        self.dresses = bool(self.headers) or self.credentials is not None
        self.plain = not any(
            (
                self.base_url is None,
                self.cache_wait,
                self.classify,
                self.hedge,
                self.request_transforms,
                self.response_transforms,
                service.needs_credentials,
                self.credentials is not None and tells_in_query(self.credentials),
            )
        )

    def claim_key(self, key: str) -> str:
        """Where the claim of an idempotency key lives."""
        return state_key("key", self.service.name, self.tenant, key)


def _cache_wait(service: Service, own: CachePolicy | None) -> float:
    policy = own or service.cache or service.endpoint_cache
    return 0.0 if policy is None else policy.max_wait


def _gates(
    service: Service, tenant: str | None, endpoint: Endpoint | None, region: str | None
) -> Gates:
    name = service.name
    limits = [("", limit) for limit in service.limits]
    circuit_of = ""
    circuit = service.circuit
    if endpoint is not None:
        limits += [(endpoint.name, limit) for limit in endpoint.limits]
        if endpoint.circuit is not INHERIT:
            circuit, circuit_of = endpoint.circuit, endpoint.name
    rule = None if circuit is None else CircuitRule(circuit)
    where = () if region is None else (region,)
    # A state is only readable by the rule that wrote it, so what shapes it is part of its name.
    return Gates(
        circuit=rule,
        circuit_key=state_key("circuit", name, tenant, circuit_of, rule.shape, *where)
        if rule
        else "",
        limits=[limit.rule for _, limit in limits],
        limit_keys=[
            state_key("limit", name, tenant, of, limit.rule.shape, str(number))
            for number, (of, limit) in enumerate(limits)
        ],
        shares=[limit.share for _, limit in limits],
        budget=None if service.retry_budget is None else BudgetRule(service.retry_budget),
        budget_key=state_key("budget", name, tenant),
    )


def is_repeatable(plan: Plan, request: Request) -> bool:
    """Whether doing what a request asks for twice does what doing it once does."""
    return request.repeatable if plan.repeatable is None else plan.repeatable


def with_defaults(request: Request, plan: Plan) -> Request:
    """The request with the service's headers where it has none of its own."""
    headers = request.headers
    for name, value in plan.headers.pairs:
        headers = headers.with_default(name, value)
    return request if headers is request.headers else request.carrying(headers)


def with_idempotency_key(request: Request, plan: Plan, key: str | None) -> Request:
    """The request with the key where the vendor takes it."""
    name = plan.service.idempotency_header
    return request if key is None or name is None else request.with_header(name, key)
