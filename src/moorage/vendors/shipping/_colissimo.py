"""Requests to Colissimo and La Poste's tracking, and parsing of their responses, without I/O."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat
from moorage.contracts.shipping.shipments import Label, Shipment, ShipmentState
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.contracts.shipping.units import WeightUnit, convert_measure
from moorage.vendors.shipping._common import (
    arrival,
    as_number,
    extra_of,
    filled,
    in_order,
    kind_of,
    refusal,
)

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import RateRequest

CARRIER: Final = "colissimo"
NOT_FOUND: Final = 404
_WRONG_LOGIN: Final = "30000"
_PDF: Final = "PDF_10x15_300dpi"
_WITHOUT_RETURN: Final = 3
_WITH_STATE: Final = frozenset({"CA", "US"})
_BOUNDARY: Final = re.compile(rb"\s*(--[^\r\n]+)\r?\n")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_PART_NAME: Final = re.compile(rb"(?i)content-id:\s*<([^>\r\n]+)>")
_STATUSES: Final = {
    **sdk.words(TrackingStatus.PRE_TRANSIT, "DR1"),
    **sdk.words(TrackingStatus.IN_TRANSIT, "PC1 PC2 ET1 ET2 ET3 ET4 EP1 DO1 DO2 PB2"),
    **sdk.words(TrackingStatus.ON_HOLD, "DO3 PB1"),
    **sdk.words(TrackingStatus.RETURNED, "RE1 DI2"),
    "MD2": TrackingStatus.OUT_FOR_DELIVERY,
    "AG1": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "ND1": TrackingStatus.DELIVERY_ATTEMPTED,
    "DI1": TrackingStatus.DELIVERED,
}


def label_body(request: RateRequest, code: str, zebra_format: str, day: date) -> dict[str, Any]:
    """The body that buys a label.

    Raises:
        UnsupportedByVendor: the request has an address for returns, or wants another format.
    """
    if request.return_to is not None:
        raise sdk.UnsupportedByVendor(
            "Colissimo returns parcels only to the sender, so it does not accept `return_to`."
        )
    if request.label not in {LabelFormat.PDF, LabelFormat.ZPL}:
        raise sdk.UnsupportedByVendor(f"Colissimo does not print {request.label.upper()} labels.")
    [parcel] = request.parcels
    reference = parcel.reference or request.reference
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.KILOGRAM, decimals=2)
    service = {
        "productCode": code,
        "depositDate": day.isoformat(),
        "orderNumber": reference,
        "commercialName": request.sender.company or request.sender.name,
        "returnTypeChoice": _WITHOUT_RETURN,
    }
    sender = {"senderParcelRef": reference, "address": _address(request.sender)}
    is_pdf = request.label is LabelFormat.PDF
    body = {
        "outputFormat": {"x": 0, "y": 0, "outputPrintingType": _PDF if is_pdf else zebra_format},
        "letter": {
            "service": filled(service.items()),
            "parcel": {"weight": as_number(weight)},
            "sender": filled(sender.items()),
            "addressee": {"address": _address(request.recipient)},
        },
    }
    return sdk.merged(body, extra_of(CARRIER, request, "shipment"))


def _address(address: Address) -> dict[str, Any]:
    """An address in Colissimo's format, with the street in its second address line."""
    fields = {
        "companyName": address.company,
        "lastName": address.name,
        "line1": address.line3,
        "line2": address.line1,
        "line3": address.line2,
        "countryCode": address.country,
        "city": address.city,
        "zipCode": address.postal_code,
        "stateOrProvinceCode": address.region if address.country in _WITH_STATE else None,
        "phoneNumber": address.phone,
        "email": address.email,
    }
    return filled(fields.items())


def _answer_parts(response: sdk.Response) -> dict[str, bytes]:
    """The parts of a multipart response by their names; empty if the response has only one part."""
    boundary = _BOUNDARY.match(response.body)
    parts: dict[str, bytes] = {}
    for part in [] if boundary is None else response.body.split(boundary[1])[1:]:
        head, *contents = _BLANK_LINE.split(part, maxsplit=1)
        name = _PART_NAME.search(head)
        if name is not None and contents:
            parts[name[1].decode("ascii", "replace")] = contents[0].removesuffix(b"\r\n")
    return parts


def _infos(response: sdk.Response, parts: dict[str, bytes]) -> sdk.Answer:
    """The JSON object in a response, which may be only one of the response's parts."""
    if "jsonInfos" not in parts:
        return sdk.error_answer(response)
    try:
        return sdk.as_answer(json.loads(parts["jsonInfos"]))
    except ValueError:
        return sdk.Answer({})


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response of Colissimo, of La Poste's tracking, or of its gateway."""
    body = _infos(response, _answer_parts(response))
    problem = next(
        (item for item in body.objects("messages") if item.text("type") == "ERROR"), None
    )
    if problem is not None:
        code, text = problem.text("id"), problem.text("messageContent")
    else:
        code = body.text("code") or body.text("returnCode")
        text = body.text("returnMessage") or body.text("message")
    if not sdk.is_success(response.status):
        kind: Any = kind_of(response.status)
    elif problem is None:
        return None
    else:
        kind = sdk.VendorRejected
    if code == _WRONG_LOGIN:
        kind = sdk.AuthenticationFailed
    return refusal(kind, "Colissimo", response, code, text)


def read_label(
    wire: sdk.Wire, service: str, label_format: LabelFormat, response: sdk.Response
) -> Shipment:
    """Parse a label that was bought."""
    parts = _answer_parts(response)
    infos = _infos(response, parts)
    number = sdk.required(
        infos.text("labelV2Response.parcelNumber"), response, "labelV2Response.parcelNumber"
    )
    content = parts.get("label")
    label = Label(format=label_format, content=content, tracking_number=number)
    return Shipment(
        ref=wire.ref(number, label=label_format.value, service=service),
        state=ShipmentState.BOUGHT,
        tracking_numbers=(number,),
        carrier=CARRIER,
        service=service,
        labels=(label,) if content else (),
        raw=infos.raw,
    )


def tracked_shipment(ref: sdk.Ref, tracking: Tracking | None) -> Shipment:
    """A shipment whose progress is known; None if the tracking does not know the shipment yet."""
    return Shipment(
        ref=ref,
        state=ShipmentState.UNKNOWN if tracking is None else ShipmentState.BOUGHT,
        vendor_status=None if tracking is None else tracking.vendor_status,
        tracking_numbers=(ref.id,),
        carrier=CARRIER,
        service=ref.other("service"),
        raw=None if tracking is None else tracking.raw,
    )


def read_tracking(number: str, response: sdk.Response) -> Tracking:
    """Parse the progress of a parcel; the latest event determines its state."""
    shipment = sdk.read_answer(response).object("shipment")
    events = in_order(
        TrackingEvent(
            status=_STATUSES.get(item.text("code") or "", TrackingStatus.UNKNOWN),
            vendor_status=item.text("code"),
            code=item.text("code"),
            at=item.time("date"),
            text=item.text("label"),
        )
        # The newest event comes first.
        for item in reversed([*shipment.objects("event")])
    )
    if not events:
        raise sdk.malformed(response, "event")
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=events[-1].status,
        vendor_status=events[-1].vendor_status,
        code=events[-1].code,
        events=events,
        estimated_delivery=shipment.time("estimDate"),
        delivered_at=arrival(events),
        url=shipment.text("url"),
        raw=shipment.raw,
    )
