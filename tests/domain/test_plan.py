"""The plan of a call: a service's configuration, compiled for one tenant and endpoint."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.auth.methods import Credentials, OAuthCredentials, authorise, needs_flow
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import Request, Timeouts
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.cache_policy import CachePolicy
from moorage.domain.service.plan import (
    MARGIN,
    ONCE,
    Plan,
    with_defaults,
    with_fixed_headers,
    with_idempotency_key,
)
from moorage.domain.service.region import Region
from moorage.domain.service.settings import BulkheadConfig, Endpoint, HedgeConfig, Service
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.domain.values.durations import FOREVER
from moorage.errors import ConfigurationError, InvalidData

AWS = AwsSigV4(access_key_id="AK", region="eu-west-1", service="s3")
BARE = Service("vat", circuit=None, retry=None)
WAITS = {"own": 1, "other": 2}


def plan_of(endpoint: Endpoint | None = None, tenant: str | None = None, **settings: Any) -> Plan:
    """Return the plan of a call to a service with these settings."""
    options: dict[str, Any] = {"circuit": None} | settings
    return Plan(Service("vat", **options), tenant, endpoint)


def test_bare_service_has_no_admission() -> None:
    """The plan of a call without limits, circuit and budget has no admission step."""
    plan = Plan(BARE, None, None)

    assert (None, (), ONCE, True) == (plan.admission, plan.question.keys, plan.retry, plan.easy)


@pytest.mark.parametrize(
    "options, keys",
    [
        ({"circuit": CircuitBreakerConfig()}, 1),
        ({"limits": RateLimitConfig(1)}, 1),
        ({"retry_budget": RetryBudget()}, 1),
        (
            {
                "circuit": CircuitBreakerConfig(),
                "limits": [RateLimitConfig(1), RateLimitConfig(9)],
                "retry_budget": RetryBudget(),
            },
            4,
        ),
    ],
)
def test_configured_gates_are_asked_together(options: dict[str, Any], keys: int) -> None:
    """One command requests admission from circuit, rate limits and retry budget.

    Each has its own state key.
    """
    plan = plan_of(**options)

    assert plan.question is plan.admission
    assert keys == len(plan.question.keys) == len(set(plan.question.keys))


@pytest.mark.parametrize(
    "setting, value",
    [
        ("retry", RetryPolicy.aggressive()),
        ("fallback", len),
        ("hedge", HedgeConfig(1)),
    ],
)
def test_setting_of_an_endpoint_overrides_that_of_its_service(setting: str, value: Any) -> None:
    """An endpoint's setting overrides its service's, and None turns it off."""
    custom_endpoint = Endpoint("own", **{setting: value})
    disabled_setting: dict[str, Any] = {setting: None}
    endpoint = Endpoint("off", **disabled_setting)

    assert value == getattr(plan_of(custom_endpoint), setting)
    assert value == getattr(plan_of(Endpoint("x"), **{setting: value}), setting)
    assert (ONCE if setting == "retry" else None) == getattr(
        plan_of(endpoint, **{setting: value}), setting
    )


def test_timeouts_of_a_service_set_deadline_lease_and_wait() -> None:
    """The timeouts of a service set a call's deadline, attempt timeout, lease and wait."""
    plan = plan_of(timeout=20)
    assert (20_000_000_000, 20.0) == (plan.span, plan.timeouts.total)
    assert 1e6 * (20 + MARGIN) == plan.question.lease
    assert (20_000_000, 20_000_000, FOREVER) == (
        plan.question.within,
        plan.limit_wait,
        plan.patience,
    )

    plan = plan_of(Endpoint("x", timeout=8, attempt_timeout=3), max_limit_wait=5)
    assert (8_000_000_000, 3.0) == (plan.span, plan.timeouts.total)
    assert 1e6 * (3 + MARGIN) == plan.question.lease
    assert [5_000_000] * 3 == [plan.question.within, plan.limit_wait, plan.patience]

    assert 0 == plan_of(max_limit_wait=0).question.within


def test_timeouts_of_single_steps_apply_in_addition_to_attempt_timeout() -> None:
    """The timeouts of single steps apply in addition to the attempt's timeout."""
    steps = Timeouts(connect=3, write=5)
    plan = plan_of(attempt_timeout=8, timeouts=steps)
    assert Timeouts(connect=3, write=5, total=8) == plan.timeouts
    assert Timeouts(connect=3, read=30, write=5, pool=30, total=8) == plan.timeouts_at_first

    assert (3, 8) == (
        plan_of(Endpoint("x"), timeouts=steps).timeouts.connect,
        plan_of(Endpoint("x", timeouts=Timeouts(read=8)), timeouts=steps).timeouts.read,
    )


