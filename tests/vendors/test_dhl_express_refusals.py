"""DHL Express and its sandbox: authentication, refused requests and other errors."""

from __future__ import annotations

from base64 import b64encode
from datetime import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs
import pytest

from moorage import ConfigurationError
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import AuthenticationFailed, InvalidRequest, UnsupportedByVendor
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendors.shipping._dhl_express_answers import classify
from moorage.vendors.shipping._dhl_express_requests import rates_body, shipment_body
from moorage.vendors.shipping.dhl_express import DhlExpress
from tests.vendors.dhl_express_account import OFFER, PLANNED, REQUEST, SandboxHub

if TYPE_CHECKING:
    from moorage.testing.sandboxes.shipping.dhl_express import DhlExpressSandbox


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new DHL Express sandbox."""
    return SandboxHub()


def test_unsupported_operations_are_refused_by_the_vendor(shop: SandboxHub) -> None:
    """An operation that DHL does not support is refused even if called on the vendor directly."""
    vendor = DhlExpress(account_number="1")
    wire: Any = None
    for coroutine in (
        vendor.get_labels(wire, OFFER, None),
        vendor.buy(wire, OFFER, None, key="k-1"),
    ):
        with pytest.raises(UnsupportedByVendor):
            coroutine.send(None)
    assert shop.sandbox.requests == []


@pytest.mark.parametrize(
    "body, code, words",
    [
        (
            {"detail": "Multiple problems found", "additionalDetails": ["7: a", "1001: No.", 5]},
            "1001",
            "Multiple problems found 7: a 1001: No.",
        ),
        ({"title": "Bad request"}, None, "Bad request"),
        ({"message": "Unprocessable"}, None, "Unprocessable"),
        ({}, None, None),
        ([], None, None),
    ],
)
def test_error_keeps_its_code(body: object, code: str | None, words: str | None) -> None:
    """The text of a DHL error begins with DHL's code, wherever the response has it."""
    error: Any = classify(Request.get("/rates"), reply(body, 400))

    assert (InvalidRequest, code, words) == (type(error), error.vendor_code, error.vendor_message)


@pytest.mark.parametrize("code", ["996", "1001", "1004"])
def test_shipment_without_a_product_has_no_rates(shop: SandboxHub, code: str) -> None:
    """A refusal for want of a product is an empty list of rates, with DHL's message."""
    shop.sandbox.fail(reply({"detail": f"{code}: No product."}, 404))

    result = shop.shipping.get_rates(REQUEST)

    assert ((), [code]) == (result.rates, [message.code for message in result.messages])


def test_another_refusal_of_rates_is_an_error(shop: SandboxHub) -> None:
    """A refusal for another reason than a missing product is raised."""
    shop.sandbox.fail(reply({"detail": "998: No time."}, 400))

    with pytest.raises(InvalidRequest):
        shop.shipping.get_rates(REQUEST)


def test_other_errors_are_classified_by_status() -> None:
    """A DHL error without JSON is classified by its status."""
    assert None is classify(Request.get("/rates"), Response(502, body=b"<html>"))
    assert None is classify(Request.get("/rates"), Response(200, body=b"{}"))


def test_account_is_checked() -> None:
    """A DHL key without a secret, or an invalid time or offset, is refused at once."""
    wrongs: tuple[dict[str, Any], ...] = (
        {"username": "key"},
        {"credentials": "secret"},
        {"ready": "five o'clock"},
        {"ready": 17},
        {"utc_offset": "CET"},
        {"utc_offset": 1},
    )
    for wrong_options in wrongs:
        with pytest.raises(ConfigurationError):
            DhlExpress(account_number="1", **wrong_options)
    assert time(9, 30) == DhlExpress(account_number="1", ready=time(9, 30)).ready


def test_secret_may_come_from_a_provider() -> None:
    """A DHL account without its own secret uses the credential provider; reprs hide the secret."""
    (service,) = DhlExpress(account_number="123456789").services().values()
    assert (True, None) == (service.needs_credentials, service.credentials)
    vendor = DhlExpress(account_number="123456789", username="key-of-ours", credentials="hush-hush")
    for hidden_secret in ("123456789", "key-of-ours", "hush-hush"):
        assert hidden_secret not in repr(vendor)
        assert hidden_secret not in repr(vendor.services())


