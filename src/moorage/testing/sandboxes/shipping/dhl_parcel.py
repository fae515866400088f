"""A local sandbox that imitates DHL Parcel's shipping API, and DHL's tracking of shipments.

DHL refuses a label to the postal code 00001. A shipment that moves has been handed over, and the
shipping API no longer knows it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL, event_time

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_ADDRESS: Final = {
    **typed(str, "name1! addressStreet! city! country!"),
    **typed(str, "name2 name3 addressHouse postalCode contactName email"),
}
_SHIPMENT: Final = {
    "product!": words("V01PAK V53WPAK V54EPAK V62KP V66WPI"),
    **typed(str, "billingNumber! refNo costCenter shipDate"),
    "shipper!": _ADDRESS,
    "consignee!": {
        **_ADDRESS,
        **typed(str, "additionalAddressInformation1 additionalAddressInformation2 state phone"),
    },
    "details!": {
        "weight!": {"uom!": words("g kg"), "value!": NUMBER},
        "dim": {"uom!": words("cm mm"), **typed(int, "length! width! height!")},
    },
    "services": {"goGreenPlus": bool, "bulkyGoods": bool},
}
_ORDER: Final = {"profile!": words("STANDARD_GRUPPENPROFIL"), "shipments!": [_SHIPMENT]}
_ORDERS: Final = "/parcel/de/shipping/v2/orders"
_TRACKING: Final = "/track/shipments"
_FORMATS: Final = {"PDF": "pdf", "ZPL2": "zpl"}
_SHORTEST_REFERENCE: Final = 8
_Fields = dict[str, Any]


class DhlParcelSandbox(base.Sandbox):
    """A sandbox of DHL Parcel: orders with labels, their deletion, and the tracking of parcels.

    Attributes:
        username, password: the user of the portal for business customers.
        api_key: the API key of the application.
        customer_number: the number of the customer who pays.
        shipments: the shipments that can still be changed, by their number.
        events: the events of parcels, by number, the newest first.
        sold: the number of shipments that were sold.
    """

    hosts = ("api-eu.dhl.com", "api-sandbox.dhl.com")

    username: str = "dhl-sandbox-user"
    password: str = "dhl-sandbox-password"
    api_key: str = "dhl-sandbox-application-key"
    customer_number: str = "3333333333"
    shipments: dict[str, _Fields] = base.state_field(dict)
    events: dict[str, list[_Fields]] = base.state_field(dict)
    sold: int = 0

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_ORDERS}": self._sell_label,
            f"GET {_ORDERS}": self._get,
            f"DELETE {_ORDERS}": self._delete,
            f"GET {_TRACKING}": self._track,
        }

    def move(self, number: str, word: str) -> None:
        """Hand a shipment over, and add an event, given as DHL's word, to its tracking."""
        self.shipments.pop(number, None)
        self._add_event(number, word)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key, and its user unless it is about tracking."""
        is_user = request.basic() == (self.username, self.password)
        if request.headers.get("dhl-api-key") != self.api_key or (
            not is_user and request.path != _TRACKING
        ):
            raise base.refusal(
                _status(401, "Unauthorized", "The API key or the user is wrong."), 401
            )

    def _add_event(self, number: str, word: str) -> None:
        events = self.events.setdefault(number, [])
        place = {"addressLocality": "Bonn", "postalCode": "53113", "countryCode": "DE"}
        text = f"The shipment is at {word}."
        event = {"timestamp": f"{event_time(len(events))}Z", "statusCode": word}
        events.insert(0, {**event, "description": text, "location": {"address": place}})

    def _sell_label(self, request: base.SandboxRequest) -> Response:
        kind, body = _format(request), request.json()
        for location, name, problem in problems(_ORDER, body):
            raise _schema_refusal(f"{location}/{name}", problem)
        [shipment] = body["shipments"]
        if shipment["billingNumber"] != f"{self.customer_number}{shipment['product'][1:3]}01":
            raise _schema_refusal("shipments[0].billingNumber", "unknown")
        if len(shipment.get("refNo", " " * _SHORTEST_REFERENCE)) < _SHORTEST_REFERENCE:
            raise _schema_refusal("shipments[0].refNo", "too short")
        if shipment["consignee"].get("postalCode") == NO_LABEL:
            text = "The city entered does not match the postcode. The shipment is not codeable."
            remark = {
                "property": "consignee",
                "validationMessage": text,
                "validationState": "Error",
            }
            item = {"sstatus": _status(400, "Bad Request"), "validationMessages": [remark]}
            raise _refusal(item)
        self.sold += 1
        number = f"0034043333301010{self.number():06d}"
        self.shipments[number] = shipment
        self._add_event(number, "pre-transit")
        return _answer(number, label=_label(number, kind))

    def _get(self, request: base.SandboxRequest) -> Response:
        number = self._number(request)
        return _answer(number, label=_label(number, _format(request)))

    def _delete(self, request: base.SandboxRequest) -> Response:
        if "profile" not in dict(request.query):
            raise _schema_refusal("profile", "missing")
        number = self._number(request)
        del self.shipments[number], self.events[number]
        return _answer(number)

    def _number(self, request: base.SandboxRequest) -> str:
        number = dict(request.query).get("shipment", "")
        status = _status(204, "UnknownShipmentNumber", "Unknown shipment number.")
        unknown = _refusal({"shipmentNo": number, "sstatus": status})
        base.existing(self.shipments, number, unknown)
        return number

    def _track(self, request: base.SandboxRequest) -> Response:
        number = dict(request.query).get("trackingNumber", "")
        problem = {"title": "No result found", "detail": "There is no shipment.", "status": 404}
        events = base.existing(self.events, number, base.refusal(problem, 404))
        shipment = {"id": number, "service": "parcel-de", "status": events[0], "events": events}
        return base.reply({"shipments": [shipment]})


def _status(code: int, title: str, detail: str = "The request ran.") -> _Fields:
    return {"title": title, "statusCode": code, "status": code, "detail": detail}


def _answer(number: str, **documents: _Fields) -> Response:
    item = {"shipmentNo": number, "sstatus": _status(200, "OK"), **documents}
    return base.reply({"status": _status(200, "OK"), "items": [item]})


def _refusal(item: _Fields) -> base.Refusal:
    return base.refusal({"status": _status(400, "Bad Request"), "items": [item]}, 400)


def _schema_refusal(path: str, problem: str) -> base.Refusal:
    return _refusal({"propertyPath": path, "message": f"The field is {problem}."})


def _format(request: base.SandboxRequest) -> str:
    kind = dict(request.query).get("docFormat", "PDF")
    if kind not in _FORMATS:
        raise _schema_refusal("docFormat", "wrong")
    return kind


def _label(number: str, kind: str) -> _Fields:
    content = LABEL_TEXTS[_FORMATS[kind]] + number.encode()
    text = b64encode(content) if kind == "PDF" else content
    return {("b64" if kind == "PDF" else "zpl2"): text.decode(), "fileFormat": kind}


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = DhlParcelSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "username": sandbox.username,
            "credentials": sandbox.password,
            "api_key": sandbox.api_key,
            "customer_number": sandbox.customer_number,
        },
        vendor_values={"service": "dhl_parcel_v01_pak"},
    )