@pytest.mark.parametrize("kind", [Service, Endpoint])
def test_total_timeout_is_refused_in_steps(kind: type) -> None:
    """`Timeouts` for an attempt's steps cannot contain the timeout of the whole attempt."""
    with pytest.raises(ConfigurationError, match="whole attempt") as excinfo:
        kind("x", timeouts=Timeouts(total=1))

    assert "timeouts.total" == excinfo.value.path


def test_transforms_of_a_service_are_outermost() -> None:
    """A service's transforms are outermost: first for a request, and last for a response."""
    a, b, c = (lambda message: message for _ in range(3))
    endpoint = Endpoint("x", request_transforms=[c], response_transforms=[c])
    plan = plan_of(endpoint, request_transforms=[a, b], response_transforms=[a, b])

    assert (a, b, c) == plan.request_transforms
    assert (c, a, b) == plan.response_transforms
    assert (a,) == plan_of(request_transforms=a).request_transforms
    assert () == plan_of().response_transforms


def test_call_pays_its_cost_to_limits_of_endpoint_and_service() -> None:
    """A call pays its cost to the endpoint's and the service's limits, and must fit both."""
    endpoint = Endpoint("x", limits=RateLimitConfig(5), cost=2)
    plan = plan_of(endpoint, limits=[RateLimitConfig(10), RateLimitConfig(100)])

    assert ((2, 2, 2), [10, 100, 5]) == (
        plan.question.costs,
        [rule.burst for rule in plan.gates.limits],
    )
    service = plan_of(limits=[RateLimitConfig(10), RateLimitConfig(100)]).gates
    assert service.limit_keys == plan.gates.limit_keys[:2]
    with pytest.raises(InvalidData):
        plan_of(Endpoint("x", cost=6), limits=RateLimitConfig(5))
    with pytest.raises(InvalidData):
        plan_of(Endpoint("x", cost=6, limits=RateLimitConfig(5)))


def test_endpoint_shares_the_circuit_of_its_service_by_default() -> None:
    """An endpoint shares its service's circuit, unless it has its own circuit or none."""
    circuit = CircuitBreakerConfig()
    service_gates = plan_of(circuit=circuit).gates
    shared_gates = plan_of(Endpoint("a"), circuit=circuit).gates
    custom = plan_of(Endpoint("a", circuit=circuit), circuit=circuit).gates
    other_gates = plan_of(Endpoint("b", circuit=circuit), circuit=circuit).gates
    plan_without_circuit = plan_of(Endpoint("a", circuit=None), circuit=circuit).gates

    assert service_gates.circuit_key == shared_gates.circuit_key
    assert 3 == len({service_gates.circuit_key, custom.circuit_key, other_gates.circuit_key})
    assert (None, "") == (plan_without_circuit.circuit, plan_without_circuit.circuit_key)


def test_changed_rules_keep_their_state_keys() -> None:
    """The keys of circuits and limits do not depend on settings, except for a limit's period."""
    configs = (CircuitBreakerConfig(), CircuitBreakerConfig(failures=9, window_calls=30))
    assert 1 == len({plan_of(circuit=config).gates.circuit_key for config in configs})

    keys = {plan_of(limits=RateLimitConfig(rate)).gates.limit_keys for rate in (1, 2)}
    assert 1 == len(keys)
    assert keys != {plan_of(limits=RateLimitConfig(1, per=2)).gates.limit_keys}


def test_circuit_settings_decide_when_a_response_is_slow() -> None:
    """The circuit's settings decide when a response is slow."""
    assert plan_of().slow is None
    assert plan_of(circuit=CircuitBreakerConfig()).slow is None
    slow_plan = plan_of(circuit=CircuitBreakerConfig(slow_call=1.5))
    assert (1_500_000_000, False) == (slow_plan.slow, slow_plan.easy)


@pytest.mark.parametrize(
    "options, has_fast_path",
    [
        ({"bulkhead": BulkheadConfig(1)}, True),
        ({"attempt_timeout": 1.0}, True),
        ({"fallback": len}, False),
    ],
)
def test_plans_with_a_fast_path(options: dict[str, Any], has_fast_path: bool) -> None:
    """Calls of functions use the fast path even with a bulkhead, but not with a fallback."""
    assert has_fast_path is plan_of(**options).easy


