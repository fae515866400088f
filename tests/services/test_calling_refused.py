"""Calls that are refused before anything is sent."""

# ruff: noqa: SLF001 - values of any kind, and a look inside

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    Endpoint,
    InvalidData,
    RateLimitConfig,
    RetryPolicy,
    Service,
    VendorFailed,
)
from moorage.services.calling.plans import Plans
from tests.services.vat import GET, vat
from tests.support.modes import Harness, sync_and_async

# --- errors before anything ---


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"service": "vatt"}, ("path", "service")),
        ({"service": ["vat"]}, ("path", "service")),
        ({"service": None}, ("path", "service")),
        ({"endpoint": "rats"}, ("field", "endpoint")),
        ({"endpoint": ""}, ("field", "endpoint")),
        ({"endpoint": ["rates"]}, ("field", "endpoint")),
        ({"tenant": ""}, ("field", "tenant")),
        ({"tenant": ["acme"]}, ("field", "tenant")),
        ({"tenant": "a\nb"}, ("field", "tenant")),
        ({"timeout": -1}, ("path", "timeout")),
        ({"timeout": 0}, ("path", "timeout")),
        ({"timeout": float("nan")}, ("path", "timeout")),
        ({"timeout": "3"}, ("path", "timeout")),
        ({"request_id": "a\nb"}, ("field", "request_id")),
        ({"request_id": 7}, ("field", "request_id")),
        ({"subject": "a\nb"}, ("field", "subject")),
        ({"subject": 7}, ("field", "subject")),
    ],
)
@pytest.mark.parametrize("method", ["call", "stream", "run"])
@sync_and_async
async def test_wrong_arguments_are_named(
    harness: Harness, method: str, options: dict[str, Any], expected: tuple[str, str]
) -> None:
    """In every kind of call, a wrong argument raises an error with its name and a remedy."""
    manager = harness.watched(vat(endpoints=Endpoint("rates")))
    fields: dict[str, Any] = {"service": "vat"} | options
    service = fields.pop("service")
    for unwatched in (manager, harness.manager(vat(endpoints=Endpoint("rates")))):
        with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
            await getattr(unwatched, method)(
                service, harness.do_nothing if method == "run" else GET, **fields
            )

        attribute, name = expected
        assert name == getattr(excinfo.value, attribute)
        assert excinfo.value.remedy
        assert excinfo.value.request_id
        endpoint = fields.get("endpoint")
        assert (endpoint if isinstance(endpoint, str) else None) == excinfo.value.operation
        assert (service if isinstance(service, str) else None) == excinfo.value.service

    assert ([], []) == (harness.events, harness.vendor.requests)


@pytest.mark.parametrize("subject", [7, "", "a\nb", "\ud800"])
@sync_and_async
async def test_wrong_subject_is_refused_by_every_call(harness: Harness, subject: Any) -> None:
    """The fast path, too, refuses an invalid `subject` argument."""
    manager = harness.manager(vat(circuit=None, retry=None))
    for _ in range(3):
        await manager.call("vat", GET)
        with pytest.raises(InvalidData) as excinfo:
            await manager.call("vat", GET, subject=subject)
        assert "subject" == excinfo.value.field
        with pytest.raises(InvalidData):
            await manager.run("vat", harness.do_nothing, subject=subject)


@sync_and_async
async def test_error_raised_before_call_starts_has_caller_correlation_id(harness: Harness) -> None:
    """An error raised before a call starts has the caller's correlation id."""
    with pytest.raises(ConfigurationError) as excinfo:
        await harness.manager(vat()).call("vat", GET, timeout=-1, request_id="mine")

    assert "mine" == excinfo.value.request_id


@pytest.mark.parametrize("request_", ["/rates", None, b"GET"])
@sync_and_async
async def test_other_values_than_a_request_are_refused(harness: Harness, request_: Any) -> None:
    """A value that is not a Request is refused, and the error shows how to make one."""
    kind = type(request_).__name__
    with pytest.raises(InvalidData, match=f"must be a Request, not an? {kind}") as excinfo:
        await harness.manager(vat()).call("vat", request_)

    assert ("request", "vat") == (excinfo.value.field, excinfo.value.service)
    assert "Request.get" in excinfo.value.remedy


