"""Parsing of GLS's responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.shipping.rates import CarrierMessage, Rate, RateResult
from moorage.contracts.shipping.shipments import (
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendor_sdk import (
    VendorRejected,
    error_answer,
    is_list,
    is_success,
    malformed,
    read_answer,
    required,
    words,
)
from moorage.vendors.shipping._common import (
    decoded_base64,
    in_order,
    kind_of,
    place_at,
    refusal,
    service_word,
)
from moorage.vendors.shipping._gls_requests import CARRIER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shipping.rates import LabelFormat
    from moorage.vendor_sdk import Answer, ConnectorError, Money, Ref, Request, Response, Wire

UNKNOWN_NUMBER: Final = "E_404_01"
"""The code by which GLS reports that it does not know a parcel."""
_SCANNED: Final = "SCANNED"
_STATUSES: Final = {
    **words(TrackingStatus.PRE_TRANSIT, "PLANNEDPICKUP INPICKUP NOTPICKEDUP PREADVICE"),
    **words(TrackingStatus.IN_TRANSIT, "INTRANSIT INWAREHOUSE"),
    "INDELIVERY": TrackingStatus.OUT_FOR_DELIVERY,
    "DELIVEREDPS": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "DELIVERED": TrackingStatus.DELIVERED,
    "NOTDELIVERED": TrackingStatus.DELIVERY_ATTEMPTED,
    "CANCELED": TrackingStatus.CANCELED,
}
_EVENTS: Final = {
    **words(TrackingStatus.PRE_TRANSIT, "INTIAL.E48_DATA INTIAL.PREADVICE"),
    "INTIAL.NORMAL": TrackingStatus.IN_TRANSIT,
    "DELIVD.PARCELSHOP": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "CANCEL.NORMAL": TrackingStatus.CANCELED,
}
_CANCELLATIONS: Final = {
    "CANCELLED": CancelState.APPROVED,
    "CANCELLATION_PENDING": CancelState.REQUESTED,
}


def classify(_: Request, response: Response) -> ConnectorError | None:
    """Return the error for a response: ShipIT reports it in headers, other APIs in the body."""
    body = error_answer(response)
    if is_success(response.status):
        parcel = body.object("parcels.0")
        code = parcel.text("errorCode")
        if code is None:
            return None
        return refusal(VendorRejected, "GLS", response, code, parcel.text("errorMessage"))
    error, fault = body.object("errors.0"), body.object("fault")
    code = next(
        filter(
            None,
            (
                response.header("error"),
                error.text("code"),
                error.text("type"),
                fault.text("detail.errorcode"),
            ),
        ),
        None,
    )
    text = next(
        filter(
            None,
            (
                response.header("message"),
                error.text("message"),
                fault.text("faultstring"),
                body.text("detail"),
            ),
        ),
        None,
    )
    return refusal(kind_of(response.status), "GLS", response, code, text)


def read_rates(wire: Wire, prices: Mapping[str, Money], response: Response) -> RateResult:
    """Parse the products that GLS offers, and add the prices of the sender's contract."""
    body = read_answer(response)
    if not is_list(body.value("AllowedServices")):
        raise malformed(response, "AllowedServices")
    allowed = {item.text("ProductName") for item in body.objects("AllowedServices")}
    rates = tuple(
        _rate(wire, product, price, body) for product, price in prices.items() if product in allowed
    )
    text = "GLS does not offer any of the account's products for this shipment."
    messages = () if rates else (CarrierMessage(carrier=CARRIER, code=None, text=text),)
    return RateResult(rates=rates, messages=messages, raw=body.raw)


def _rate(wire: Wire, product: str, price: Money, body: Answer) -> Rate:
    service = service_word(CARRIER, product)
    return Rate(
        ref=wire.ref(product, service=service),
        carrier=CARRIER,
        service=service,
        total=price,
        vendor_carrier="GLS",
        vendor_service=product,
        raw=body.raw,
    )


def read_shipment(
    wire: Wire, label_format: LabelFormat, day: str | None, response: Response
) -> Shipment:
    """Parse a label that was ordered or printed again."""
    body = read_answer(response)
    parcel = body.object("CreatedShipment.ParcelData.0")
    track_id = required(parcel.text("TrackID"), response, "TrackID")
    number = required(parcel.text("ParcelNumber"), response, "ParcelNumber")
    printed = body.object("CreatedShipment.PrintData.0")
    # DHL's description says a list of strings here, but other programs read a single text.
    content = printed.text("Data") or printed.text("Data.0")
    label = Label(
        format=label_format,
        content=decoded_base64(content),
        vendor_format=printed.text("LabelFormat"),
        tracking_number=number,
    )
    ref = wire.ref(track_id, number=number, label=label_format.value, day=day)
    return attrs.evolve(bought_shipment(ref, (label,)), raw=body.raw)


def bought_shipment(ref: Ref, labels: tuple[Label, ...]) -> Shipment:
    """A bought shipment with only its reference and labels known."""
    return Shipment(
        ref=ref,
        state=ShipmentState.BOUGHT,
        tracking_numbers=(ref.other("number") or ref.id,),
        carrier=CARRIER,
        labels=labels,
    )


def found_parcel(mark: str, response: Response) -> tuple[str, str | None]:
    """The track id of the parcel with a search mark, and the day on which its label was made.

    Raises:
        VendorFailed: no parcel has it.
    """
    for item in read_answer(response).objects("UnitItems"):
        track_id = item.text("TrackID")
        if track_id is not None and mark in item.texts("ShipmentUnitReference"):
            return track_id, (item.text("InitialDate") or "")[:10] or None
    raise malformed(response, "UnitItems")


def read_cancel(ref: Ref, response: Response) -> CancelResult:
    """Parse the response to a cancellation.

    Raises:
        VendorRejected: the parcel is on its way.
    """
    body = read_answer(response)
    # The description begins the name with a capital; the programs of others read a small letter.
    vendor_result = required(body.text("result") or body.text("Result"), response, "result")
    if vendor_result == _SCANNED:
        raise refusal(
            VendorRejected, "GLS", response, vendor_result, "The parcel was scanned already."
        )
    state = _CANCELLATIONS.get(vendor_result, CancelState.UNKNOWN)
    return CancelResult(ref=ref, state=state, vendor_status=vendor_result, raw=body.raw)


def read_track(response: Response, number: str) -> Tracking:
    """Parse the progress of a parcel.

    The response's own number lacks the last digit of the parcel number, so it is not returned.
    """
    body = read_answer(response)
    parcel = body.object("parcels.0")
    vendor_status = required(parcel.text("status"), response, "status")
    status = _STATUSES.get(vendor_status, TrackingStatus.UNKNOWN)
    # The newest event comes first.
    newest_events = list(parcel.objects("events"))
    is_delivered = status is TrackingStatus.DELIVERED
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=status,
        vendor_status=vendor_status,
        code=newest_events[0].text("code") if newest_events else None,
        events=in_order(map(_event, reversed(newest_events))),
        delivered_at=parcel.time("statusDateTime") if is_delivered else None,
        raw=body.raw,
    )


def _event(body: Answer) -> TrackingEvent:
    code = body.text("code")
    return TrackingEvent(
        status=_EVENTS.get(code or "", TrackingStatus.UNKNOWN),
        vendor_status=code,
        code=code,
        at=body.time("eventDateTime"),
        text=body.text("description"),
        location=place_at(body, "city", "", "postalCode", "country"),
    )
