"""ShipEngine: authentication, error responses and the sandbox's refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.contracts.shipping import TrackingStatus
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendors.shipping._shipengine_requests import rates_body
from moorage.vendors.shipping.shipengine import ShipEngine
from tests.vendors.shipengine_account import REQUEST, SandboxHub

if TYPE_CHECKING:
    from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new ShipEngine sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "status, error, kind",
    [
        (400, {"error_code": "field_value_required", "error_type": "validation"}, InvalidRequest),
        (400, {"error_code": "trial_expired", "error_type": "account_status"}, VendorRejected),
        (400, {"error_code": "new", "error_type": "system"}, VendorFailed),
        (400, {"error_code": "new", "error_type": "new"}, InvalidRequest),
        (400, {"error_code": "new", "error_type": "integrations"}, VendorRejected),
        (401, {"error_code": "unauthorized", "error_type": "security"}, AuthenticationFailed),
        (404, {"error_code": "invalid_identifier", "error_type": "validation"}, VendorRejected),
        (429, {"error_code": "rate_limit_exceeded", "error_type": "security"}, RateLimitExceeded),
        (429, {}, RateLimitExceeded),
        (500, {"error_code": "unspecified", "error_type": "validation"}, VendorFailed),
        (200, {"error_code": "unspecified"}, None),
    ],
)
def test_error_code_decides_the_error_class_before_the_status(
    shop: SandboxHub, status: int, error: dict[str, str], kind: type[ConnectorError] | None
) -> None:
    """A ShipEngine error's class follows from the code in its body, or else from the status."""
    shop.sandbox.fail(reply({"errors": [{**error, "message": "No."}]}, status))
    if kind is None:
        assert TrackingStatus.UNKNOWN is shop.shipping.track("1", "usps").status
        return
    with pytest.raises(kind, match=r"No\.") as excinfo:
        shop.shipping.track("1", "usps")

    assert kind is type(excinfo.value)
    assert error.get("error_code") == excinfo.value.vendor_code  # type: ignore[attr-defined]  # each kind has it


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"<html></html>", VendorRejected),
        (b'{"errors": "no"}', VendorRejected),
        (b"[]", VendorRejected),
        (b'{"errors": [7]}', VendorRejected),
    ],
)
def test_other_errors_are_classified_by_status(
    shop: SandboxHub, body: bytes, kind: type[ConnectorError]
) -> None:
    """A ShipEngine error without a code is classified by its status."""
    shop.sandbox.fail(Response(404, body=body))
    with pytest.raises(kind):
        shop.shipping.track("1", "usps")


def test_secret_in_an_error_is_masked(shop: SandboxHub) -> None:
    """A key that ShipEngine repeats in an error is masked."""
    text = "The API key sk_live_51H8xYzAbCdEfGhIjKlMnOpQr is not valid."
    error = {"error_code": "unauthorized", "error_type": "security", "message": text}
    shop.sandbox.fail(reply({"errors": [error]}, 401))
    with pytest.raises(AuthenticationFailed) as excinfo:
        shop.shipping.track("1", "usps")

    assert "sk_live_51H8xYzAbCdEfGhIjKlMnOpQr" not in f"{excinfo.value}{excinfo.value!r}"


def test_key_may_come_from_a_provider() -> None:
    """Without its own key a ShipEngine account uses the credential provider."""
    services = ShipEngine().services()

    assert (True, None) == (services[""].needs_credentials, services[""].credentials)
    assert (False, None) == (services["labels"].needs_credentials, services["labels"].credentials)
    assert "TEST_1" not in repr(ShipEngine(credentials="TEST_1"))


RATES_BODY = rates_body(attrs.evolve(REQUEST, saturday=True), ["se-100"], "carrier")