def test_services_and_tenants_never_share_a_state_key() -> None:
    """Two services, tenants or purposes never share a state key."""
    names: list[set[str]] = []
    for service in ("vat", "fx"):
        for tenant in (None, "vat", "acme"):
            plan = Plan(
                Service(
                    service,
                    limits=RateLimitConfig(1),
                    retry_budget=RetryBudget(),
                ),
                tenant,
                None,
            )
            names.append(
                {
                    *plan.question.keys,
                    plan.bulkhead_key,
                    plan.refresh_key,
                    plan.claim_key("k"),
                    plan.claim_key("K"),
                }
            )

    assert {7} == {len(service_keys) for service_keys in names}
    assert all(first.isdisjoint(second) for first, second in combinations(names, 2))


def test_idempotency_key_is_sent_in_the_configured_header() -> None:
    """The idempotency key is sent in the configured header, and replaces an existing one."""
    plan = plan_of(idempotency_header="Idempotency-Key", idempotency_memory=3_600)
    request = Request.get("/", headers={"idempotency-key": "theirs", "Accept": "*/*"})

    assert {"Accept": "*/*", "Idempotency-Key": "k"} == dict(
        with_idempotency_key(request, plan, "k").headers
    )
    assert request is with_idempotency_key(request, plan, None)
    assert request is with_idempotency_key(request, plan_of(), "k")


def test_default_headers_do_not_override() -> None:
    """A service's headers are added only if the request has none of that name."""
    plan = plan_of(headers={"Accept": "text/csv", "User-Agent": "erp"})
    request = Request.get("/", headers={"accept": "*/*"})

    assert {"accept": "*/*", "User-Agent": "erp"} == dict(with_defaults(request, plan).headers)
    assert request is with_defaults(request, plan_of())


@pytest.mark.parametrize(
    "fields, plain, dresses",
    [
        ({}, True, False),
        ({"headers": {"a": "b"}}, True, True),
        ({"credentials": Credentials.bearer("t")}, True, True),
        ({"credentials": Credentials.signed(AWS, "key")}, False, True),
        ({"credentials": Credentials.api_key("k", query="key")}, False, True),
        ({"needs_credentials": True}, True, False),
        ({"base_url": None}, False, False),
        ({"classify": lambda *_: None}, False, False),
        ({"hedge": HedgeConfig(1)}, False, False),
        ({"request_transforms": [lambda request: request]}, False, False),
        ({"response_transforms": [lambda response: response]}, False, False),
    ],
)
def test_plan_knows_which_host_functions_it_needs(
    fields: dict[str, Any], plain: bool, dresses: bool
) -> None:
    """A plan knows whether it needs no function of the host, or only the credential provider."""
    options: dict[str, Any] = {"base_url": "https://x.example"} | fields
    plan = Plan(Service("vat", **options), None, None)

    assert (plain, dresses) == (plan.plain, plan.dresses)


def test_plan_has_the_endpoints_name_and_idempotency() -> None:
    """A plan has its endpoint's name, and states whether its request may be repeated."""
    plan = plan_of(Endpoint("search", idempotent=True), tenant="acme")

    assert ("search", True, "acme") == (plan.operation, plan.repeatable, plan.tenant)
    assert (None, None) == (plan_of().operation, plan_of().repeatable)


def test_state_keys_are_stable() -> None:
    """State keys are a stored format that new versions keep."""
    service = Service(
        "vat",
        limits=[RateLimitConfig(10), RateLimitConfig(10, without_store=0.5)],
        circuit=CircuitBreakerConfig(),
        retry_budget=RetryBudget(),
    )
    plan = Plan(service, "acme", None)
    custom_endpoint = Endpoint("rates", limits=RateLimitConfig(10), circuit=CircuitBreakerConfig())
    gates = Plan(service, "acme", custom_endpoint).gates

    assert [
        "{@acme:vat}:bulkhead",
        "{@acme:vat}:refresh",
        "{@acme:vat:k}:key",
        "{@acme:vat}:circuit:",
        "{@acme:vat}:limit::1.0s:0",
        "{@acme:vat}:limit::1.0s:1",
        "{@acme:vat}:budget",
        "{@acme:vat}:circuit:rates",
        "{@acme:vat}:limit:rates:1.0s:0",
    ] == [
        plan.bulkhead_key,
        plan.refresh_key,
        plan.claim_key("k"),
        plan.gates.circuit_key,
        *plan.gates.limit_keys,
        plan.gates.budget_key,
        gates.circuit_key,
        gates.limit_keys[2],
    ]


