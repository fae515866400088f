"""Parsing of USPS's responses, without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import CarrierMessage, LabelFormat, Rate, RateResult
from moorage.contracts.shipping.shipments import AddressResult, Label, Shipment, ShipmentState
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import (
    address_result,
    arrival,
    country_of,
    decoded_base64,
    in_order,
    kind_of,
    place_at,
    refusal,
    service_word,
)
from moorage.vendors.shipping._usps_requests import CARRIER

if TYPE_CHECKING:
    from collections.abc import Collection

    from moorage.contracts.address import Address

UNKNOWN_NUMBER: Final = "150002"
"""The code by which USPS reports that it does not know a tracking number."""
_CURRENCY: Final = "USD"
_OWN_PACKAGING: Final = frozenset({"SP", "PA", "DR", "DN", "OS"})
"""Rate indicators of parcels in the sender's own packaging, by weight and size."""
_NO_ENTRY: Final = "NONE"
_DAYS: Final = re.compile(r"(\d+)[ -][Dd]ay")
_CATEGORIES: Final = {
    "pre-shipment": TrackingStatus.PRE_TRANSIT,
    **sdk.words(TrackingStatus.IN_TRANSIT, "accepted in-transit"),
    "in transit": TrackingStatus.IN_TRANSIT,
    "out for delivery": TrackingStatus.OUT_FOR_DELIVERY,
    "available for pickup": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "delivery attempt": TrackingStatus.DELIVERY_ATTEMPTED,
    "delivered": TrackingStatus.DELIVERED,
    "alert": TrackingStatus.ON_HOLD,
    "return to sender": TrackingStatus.RETURNED,
}
_EVENTS: Final = {
    "GX": TrackingStatus.PRE_TRANSIT,
    **sdk.words(TrackingStatus.IN_TRANSIT, "03 07 10 A1 SF T1 TL"),
    "OF": TrackingStatus.OUT_FOR_DELIVERY,
    "01": TrackingStatus.DELIVERED,
}
_CONFIRMED: Final = {"Y": True, "N": False}
_HOMES: Final = {"Y": False, "N": True}
_PEOPLE: Final = "https://tools.usps.com/go/TrackConfirmAction?tLabels="
"""Page where people track a parcel."""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error for a response's code and text."""
    if sdk.is_success(response.status):
        return None
    body = sdk.error_answer(response).object("error")
    if not body:
        return None
    error = next(body.objects("errors"), None) or body
    code = error.text("code") or body.text("code")
    text = error.text("detail") or error.text("title") or body.text("message")
    kind = sdk.VendorRejected if code == UNKNOWN_NUMBER else kind_of(response.status)
    return refusal(kind, "USPS", response, code, text)


def read_rates(
    wire: sdk.Wire, mail_classes: Collection[str], extra_service: int | None, response: sdk.Response
) -> RateResult:
    """Parse the rates of these mail classes for parcels in the sender's own packaging."""
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value("pricingOptions")):
        raise sdk.malformed(response, "pricingOptions")
    rates: list[Rate] = []
    messages: list[CarrierMessage] = []
    for option in body.objects("pricingOptions.0.shippingOptions"):
        for entry in option.objects("rateOptions"):
            rate = entry.object("rates.0")
            mail_class = rate.text("mailClass") or option.text("mailClass") or ""
            if mail_class not in mail_classes or not _is_offered(entry, rate, extra_service):
                continue
            total = _usd(entry, "totalPrice") or _usd(entry, "totalBasePrice")
            if total is None:
                messages.append(_message("A rate could not be read."))
            else:
                rates.append(_rate(wire, entry, mail_class, total))
    if not rates and not messages:
        messages.append(_message("USPS offers no rate for this shipment."))
    return RateResult(rates=tuple(rates), messages=tuple(messages), raw=body.raw)


def _is_offered(entry: sdk.Answer, rate: sdk.Answer, extra_service: int | None) -> bool:
    codes = {service.text("extraService") for service in entry.objects("extraServices")}
    return (
        rate.text("rateIndicator") in _OWN_PACKAGING
        and rate.text("destinationEntryFacilityType") in {None, _NO_ENTRY}
        and (extra_service is None or str(extra_service) in codes)
    )


def _rate(wire: sdk.Wire, entry: sdk.Answer, mail_class: str, total: sdk.Money) -> Rate:
    rate, days = entry.object("rates.0"), _DAYS.match(entry.text("commitment.name") or "")
    service = service_word(CARRIER, mail_class)
    return Rate(
        ref=wire.ref(
            mail_class,
            service=service,
            indicator=rate.text("rateIndicator"),
            category=rate.text("processingCategory"),
        ),
        carrier=CARRIER,
        service=service,
        total=total,
        vendor_carrier="USPS",
        vendor_service=mail_class,
        service_name=rate.text("productName") or rate.text("description"),
        delivery_days=None if days is None else int(days[1]),
        delivery_date=entry.time("commitment.expectedDeliveryDate"),
        guaranteed=entry.flag("commitment.guaranteedDelivery"),
        raw=entry.raw,
    )


