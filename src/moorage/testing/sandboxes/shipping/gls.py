"""A local sandbox that imitates the ShipIT and Track And Trace APIs of GLS.

GLS takes nothing to the postal code 00000; for 00001 it allows its products, and then refuses the
label.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL, NO_RATES, event_time
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from pathlib import Path

_PRODUCTS: Final = words("PARCEL EXPRESS FREIGHT PHARMA PHARMAPLUS")
_LOCATION: Final = {"CountryCode!": str, "ZIPCode": str}
_PARTY: Final = {
    **typed(str, "Name1! Street! City! CountryCode!"),
    **typed(str, "Name2 Name3 Province StreetNumber ContactPerson"),
    **typed(str, "ZIPCode FixedLinePhonenumber MobilePhoneNumber eMail"),
}
_PRINTING: Final = {
    "ReturnLabels!": {
        "TemplateSet!": words("NONE ZPL_200 ZPL_300"),
        "LabelFormat!": words("PDF PNG ZEBRA"),
    }
}
_SERVICES: Final = {"Source!": _LOCATION, "Destination!": _LOCATION, "ContactID": str}
_ORDER: Final = {
    "Shipment!": {
        "ShipmentReference": [str],
        **typed(str, "ShippingDate Middleware! IncotermCode"),
        "Product!": _PRODUCTS,
        "Consignee!": {"Address": _PARTY, "Category": words("BUSINESS PRIVATE")},
        "Shipper!": {"ContactID!": str, "AlternativeShipperAddress": _PARTY},
        "ShipmentUnit!": [
            {"ShipmentUnitReference": [str], "Weight": NUMBER, "Note1": str, "Note2": str}
        ],
    },
    "PrintingOptions!": _PRINTING,
}
_SEARCH: Final = {"ShipmentUnitReference": str, "DateFrom!": str, "DateTo!": str}
_REPRINT: Final = {"TrackID": str, "CreationDate!": str, "PrintingOptions": _PRINTING}
_CONTENTS: Final = {"PDF": "pdf", "PNG": "png", "ZEBRA": "zpl"}
_TYPE: Final = "application/glsVersion1+json"
_BACKEND: Final = "/shipit-farm/v1/backend/rs"
_TRACKING: Final = "/track-and-trace-v1/tracking/simple"
_WAITING: Final = "PREADVICE"
_CODES: Final = {"PREADVICE": "INTIAL.PREADVICE", "CANCELED": "CANCEL.NORMAL"}
_Fields = dict[str, Any]


class GlsSandbox(base.Sandbox):
    """A sandbox of GLS: allowed services, labels, their search, cancellation and tracking.

    Attributes:
        client_id, client_secret: credentials that get access tokens.
        contact_id: the id of the sender's contract.
        shipments: the bodies of ordered labels, by track id.
        numbers: the track ids, by parcel number.
        tracks: the tracking of parcels, by track id.
        tokens: the endpoint that grants access tokens.
    """

    hosts = ("api.gls-group.net", "api-sandbox.gls-group.net")

    client_id: str = "gls-client-id"
    client_secret: str = "gls-sandbox-secret"
    contact_id: str = "276a45fkqM"
    shipments: dict[str, _Fields] = base.state_field(dict)
    numbers: dict[str, str] = base.state_field(dict)
    tracks: dict[str, _Fields] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.tokens = TokenEndpoint(
            "/oauth2/v2/token", self.client_id, self.client_secret, expires_in=14_400
        )
        self.mounts = {self.tokens.path: self.tokens}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_BACKEND}/shipments": self._order,
            f"POST {_BACKEND}/shipments/allowedservices": self._services,
            f"POST {_BACKEND}/shipments/reprintparcel": self._reprint,
            f"POST {_BACKEND}/shipments/cancel/{{track_id}}": self._cancel,
            f"POST {_BACKEND}/tracking/parcels": self._search,
            f"GET {_TRACKING}/trackids/{{reference}}": self._track,
            f"GET {_TRACKING}/references/{{reference}}": self._track,
        }

    def move(self, number: str, status: str) -> None:
        """Move a parcel to a status, given as GLS's word."""
        track = self.tracks[self.numbers[number]]
        at = f"{event_time(len(track['events']))}+0200"
        event = {
            "code": _CODES.get(status, f"{status}.NORMAL"),
            "city": "Berlin",
            "postalCode": "10437",
            "country": "DE",
            "description": f"The parcel is at {status}.",
            "eventDateTime": at,
        }
        track["events"].insert(0, event)
        track |= {"status": status, "statusDateTime": at}

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if not self.tokens.allows(request):
            fault = {
                "faultstring": "The Token has expired: policy(Verify-JWT)",
                "detail": {"errorcode": "steps.jwt.TokenExpired"},
            }
            raise base.refusal({"fault": fault}, 401)

    def _services(self, request: base.SandboxRequest) -> Response:
        body = _body(request, _SERVICES)
        is_refused = body["Destination"].get("ZIPCode") == NO_RATES
        services: list[_Fields] = [
            {"ServiceName": "service_flexdelivery"},
            {"ProductName": "PARCEL"},
            {"ProductName": "EXPRESS"},
        ]
        return base.reply({"AllowedServices": [] if is_refused else services})

    def _order(self, request: base.SandboxRequest) -> Response:
        body = _body(request, _ORDER)
        shipment = body["Shipment"]
        if shipment["Shipper"]["ContactID"] != self.contact_id:
            raise _refusal(400, "CONTACT_ID", "The contact id is unknown.")
        if not shipment["ShipmentUnit"]:
            raise _refusal(400, "COMMON", "The shipment has no unit.")
        is_unknown = shipment["Product"] not in {"PARCEL", "EXPRESS"}
        if is_unknown or shipment["Consignee"]["Address"].get("ZIPCode") == NO_LABEL:
            raise _refusal(400, "SHIPMENT_VALID_ROUTING", "No routing is possible.")
        track_id, number = f"ZX{self.number():06d}", f"9360{self.number():08d}"
        self.shipments[track_id] = {**shipment, "number": number}
        self.numbers[number] = track_id
        self.tracks[track_id] = {"unitno": number[:-1], "events": []}
        self.move(number, _WAITING)
        return self._label_reply(track_id, body["PrintingOptions"])

    def _label_reply(self, track_id: str, printing: _Fields) -> Response:
        shipment = self.shipments[track_id]
        word = printing["ReturnLabels"]["LabelFormat"]
        content = b64encode(LABEL_TEXTS[_CONTENTS[word]] + track_id.encode()).decode()
        unit = shipment["ShipmentUnit"][0]
        parcel = {
            "TrackID": track_id,
            "ParcelNumber": shipment["number"],
            "ShipmentUnitReference": unit.get("ShipmentUnitReference", []),
        }
        created = {
            "ShipmentReference": shipment.get("ShipmentReference", []),
            "ParcelData": [parcel],
            "PrintData": [{"Data": content, "LabelFormat": word}],
            "CustomerID": "2760000001",
            "PickupLocation": "DE 300",
        }
        return base.reply({"CreatedShipment": created})

    def _reprint(self, request: base.SandboxRequest) -> Response:
        body = _body(request, _REPRINT)
        track_id = body.get("TrackID", "")
        base.existing(
            self.shipments, track_id, _refusal(404, "NOT_FOUND", "The parcel is unknown.")
        )
        return self._label_reply(track_id, body["PrintingOptions"])

    def _search(self, request: base.SandboxRequest) -> Response:
        body = _body(request, _SEARCH)
        items = [
            {
                "TrackID": track_id,
                "ParcelNumber": shipment["number"],
                "ShipmentUnitReference": unit["ShipmentUnitReference"],
                "InitialDate": f"{event_time(0)}Z",
                "Status": _WAITING,
            }
            for track_id, shipment in self.shipments.items()
            for unit in shipment["ShipmentUnit"]
            if body["ShipmentUnitReference"] in unit.get("ShipmentUnitReference", ())
        ]
        return base.reply({"UnitItems": items})

    def _cancel(self, _: base.SandboxRequest, track_id: str) -> Response:
        unknown = _refusal(404, "NOT_FOUND", "The parcel is unknown.")
        track = base.existing(self.tracks, track_id, unknown)
        if track["status"] == "CANCELED":
            raise _refusal(400, "CANCELED", "The parcel is cancelled.")
        is_waiting = track["status"] == _WAITING
        if is_waiting:
            self.move(self.shipments[track_id]["number"], "CANCELED")
        return base.reply({"TrackID": track_id, "result": "CANCELLED" if is_waiting else "SCANNED"})

    def _track(self, _: base.SandboxRequest, reference: str) -> Response:
        track = self.tracks.get(self.numbers.get(reference, reference))
        unknown = {"errorCode": "E_404_01", "errorMessage": "Resource Not Found"}
        return base.reply({"parcels": [{"requested": reference, **(track or unknown)}]})


def _body(request: base.SandboxRequest, shape: Any) -> Any:
    if request.headers.get("content-type") != _TYPE:
        raise base.Refusal(Response(415))
    body = request.json()
    for location, name, problem in problems(shape, body):
        raise _refusal(400, "COMMON", f"{location}/{name} is {problem}.")
    return body


def _refusal(status: int, code: str, message: str) -> base.Refusal:
    """Return an error response of ShipIT, whose headers describe the problem."""
    return base.Refusal(Response(status, {"error": code, "message": message}))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GlsSandbox()
    options = {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "contact_id": sandbox.contact_id,
        "parcel_price": "4.90",
        "express_price": "12.50",
    }
    return SandboxFixture(sandbox=sandbox, options=options)
