"""Helpers for tests of UPS: a hub with an account at the sandbox, and shipments."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    ShipmentRequest,
)
from moorage.domain.values.money import Money
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.shipping.ups import UpsSandbox
from moorage.vendors.shipping.ups import Ups

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment
    from moorage.operations.shipping import Shipping

SENDER = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="+1 (555) 555-5555",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    residential=True,
)
CANADIAN_ADDRESS = attrs.evolve(
    RECIPIENT, city="Toronto", region="ON", postal_code="M4W1A8", country="CA"
)
PARCEL = Parcel(weight="1.25", length=10, width="30.5", height=20)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL)
CUSTOMS = Customs(
    items=[
        CustomsItem(
            description="Shirts of cotton, with short sleeves and a pocket",
            quantity=3,
            value=Money("10.00", "USD"),
            weight=1,
            hs_code="6109.10",
            origin="DE",
            sku="S-1",
        )
    ],
    signer="Steve Brule",
    invoice_number="INV-1",
    incoterm="DAP",
)
OFFER = Ref("ups", "ups", "03")
DAY = date(2030, 1, 2)
MARK = sha256(b"\nk-1").hexdigest()[:32]


class SandboxHub:
    """A hub with an account at UPS's sandbox."""

    def __init__(self) -> None:
        self.sandbox = UpsSandbox()
        self.vendor = Ups(
            client_id=self.sandbox.client_id,
            client_secret=self.sandbox.client_secret,
            account_number=self.sandbox.account_number,
        )
        account = Account("ups", self.vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox))
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )

    def last_request(self, path: str) -> Any:
        """Return the body of the last request whose path ends with the given text."""
        return [request.json() for request in self.sandbox.requests if request.path.endswith(path)][
            -1
        ]
