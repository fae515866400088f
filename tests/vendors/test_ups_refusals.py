"""UPS: authentication, error responses and the sandbox's refusals."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from moorage import ConfigurationError
from moorage.contracts.routes import Account
from moorage.contracts.shipping import LabelFormat
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.errors import AuthenticationFailed, CredentialRefreshFailed
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendors.shipping._ups_answers import classify
from moorage.vendors.shipping._ups_requests import (
    address_body,
    by_mark,
    rates_body,
    recovery_body,
    shipment_body,
)
from moorage.vendors.shipping.ups import Ups
from tests.vendors.ups_account import CANADIAN_ADDRESS, DAY, OFFER, RECIPIENT, REQUEST, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new UPS sandbox."""
    return SandboxHub()


@pytest.mark.parametrize(
    "body, code",
    [
        ({"response": {"errors": [{"code": "250003", "message": "No."}]}}, "250003"),
        ({"errors": [{"code": "TV1002", "message": "No."}]}, "TV1002"),
    ],
)
def test_code_of_ups_error_is_read_from_either_place_where_ups_writes_it(
    body: object, code: str
) -> None:
    """The code of a UPS error is read from either place where UPS writes it."""
    error: Any = classify(Request.get("/"), reply(body, 401))

    assert (AuthenticationFailed, code, "No.") == (
        type(error),
        error.vendor_code,
        error.vendor_message,
    )


@pytest.mark.parametrize(
    "answer",
    [
        Response(502, body=b"<html>"),
        Response(200, body=b"{}"),
        reply([], 400),
        reply({"response": {"errors": "none"}}, 400),
    ],
)
def test_other_errors_are_classified_by_status(answer: Response) -> None:
    """A UPS error without a code is classified by its status."""
    assert None is classify(Request.get("/"), answer)


def test_one_ups_token_serves_many_requests(shop: SandboxHub) -> None:
    """One UPS token serves many requests, and a refused token is replaced by a new token."""
    shop.buy_label_of_order()
    shop.buy_label_of_order("order-2")
    assert 1 == shop.sandbox.tokens.grants
    shop.sandbox.tokens.forget()
    shop.shipping.get_rates(REQUEST)
    assert 2 == shop.sandbox.tokens.grants

    wrong_vendor = attrs.evolve(shop.vendor, client_secret="hush-hush")
    account = Account("ups", wrong_vendor, settings={"retry": None, "circuit": None})
    hub = Hub([account], http=SandboxHttpClient(shop.sandbox))
    with pytest.raises((AuthenticationFailed, CredentialRefreshFailed)) as excinfo:
        hub.shipping().get_rates(REQUEST)
    assert "hush-hush" not in f"{excinfo.value}{excinfo.value!r}"


def test_account_is_checked() -> None:
    """A UPS id without a secret is refused; without both the credential provider is used."""
    with pytest.raises(ConfigurationError):
        Ups(account_number="A1B2C3", client_id="app")
    vendor = Ups(account_number="A1B2C3")
    assert ({}, True) == (vendor.clients(), vendor.services()[""].needs_credentials)
    vendor = Ups(account_number="A1B2C3", client_id="app-of-ours", client_secret="hush-hush")
    for hidden_secret in ("A1B2C3", "app-of-ours", "hush-hush"):
        assert hidden_secret not in repr(vendor)


def response_to(shop: SandboxHub, request: Request) -> Response:
    """Return the UPS sandbox's response to a request."""
    shop.shipping.validate_address(RECIPIENT)
    token = shop.sandbox.requests[-1].headers.get("authorization") or ""
    url = f"https://onlinetools.ups.com{request.path}"
    existing_request = request.with_header("Authorization", token)
    return SandboxHttpClient(shop.sandbox).send(existing_request, url, Timeouts())


RATE = rates_body(REQUEST, "A1B2C3")
SHIP = shipment_body(REQUEST, OFFER, account="A1B2C3", goods="Goods", marked="k", day=DAY)
_RATE, _SHIP = RATE["RateRequest"]["Shipment"], SHIP["ShipmentRequest"]["Shipment"]
_PACKAGE = _RATE["Package"][0]
ABROAD = {"Name": "Ada", "Address": {"AddressLine": [], "CountryCode": "DE"}}


