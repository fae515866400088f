"""One HTTP exchange: the URL of its request, and the interpretation of its response."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    Endpoint,
    InvalidData,
    InvalidRequest,
    PaymentDeclined,
    RateLimitConfig,
    RateLimitExceeded,
    Request,
    Response,
    RetryPolicy,
    Service,
    VendorFailed,
    VendorRejected,
)
from tests.services.renewed_tokens import vat
from tests.services.vat import GET
from tests.support.modes import Harness, sync_and_async

# --- where it goes ---


@sync_and_async
async def test_url_joins_service_and_request(harness: Harness) -> None:
    """The URL of a request is the service's base URL with the request's path and query."""
    await harness.manager(vat()).call("vat", Request.get("/rates", query={"country": "DE"}))

    assert ["https://vat.example/v1/rates?country=DE"] == [s.url for s in harness.vendor.requests]


@sync_and_async
async def test_default_headers_fill_gaps(harness: Harness) -> None:
    """A service's headers are sent unless the request has headers of the same name."""
    service = vat(headers={"Accept": "application/json", "X-App": "erp"})

    await harness.manager(service).call("vat", Request.get("/", headers={"accept": "text/csv"}))

    assert {"accept": "text/csv", "X-App": "erp"} == dict(
        harness.vendor.requests[0].request.headers
    )


@sync_and_async
async def test_missing_base_url_raises_an_error(harness: Harness) -> None:
    """A request to a service without a base URL raises an error."""
    with pytest.raises(ConfigurationError) as excinfo:
        await harness.manager(Service("vat")).call("vat", GET)

    assert ("base_url", "vat") == (excinfo.value.path, excinfo.value.service)
    assert "'vat' has no base_url" in excinfo.value.message
    assert "Set base_url of the service, or protect" in excinfo.value.remedy


@sync_and_async
async def test_foreign_origin_is_refused(harness: Harness) -> None:
    """A request to another host than the service's is refused before anything is sent."""
    manager = harness.manager(vat(request_transforms=lambda request: request))

    with pytest.raises(InvalidData, match="origin"):
        await manager.call("vat", Request.get("https://evil.example/rates"))

    assert [] == harness.vendor.requests


@sync_and_async
async def test_foreign_origin_takes_no_token(harness: Harness) -> None:
    """A request that cannot be sent is refused before it uses a token."""
    manager = harness.manager(vat(limits=RateLimitConfig(1)))

    with pytest.raises(InvalidData, match="origin"):
        await manager.call("vat", Request.get("https://evil.example/rates"))
    await manager.call("vat", GET)

    assert [] == harness.sleeper.slept


# --- what an answer means ---


@pytest.mark.parametrize(
    "status, kind",
    [
        (301, VendorRejected),
        (302, VendorRejected),
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, VendorRejected),
        (408, VendorFailed),
        (429, RateLimitExceeded),
        (500, VendorFailed),
    ],
)
@sync_and_async
async def test_status_codes_have_error_classes(
    harness: Harness, status: int, kind: type[Exception]
) -> None:
    """Each error status raises its own error class, with the status and the response."""
    harness.vendor.answers(status)

    with pytest.raises(kind) as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert (status, status) == (excinfo.value.status, excinfo.value.response.status)  # type: ignore[attr-defined]  # each kind has both


@sync_and_async
async def test_redirects_are_not_followed(harness: Harness) -> None:
    """A redirect raises an error and is not followed, so no credential reaches another host."""
    harness.vendor.answers(Response(307, {"Location": "https://evil.example/"}))

    with pytest.raises(VendorRejected, match="redirect"):
        await harness.manager(vat(credentials=Credentials.bearer("t"))).call("vat", GET)

    assert 1 == len(harness.vendor.requests)


def classify_declined(request: Request, response: Response) -> PaymentDeclined | None:
    """A classifier for a vendor that reports a declined payment with status 200."""
    assert "/rates" == request.path
    return PaymentDeclined("no", vendor_code="51") if b"no" in response.body else None