@pytest.mark.parametrize(
    "path, value, code",
    [
        (("shipment", "ship_to", "zip"), "90277", "invalid_field_value"),
        (("shipment", "ship_to", "postal_code"), 90277, "invalid_field_value"),
        (("shipment", "packages"), [], "invalid_field_value"),
        (("shipment", "packages"), {}, "invalid_field_value"),
        (("shipment", "packages"), [{}], "field_value_required"),
        (("shipment", "packages"), [7], "invalid_field_value"),
        (
            ("shipment", "packages"),
            [{"weight": {"value": True, "unit": "gram"}}],
            "invalid_field_value",
        ),
        (
            ("shipment", "packages"),
            [{"weight": {"value": 1, "unit": "stone"}}],
            "invalid_field_value",
        ),
        (
            ("shipment", "packages"),
            [
                {
                    "weight": {"value": 1, "unit": "gram"},
                    "insured_value": {"currency": "usd", "amount": 1},
                }
            ],
            "field_value_required",
        ),
        (("shipment", "advanced_options", "saturday_delivery"), 1, "invalid_field_value"),
        (("shipment", "ship_from", "country_code"), "DE", "customs_items_required"),
        (("shipment", "ship_from"), {"country_code": "US"}, "field_value_required"),
        (("rate_options", "carrier_ids"), ["se-9"], "invalid_identifier"),
    ],
)
def test_sandbox_is_strict(
    shop: SandboxHub, path: tuple[str, ...], value: object, code: str
) -> None:
    """The ShipEngine sandbox refuses unknown fields and wrong types like ShipEngine."""
    body = json.loads(json.dumps(RATES_BODY))
    branch = body
    for name in path[:-1]:
        branch = branch[name]
    branch[path[-1]] = value
    response = response_to(shop.sandbox, Request.post("/v1/rates", json=body))

    assert (400, code) == (response.status, response.json()["errors"][0]["error_code"])


@pytest.mark.parametrize("side", ["ship_from", "ship_to"])
def test_sandbox_refuses_an_address_without_a_name(shop: SandboxHub, side: str) -> None:
    """ShipEngine needs a person's or company's name; its error names the address without one."""
    body = json.loads(json.dumps(RATES_BODY))
    for name in ("name", "company_name"):
        body["shipment"][side].pop(name, None)
    response = response_to(shop.sandbox, Request.post("/v1/rates", json=body))
    [error] = response.json()["errors"]

    assert (400, "field_value_required") == (response.status, error["error_code"])
    assert side in error["message"]


def test_sandbox_refuses_invalid_requests(shop: SandboxHub) -> None:
    """The sandbox refuses a missing key, an unknown path, and a key sent with a file request."""
    shop.buy_label_of_order()
    [path, *_] = shop.sandbox.contents
    long_request = Request.post("/v1/labels/rates/se-3", json={"custom_field1": "k" * 101})
    file = Request.get(f"/v1/downloads/{path}")

    assert 404 == response_to(shop.sandbox, Request.get("/v1/nothing")).status
    assert 401 == response_to(shop.sandbox, Request.get("/v1/labels"), key="another").status
    assert 404 == response_to(shop.sandbox, Request.get("/v1/labels/se-99")).status
    assert 400 == response_to(shop.sandbox, long_request).status
    assert 400 == response_to(shop.sandbox, file).status
    assert 404 == response_to(shop.sandbox, Request.get("/v1/downloads/none"), key=None).status


def test_sandbox_sells_a_label_without_a_mark(shop: SandboxHub) -> None:
    """The sandbox also sells a label to a request that lacks moorage's mark."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    response = response_to(shop.sandbox, Request.post(f"/v1/labels/rates/{rate.ref.id}", json={}))

    assert 200 == response.status
    [shipment] = shop.sandbox.shipments.values()
    assert "custom_field1" not in shipment["advanced_options"]


def response_to(
    sandbox: ShipEngineSandbox, request: Request, key: str | None = "TEST_sandbox_key_of_shipengine"
) -> Response:
    """Return the ShipEngine sandbox's response to a request with the given key."""
    keyed_request = request if key is None else request.with_header("API-Key", key)
    url = f"https://api.shipengine.com{request.path}"
    return SandboxHttpClient(sandbox).send(keyed_request, url, Timeouts())