def rate(**fields: Any) -> Request:
    """Return a UPS rate request with the given changes."""
    body = {"RateRequest": {"Request": {}, "Shipment": {**_RATE, **fields}}}
    return Request.post("/api/rating/v2409/Shop", json=body)


def box_request(length: str) -> Request:
    """Return a UPS rate request for a box of the given length."""
    dimensions = {**_PACKAGE["Dimensions"], "Length": length}
    return rate(Package=[{**_PACKAGE, "Dimensions": dimensions}])


def ship(code: str = "ZPL", **fields: Any) -> Request:
    """Return a UPS purchase with the given changes."""
    label = {
        "LabelImageFormat": {"Code": code},
        "LabelStockSize": {"Height": "6", "Width": "4"},
    }
    shipment = {**_SHIP, **fields}
    body = {"ShipmentRequest": {"Request": {}, "Shipment": shipment, "LabelSpecification": label}}
    return Request.post("/api/shipments/v2409/ship", json=body)


def recover(label: LabelFormat = LabelFormat.PDF, **which: Any) -> Request:
    """Return a UPS request for the labels of a shipment."""
    return Request.post("/api/labels/v1/recovery", json=recovery_body(label, which))


@pytest.mark.parametrize(
    "query, code",
    [
        (Request.post("/api/rating/v2409/Shop", json={}), "9120002"),
        (rate(Colour="red"), "9120002"),
        (rate(Package={}), "9120002"),
        (rate(Shipper={**_RATE["Shipper"], "ShipperNumber": "ZZZZZZ"}), "120100"),
        (
            rate(ShipFrom={"Name": "A", "Address": {"AddressLine": [], "CountryCode": "DE"}}),
            "111057",
        ),
        (
            rate(Package=[{**_PACKAGE, "Dimensions": {**_PACKAGE["Dimensions"], "Length": "1.5"}}]),
            "111055",
        ),
        (
            rate(Package=[{**_PACKAGE, "Dimensions": {**_PACKAGE["Dimensions"], "Length": "1"}}]),
            "111050",
        ),
        (ship("PDF"), "120213"),
        (ship(Service={"Code": "99"}), "121100"),
        (ship(ReferenceNumber=[{"Value": "k"}]), "120541"),
        (recover(), "300068"),
        (recover(**by_mark("k", "ZZZZZZ")), "300068"),
        (recover(**by_mark("k", "A1B2C3")), "300070"),
        (recover(TrackingNumber="1Z"), "TW0001"),
        (Request.get("/api/track/v1/details/1Z"), "VSS002"),
        (
            Request.post("/api/addressvalidation/v2/3", json=address_body(CANADIAN_ADDRESS)),
            "264002",
        ),
    ],
)
def test_sandbox_is_as_strict_as_ups(shop: SandboxHub, query: Request, code: str) -> None:
    """The UPS sandbox refuses unknown, missing and mistyped fields, and other wrong requests."""
    answer = response_to(shop, query)

    assert 400 <= answer.status < 500
    assert f'"code":"{code}"' in answer.text


def test_sandbox_label_recovery(shop: SandboxHub) -> None:
    """The UPS sandbox has no labels of voided shipments, and refuses unsupported formats."""
    shipment = shop.buy_label_of_order()
    body = recovery_body(LabelFormat.PDF, {"TrackingNumber": shipment.ref.id})
    picture = {**body["LabelRecoveryRequest"]}
    picture["LabelSpecification"] = {"LabelImageFormat": {"Code": "PNG"}}
    path = "/api/labels/v1/recovery"
    answer = response_to(shop, Request.post(path, json={"LabelRecoveryRequest": picture}))
    assert "300071" in answer.text
    shop.shipping.cancel(shipment.ref)
    assert "300069" in response_to(shop, Request.post(path, json=body)).text
    refused_response = SandboxHttpClient(shop.sandbox).send(
        Request.post(path, json=body), f"https://onlinetools.ups.com{path}", Timeouts()
    )
    assert 401 == refused_response.status
