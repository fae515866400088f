"""A plan: a service's configuration compiled for one tenant and endpoint, as calls need it.

A protection that is not configured leaves no step behind: a plan without limits, circuit and budget
has no admission at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.auth.methods import tells_in_query
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.budget import BudgetRule
from moorage.domain.resilience.circuit import CircuitRule
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.settings import INHERIT
from moorage.domain.state.keys import state_key
from moorage.domain.values.durations import FOREVER, micros

if TYPE_CHECKING:
    from typing import Any

    from moorage.domain.http.requests import Request, Timeouts
    from moorage.domain.service.cache_policy import CachePolicy
    from moorage.domain.service.region import Region
    from moorage.domain.service.settings import Endpoint, Fallback, HedgeConfig, Service

AFTERWARDS: Final = 0.5
"""Seconds for a store to be told how a call ended, once its deadline is over."""

MARGIN: Final = 5.0
"""Seconds that a lease outlives the work it is for."""

ONCE: Final = RetryPolicy.none()


def _setting(service: Service, endpoint: Endpoint | None, name: str) -> Any:
    setting = INHERIT if endpoint is None else getattr(endpoint, name)
    return getattr(service, name) if setting is INHERIT else setting


class Plan:
    """The compiled settings for calls to one operation of one tenant. Immutable once built.

    Attributes:
        span, seconds: the time for a whole call, in nanoseconds and in seconds.
        timeouts: the time limits of one attempt.
        patience, limit_wait: the longest wait for a limit in microseconds; the latter within
        `span`.
        question: the admission command that an attempt sends first.
        attempt_timeout: the seconds for one attempt, if it has a limit of its own.
        admission: the same as `question`, or None if nothing could refuse.
        slow: the nanoseconds from which on an answer counts as slow.
        easy: whether the fast path may make an attempt itself.
        plain: whether a request needs no port before it is sent, and its answer is judged by its
            status alone.
        dresses: whether headers or credentials are added to a request.
        timeouts_at_first: the time limits of the attempt that begins with its call.
        repeatable: whether repeating is harmless, if the endpoint says so.
        region: the name of the region that the plan is for, if any.
        regions: for a service in several regions, the plan of each, by name; this plan is then for
            none of them.
        target: the name of the vendor and account in idempotency claims.
        cache: the cache policy, if answers are cached.
        cache_wait: the seconds to wait for the cache; 0 if no endpoint of the service has a cache,
            so that not even a write needs to invalidate it.
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

    def claim_key(self, key: str, turn: int = 0) -> str:
        """The key of the state of an idempotency claim; each round of its effect has its own."""
        again = (str(turn),) if turn else ()
        return state_key("key", self.service.name, self.tenant, key, *again)


def _cache_wait(service: Service, endpoint_policy: CachePolicy | None) -> float:
    policy = endpoint_policy or service.cache or service.endpoint_cache
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
    """Return whether sending a request twice has the effect of sending it once."""
    return request.repeatable if plan.repeatable is None else plan.repeatable


def with_defaults(request: Request, plan: Plan) -> Request:
    """The request with the service's headers added where it has none of its own."""
    headers = request.headers
    for name, value in plan.headers.pairs:
        headers = headers.with_default(name, value)
    return request if headers is request.headers else request.carrying(headers)


def with_idempotency_key(request: Request, plan: Plan, key: str | None) -> Request:
    """The request with the idempotency key in the vendor's header."""
    name = plan.service.idempotency_header
    return request if key is None or name is None else request.with_header(name, key)
