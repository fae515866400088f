"""Requests to PostNord and parsing of its responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, LabelSize
from moorage.contracts.shipping.shipments import Label, Shipment, ShipmentState
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendors.shipping._common import (
    arrival,
    as_number,
    decoded_base64,
    filled,
    in_order,
    kind_of,
    place_at,
    reference_on_label,
    refusal,
)

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import Parcel
    from moorage.contracts.shipping.rates import RateRequest

CARRIER: Final = "postnord"
_BOOKING: Final = "bookingResponse.idInformation.0"
_REASON: Final = "CustomerOriginValidationError.subType"
_CUSTOMER_NUMBER: Final = "160"
_CUSTOMER_REFERENCE: Final = "CU"
_SIDES: Final = ("length", "width", "height")
_STATUSES: Final = {
    **sdk.words(TrackingStatus.PRE_TRANSIT, "CREATED INFORMED"),
    **sdk.words(TrackingStatus.IN_TRANSIT, "EN_ROUTE DELAYED EXPECTED_DELAY"),
    **sdk.words(
        TrackingStatus.AVAILABLE_FOR_PICKUP, "AVAILABLE_FOR_DELIVERY AVAILABLE_FOR_DELIVERY_PAR_LOC"
    ),
    **sdk.words(TrackingStatus.DELIVERY_ATTEMPTED, "DELIVERY_IMPOSSIBLE DELIVERY_REFUSED"),
    "DELIVERED": TrackingStatus.DELIVERED,
    "RETURNED": TrackingStatus.RETURNED,
    "STOPPED": TrackingStatus.ON_HOLD,
}


def label_request(request: RateRequest, body: dict[str, Any]) -> sdk.Request:
    """The request that books a shipment with its label.

    Raises:
        UnsupportedByVendor: PostNord has no such format or paper.
    """
    if request.label not in {LabelFormat.PDF, LabelFormat.ZPL}:
        raise sdk.UnsupportedByVendor(f"PostNord does not print {request.label.upper()} labels.")
    if request.label_size is LabelSize.INCHES_4X6:
        raise sdk.UnsupportedByVendor("PostNord does not print labels of 4 by 6 inches.")
    path = f"/rest/shipment/v3/edi/labels/{request.label.value}"
    return sdk.Request.post(path, query=filled([("paperSize", request.label_size)]), json=body)


def shipment_body(
    request: RateRequest, code: str, mark: str, day: date, agreement: dict[str, Any]
) -> dict[str, Any]:
    """The body that books a shipment.

    Args:
        request: the shipment.
        code: PostNord's code of the service.
        mark: the id of the message.
        day: the day of the shipment.
        agreement: the `application`, the `issuerCode` and the `partyId` of the account.

    Raises:
        UnsupportedByVendor: the request has an address for returns.
    """
    if request.return_to is not None:
        raise sdk.UnsupportedByVendor(
            "PostNord returns parcels only to the sender, so it does not accept `return_to`."
        )
    [parcel] = request.parcels
    reference = reference_on_label(parcel.reference or request.reference, "reference")
    customer = {"partyId": agreement["partyId"], "partyIdType": _CUSTOMER_NUMBER}
    consignor = {
        "issuerCode": agreement["issuerCode"],
        "partyIdentification": customer,
        "party": _party(request.sender),
    }
    shipment = {
        "shipmentIdentification": {"shipmentId": "0"},
        "dateAndTimes": {"loadingDate": f"{day.isoformat()}T00:00:00Z"},
        "service": {"basicServiceCode": code},
        "references": None
        if reference is None
        else [{"referenceNo": reference, "referenceType": _CUSTOMER_REFERENCE}],
        "parties": {"consignor": consignor, "consignee": {"party": _party(request.recipient)}},
        "goodsItem": [{"packageTypeCode": "PC", "items": [_item(parcel)]}],
    }
    return {
        "messageDate": f"{day.isoformat()}T00:00:00Z",
        "messageId": mark,
        "application": agreement["application"],
        "updateIndicator": "Original",
        "shipment": [sdk.merged(filled(shipment.items()), sdk.extra_for(CARRIER, request.extra))],
    }


def _party(address: Address) -> dict[str, Any]:
    lines = [line for line in (address.line1, address.line2, address.line3) if line]
    fields = {
        "streets": lines,
        "postalCode": address.postal_code,
        "state": address.region,
        "city": address.city,
        "countryCode": address.country,
    }
    names = {"name": address.name or address.company, "companyName": address.company}
    contact = {
        "contactName": address.name,
        "emailAddress": address.email,
        "phoneNo": address.phone,
        "smsNo": address.phone,
    }
    return {
        "nameIdentification": filled(names.items()),
        "address": filled(fields.items()),
        "contact": filled(contact.items()),
    }


def _item(parcel: Parcel) -> dict[str, Any]:
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.KILOGRAM, decimals=3)
    sides = {
        name: {
            "value": as_number(
                convert_measure(side, parcel.length_unit, LengthUnit.CENTIMETRE, decimals=1)
            ),
            "unit": "CMT",
        }
        for name, side in zip(_SIDES, parcel.sides or (), strict=False)
    }
    fields = {
        # PostNord assigns the number of the parcel.
        "itemIdentification": {"itemId": "0"},
        "dimensions": sides or None,
        "grossWeight": {"value": as_number(weight), "unit": "KGM"},
    }
    return filled(fields.items())


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response of PostNord's gateway, of a request, or of a booking."""
    body, kind = sdk.error_answer(response), kind_of(response.status)
    if sdk.is_success(response.status):
        body, kind = body.object(f"{_BOOKING}.errorResponse"), sdk.VendorRejected
        if not body:
            return None
    gateway, fault = body.object("error"), body.object("compositeFault.faults.0")
    references = fault.objects("faultReferences")
    reason = next((item.text("value") for item in references if item.text("key") == _REASON), None)
    code = fault.text("faultCode") or reason or gateway.text("error_type")
    text = fault.text("explanationText") or gateway.text("message") or body.text("message")
    return refusal(kind, "PostNord", response, code, text)


