"""Helpers for tests of FedEx: a hub with an account at the sandbox, and shipments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.routes import Account
from moorage.contracts.shipping import Address, Parcel, RateRequest, ShipmentRequest
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.fedex import FedExSandbox
from moorage.vendors.shipping.fedex import FedEx

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
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Elizabeth Swan",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="5555555556",
    residential=True,
)
PARCEL = Parcel(weight="1.25", length=30, width="20.5", height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL)
SHIP = "POST /ship/v1/shipments"
TRACK = "POST /track/v1/trackingnumbers"
FIND = "POST /track/v1/referencenumbers"
RATES = "POST /rate/v1/rates/quotes"
RESOLVE_ADDRESS = "POST /address/v1/addresses/resolve"


class Wire(SandboxHttpClient):
    """An HTTP client that returns the response planned for a path, or else the sandbox's."""

    def __init__(self, sandbox: FedExSandbox) -> None:
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
    """A hub with an account at FedEx's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = FedExSandbox()
        self.wire = Wire(self.sandbox)
        default_options: dict[str, Any] = {
            "client_id": self.sandbox.client_id,
            "credentials": self.sandbox.client_secret,
            "account_number": self.sandbox.account_number,
        }
        account = Account(
            "fedex",
            FedEx(**{**default_options, **options}),
            settings={"retry": None, "circuit": None},
        )
        self.hub = Hub([account], http=self.wire)
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label for the example order, and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )


def fedex_response(**output: Any) -> Response:
    """Return a successful FedEx response with the given fields in its output."""
    return reply({"transactionId": "1", "output": output})