def test_plan_has_the_services_url_headers_and_classifier() -> None:
    """A plan has the base URL, headers and classifier of its service."""
    judge: Any = len
    plan = plan_of(base_url="https://vat.example", headers={"X-A": "1"}, classify=judge)

    assert ("https://vat.example", {"X-A": "1"}, judge) == (
        plan.base_url,
        dict(plan.headers),
        plan.classify,
    )


def test_target_is_the_services_name() -> None:
    """The target that an idempotency claim stores is the service's name."""
    assert "vat" == Plan(BARE, None, None).target


def test_cache_policy_of_an_endpoint_overrides_that_of_its_service() -> None:
    """An endpoint's cache policy overrides its service's."""
    custom_endpoint, other_endpoint = (
        Endpoint(name, cache=CachePolicy(max_wait=wait)) for name, wait in WAITS.items()
    )
    service = attrs.evolve(
        BARE, cache=CachePolicy(max_wait=3), endpoints=(other_endpoint, custom_endpoint)
    )

    assert [1.0, 2.0, 3.0] == [
        Plan(service, None, item).cache_wait for item in (custom_endpoint, other_endpoint, None)
    ]
    assert 0.0 == Plan(BARE, None, None).cache_wait


def test_region_plans_share_tenant_and_endpoint() -> None:
    """The plans of a service's regions share tenant, endpoint and timeouts."""
    slow_endpoint = Endpoint("slow", timeout=7.0)
    regions = [Region(name, f"https://{name}.example") for name in ("eu", "us")]
    plan = Plan(
        attrs.evolve(BARE, regions=regions, endpoints=(slow_endpoint,)), "acme", slow_endpoint
    )

    reports = {
        (region.tenant, region.operation, region.span) for region in (plan, *plan.regions.values())
    }
    assert (2, {("acme", "slow", plan.span)}) == (len(plan.regions), reports)


def facts(value: Any) -> Any:
    """Return all fields of plans, protections and commands, so that tests can compare them."""
    if isinstance(value, dict):
        return {name: facts(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map(facts, value))
    if type(value).__module__.startswith("moorage.") and not attrs.has(type(value)):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        fields = slots or [*vars(value)]
        return type(value), {name: facts(getattr(value, name)) for name in fields}
    return value


@pytest.mark.parametrize("tenant", ["acme", "ä b", "x" * 40])
@pytest.mark.parametrize(
    "options",
    [
        {"circuit": None, "retry": None},
        {},
        {"limits": RateLimitConfig(4), "bulkhead": BulkheadConfig(1)},
        {"limits": [RateLimitConfig(4), RateLimitConfig(9)], "retry_budget": RetryBudget()},
        {"regions": [Region("a", base_url="https://a.example"), Region("b", "https://b.example")]},
        {"base_url": "https://a.example", "credentials": Credentials.bearer("t")},
    ],
)
def test_plan_of_a_tenant_is_as_if_compiled(options: dict[str, Any], tenant: str) -> None:
    """A plan derived for a tenant equals one compiled for that tenant."""
    endpoint = Endpoint("pay", path="/pay", cost=2, circuit=CircuitBreakerConfig(failures=3))
    service = Service("the vat", endpoints=[endpoint], **options)
    for settings in (None, endpoint):
        compiled_plan = Plan(service, tenant, settings)
        assert facts(compiled_plan) == facts(Plan(service, None, settings).for_tenant(tenant))


NAMES = st.sampled_from(["A", "a", "B", "Authorization", "X-API-Key"])
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2"])), max_size=4).map(Headers)
CREDENTIALS = st.sampled_from(
    [
        None,
        Credentials.none(),
        Credentials.bearer("token"),
        Credentials.basic("user", "pass"),
        Credentials.api_key("key"),
        Credentials.api_key("key", query="key"),
        Credentials.mtls(),
        OAuthCredentials(access_token="token"),
    ]
)


@given(FIELDS, FIELDS, CREDENTIALS)
def test_fixed_headers_are_defaults_and_credentials(
    request_headers: Headers,
    service_headers: Headers,
    credentials: Credentials | OAuthCredentials | None,
) -> None:
    """A plan's precomputed headers equal the headers computed for each request."""
    plan = plan_of(
        base_url="https://vat.example", headers=service_headers.pairs, credentials=credentials
    )
    request = Request.get("/", headers=request_headers)
    expected = with_defaults(request, plan)
    if credentials is not None and not needs_flow(credentials):
        expected = authorise(expected, credentials)
        assert expected.headers.pairs == with_fixed_headers(request, plan).headers.pairs
    elif credentials is None:
        assert expected == with_fixed_headers(request, plan)
