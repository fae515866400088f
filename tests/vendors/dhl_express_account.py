"""Helpers for tests of DHL Express: a hub with an account at the sandbox, and shipments."""

from __future__ import annotations

from datetime import UTC, datetime
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
from moorage.testing.fakes.clock import VirtualClock
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.shipping.dhl_express import DhlExpressSandbox
from moorage.vendors.shipping.dhl_express import DhlExpress

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment
    from moorage.operations.shipping import Shipping

SENDER = Address(
    name="Jack Sparrow",
    company="Acme",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="1 Bloor Street",
    city="Toronto",
    region="ON",
    postal_code="M4W1A8",
    country="CA",
    phone="+1 416 555 0100",
)
PARCEL = Parcel(weight="2.5", weight_unit="lb", length=30, width="20.5", height=10)
SHIRTS = CustomsItem(
    description="Shirts",
    quantity=2,
    value=Money("46.50", "EUR"),
    weight=1,
    weight_unit="lb",
    hs_code="6109.10",
    origin="DE",
)
CUSTOMS = Customs(items=[SHIRTS], signer="Steve Brule")
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL, customs=CUSTOMS)
OFFER = Ref("dhl_express", "dhl", "P", {"local": "P"})
PLANNED = "2030-01-02T17:00:00 GMT+01:00"
MARK = sha256(b"\nk-1").hexdigest()[:32]


class SandboxHub:
    """A hub with an account at DHL Express's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = DhlExpressSandbox()
        self.clock = VirtualClock(datetime(2030, 1, 1, 12, tzinfo=UTC))
        self.vendor = DhlExpress(
            username=self.sandbox.username,
            credentials=self.sandbox.password,
            account_number=self.sandbox.account_number,
            **options,
        )
        account = Account("dhl", self.vendor, settings={"retry": None, "circuit": None})
        client = SandboxHttpClient(self.sandbox)
        self.hub = Hub([account], http=client, clock=self.clock)
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label for the example order, and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )

    @property
    def last_body(self) -> Any:
        """Return the JSON body of the last request to the sandbox."""
        return self.sandbox.requests[-1].json()
