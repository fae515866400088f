"""FedEx: authentication, error responses and the sandbox's refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.domain.secrets.secret import Secret
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.tokens import TokenEndpoint
from moorage.vendors.shipping.fedex import FedEx
from tests.vendors.fedex_account import RATES, REQUEST, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new FedEx sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "INVALID.INPUT.EXCEPTION", InvalidRequest),
        (400, "NOT.AUTHORIZED.ERROR", AuthenticationFailed),
        (400, "SYSTEM.UNEXPECTED.ERROR", VendorFailed),
        (200, "SERVICE.UNAVAILABLE.ERROR", VendorFailed),
        (200, "ACCOUNT.NUMBER.MISMATCH", VendorRejected),
        (403, "FORBIDDEN.ERROR", AuthenticationFailed),
        (400, "LOGIN.REAUTHENTICATE.ERROR", AuthenticationFailed),
        (200, "SYSTEM.UNAVAILABLE.EXCEPTION", VendorFailed),
        (200, "SYSTEM.TEMPORARILY.UNAVAILABLE", VendorFailed),
        (404, "NOT.FOUND.ERROR", VendorRejected),
        (429, "TOO.MANY.REQUESTS", RateLimitExceeded),
        (500, "INTERNAL.SERVER.ERROR", VendorFailed),
        (500, None, VendorFailed),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    shop: SandboxHub, status: int, code: str | None, kind: type[ConnectorError]
) -> None:
    """A FedEx error's class follows from the code in its body, or else from the status."""
    shop.wire.planned[RATES] = [reply({"errors": [{"code": code, "message": "No."}]}, status)]
    with pytest.raises(kind, match=r"No\.") as excinfo:
        shop.shipping.get_rates(REQUEST)

    assert kind is type(excinfo.value)
    assert code == excinfo.value.vendor_code  # type: ignore[attr-defined]  # each kind has it


@pytest.mark.parametrize(
    "body", [b"<html></html>", b"[]", b'{"errors": "no"}', b'{"errors": []}', b"null", b""]
)
def test_other_errors_are_classified_by_status(shop: SandboxHub, body: bytes) -> None:
    """An error without FedEx's code is classified by its status."""
    shop.wire.planned[RATES] = [Response(404, body=body), Response(200, body=body)]
    with pytest.raises(VendorRejected):
        shop.shipping.get_rates(REQUEST)
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


def test_token_is_reused_until_refused(shop: SandboxHub) -> None:
    """A FedEx token is used until FedEx refuses it."""
    shop.shipping.get_rates(REQUEST)
    shop.shipping.get_rates(REQUEST)
    assert 1 == shop.sandbox.token_endpoint.grants
    shop.sandbox.token_endpoint.forget()
    assert shop.shipping.get_rates(REQUEST).rates
    assert 2 == shop.sandbox.token_endpoint.grants
    headers = shop.sandbox.requests[-1].headers
    assert "en_US" == headers.get("x-locale")


def test_fedex_tracking_uses_token_of_its_own_project() -> None:
    """FedEx tracking uses the token of its own project, if one is configured."""
    shop = SandboxHub(tracking_client_id="l7-tracker", tracking_credentials="secret-of-tracking")
    shop.buy_label_of_order()
    dispatcher = TokenEndpoint("/oauth/token", "l7-tracker", "secret-of-tracking", posted=True)
    shop.sandbox.mounts["/oauth/token"] = shop.sandbox.token_endpoint = dispatcher
    [number] = shop.sandbox.tracks

    assert number == shop.shipping.track(number, "fedex").number
    assert 1 == dispatcher.grants
    assert {"", "tracking"} == set(FedEx(**_options("tracking_")).clients())


