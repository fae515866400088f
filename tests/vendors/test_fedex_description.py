"""Requests to FedEx match FedEx's own API descriptions."""

from __future__ import annotations

import json
from typing import Final

import attrs
import pytest

from moorage import Account, Hub
from moorage.contracts.address import Address
from moorage.contracts.shipping import (
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    ShipmentRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.errors import VendorRejected
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.shipping.fedex import FedExSandbox
from moorage.vendors.shipping.fedex import FedEx
from tests.support.openapi import excerpt_problems

PATHS: Final = {
    "/address/v1/addresses/resolve",
    "/rate/v1/rates/quotes",
    "/ship/v1/shipments",
    "/ship/v1/shipments/cancel",
    "/track/v1/referencenumbers",
    "/track/v1/trackingnumbers",
}
SENDER: Final = Address(
    name="Jack Sparrow",
    company="ACME",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
    residential=False,
)


def test_requests_match_the_descriptions() -> None:
    """Each field of each FedEx request is in the API description, with its type."""
    sandbox = FedExSandbox()
    vendor = FedEx(
        client_id=sandbox.client_id,
        credentials=sandbox.client_secret,
        account_number=sandbox.account_number,
    )
    hub = Hub([Account("fedex", vendor)], http=SandboxHttpClient(sandbox))
    item = CustomsItem(
        description="Shirts",
        quantity=2,
        value=Money("46.50", "USD"),
        weight="0.3",
        hs_code="6109.10",
        origin="DE",
        sku="S-1",
    )
    order = RateRequest(
        sender=SENDER,
        recipient=attrs.evolve(SENDER, country="CA", region="ON"),
        parcels=[Parcel(weight="1.25", length=30, width="20.5", height=10)] * 2,
        customs=Customs(
            items=[item],
            signer="Steve Brule",
            explanation="A surprise",
            incoterm="DDP",
            invoice_number="INV-1",
            eel_pfc="NO EEI 30.37(f)",
        ),
        signature=Signature.ADULT,
        saturday=True,
        is_return=True,
        reference="order 7",
    )
    bought_shipment = hub.shipping().create_shipment(
        ShipmentRequest(rate_request=order), idempotency_key="k-1"
    )
    hub.shipping().track_shipment(bought_shipment.ref)
    hub.shipping().cancel(bought_shipment.ref)
    hub.shipping().validate_address(SENDER)
    rate = hub.shipping().get_rates(order).rates[0]
    sandbox.fail(Lost())
    hub.shipping().create_shipment(rate, idempotency_key="k-2")
    with pytest.raises(VendorRejected):
        hub.shipping().track("7", "fedex")

    assert PATHS == {request.path for request in sandbox.requests}
    for request in sandbox.requests:
        body = json.loads(request.body)
        assert [] == excerpt_problems("fedex", request.method, request.path, body)
