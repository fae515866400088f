"""Requests to GLS, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.contracts.shipping.rates import LabelFormat
from moorage.contracts.shipping.units import WeightUnit, convert_measure
from moorage.vendor_sdk import Request, UnsupportedByVendor, merged
from moorage.vendors.shipping._common import as_number, extra_of, filled, reference_on_label

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import RateRequest
    from moorage.vendor_sdk import Ref

CARRIER: Final = "gls"
_SHIPIT: Final = "/shipit-farm/v1/backend/rs"
_SHIPMENTS: Final = f"{_SHIPIT}/shipments"
_TYPE: Final = "application/glsVersion1+json"
_HEADERS: Final = {"Content-Type": _TYPE, "Accept": f"{_TYPE}, application/json"}
_FORMATS: Final = {LabelFormat.PDF: "PDF", LabelFormat.PNG: "PNG", LabelFormat.ZPL: "ZEBRA"}


def services_request(request: RateRequest, contact_id: str) -> Request:
    """The request for the products and services between two addresses."""
    body = {
        "Source": _location(request.sender),
        "Destination": _location(request.recipient),
        "ContactID": contact_id,
    }
    return _read_request("allowedservices", merged(body, extra_of(CARRIER, request, "rates")))


def label_request(
    request: RateRequest, rate: Ref, contact_id: str, mark: str, zebra_template: str
) -> Request:
    """The request that orders a label; it contains the search mark that finds the label again.

    Raises:
        UnsupportedByVendor: the request has another address for returns.
        InvalidData: the reference is too long.
    """
    if request.return_to is not None:
        raise UnsupportedByVendor(
            "GLS returns parcels only to the sender, so it does not accept `return_to`."
        )
    [parcel] = request.parcels
    reference = reference_on_label(parcel.reference or request.reference, "reference")
    day = request.ship_date
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.KILOGRAM, decimals=2)
    shipment = {
        "ShipmentReference": None if reference is None else [reference],
        "ShippingDate": None if day is None else day.isoformat(),
        "Middleware": "moorage",
        "Product": rate.id,
        "Consignee": {"Address": _party(request.recipient)},
        "Shipper": {
            "ContactID": contact_id,
            "AlternativeShipperAddress": _party(request.sender),
        },
        "ShipmentUnit": [{"ShipmentUnitReference": [mark], "Weight": as_number(weight)}],
    }
    body = {
        "Shipment": filled(shipment.items()),
        "PrintingOptions": _printing_options(request.label, zebra_template),
    }
    body = merged(body, extra_of(CARRIER, request, "shipment"))
    return Request.post(_SHIPMENTS, json=body, headers=_HEADERS)


def reprint_request(
    track_id: str, day: str | None, label: LabelFormat, zebra_template: str
) -> Request:
    """The request that prints a label again; it contains the day on which the label was made.

    Raises:
        UnsupportedByVendor: GLS has no labels in this format.
    """
    fields = {
        "TrackID": track_id,
        "CreationDate": day,
        "PrintingOptions": _printing_options(label, zebra_template),
    }
    return _read_request("reprintparcel", filled(fields.items()))


def search_request(mark: str, since: date, until: date) -> Request:
    """The request for the parcels that have this search mark."""
    body = {
        "ShipmentUnitReference": mark,
        "DateFrom": f"{since.isoformat()}T00:00:00Z",
        "DateTo": f"{until.isoformat()}T00:00:00Z",
    }
    request = Request.post(f"{_SHIPIT}/tracking/parcels", json=body, headers=_HEADERS)
    return request.evolve(idempotent=True)


def track_request(kind: str, number: str) -> Request:
    """The request for a parcel's progress; the parcel is given by a number of a certain kind."""
    return Request.get(f"/track-and-trace-v1/tracking/simple/{kind}/{quote(number, safe='')}")


def cancel_request(track_id: str) -> Request:
    """The request that cancels a shipment."""
    return Request.post(f"{_SHIPMENTS}/cancel/{quote(track_id, safe='')}", headers=_HEADERS)


def _read_request(name: str, body: dict[str, Any]) -> Request:
    request = Request.post(f"{_SHIPMENTS}/{name}", json=body, headers=_HEADERS)
    return request.evolve(idempotent=True)


def _printing_options(label: LabelFormat, zebra_template: str) -> dict[str, Any]:
    if label not in _FORMATS:
        raise UnsupportedByVendor(f"GLS does not print {label.upper()} labels.")
    template = zebra_template if label is LabelFormat.ZPL else "NONE"
    return {"ReturnLabels": {"TemplateSet": template, "LabelFormat": _FORMATS[label]}}


def _location(address: Address) -> dict[str, Any]:
    fields = {"CountryCode": address.country, "ZIPCode": address.postal_code}
    return filled(fields.items())


def _party(address: Address) -> dict[str, Any]:
    """A sender or recipient; further address lines are sent in the field for a third name."""
    names = [name for name in (address.company, address.name) if name]
    fields = {
        "Name1": next(iter(names), None),
        "Name2": names[1] if len(names) > 1 else None,
        "Name3": ", ".join(filter(None, (address.line2, address.line3))) or None,
        "Street": address.line1,
        "City": address.city,
        "Province": address.region,
        "FixedLinePhonenumber": address.phone,
        "eMail": address.email,
        **_location(address),
    }
    return filled(fields.items())
