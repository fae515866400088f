"""The settings of a service and its endpoints."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.resilience.budget import RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.secrets.secret import Secret
from moorage.domain.service import settings as service_module
from moorage.domain.service.plan import Plan
from moorage.domain.service.region import Region
from moorage.domain.service.settings import (
    INHERIT,
    BulkheadConfig,
    Endpoint,
    HedgeConfig,
    Service,
    by_name,
    unless_inherited,
)
from moorage.errors import ConfigurationError, ConnectorError, InvalidData
from tests.support.module_copies import rerun_module

if TYPE_CHECKING:
    from collections.abc import Callable

EU = Region("eu", "https://eu.example")


def named_field(error: ConnectorError) -> str | None:
    """Return the name of the field that an error refers to."""
    result: str | None = getattr(error, "path", None) or getattr(error, "field", None)
    return result


async def answer_async(*_: object) -> Any:
    """Do nothing; the function is never awaited."""


def test_service_has_circuit_breaker_and_retries_by_default() -> None:
    """By default a service has a circuit breaker and retries, within 30 seconds."""
    service = Service("vat")

    assert (30.0, None, RetryPolicy.default(), CircuitBreakerConfig()) == (
        service.timeout,
        service.attempt_timeout,
        service.retry,
        service.circuit,
    )
    assert ((), (), (), (), None, None, None, None) == (
        service.limits,
        service.endpoints,
        service.request_transforms,
        service.response_transforms,
        service.retry_budget,
        service.bulkhead,
        service.hedge,
        service.fallback,
    )
    assert (None, 86_400.0, None) == (
        service.idempotency_memory,
        service.idempotency_ttl,
        service.idempotency_header,
    )


def test_endpoint_with_only_name_inherits_every_setting_of_its_service() -> None:
    """An endpoint with only a name inherits every setting of its service."""
    endpoint = Endpoint("rates")

    assert {"INHERIT"} == {
        repr(getattr(endpoint, name))
        for name in (
            "timeout",
            "attempt_timeout",
            "timeouts",
            "retry",
            "circuit",
            "hedge",
            "fallback",
        )
    }
    assert ((), (), (), 1, None) == (
        endpoint.limits,
        endpoint.request_transforms,
        endpoint.response_transforms,
        endpoint.cost,
        endpoint.idempotent,
    )


@pytest.mark.parametrize("kind", [Service, Endpoint])
def test_single_items_and_iterables_are_accepted(kind: Any) -> None:
    """A service's limits, endpoints and transforms may be one item, an iterable, or None."""
    limit = RateLimitConfig(1)

    assert (limit,) == kind("x", limits=limit).limits == kind("x", limits=iter([limit])).limits
    assert () == kind("x", limits=None).limits
    assert (len,) == kind("x", request_transforms=len).request_transforms
    assert (len, abs) == kind("x", response_transforms=[len, abs]).response_transforms


class Steps:
    """A callable that can also be iterated."""

    def __iter__(self) -> Any:
        return iter([len, abs])

    def __call__(self, message: object) -> object:
        """Return the message unchanged."""
        return message


@pytest.mark.parametrize("kind", [Service, Endpoint])
def test_callable_transform_is_used_as_one_function(kind: Any) -> None:
    """A callable transform is used as one function, even if it is iterable."""
    steps = Steps()

    assert (steps,) == kind("x", request_transforms=steps).request_transforms


@pytest.mark.parametrize("kind", [Service, Endpoint])
def test_durations_may_be_timedeltas(kind: Any) -> None:
    """A service's timeout is in seconds or a `timedelta`."""
    second = timedelta(seconds=1)
    service = kind("x", timeout=2 * second, attempt_timeout=second)

    assert (2.0, 1.0) == (service.timeout, service.attempt_timeout)


def test_service_accepts_fixed_credentials_and_oauth_tokens() -> None:
    """A service accepts fixed credentials and OAuth tokens."""
    granted_credentials = OAuthCredentials(access_token=Secret("t"))

    for credentials in (Credentials.bearer("t"), granted_credentials):
        assert credentials == Service("vat", credentials=credentials).credentials


