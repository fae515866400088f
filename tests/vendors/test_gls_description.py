"""GLS's requests and responses use documented field names, or known corrections of them.

The names are those of GLS's public descriptions of ShipIT and of Track And Trace 1.0.7. Where other
programs that are in use spell a name in another way, the list has their spelling: ZIPCode, eMail
and result.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moorage.contracts.routes import Account
from moorage.contracts.shipping import Address, Parcel, RateRequest, ShipmentRequest
from moorage.exporting.recording import recorded_exchanges
from moorage.hub.hub import Hub
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.shipping.gls import GlsSandbox
from tests.support.known_names import Shape, unknown_names
from tests.vendors.subjects.gls import gls_vendor

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Response, Timeouts

_BACKEND: Final = "/shipit-farm/v1/backend/rs"
_SHIPMENTS: Final = f"{_BACKEND}/shipments"
_LOCATION: Final = {"": "CountryCode ZIPCode"}
_ADDRESS: Final = {
    "": "City ContactPerson CountryCode FixedLinePhonenumber MobilePhoneNumber Name1 Name2 Name3"
    " Province Street StreetNumber ZIPCode eMail"
}
ORDERED: Final = ShipmentRequest(
    rate_request=RateRequest(
        sender=Address(name="Ada", line1="Musterweg 5", city="Berlin", country="DE"),
        recipient=Address(name="Grace", line1="Musterweg 7", city="Berlin", country="DE"),
        parcels=Parcel(weight=1),
    )
)
SERVICES: Final[Shape] = {
    "": "ContactID Destination Source",
    "Destination": _LOCATION,
    "Source": _LOCATION,
}
ALLOWED: Final[Shape] = {
    "": "AllowedServices",
    "AllowedServices": {"": "ProductName ServiceName"},
}
PRINTING: Final[Shape] = {
    "": "DefinePrinter ReturnLabels UseDefault",
    "ReturnLabels": {"": "LabelFormat TemplateSet"},
}
ORDER: Final[Shape] = {
    "": "CustomContent PrintingOptions ReturnOptions Shipment",
    "PrintingOptions": PRINTING,
    "Shipment": {
        "": "Carrier Consignee ExpressAltDeliveryAllowed Identifier IncotermCode Middleware Product"
        " Return Service ShipmentReference ShipmentUnit Shipper ShippingDate",
        "Consignee": {"": "Address Category ConsigneeID CostCenter", "Address": _ADDRESS},
        "Shipper": {
            "": "AlternativeShipperAddress ContactID",
            "AlternativeShipperAddress": _ADDRESS,
        },
        "ShipmentUnit": {
            "": "Note1 Note2 PartnerParcelNumber Service ShipmentUnitReference Weight"
        },
    },
}
CREATED: Final[Shape] = {
    "": "CreatedShipment",
    "CreatedShipment": {
        "": "CustomerID GDPR ParcelData PickupLocation PrintData ShipmentReference",
        "ParcelData": {
            "": "Barcodes ParcelNumber PartnerParcelNumber RoutingInfo ShipmentUnitReference"
            " TrackID"
        },
        "PrintData": {"": "Data LabelFormat"},
    },
}
REPRINT: Final[Shape] = {
    "": "CreationDate ParcelNumber PartnerParcelNumber PrintingOptions ShipmentReference"
    " ShipmentUnitReference TrackID",
    "PrintingOptions": PRINTING,
}
SEARCH: Final[Shape] = {
    "": "DateFrom DateTo ParcelNumber PartnerParcelNumber ShipmentReference ShipmentUnitReference"
    " TrackID"
}
SEARCH_SHAPE: Final[Shape] = {
    "": "UnitItems",
    "UnitItems": {
        "": "InitialDate ParcelNumber PartnerParcelNumber ShipmentReference ShipmentUnitReference"
        " Status TrackID"
    },
}
CANCELED: Final[Shape] = {"": "TrackID result"}
TRACKED: Final[Shape] = {
    "": "parcels",
    "parcels": {
        "": "_links errorCode errorMessage events requested status statusDateTime unitno",
        "events": {"": "city code country description eventDateTime postalCode"},
    },
}
SHAPES: Final[dict[str, tuple[Shape | None, Shape]]] = {
    f"{_SHIPMENTS}/allowedservices": (SERVICES, ALLOWED),
    f"{_SHIPMENTS}/reprintparcel": (REPRINT, CREATED),
    f"{_SHIPMENTS}/cancel/": (None, CANCELED),
    "/track-and-trace-v1/tracking/simple/": (None, TRACKED),
    _SHIPMENTS: (ORDER, CREATED),
}
"""The names of requests and responses, by the beginning of the path; the longer ones come first."""


class RecordingClient(SandboxHttpClient):
    """An HTTP client of a sandbox that records each request with its response."""

    def __init__(self, sandbox: GlsSandbox) -> None:
        super().__init__(sandbox)
        self.exchanges: list[tuple[Request, Response]] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request, and store it with its response."""
        response = super().send(request, url, timeouts)
        self.exchanges.append((request, response))
        return response


def test_each_name_in_request_or_in_sandbox_answer_is_one_that_gls_knows() -> None:
    """Each field name in a request or a response of the sandbox is a field name of GLS."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("gls"):
        if exchange.url.endswith("/oauth2/v2/token"):
            continue
        start = next(path for path in SHAPES if exchange.request.path.startswith(path))
        seen.add(start)
        sent, answered = SHAPES[start]
        if sent is not None:
            problems += unknown_names(json.loads(as_bytes(exchange.request)), sent, start)
        problems += unknown_names(exchange.response.json(), answered, start)

    assert [] == problems
    assert set(SHAPES) == seen


def test_search_for_label_whose_answer_was_lost_has_names_that_gls_knows() -> None:
    """The search for a lost label uses only field names that GLS knows."""
    sandbox = GlsSandbox()
    sandbox.fail(None, Lost())
    account = Account("gls", gls_vendor(sandbox), settings={"retry": None})
    client = RecordingClient(sandbox)
    Hub([account], http=client).shipping().create_shipment(ORDERED, idempotency_key="k-1")
    [(request, response)] = [
        item for item in client.exchanges if item[0].path == f"{_BACKEND}/tracking/parcels"
    ]

    assert [] == [*unknown_names(json.loads(as_bytes(request)), SEARCH)]
    assert [] == [*unknown_names(response.json(), SEARCH_SHAPE)]


def test_unknown_names_are_found() -> None:
    """An unknown name is found at any depth of nested values."""
    body = {"Source": {"Zipcode": "1"}, "Volume": {}}

    assert ["x.Source.Zipcode", "x.Volume"] == [*unknown_names(body, SERVICES, "x")]