def read_booking(
    wire: sdk.Wire, service: str, label_format: LabelFormat, response: sdk.Response
) -> Shipment:
    """Parse a shipment that was booked, with its label."""
    body = sdk.read_answer(response)
    booking = body.object(_BOOKING)
    ids = {item.text("idType"): item.text("value") for item in booking.objects("ids")}
    number = sdk.required(ids.get("itemId"), response, "itemId")
    urls = {item.text("type"): item.text("url") for item in booking.objects("urls")}
    printout = body.object("labelPrintout.0.printout")
    data = printout.text("data")
    # PostNord sends ZPL as it is, and PDF in base64.
    is_text = data is not None and printout.text("encoding") == "none"
    content = data.encode() if data is not None and is_text else decoded_base64(data)
    label = Label(format=label_format, content=content, tracking_number=number)
    return Shipment(
        ref=wire.ref(number, service=service),
        state=ShipmentState.BOUGHT,
        vendor_status=booking.text("status"),
        tracking_numbers=(number,),
        tracking_url=urls.get("TRACKING"),
        carrier=CARRIER,
        service=service,
        labels=(label,) if content else (),
        raw=body.raw,
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


def read_tracking(number: str, response: sdk.Response) -> Tracking | None:
    """Parse the progress of a parcel; None if PostNord does not know the parcel."""
    shipments = sdk.read_answer(response).objects("TrackingInformationResponse.shipments")
    items = (item for shipment in shipments for item in shipment.objects("items"))
    parcel = next((item for item in items if item.text("itemId") == number), None)
    if parcel is None:
        return None
    events = in_order(_event(item) for item in parcel.objects("events"))
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=_status(parcel),
        vendor_status=parcel.text("status"),
        code=events[-1].code if events else None,
        events=events,
        estimated_delivery=parcel.time("estimatedTimeOfArrival"),
        delivered_at=parcel.time("deliveryDate") or arrival(events),
        raw=parcel.raw,
    )


def unknown_parcel(response: sdk.Response) -> sdk.ConnectorError:
    """The error for a parcel that PostNord does not know."""
    fault = sdk.error_answer(response).object("TrackingInformationResponse.compositeFault.faults.0")
    code, text = fault.text("faultCode"), fault.text("explanationText")
    return refusal(sdk.VendorRejected, "PostNord", response, code, text or "unknown parcel")


def _event(item: sdk.Answer) -> TrackingEvent:
    location = item.object("location")
    return TrackingEvent(
        status=_status(item),
        vendor_status=item.text("status"),
        code=item.text("eventCode"),
        at=item.time("eventTime"),
        text=item.text("eventDescription"),
        # PostNord states no region.
        location=place_at(location, "city", "region", "postcode", "countryCode"),
    )


def _status(item: sdk.Answer) -> TrackingStatus:
    return _STATUSES.get(item.text("status") or "", TrackingStatus.UNKNOWN)