COMMON: list[tuple[str, Any]] = [
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", None),
    ("timeout", math.nan),
    ("timeout", "30"),
    ("timeout", True),
    ("attempt_timeout", 0),
    ("attempt_timeout", "1"),
    ("timeouts", 3),
    ("timeouts", None),
    ("retry", 3),
    ("retry", RetryPolicy),
    ("limits", 10),
    ("limits", [10]),
    ("limits", "10/s"),
    ("circuit", True),
    ("hedge", 0.1),
    ("fallback", "value"),
    ("request_transforms", 7),
    ("request_transforms", [len, 7]),
    ("response_transforms", "strip"),
]
WRONG_SERVICE_SETTINGS: list[tuple[str, Any]] = [
    ("base_url", "vat.example"),
    ("base_url", "https://user:pw@vat.example"),
    ("retry_budget", 0.2),
    ("bulkhead", 5),
    ("credentials", "sk_live_1"),
    ("credentials", Secret("sk_live_1")),
    ("needs_credentials", "yes"),
    ("needs_credentials", None),
    ("classify", "status"),
    ("classify", answer_async),
    ("idempotency_memory", 0),
    ("idempotency_ttl", -1),
    ("max_limit_wait", -1),
    ("endpoints", "rates"),
    ("endpoints", [Endpoint("a"), "b"]),
    ("endpoints", [Endpoint("a"), Endpoint("b"), Endpoint("a")]),
    ("endpoints", 7),
]
WRONG_ENDPOINT_SETTINGS: list[tuple[str, Any]] = [
    ("method", "get"),
    ("method", "BREW"),
    ("method", 7),
    ("path", 7),
    ("path", b"/rates"),
    ("cost", 0),
    ("cost", 1.5),
    ("idempotent", "yes"),
]


@pytest.mark.parametrize(
    "kind, field, value",
    [
        *((Service, *case) for case in COMMON + WRONG_SERVICE_SETTINGS),
        *((Endpoint, *case) for case in COMMON + WRONG_ENDPOINT_SETTINGS),
    ],
)
def test_invalid_service_setting_is_refused_by_its_field_with_remedy(
    kind: Any, field: str, value: Any
) -> None:
    """The error for an invalid service setting has field and remedy, but not the value."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        kind("x", **{field: value})

    assert field == named_field(excinfo.value)
    assert excinfo.value.remedy
    assert "sk_live" not in str(excinfo.value)


@pytest.mark.parametrize(
    "field, value, problem",
    [
        ("limits", [RateLimitConfig(1), 10], "The value is an int, not a RateLimitConfig."),
        ("endpoints", [None], "The value is a NoneType, not an Endpoint."),
        ("regions", ["https://eu.example"], "The value is a str, not a Region."),
        ("regions", [EU, attrs.evolve(EU, weight=2)], "Two regions are named 'eu'."),
        ("regions", [EU, attrs.evolve(EU, name="us")], None),
    ],
)
def test_each_limit_endpoint_and_region_is_checked(
    field: str, value: Any, problem: str | None
) -> None:
    """A service's limits, endpoints and regions must have the right type and unique names."""
    for kind in (Service, rerun_module(service_module).Service):
        if problem is None:
            assert tuple(value) == getattr(kind("x", **{field: value}), field)
            continue
        with pytest.raises(ConfigurationError) as excinfo:
            kind("x", **{field: value})
        assert (field, problem) == (excinfo.value.path, excinfo.value.message)
        assert excinfo.value.remedy.startswith("Use ")


def test_endpoints_have_separate_names() -> None:
    """Endpoint names of a service are unique; the error contains the duplicate."""
    module_members = rerun_module(service_module)
    with pytest.raises(ConfigurationError) as excinfo:
        module_members.Service("x", endpoints=[module_members.Endpoint(name) for name in "aba"])

    assert "Two endpoints are named 'a'." == excinfo.value.message
    assert "Use a different name for each endpoint." == excinfo.value.remedy
    assert "endpoints" == excinfo.value.path
    assert 2 == len(
        module_members.Service(
            "x", endpoints=[module_members.Endpoint(name) for name in "ab"]
        ).endpoints
    )


def test_error_for_service_setting_of_wrong_type_names_that_type_and_right_one() -> None:
    """The error for a service setting of a wrong type names that type and the right one."""
    with pytest.raises(ConfigurationError, match="The value is an int, not an Endpoint") as excinfo:
        Service("vat", endpoints=[7])
    assert "Use an Endpoint." == excinfo.value.remedy


