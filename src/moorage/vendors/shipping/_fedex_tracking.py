"""Parsing of FedEx's tracking responses, and of shipments found by their tracking numbers."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import CarrierMessage
from moorage.contracts.shipping.shipments import Shipment, ShipmentState
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import arrival, in_order, place_at, refusal, service_word
from moorage.vendors.shipping._fedex_answers import VENDOR, bought_ref
from moorage.vendors.shipping._fedex_requests import CARRIER

_NOT_FOUND: Final = "NOTFOUND"
"""Suffix of the codes by which FedEx reports that it does not know a number."""
_STATUSES: Final = {
    code: status
    for status, codes in {
        TrackingStatus.PRE_TRANSIT: "OC OX EP AP DR DS MD",
        TrackingStatus.IN_TRANSIT: "PU PX OF IT IX AA AC AF AO AR AX CC CP DP EA EO FD LO OW PF PL"
        " PM SF SP TR",
        TrackingStatus.OUT_FOR_DELIVERY: "OD ED AD",
        TrackingStatus.AVAILABLE_FOR_PICKUP: "HL HP",
        TrackingStatus.DELIVERY_ATTEMPTED: "DE",
        TrackingStatus.ON_HOLD: "SE CD DD DY PD",
        TrackingStatus.DELIVERED: "DL",
        TrackingStatus.RETURNED: "RS",
        TrackingStatus.CANCELED: "CA",
    }.items()
    for code in codes.split()
}


def recovered_shipment(wire: sdk.Wire, tracks: list[sdk.Answer], service: str) -> Shipment:
    """A shipment found after the response to its purchase was lost.

    It has numbers but no labels.
    """
    numbers = [number for item in tracks if (number := tracking_number(item))]
    warning = CarrierMessage(
        carrier=CARRIER,
        text="The response with the label was lost. Cancel this shipment, and buy another.",
    )
    return Shipment(
        ref=bought_ref(wire, numbers[0], numbers),
        state=ShipmentState.BOUGHT,
        tracking_numbers=tuple(numbers),
        carrier=CARRIER,
        service=service_word(CARRIER, service),
        warnings=(warning,),
        raw=[item.raw for item in tracks],
    )


def tracked_shipment(ref: sdk.Ref, tracking: Tracking) -> Shipment:
    """Convert FedEx's tracking of a shipment to a shipment without labels."""
    states = {TrackingStatus.CANCELED: ShipmentState.CANCELED}
    default_state = ShipmentState.UNKNOWN if is_unheard_of(tracking) else ShipmentState.BOUGHT
    return Shipment(
        ref=ref,
        state=states.get(tracking.status, default_state),
        vendor_status=tracking.vendor_status,
        tracking_numbers=tuple((ref.other("parcels") or ref.id).split(",")),
        carrier=CARRIER,
        raw=tracking.raw,
    )


def read_tracks(response: sdk.Response) -> list[sdk.Answer]:
    """Parse the tracking results of the requested tracking numbers, including unknown ones."""
    body = sdk.read_answer(response)
    if not body.object("output"):
        raise sdk.malformed(response, "output")
    return [
        track
        for complete_track_result in body.objects("output.completeTrackResults")
        for track in complete_track_result.objects("trackResults")
    ]


def tracking_number(track: sdk.Answer) -> str | None:
    """A tracked parcel's number; None if it is missing."""
    return track.text("trackingNumberInfo.trackingNumber")


def is_unheard_of(tracking: Tracking) -> bool:
    """True if FedEx does not know the tracking number yet, for example because it is new."""
    return (tracking.vendor_status or "").endswith(_NOT_FOUND)


def read_tracking(track: sdk.Answer, number: str) -> Tracking:
    """Parse the progress of a parcel."""
    latest_answer = track.object("latestStatusDetail")
    status_code = latest_answer.text("code") or track.text("error.code")
    times = {
        dated_event.text("type"): dated_event.time("dateTime")
        for dated_event in track.objects("dateAndTimes")
    }
    delivery_details = track.object("deliveryDetails")
    events = in_order(_event(scan_event) for scan_event in track.objects("scanEvents"))
    return Tracking(
        number=tracking_number(track) or number,
        carrier=CARRIER,
        status=_status(status_code),
        vendor_status=status_code,
        code=latest_answer.text("ancillaryDetails.0.reason"),
        events=events,
        estimated_delivery=track.time("estimatedDeliveryTimeWindow.window.ends")
        or times.get("ESTIMATED_DELIVERY"),
        delivered_at=times.get("ACTUAL_DELIVERY") or arrival(events),
        signed_by=delivery_details.text("signedByName") or delivery_details.text("receivedByName"),
        raw=track.raw,
    )


def _status(word: str | None) -> TrackingStatus:
    return _STATUSES.get((word or "").upper(), TrackingStatus.UNKNOWN)


def _event(body: sdk.Answer) -> TrackingEvent:
    status_code = body.text("derivedStatusCode") or body.text("eventType")
    descriptions = [body.text("eventDescription"), body.text("exceptionDescription")]
    return TrackingEvent(
        status=_status(status_code),
        vendor_status=status_code,
        code=body.text("exceptionCode") or body.text("eventType"),
        at=body.time("date"),
        text=": ".join(text for text in descriptions if text) or None,
        location=place_at(
            body.object("scanLocation"), "city", "stateOrProvinceCode", "postalCode", "countryCode"
        ),
    )


def unheard_of(track: sdk.Answer, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for an unknown tracking number, which FedEx reports with status 200."""
    error = track.object("error")
    if not error:
        return None
    return refusal(sdk.VendorRejected, VENDOR, response, error.text("code"), error.text("message"))
