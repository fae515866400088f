"""The plan of calls: a service's settings compiled for one tenant and endpoint.

A protection that is not configured costs nothing: a plan without limits, circuit and budget has no
admission at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.auth.methods import authorise, needs_flow
from moorage.domain.http.headers import Headers
from moorage.domain.http.log_content import LoggedCalls
from moorage.domain.http.requests import Request
from moorage.domain.http.urls import origin_of
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.budget import BudgetRule
from moorage.domain.resilience.circuit import CircuitRule
from moorage.domain.resilience.rate_limit import common_parts, limit_names
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.settings import INHERIT
from moorage.domain.state.keys import key_prefix_of, own_key_in, part_key, state_key
from moorage.domain.values.durations import FOREVER, micros
from moorage.domain.values.frozen_values import evolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.http.requests import Timeouts
    from moorage.domain.http.urls import Origin
    from moorage.domain.resilience.admission import Admitted
    from moorage.domain.resilience.rate_limit import RateLimitConfig
    from moorage.domain.service.cache_policy import CachePolicy
    from moorage.domain.service.region import Region
    from moorage.domain.service.settings import Endpoint, Fallback, HedgeConfig, Service

    Ask: TypeAlias = Callable[[Admission, float | None], Admitted]
    Slots: TypeAlias = "tuple[Callable[[str, object, int], bool], Callable[[str, object], None]]"

AFTERWARDS: Final = 0.5
"""Seconds for recording a call's end in a store after the call's deadline."""

MARGIN: Final = 5.0
"""Seconds by which a lease outlasts the work that it protects."""

ONCE: Final = RetryPolicy.none()

SLACK: Final = 6
"""A share of two to the power of minus six may be missing from the time of a first attempt."""


def _setting(service: Service, endpoint: Endpoint | None, name: str) -> Any:
    setting = INHERIT if endpoint is None else getattr(endpoint, name)
    return getattr(service, name) if setting is INHERIT else setting


class Plan:
    """The compiled settings for calls of one tenant to one endpoint.

    They never change once a call uses them.

    Attributes:
        ask: runs `admission` or `admission_at_once` in the manager's store, for every tenant; None
            if the store has to be awaited.
        span, seconds: the time for a whole call, in nanoseconds and in seconds.
        timeouts: the time limits of one attempt.
        patience, limit_wait: the longest wait for a limit in microseconds; the latter within
        `span`.
        home: the beginning of its states' keys, made of service and tenant.
        question: the admission command that an attempt sends first.
        attempt_timeout: the seconds for one attempt, if it has a limit of its own.
        admission: the same as `question`, or None if nothing could refuse.
        admission_at_once: the same for an attempt that is not to wait, which is granted nothing
            that it would have to wait for.
        slack: the nanoseconds that may be missing from the time of a first attempt.
        slow: the nanoseconds after which a response counts as slow.
        easy: whether the fast path may make an attempt itself.
        parts: for limits in parts, the plans of all parts, of which each call draws one; this plan
            is then that of the first part or another. Each part has its own circuit and budget.
        slots: the functions that acquire and release a slot of the bulkhead without waiting, for
            every tenant; None without a bulkhead, or if the locks may have to wait.
        plain: whether a request needs no port before it is sent except the credential provider,
            its response is judged by its status alone, and neither is stored.
        provided: whether the credentials of each request come from the credential provider.
        dresses: whether headers or credentials are added to a request.
        fixed_headers: the headers of the service and of its fixed credentials, unless these are in
            the query or sign each request.
        timeouts_at_first: the time limits of the attempt that begins with its call.
        repeatable: whether repeating is safe, if the endpoint states it.
        host: the host of `base_url`.
        route: the path of the endpoint, with names in braces.
        region: the name of the region that the plan is for, if any.
        regions: for a service in several regions, the plan of each, by name; this plan is then for
            none of them.
        target: the name of the service, its region and the host that its requests go to, in
            idempotency claims.
        cache: the cache policy, if responses are cached.
        log_content: the requests and responses that the integration log stores, if any.
        cache_wait: the seconds to wait for the cache; 0 if no endpoint of the service has a cache,
            so that not even a write needs to invalidate it.
    """

    __slots__ = (
        "admission",
        "admission_at_once",
        "ask",
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
        "fixed_headers",
        "gates",
        "headers",
        "hedge",
        "home",
        "host",
        "limit_wait",
        "log_content",
        "operation",
        "parts",
        "patience",
        "plain",
        "provided",
        "question",
        "refresh_key",
        "region",
        "regions",
        "repeatable",
        "request_transforms",
        "response_transforms",
        "retry",
        "route",
        "seconds",
        "service",
        "slack",
        "slots",
        "slow",
        "span",
        "target",
        "tenant",
        "timeouts",
        "timeouts_at_first",
    )

    def __init__(  # noqa: PLR0915 - one attribute a line
        self,
        service: Service,
        tenant: str | None,
        endpoint: Endpoint | None,
        region: Region | None = None,
        part: int = 0,
    ) -> None:
        self.ask: Ask | None = None
        self.slots: Slots | None = None
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
        if region is not None:
            self.base_url = region.base_url
            self.credentials = region.credentials or service.credentials
            self.region = region.name
        else:
            for item in service.regions:
                self.regions[item.name] = Plan(service, tenant, endpoint, item, part)
        origin = None if self.base_url is None else origin_of(self.base_url)
        self.host = None if origin is None else origin[1]
        self.target = _target(service.name, self.region, origin)
        self.route = None if endpoint is None else endpoint.path
        self.span = int(timeout * 1e9)
        self.seconds = timeout
        self.slack = int(min(attempt, timeout) * 1e9) >> SLACK
        steps: Timeouts = _setting(service, endpoint, "timeouts")
        self.timeouts = evolve(steps, total=attempt)
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
        self.home = key_prefix_of(service.name, tenant)
        self.refresh_key = state_key("refresh", service.name, tenant)
        wait = service.max_limit_wait
        self.patience = FOREVER if wait is None else micros(wait)
        self.limit_wait = min(micros(timeout), self.patience)
        self.gates = _gates_of(service, tenant, endpoint, self.region, part)
        cost = 1 if endpoint is None else endpoint.cost
        parts = _parts_of(service)
        if parts > 1:
            for limit in _limits_of(service, endpoint):
                limit.check_cost(cost)
        slow_threshold = None if self.gates.circuit is None else self.gates.circuit.config.slow_call
        self.slow = None if slow_threshold is None else micros(slow_threshold) * 1000
        self.question = Admission(
            self.gates,
            within=self.limit_wait,
            lease=micros(attempt + MARGIN),
            costs=(cost,) * len(self.gates.limits),
        )
        is_asking = bool(self.question.keys)
        self.admission: Admission | None = self.question if is_asking else None
        self.admission_at_once: Admission | None = (
            self.question.evolve(within=0) if is_asking else None
        )
        adaptive_limit = None if self.bulkhead is None else self.bulkhead.adaptive
        self.easy = not self.regions and all(
            setting is None for setting in (self.fallback, self.slow, adaptive_limit)
        )
        content = service.log_content
        stores_content = content is not None and content.calls is not LoggedCalls.NONE
        self.log_content = content if stores_content else None
        self.dresses = bool(self.headers) or self.credentials is not None
        self.provided = service.needs_credentials and self.credentials is None
        self.fixed_headers = _fixed_headers(self.headers, self.credentials)
        self.plain = not any(
            (
                self.base_url is None,
                self.cache_wait,
                self.classify,
                self.hedge,
                self.request_transforms,
                self.response_transforms,
                self.log_content,
                self.credentials is not None and needs_flow(self.credentials),
            )
        )
        self.parts: tuple[Plan, ...] = ()
        if parts > 1 and not part and region is None:
            other_parts = (Plan(service, tenant, endpoint, None, n) for n in range(1, parts))
            _link_parts((self, *other_parts))

    def for_tenant(self, tenant: str) -> Plan:
        """Return the plan for a tenant, derived from this plan, which is for no tenant."""
        if not self.parts:
            return _of_tenant(self, tenant)
        new_parts = tuple(_of_tenant(plan, tenant) for plan in self.parts)
        _link_parts(new_parts)
        return new_parts[0]

    def part_at(self, draw: float) -> Plan:
        """Return the plan for one part of the split limits, chosen by a random number."""
        return self.parts[int(draw * len(self.parts))] if self.parts else self

    def claim_key(self, key: str, turn: int = 0) -> str:
        """Return the key under which the claim of an idempotency key is stored.

        Each round of its effect has its own.
        """
        rounds = (str(turn),) if turn else ()
        return own_key_in(self.home, "key", key, *rounds)


_TENANT_ATTRIBUTES: Final = frozenset(
    {
        "admission",
        "admission_at_once",
        "bulkhead_key",
        "gates",
        "home",
        "parts",
        "question",
        "refresh_key",
        "regions",
        "tenant",
    }
)
"""The attributes of a plan that differ between tenants."""

_SHARED_ATTRIBUTES: Final = tuple(
    (vars(Plan)[name].__set__, vars(Plan)[name].__get__)
    for name in Plan.__slots__
    if name not in _TENANT_ATTRIBUTES
)


def _target(service: str, region: str | None, origin: Origin | None) -> str:
    """Return the name of the system that receives a service's requests and idempotency keys.

    Another host may belong to another vendor, which does not know the keys of this one.
    """
    name = service if region is None else f"{service}@{region}"
    return name if origin is None else f"{name} at {origin[1]}:{origin[2]}"


def _fixed_headers(headers: Headers, credentials: Credentials | OAuthCredentials | None) -> Headers:
    fixed_headers = Headers()
    for name, value in headers.pairs:
        fixed_headers = fixed_headers.with_default(name, value)
    if credentials is None or needs_flow(credentials):
        return fixed_headers
    return authorise(Request.get("/", headers=fixed_headers), credentials).headers


def _cache_wait(service: Service, endpoint_policy: CachePolicy | None) -> float:
    policy = endpoint_policy or service.cache or service.endpoint_cache
    return 0.0 if policy is None else policy.max_wait


def _of_tenant(plan: Plan, tenant: str) -> Plan:
    new_plan: Plan = object.__new__(Plan)
    for share, get in _SHARED_ATTRIBUTES:
        share(new_plan, get(plan))
    name = plan.service.name
    old_home, new_home = key_prefix_of(name, None), key_prefix_of(name, tenant)
    new_plan.tenant = tenant
    new_plan.parts = ()
    new_plan.regions = {name: _of_tenant(item, tenant) for name, item in plan.regions.items()}
    new_plan.bulkhead_key = new_home + plan.bulkhead_key[len(old_home) :]
    new_plan.home = new_home
    new_plan.refresh_key = new_home + plan.refresh_key[len(old_home) :]
    # The number of a part is in the braces, after the service.
    new_plan.gates = plan.gates.moved(old_home[:-1], new_home[:-1])
    new_plan.question = plan.question.through(new_plan.gates)
    new_plan.admission = plan.admission and new_plan.question
    new_plan.admission_at_once = plan.admission_at_once and plan.admission_at_once.through(
        new_plan.gates
    )
    return new_plan


def _link_parts(parts: tuple[Plan, ...]) -> None:
    """Make the plans of all parts, and make each part and its regions list all of them."""
    for plan in parts:
        plan.parts = parts
    for name in parts[0].regions:
        _link_parts(tuple(plan.regions[name] for plan in parts))


def _limits_of(service: Service, endpoint: Endpoint | None) -> tuple[RateLimitConfig, ...]:
    return service.limits if endpoint is None else service.limits + endpoint.limits


def _parts_of(service: Service) -> int:
    """Return the number of parts into which the limits of all calls of a service are split."""
    limits = [limit for endpoint in service.endpoints for limit in endpoint.limits]
    return common_parts((*service.limits, *limits))


def _gates_of(
    service: Service,
    tenant: str | None,
    endpoint: Endpoint | None,
    region: str | None,
    part: int,
) -> Gates:
    name = service.name
    limits = _limits_of(service, endpoint)
    limit_keys = [
        state_key("limit", name, tenant, "", *limit_name)
        for limit_name in limit_names(service.limits)
    ]
    circuit_of = ""
    circuit = service.circuit
    if endpoint is not None:
        limit_keys += [
            state_key("limit", name, tenant, endpoint.name, *limit_name)
            for limit_name in limit_names(endpoint.limits)
        ]
        if endpoint.circuit is not INHERIT:
            circuit, circuit_of = endpoint.circuit, endpoint.name
    rule = None if circuit is None else CircuitRule(circuit)
    region_part = () if region is None else (region,)
    return Gates(
        circuit=rule,
        circuit_key=part_key(state_key("circuit", name, tenant, circuit_of, *region_part), part)
        if rule
        else "",
        limits=[limit.rules[part] for limit in limits],
        limit_keys=[part_key(key, part) for key in limit_keys],
        shares=[limit.share for limit in limits],
        wholes=[limit.rule for limit in limits if limit.parts > 1],
        whole_keys=[key for key, limit in zip(limit_keys, limits, strict=True) if limit.parts > 1],
        budget=None if service.retry_budget is None else BudgetRule(service.retry_budget),
        budget_key=part_key(state_key("budget", name, tenant), part),
    )


def circuit_name(plan: Plan) -> str:
    """Return a circuit's name for events, made of service, region and endpoint."""
    name = plan.service.name if plan.region is None else f"{plan.service.name}@{plan.region}"
    has_own_circuit = any(
        endpoint.name == plan.operation and endpoint.circuit is not INHERIT
        for endpoint in plan.service.endpoints
    )
    return f"{name}/{plan.operation}" if has_own_circuit else name


def is_repeatable(plan: Plan, request: Request) -> bool:
    """Return whether sending a request twice has the same effect as sending it once."""
    return request.repeatable if plan.repeatable is None else plan.repeatable


def with_defaults(request: Request, plan: Plan) -> Request:
    """Return the request with the service's default headers where it sets none itself."""
    headers = request.headers
    for name, value in plan.headers.pairs:
        headers = headers.with_default(name, value)
    return request if headers is request.headers else request.with_only_headers(headers)


def with_fixed_headers(request: Request, plan: Plan) -> Request:
    """Return the request with the service's headers and its fixed credentials.

    If the request has none of these headers itself, they are added in one step. Credentials in a
    query are not added here.
    """
    headers = request.headers.joined(plan.fixed_headers)
    if headers is not None:
        return request.with_only_headers(headers)
    request = with_defaults(request, plan)
    return request if plan.credentials is None else authorise(request, plan.credentials)


def with_idempotency_key(request: Request, plan: Plan, key: str | None) -> Request:
    """Return the request with the idempotency key in the header that the vendor reads."""
    name = plan.service.idempotency_header
    if key is None or name is None:
        return request
    return request.with_only_headers(request.headers.with_header(name, key))