@pytest.mark.parametrize("kind, field", [(Service, "service"), (Endpoint, "endpoint")])
@pytest.mark.parametrize("name", ["", None, 7, "a\nb", "x" * 513])
def test_service_or_endpoint_without_printable_name_is_refused(
    kind: Any, field: str, name: Any
) -> None:
    """A service or endpoint without a printable name is refused."""
    with pytest.raises(InvalidData) as excinfo:
        kind(name)

    assert field == excinfo.value.field


def test_idempotency_header_needs_the_time_that_keys_are_remembered() -> None:
    """A service with an idempotency header must state how long the vendor remembers keys."""
    with pytest.raises(ConfigurationError) as excinfo:
        Service("vat", idempotency_header="Idempotency-Key")

    assert "idempotency_memory" == excinfo.value.path


@pytest.mark.parametrize("header", ["", "Idempotency Key", "X-Key:", "a\nb"])
def test_idempotency_header_that_is_no_header_name_is_refused(header: str) -> None:
    """An idempotency header that is not a header name is refused."""
    with pytest.raises(InvalidData) as excinfo:
        Service("vat", idempotency_header=header, idempotency_memory=60)

    assert "headers" == excinfo.value.field


@pytest.mark.parametrize(
    "kind, options, field",
    [
        (BulkheadConfig, {"max_concurrent": 0}, "max_concurrent"),
        (BulkheadConfig, {"max_concurrent": 1, "max_waiting": -1}, "max_waiting"),
        (BulkheadConfig, {"max_concurrent": 1, "max_wait": -1}, "max_wait"),
        (HedgeConfig, {"delay": 0}, "delay"),
        (HedgeConfig, {"delay": 1, "max_extra": 0}, "max_extra"),
    ],
)
def test_bulkhead_without_slots_and_hedge_without_delay_are_refused(
    kind: Any, options: dict[str, Any], field: str
) -> None:
    """A bulkhead without slots, or a hedge without a delay, is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        kind(**options)

    assert field == excinfo.value.path


def test_full_bulkhead_without_a_queue_refuses_callers() -> None:
    """By default a full bulkhead refuses callers.

    With a queue, callers wait until their deadline.
    """
    config = BulkheadConfig(3)

    assert (3, 0, None) == (config.max_concurrent, config.max_waiting, config.max_wait)
    assert 0.0 == BulkheadConfig(3, 5, timedelta()).max_wait


def test_everything_may_be_switched_off() -> None:
    """Setting a protection of a service or an endpoint to None disables it."""
    disabled_parts: dict[str, Any] = {
        "retry": None,
        "circuit": None,
        "hedge": None,
        "fallback": None,
    }

    for kind in (Service, Endpoint):
        service: Any = kind("x", attempt_timeout=None, **disabled_parts)
        assert [None] * 5 == [
            getattr(service, name) for name in ("attempt_timeout", *disabled_parts)
        ]
    assert Service("vat", retry_budget=RetryBudget()).retry_budget == RetryBudget()


@pytest.mark.parametrize(
    "path, options, fits",
    [
        ("/rates", "/rates", True),
        ("/rates", "rates", True),
        ("/rates", "/rates/", True),
        ("/rates", "/rates?country=DE", True),
        ("/rates", "/rates#top", True),
        ("/rates", "/rate", False),
        ("/rates", "/rates/DE", False),
        ("/rates/{country}", "/rates/DE", True),
        ("/rates/{country}", "/rates/", False),
        ("/rates/{country}", "/rates", False),
        ("/rates/{country}", "/rates/DE/full", False),
        ("/{a}/x/{b}", "/1/x/2", True),
        ("/{a}/x/{b}", "/1/y/2", False),
        ("/x/{a}/y", "/x//y", False),
        ("/Xmas", "/mas", False),
        ("/mas", "/Xmas", False),
        ("/rates", "https://vat.example/v1/rates?x=1", True),
        ("/rates", "https://vat.example/rates", True),
        ("/rates", "https://vat.example/v2/rates", False),
        ("/rates", "https://vat.example/v1", False),
        ("/", "https://vat.example/v1", True),
        (None, "/rates", False),
    ],
)
def test_endpoint_path_matches_by_segment(path: str | None, options: str, fits: bool) -> None:
    """Endpoint paths match by segment; braces match any segment, and the query is ignored."""
    service = Service(
        "vat", base_url="https://vat.example/v1/", endpoints=Endpoint("rates", path=path)
    )

    assert fits == (service.endpoint(None, Request.get(options)) is not None)


def test_a_service_without_a_base_url_has_paths() -> None:
    """Without a base URL, a service's endpoints match the path of the full URL."""
    service = Service("vat", endpoints=Endpoint("rates", path="/rates"))

    assert service.endpoint(None, Request.get("https://vat.example/rates")) is not None


