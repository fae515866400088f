"""DHL's tracking of shipments, which also tells whether a forgotten shipment was handed over."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import arrival, in_order, place_at, state_refusal
from moorage.vendors.shipping._dhl_parcel import CARRIER

TRACKING: Final = "tracking"
_UNKNOWN_NUMBERS: Final = frozenset({"204", "404"})
_NOT_FOUND: Final = 404
_STATUSES: Final = {
    "pre-transit": TrackingStatus.PRE_TRANSIT,
    "transit": TrackingStatus.IN_TRANSIT,
    "delivered": TrackingStatus.DELIVERED,
    "failure": TrackingStatus.FAILED,
}


async def fetch_tracking(wire: sdk.Wire, number: str) -> Tracking:
    """Fetch the tracking of a parcel."""
    query = {"trackingNumber": number, "service": "parcel-de", "language": "en"}
    request = sdk.Request.get("/track/shipments", query=query)
    return _tracking(number, await wire.send(request, to=TRACKING))


async def tracking_of_forgotten(
    wire: sdk.Wire, ref: sdk.Ref, error: sdk.VendorRejected
) -> Tracking | None:
    """Fetch the progress of a shipment that the shipping API does not know.

    Returns:
        The progress; None if the tracking does not know the shipment either.

    Raises:
        VendorRejected: the shipping API gave another reason for its refusal.
    """
    if error.vendor_code not in _UNKNOWN_NUMBERS:
        raise state_refusal(error)
    try:
        return await fetch_tracking(wire, ref.id)
    except sdk.VendorRejected as unknown_parcel:
        if unknown_parcel.status != _NOT_FOUND:
            raise
        return None


def _tracking(number: str, response: sdk.Response) -> Tracking:
    shipment = sdk.read_answer(response).object("shipments.0")
    status_code = sdk.required(
        shipment.text("status.statusCode"), response, "shipments.0.status.statusCode"
    )
    events = in_order(_event(item) for item in shipment.objects("events"))
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=_status(status_code),
        vendor_status=status_code,
        events=events,
        estimated_delivery=shipment.time("estimatedTimeOfDelivery"),
        delivered_at=arrival(events),
        url=shipment.text("serviceUrl"),
        raw=shipment.raw,
    )


def _event(item: sdk.Answer) -> TrackingEvent:
    status_code = item.text("statusCode")
    address = item.object("location.address")
    return TrackingEvent(
        status=_status(status_code),
        vendor_status=status_code,
        at=item.time("timestamp"),
        text=item.text("description") or item.text("status"),
        # DHL states no region.
        location=place_at(address, "addressLocality", "region", "postalCode", "countryCode"),
    )


def _status(word: str | None) -> TrackingStatus:
    return _STATUSES.get(word or "", TrackingStatus.UNKNOWN)
