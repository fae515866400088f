"""Helpers for tests of ShipEngine: a hub connected to the sandbox, and shipments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.routes import Account
from moorage.contracts.shipping import Address, Parcel, RateRequest, ShipmentRequest
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.shipping.shipengine import ShipEngineSandbox
from moorage.vendors.shipping.shipengine import ShipEngine

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.errors import ConnectorError
    from moorage.operations.shipping import Shipping

SENDER = Address(
    name="Jack Sparrow",
    company="ACME",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
    residential=False,
)
RECIPIENT = Address(
    name="Elizabeth Swan",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    residential=True,
)
PARCEL = Parcel(weight="1.25", length=30, width="20.5", height=10, reference="box 1")
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL)


class Wire(SandboxHttpClient):
    """An HTTP client that returns the response planned for a path, or else the sandbox's."""

    def __init__(self, sandbox: ShipEngineSandbox) -> None:
        super().__init__(sandbox)
        self.sandbox = sandbox
        self.planned: dict[str, list[Response | ConnectorError | Lost]] = {}

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the planned response for the path, or the sandbox's response."""
        planned_responses = self.planned.get(f"{request.method.value} {request.path}")
        if planned_responses:
            self.sandbox.fail(planned_responses.pop(0))
        return super().send(request, url, timeouts)


class SandboxHub:
    """A hub with an account at ShipEngine's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = ShipEngineSandbox()
        self.wire = Wire(self.sandbox)
        vendor = ShipEngine(credentials=self.sandbox.api_key, **options)
        account = Account("shipengine", vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=self.wire)
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label for the example order, and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )

    def buying(self, rate: str) -> str:
        """Return the method and path of the request that buys this rate."""
        return f"POST /v1/labels/rates/{rate}"