def test_first_matching_endpoint_is_used() -> None:
    """A service's endpoints may differ by method, and the first that matches is used."""
    read = Endpoint("read", "GET", "/rates")
    any_ = Endpoint("any", path="/rates")
    service = Service("vat", endpoints=[read, any_])

    assert HttpMethod.GET is read.method
    assert [read, any_, None] == [
        service.endpoint(None, request)
        for request in (Request.get("/rates"), Request.post("/rates"), Request.get("/"))
    ]
    assert any_ is service.endpoint("any", Request.get("/rates"))
    assert service.endpoint(None, None) is None


def test_an_unknown_endpoint_lists_the_known() -> None:
    """The error for an unknown endpoint lists the known endpoints."""
    service = Service("vat", endpoints=[Endpoint("a"), Endpoint("b")])

    with pytest.raises(InvalidData, match="'c'") as excinfo:
        service.endpoint("c", None)
    assert "a, b" in excinfo.value.remedy
    with pytest.raises(InvalidData, match="none"):
        Service("vat").endpoint("c", None)


def test_a_service_is_found_by_name() -> None:
    """A service is found by its name.

    The error for an unknown name lists the configured services.
    """
    service = Service("vat")

    assert service is by_name({"vat": service}, "vat")
    for name in ("tax", None, ["vat"]):
        with pytest.raises(ConfigurationError) as excinfo:
            by_name({"vat": service, "fx": Service("fx")}, name)
        assert "Configure it, or call one of: fx, vat." == excinfo.value.remedy
    with pytest.raises(ConfigurationError) as excinfo:
        by_name({}, "vat")
    assert "Configure it, or call one of: none." == excinfo.value.remedy
    assert "INHERIT" == repr(INHERIT)


COPIERS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - written just before
]


@pytest.mark.parametrize("copied", COPIERS, ids=["copy", "deepcopy", "pickle"])
def test_a_copy_inherits_as_the_original_does(copied: Callable[[Any], Any]) -> None:
    """A copied or unpickled service has the same endpoints and inherited settings."""
    service = Service(
        "vat", base_url="https://vat.example", timeout=7, endpoints=Endpoint("rates", timeout=3)
    )
    same_service = copied(service)

    assert INHERIT is copied(INHERIT)
    assert service == same_service
    assert service.endpoints[0] == copied(service.endpoints[0])
    plan = Plan(same_service, None, same_service.endpoints[0])
    assert (int(3e9), RetryPolicy.default()) == (plan.span, plan.retry)


@pytest.mark.parametrize("base", ["/", "/v1", "/v1/", "/v/X", "/v/X/"])
def test_endpoint_path_is_matched_after_the_base_path(base: str) -> None:
    """An endpoint's path is compared with the part of a full URL after the service's base path."""
    service = Service(
        "vat", base_url=f"https://vat.example{base}", endpoints=Endpoint("x", path="/x")
    )
    url = f"https://vat.example{base.rstrip('/')}/x"

    assert service.endpoint(None, Request.get(url)) is not None


def test_classify_function_is_used_unchanged() -> None:
    """A service's own classification function is used unchanged."""
    judge: Any = len

    assert judge is Service("vat", classify=judge).classify


def test_only_an_endpoints_own_setting_is_checked() -> None:
    """Settings that an endpoint inherits are not checked again."""
    validator_arguments: list[object] = []
    check = unless_inherited(lambda *arguments: validator_arguments.extend(arguments))
    endpoint, field = Endpoint("x"), attrs.fields(Endpoint).cost

    check(endpoint, field, INHERIT)
    assert [] == validator_arguments
    check(endpoint, field, 3)
    assert [endpoint, field, 3] == validator_arguments


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "cookie"])
def test_service_with_a_secret_header_is_not_pickled(name: str) -> None:
    """If a service has a header that is likely a credential, it can be copied but not pickled."""
    service = Service("vat", headers={"Accept": "text/plain", name: "canary"})

    with pytest.raises(InvalidData, match=name) as excinfo:
        pickle.dumps(service)

    assert "headers" == excinfo.value.field
    assert "canary" not in str(excinfo.value)
    assert service == copy.copy(service) == copy.deepcopy(service)