def _options(*prefixes: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {"account_number": "1", "client_id": "a", "credentials": "b"}
    for prefix in prefixes:
        pairs |= {f"{prefix}client_id": "c", f"{prefix}credentials": "d"}
    return pairs


@pytest.mark.parametrize(
    "options, path",
    [
        ({"client_id": "a"}, "client_id"),
        ({"credentials": "b"}, "client_id"),
        ({"tracking_client_id": "a"}, "tracking_client_id"),
        ({"pickup": "BY_DRONE"}, "pickup"),
    ],
)
def test_half_a_key_is_refused(options: dict[str, str], path: str) -> None:
    """A FedEx key without its secret is refused, as is an unknown pickup type."""
    with pytest.raises(ConfigurationError) as excinfo:
        FedEx(account_number="1", **options)  # type: ignore[arg-type]  # what a configuration gives

    assert path == excinfo.value.path


def test_live_and_test_systems_have_their_urls() -> None:
    """FedEx's live and test systems have their own URLs, and the repr hides the secrets."""
    live_account, test = FedEx(account_number="1"), FedEx(account_number="1", sandbox=True)

    assert "https://apis.fedex.com" == live_account.services()[""].base_url
    assert "https://apis-sandbox.fedex.com" == test.services()[""].base_url
    assert ({}, True) == (live_account.clients(), live_account.services()[""].needs_credentials)
    separate_account = FedEx(**_options("tracking_"), base_url="https://fedex.example/")
    assert {"https://fedex.example/oauth/token"} == {
        client.server.token_endpoint for client in separate_account.clients().values()
    }
    secret = FedEx(account_number="740561073", client_id="key", credentials=Secret("hush-hush"))
    assert "hush" not in repr(secret)
    assert "740561073" not in repr(secret)


@pytest.mark.parametrize(
    "path, value, code",
    [
        (("requestedShipment", "recipients"), {}, "INVALID.INPUT.EXCEPTION"),
        (("requestedShipment", "labelspecification"), {}, "INVALID.INPUT.EXCEPTION"),
        (("requestedShipment", "totalWeight"), "1", "INVALID.INPUT.EXCEPTION"),
        (("accountNumber", "value"), "1", "ACCOUNT.NUMBER.MISMATCH"),
        (("requestedShipment", "serviceType"), "BY_DRONE", "SERVICE.TYPE.INVALID"),
        (
            ("requestedShipment", "labelSpecification", "imageType"),
            "SVG",
            "INVALID.INPUT.EXCEPTION",
        ),
        (
            ("requestedShipment", "labelSpecification", "labelStockType"),
            "A4",
            "INVALID.INPUT.EXCEPTION",
        ),
    ],
)
def test_sandbox_is_strict(
    shop: SandboxHub, path: tuple[str, ...], value: object, code: str
) -> None:
    """The FedEx sandbox refuses unknown fields and wrong types like FedEx."""
    shop.buy_label_of_order()
    [requests] = [
        request for request in shop.sandbox.requests if request.path == "/ship/v1/shipments"
    ]
    body = json.loads(requests.body)
    branch = body
    for name in path[:-1]:
        branch = branch[name]
    branch[path[-1]] = value
    response = response_to(shop, Request.post("/ship/v1/shipments", json=body))

    assert (400, code) == (response.status, response.json()["errors"][0]["code"])
    assert 1 == len(shop.sandbox.shipments)


def test_sandbox_refuses_invalid_requests(shop: SandboxHub) -> None:
    """The FedEx sandbox refuses a missing token, an unknown path and a zero weight."""
    shop.shipping.get_rates(REQUEST)
    body = json.loads(shop.sandbox.requests[-1].body)
    response = Request.post("/rate/v1/rates/quotes", json=body)
    assert 200 == response_to(shop, response).status
    assert 401 == response_to(shop, response, token="another").status
    assert 404 == response_to(shop, Request.get("/nothing")).status
    body["requestedShipment"]["requestedPackageLineItems"][0]["weight"]["value"] = 0
    assert 400 == response_to(shop, Request.post("/rate/v1/rates/quotes", json=body)).status
    reference_query = {"value": "1", "shipDateBegin": "a", "shipDateEndDate": "b"}
    result = Request.post(
        "/track/v1/referencenumbers", json={"referencesInformation": reference_query}
    )
    assert 400 == response_to(shop, result).status


def response_to(shop: SandboxHub, request: Request, token: str | None = None) -> Response:
    """Return the FedEx sandbox's response to a request, by default with a valid token."""
    bearer_token = token or f"token-{shop.sandbox.client_id}-{shop.sandbox.token_endpoint.grants}"
    shown_request = request.with_header("Authorization", f"Bearer {bearer_token}")
    url = f"https://apis.fedex.com{request.path}"
    return SandboxHttpClient(shop.sandbox).send(shown_request, url, Timeouts())