def response_to(sandbox: DhlExpressSandbox, request: Request, **headers: str) -> Response:
    """Return the DHL sandbox's response to a request."""
    basic_credentials = b64encode(f"{sandbox.username}:{sandbox.password}".encode()).decode()
    fields = {"Authorization": f"Basic {basic_credentials}", "x-version": "3.1.0", **headers}
    for name, value in fields.items():
        request = request.with_header(name, value) if value else request
    url = f"https://express.api.dhl.com/mydhlapi{request.path}?{urlencode(request.query)}"
    return SandboxHttpClient(sandbox).send(request, url, Timeouts())


RATES_BODY = rates_body(REQUEST, "123456789", PLANNED)
PURCHASE_BODY = shipment_body(
    REQUEST, OFFER, account="123456789", planned=PLANNED, goods="Goods", marked="k"
)
UNDECLARED = {
    **PURCHASE_BODY,
    "content": {
        name: value
        for name, value in PURCHASE_BODY["content"].items()
        if name != "exportDeclaration"
    },
}


@pytest.mark.parametrize(
    "query, words",
    [
        (Request.post("/rates", json={**RATES_BODY, "colour": "red"}), "extraneous key [colour]"),
        (Request.post("/rates", json={**RATES_BODY, "packages": {}}), "expected type: array"),
        (Request.post("/rates", json={**RATES_BODY, "accounts": [7]}), "expected type: object"),
        (
            Request.post("/rates", json={**RATES_BODY, "isCustomsDeclarable": 1}),
            "expected type: value",
        ),
        (Request.post("/rates", json={**RATES_BODY, "nextBusinessDay": 1}), "expected type: value"),
        (Request.post("/rates", json={**RATES_BODY, "plannedShippingDateAndTime": "soon"}), "998"),
        (
            Request.post(
                "/rates", json={**RATES_BODY, "accounts": [{"typeCode": "shipper", "number": "7"}]}
            ),
            "account number",
        ),
        (
            Request.post(
                "/rates",
                json={
                    **RATES_BODY,
                    "customerDetails": {
                        **RATES_BODY["customerDetails"],
                        "receiverDetails": {
                            "postalCode": "1",
                            "countryCode": "CA",
                            "cityName": "T" * 46,
                        },
                    },
                },
            ),
            "expected maxLength: 45",
        ),
        (Request.post("/rates", json={}), "Multiple problems"),
        (
            Request.post("/shipments", json={**PURCHASE_BODY, "productCode": "7"}),
            "Multiple problems",
        ),
        (Request.post("/shipments", json=UNDECLARED), "exportDeclaration"),
        (
            Request.post(
                "/shipments",
                json={**PURCHASE_BODY, "outputImageProperties": {"encodingFormat": "gif"}},
            ),
            "encodingFormat",
        ),
        (Request.get("/shipments/7/tracking"), "No data"),
        (Request.get("/tracking"), "Missing mandatory parameters: shipmentReference"),
        (
            Request.get(
                "/tracking",
                query={
                    "shipmentReference": "k",
                    "shipperAccountNumber": "1",
                    "dateRangeFrom": "2030-01-01",
                    "dateRangeTo": "2030-12-31",
                },
            ),
            "dateRangeTo",
        ),
        (
            Request.get(
                "/tracking",
                query={
                    "shipmentReference": "k",
                    "shipperAccountNumber": "1",
                    "dateRangeFrom": "2030-01-01",
                    "dateRangeTo": "2030-01-02",
                },
            ),
            "No Shipments Found",
        ),
        (Request.get("/address-validate"), "Missing mandatory parameters: type"),
    ],
)
def test_sandbox_is_as_strict_as_dhl(shop: SandboxHub, query: Request, words: str) -> None:
    """The DHL sandbox refuses unknown, missing and mistyped fields, and what DHL refuses."""
    answer = response_to(shop.sandbox, query)

    assert 400 <= answer.status < 500
    assert words in answer.text


def test_sandbox_checks_credentials_and_version(shop: SandboxHub) -> None:
    """The DHL sandbox refuses a wrong secret and a missing version."""
    response = Request.post("/rates", json=RATES_BODY)

    assert 200 == response_to(shop.sandbox, response).status
    assert 401 == response_to(shop.sandbox, response, Authorization="Bearer x").status
    assert 400 == response_to(shop.sandbox, response, **{"x-version": ""}).status
    wrong_vendor = attrs.evolve(shop.vendor, credentials="wrong")
    account = Account("dhl", wrong_vendor, settings={"retry": None, "circuit": None})
    hub = Hub([account], http=SandboxHttpClient(shop.sandbox))
    with pytest.raises(AuthenticationFailed) as excinfo:
        hub.shipping().get_rates(REQUEST)
    assert "wrong" not in str(excinfo.value)