@sync_and_async
async def test_classifier_precedes_the_status(harness: Harness) -> None:
    """A service's classifier runs before the status is checked, so it can reject a 200 response."""
    harness.vendor.answers(Response(200, body=b"no"), Response(404, body=b"no"), 404, 200)
    manager = harness.manager(vat(classify=classify_declined))

    for kind in (PaymentDeclined, PaymentDeclined, VendorRejected):
        with pytest.raises(kind):
            await manager.call("vat", GET)
    assert 200 == (await manager.call("vat", GET)).status


@sync_and_async
async def test_wrong_result_of_a_classifier_is_named(harness: Harness) -> None:
    """If a classifier returns something else than an error of moorage, its type is named."""

    def agree(*_: object) -> Any:
        return True

    with pytest.raises(ConfigurationError, match="agree returned a bool") as excinfo:
        await harness.manager(vat(classify=agree)).call("vat", GET)

    assert "classify" == excinfo.value.path
    assert "Correct the function so that it returns" in excinfo.value.remedy


@sync_and_async
async def test_classifier_gets_no_credential(harness: Harness) -> None:
    """A classifier gets the request without its credentials."""
    seen_requests: list[Request] = []

    def observe(request: Request, _: Response) -> None:
        seen_requests.append(request)

    await harness.manager(vat(classify=observe, credentials=Credentials.bearer("t"))).call(
        "vat", GET
    )

    assert [GET] == seen_requests


@sync_and_async
async def test_foreign_http_errors_become_connection_failed(harness: Harness) -> None:
    """An unexpected exception of an HTTP client becomes ConnectionFailed, without its text."""
    harness.vendor.otherwise = ValueError("https://vat.example/?key=hunter2")

    with pytest.raises(ConnectionFailed, match="ValueError") as excinfo:
        await harness.manager(vat()).call("vat", GET)

    assert excinfo.value.may_have_been_processed
    assert "hunter2" not in repr(excinfo.value)
    assert (None, None) == (excinfo.value.__cause__, excinfo.value.__context__)


@sync_and_async
async def test_attempt_without_response_has_no_status_in_its_event(harness: Harness) -> None:
    """An attempt that got no response has no status in its event, even if an earlier one had."""
    harness.vendor.answers(503, AttemptTimeout("late"), 200)
    manager = harness.watched(vat(retry=RetryPolicy(3, 0)))

    await manager.call("vat", GET)

    reports = [event for event in harness.events if type(event).__name__ == "AttemptFinished"]
    assert [(1, 503), (2, None), (3, 200)] == [(e.attempt, e.status) for e in reports]


# --- endpoints ---


ENDPOINTS = (
    Endpoint("rate", "GET", "/rates/{country}", attempt_timeout=1),
    Endpoint("any", path="/rates/{country}", attempt_timeout=2),
    Endpoint("named", attempt_timeout=3),
)


@pytest.mark.parametrize(
    "request_, name, timeout",
    [
        (Request.get("/rates/DE"), None, 1),
        (Request.get("/rates/DE?full=1"), None, 1),
        (Request.get("https://vat.example/v1/rates/DE"), None, 1),
        (Request.delete("/rates/DE"), None, 2),
        (Request.get("/rates/DE"), "named", 3),
        (Request.get("/rates"), None, 30),
        (Request.get("/rates/"), None, 30),
        (Request.get("/rates/DE/reduced"), None, 30),
        (Request.get("/fees/DE"), None, 30),
    ],
)
@sync_and_async
async def test_request_uses_its_named_or_first_matching_endpoint(
    harness: Harness, request_: Request, name: str | None, timeout: float
) -> None:
    """A request uses its named endpoint, or the first endpoint that matches method and path."""
    await harness.manager(vat(endpoints=ENDPOINTS)).call("vat", request_, endpoint=name)

    assert [timeout] == [requests.timeouts.total for requests in harness.vendor.requests]


@sync_and_async
async def test_functions_have_no_matched_endpoint(harness: Harness) -> None:
    """An endpoint that matched a request's path does not apply to a function called later."""
    service = vat(endpoints=Endpoint("rates", path="/rates", retry=RetryPolicy(5, 0)))
    manager = harness.manager(service)
    await manager.call("vat", GET)
    calls: list[int] = []

    async def raise_error() -> None:
        calls.append(1)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        await manager.run("vat", raise_error)

    assert 1 == len(calls)