def _usd(body: sdk.Answer, path: str) -> sdk.Money | None:
    return sdk.as_money(body.value(path), _CURRENCY)


def _message(text: str | None, code: str | None = None) -> CarrierMessage:
    return CarrierMessage(carrier=CARRIER, code=code, text=text)


def read_token(response: sdk.Response) -> str:
    """Parse the authorization that is needed to pay for a label."""
    path = "paymentAuthorizationToken"
    return sdk.required(sdk.read_answer(response).text(path), response, path)


def read_shipment(
    wire: sdk.Wire, rate: sdk.Ref, label_format: LabelFormat, response: sdk.Response
) -> Shipment:
    """Parse a bought label."""
    body = sdk.read_answer(response)
    number = sdk.required(body.text("trackingNumber"), response, "trackingNumber")
    amounts = [_usd(body, "postage")]
    amounts += [
        _usd(item, "price") for name in ("extraServices", "fees") for item in body.objects(name)
    ]
    prices = [amount for amount in amounts if amount is not None]
    label = Label(
        format=label_format, content=decoded_base64(body.text("labelImage")), tracking_number=number
    )
    return attrs.evolve(
        bought_shipment(wire.ref(number)),
        service=rate.other("service"),
        cost=sum(prices[1:], prices[0]) if prices else None,
        labels=(label,),
        raw=body.raw,
    )


def bought_shipment(ref: sdk.Ref) -> Shipment:
    """A bought shipment with only its number known."""
    return Shipment(
        ref=ref,
        state=ShipmentState.BOUGHT,
        tracking_numbers=(ref.id,),
        tracking_url=f"{_PEOPLE}{ref.id}",
        carrier=CARRIER,
    )


def read_track(response: sdk.Response, number: str) -> Tracking:
    """Parse the progress of a parcel."""
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value("trackingEvents")):
        raise sdk.malformed(response, "trackingEvents")
    # The newest event comes first.
    newest_events = list(body.objects("trackingEvents"))
    events = in_order(map(_event, reversed(newest_events)))
    category = body.text("statusCategory")
    signers = [event.text("name") for event in newest_events if event.text("name")]
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=_CATEGORIES.get((category or "").lower(), TrackingStatus.UNKNOWN),
        vendor_status=category,
        code=newest_events[0].text("eventCode") if newest_events else None,
        events=events,
        estimated_delivery=body.time("expectedDeliveryTimeStamp"),
        delivered_at=arrival(events),
        signed_by=next(iter(signers), None),
        url=f"{_PEOPLE}{number}",
        raw=body.raw,
    )


def _event(body: sdk.Answer) -> TrackingEvent:
    code = body.text("eventCode")
    local_time = f"{body.text('eventTimestamp')}{body.text('GMTOffset') or ''}"
    return TrackingEvent(
        status=_EVENTS.get(code or "", TrackingStatus.UNKNOWN),
        vendor_status=body.text("eventType"),
        code=code,
        at=body.time("GMTTimestamp") or sdk.as_time(local_time),
        text=body.text("eventType"),
        location=place_at(body, "eventCity", "eventState", "eventZIP", "eventCountry"),
    )


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    fields = body.object("address")
    if not fields:
        raise sdk.malformed(response, "address")
    code, extension = fields.text("ZIPCode"), fields.text("ZIPPlus4")
    suggested_address = attrs.evolve(
        address,
        line1=fields.text("streetAddress"),
        line2=fields.text("secondaryAddress"),
        line3=None,
        city=fields.text("city"),
        region=fields.text("state"),
        postal_code=f"{code}-{extension}" if code and extension else code,
        country=country_of(None, address),
        residential=_HOMES.get(body.text("additionalInfo.business") or ""),
    )
    return address_result(
        address,
        suggested_address,
        valid=_CONFIRMED.get(body.text("additionalInfo.DPVConfirmation") or ""),
        messages=tuple(
            _message(item.text("text"), item.text("code")) for item in body.objects("corrections")
        ),
        raw=body.raw,
    )


def unknown_address(address: Address, error: sdk.VendorRejected) -> AddressResult:
    """The result for an address unknown to USPS."""
    message = _message(error.vendor_message, error.vendor_code)
    return address_result(address, address, valid=False, messages=(message,), raw={})