@sync_and_async
async def test_error_for_unknown_service_lists_known_names(harness: Harness) -> None:
    """The error for an unknown service lists the known names."""
    with pytest.raises(ConfigurationError, match="'tax'") as excinfo:
        await harness.manager(vat(), Service("fx")).call("tax", GET)
    assert "fx, vat" in excinfo.value.remedy

    with pytest.raises(ConfigurationError, match="none"):
        await harness.manager().call("tax", GET)


@sync_and_async
async def test_duplicate_and_invalid_services_are_refused(harness: Harness) -> None:
    """A manager refuses two services with one name, and values that are not a Service."""
    with pytest.raises(ConfigurationError, match="'vat'") as repeated_excinfo:
        harness.manager(vat(), vat())
    with pytest.raises(ConfigurationError, match="but contains a str") as no_service:
        harness.manager("vat")
    with pytest.raises(ConfigurationError, match="must be a list of Service") as no_series:
        Plans(harness.manager().manager._flows.core, vat())  # type: ignore[arg-type]  # the point

    for excinfo in (repeated_excinfo, no_service, no_series):
        assert "services" == excinfo.value.path
        assert excinfo.value.remedy


@sync_and_async
async def test_unknown_endpoint_is_refused(harness: Harness) -> None:
    """A call with an unknown endpoint name is refused, also by a service without endpoints."""
    with pytest.raises(InvalidData) as excinfo:
        await harness.manager(vat()).call("vat", GET, endpoint="rates")

    assert "endpoint" == excinfo.value.field
    assert [] == harness.vendor.requests


@sync_and_async
async def test_cost_above_the_burst_is_refused(harness: Harness) -> None:
    """A cost above a limit's burst is refused when the manager is created."""
    service = vat(limits=RateLimitConfig(1), endpoints=Endpoint("bulk", cost=2))

    with pytest.raises(InvalidData, match="cost of 2"):
        harness.manager(service)


@sync_and_async
async def test_errors_name_their_call(harness: Harness) -> None:
    """Every error contains the call's id, the service, the number of attempts and a remedy."""
    harness.vendor.otherwise = 503
    service = vat(endpoints=Endpoint("rates", path="/rates"), retry=RetryPolicy(2, 0))

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(service).call("vat", GET, request_id="mine")

    error = excinfo.value
    assert ("vat", "rates", 2, "mine") == (
        error.service,
        error.operation,
        error.attempts,
        error.request_id,
    )
    assert error.remedy in str(error)
    assert "vat.rates" in str(error)


@sync_and_async
async def test_error_of_a_nested_call_keeps_its_service(harness: Harness) -> None:
    """If a function calls another service, an error of that service keeps that service's name."""
    harness.vendor.otherwise = 503
    manager = harness.manager(vat(), Service("outer", retry=None))

    async def make_call() -> None:
        await manager.call("vat", GET)

    with pytest.raises(VendorFailed) as excinfo:
        await manager.run("outer", make_call)

    assert "vat" == excinfo.value.service


@pytest.mark.parametrize("service", [vat(limits=RateLimitConfig(1)), vat()])
@sync_and_async
async def test_connector_errors_of_functions_get_the_calls_details(
    harness: Harness, service: Service
) -> None:
    """A connector error raised by a function gets the service's name and call id."""

    async def raise_error() -> None:
        raise VendorFailed("broken", retryable=False)

    with pytest.raises(VendorFailed) as excinfo:
        await harness.manager(service).run("vat", raise_error)

    assert ("vat", 1, "id-1") == (
        excinfo.value.service,
        excinfo.value.attempts,
        excinfo.value.request_id,
    )


@sync_and_async
async def test_refusal_of_a_function_has_the_calls_details(harness: Harness) -> None:
    """The error of a refused function has the service's name and call id."""
    manager = harness.manager(vat(circuit=CircuitBreakerConfig()))
    await manager.run("vat", harness.do_nothing)
    await manager.set_circuit("vat", CircuitState.FORCED_OPEN)

    with pytest.raises(CircuitBreakerOpen) as excinfo:
        await manager.run("vat", harness.do_nothing)

    assert ("vat", 0, "id-1") == (
        excinfo.value.service,
        excinfo.value.attempts,
        excinfo.value.request_id,
    )
