"""Invoices that DHL Express and FedEx send to customs electronically."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import Customs, RateRequest, ShipmentRequest, ShippingCapability
from moorage.errors import InvalidData, InvalidRequest, UnsupportedByVendor
from moorage.vendors.shipping._dhl_express_requests import rates_body as dhl_rates
from moorage.vendors.shipping._dhl_express_requests import shipment_body as dhl_shipment
from moorage.vendors.shipping._fedex_requests import shipment_body as fedex_shipment
from tests.support.openapi import excerpt_problems
from tests.vendors import fedex_account, ups_account
from tests.vendors.dhl_express_account import CUSTOMS, OFFER, PLANNED, REQUEST, SandboxHub

FILE = b"%PDF-1.4 invoice"
NUMBERED = attrs.evolve(CUSTOMS, invoice_number="INV-1")
PAPERLESS = attrs.evolve(NUMBERED, paperless=True)
OWN = attrs.evolve(CUSTOMS, invoice_file=FILE)


def request_of(customs: Customs, **fields: Any) -> RateRequest:
    """Return a shipment abroad with the given declaration."""
    return attrs.evolve(REQUEST, customs=customs, **fields)


def dhl_body(customs: Customs) -> dict[str, Any]:
    """Return the JSON body that buys a shipment from DHL Express."""
    request = request_of(customs)
    body = dhl_shipment(request, OFFER, account="1", planned=PLANNED, goods="Goods", marked="k")
    assert [] == excerpt_problems("dhl_express", "POST", "/shipments", body)
    return body


def fedex_body(customs: Customs, **fields: Any) -> dict[str, Any]:
    """Return the shipment in the JSON body that buys it from FedEx."""
    body = fedex_shipment(
        request_of(customs, **fields), "S", account="1", pickup="USE_SCHEDULED_PICKUP", marked="k"
    )
    assert [] == excerpt_problems("fedex", "POST", "/ship/v1/shipments", body)
    shipment: dict[str, Any] = body["requestedShipment"]
    return shipment


def test_dhl_writes_the_invoice() -> None:
    """For a paperless shipment DHL gets the service WY, and writes the invoice itself."""
    body = dhl_body(PAPERLESS)

    assert [{"serviceCode": "WY"}] == body["valueAddedServices"]
    assert [
        {"typeCode": "label"},
        {"typeCode": "invoice", "isRequested": True, "invoiceType": "commercial"},
    ] == body["outputImageProperties"]["imageOptions"]
    assert "documentImages" not in body


def test_dhl_gets_your_invoice() -> None:
    """Your own invoice is sent to DHL as a commercial invoice in PDF, with the service WY."""
    body = dhl_body(OWN)

    assert [{"serviceCode": "WY"}] == body["valueAddedServices"]
    assert [{"typeCode": "CIN", "imageFormat": "PDF", "content": b64encode(FILE).decode()}] == body[
        "documentImages"
    ]
    assert [{"typeCode": "label"}] == body["outputImageProperties"]["imageOptions"]


def test_rates_of_dhl_are_for_electronic_invoices() -> None:
    """A rate request names the paperless service too, because DHL does not offer it everywhere."""
    services = dhl_rates(request_of(OWN), "1", PLANNED)["valueAddedServices"]

    assert [{"serviceCode": "WY"}] == services


def test_invoice_of_dhl_has_a_number() -> None:
    """A paperless shipment without an invoice number is refused before anything is sent."""
    with pytest.raises(InvalidData) as excinfo:
        dhl_body(attrs.evolve(PAPERLESS, invoice_number=None))

    assert "customs.invoice_number" == excinfo.value.field


def test_invoice_on_paper_orders_nothing() -> None:
    """A declaration that does not ask for an electronic invoice orders none."""
    body, shipment = dhl_body(NUMBERED), fedex_body(NUMBERED)

    assert "valueAddedServices" not in body
    assert "documentImages" not in body
    assert "shippingDocumentSpecification" not in shipment
    assert "shipmentSpecialServices" not in shipment


def test_fedex_writes_the_invoice() -> None:
    """For a paperless shipment FedEx gets the service, and the order to write an invoice."""
    shipment = fedex_body(PAPERLESS, saturday=True)

    assert {
        "specialServiceTypes": ["SATURDAY_DELIVERY", "ELECTRONIC_TRADE_DOCUMENTS"],
        "etdDetail": {"requestedDocumentTypes": ["COMMERCIAL_INVOICE"]},
    } == shipment["shipmentSpecialServices"]
    assert {
        "shippingDocumentTypes": ["COMMERCIAL_INVOICE"],
        "commercialInvoiceDetail": {
            "documentFormat": {"docType": "PDF", "stockType": "PAPER_LETTER"}
        },
    } == shipment["shippingDocumentSpecification"]


def test_vendors_without_the_service_refuse_it() -> None:
    """FedEx accepts no invoice file of the caller and UPS no invoice, so nothing is sent."""
    fedex, ups = fedex_account.SandboxHub(), ups_account.SandboxHub()
    calls: list[tuple[Any, Customs, ShippingCapability]] = [
        (fedex, OWN, ShippingCapability.INVOICE_UPLOAD),
        (ups, OWN, ShippingCapability.INVOICE_UPLOAD),
        (ups, PAPERLESS, ShippingCapability.PAPERLESS_CUSTOMS),
    ]
    for shop, customs, capability in calls:
        order = ShipmentRequest(rate_request=request_of(customs))
        with pytest.raises(UnsupportedByVendor) as excinfo:
            shop.shipping.create_shipment(order, idempotency_key="k-1")
        assert ((capability,), []) == (excinfo.value.capabilities, shop.sandbox.requests)


def test_sandbox_of_dhl_needs_an_invoice_for_the_service() -> None:
    """The sandbox of DHL refuses the service without an invoice, as DHL does."""
    shop = SandboxHub()
    service = {"valueAddedServices": [{"serviceCode": "WY"}]}
    order = ShipmentRequest(
        rate_request=request_of(NUMBERED, extra={"dhl_express": {"shipment": service}})
    )
    with pytest.raises(InvalidRequest) as excinfo:
        shop.shipping.create_shipment(order, idempotency_key="k-1")

    assert ("7120", {}) == (excinfo.value.vendor_code, shop.sandbox.shipments)


@pytest.mark.parametrize(
    "field, fields",
    [
        ("invoice_file", {"invoice_file": b"GIF89a"}),
        ("invoice_file", {"invoice_file": b""}),
        ("paperless", {"invoice_file": FILE, "paperless": True}),
    ],
)
def test_invoice_is_one_pdf(field: str, fields: dict[str, Any]) -> None:
    """A file that is not a PDF, and two invoices for one shipment, are refused."""
    with pytest.raises(InvalidData) as excinfo:
        attrs.evolve(CUSTOMS, **fields)

    assert field == excinfo.value.field


def test_invoice_is_not_shown() -> None:
    """The repr of a declaration does not show the file."""
    assert "PDF" not in repr(OWN)
