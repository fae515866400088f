"""Parsing of UPS's responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    Rate,
    RateResult,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import (
    arrival,
    changed_fields,
    country_of,
    decoded_base64,
    in_order,
    kind_of,
    place_at,
    refusal,
    service_word,
)
from moorage.vendors.shipping._ups_requests import CARRIER, FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.contracts.address import Address

NO_OFFER: Final = frozenset({"111210", "111217"})
"""Codes by which UPS reports that it has no service for a shipment."""
_SERVICES: Final = {
    "01": "Next Day Air",
    "02": "2nd Day Air",
    "03": "Ground",
    "07": "Worldwide Express",
    "08": "Worldwide Expedited",
    "11": "Standard",
    "12": "3 Day Select",
    "13": "Next Day Air Saver",
    "14": "Next Day Air Early",
    "17": "Worldwide Economy DDU",
    "54": "Worldwide Express Plus",
    "59": "2nd Day Air AM",
    "65": "Worldwide Saver",
    "72": "Worldwide Economy DDP",
}
_WRITTEN_FORMATS: Final = {code: known_format for known_format, code in FORMATS.items()}
_STATUSES: Final = {
    "M": TrackingStatus.PRE_TRANSIT,
    "MV": TrackingStatus.CANCELED,
    **sdk.words(TrackingStatus.IN_TRANSIT, "P I DO W"),
    "O": TrackingStatus.OUT_FOR_DELIVERY,
    "X": TrackingStatus.ON_HOLD,
    "D": TrackingStatus.DELIVERED,
    "DD": TrackingStatus.DELIVERED,
    "RS": TrackingStatus.RETURNED,
}
_VOIDED: Final = "1"
_PEOPLE: Final = "https://www.ups.com/track?tracknum="
"""Page where people track a parcel."""


def read_rates(wire: sdk.Wire, response: sdk.Response) -> RateResult:
    """Parse the rates in a response, and UPS's messages about them."""
    body = sdk.read_answer(response)
    if "RatedShipment" not in body.object("RateResponse").raw:
        raise sdk.malformed(response, "RatedShipment")
    messages = list(_alerts(body.object("RateResponse.Response"), "Alert"))
    rates: list[Rate] = []
    for rated_shipment in body.objects("RateResponse.RatedShipment"):
        code = rated_shipment.text("Service.Code")
        list_price = _money(rated_shipment, "TotalCharges")
        total = _money(rated_shipment, "NegotiatedRateCharges.TotalCharge") or list_price
        if code is None or total is None:
            messages.append(_message("A rate could not be read."))
            continue
        name = _SERVICES.get(code)
        service = service_word(CARRIER, name or code)
        rates.append(
            Rate(
                ref=wire.ref(
                    code, service=service, price=str(total.amount), currency=total.currency
                ),
                carrier=CARRIER,
                service=service,
                total=total,
                vendor_carrier="UPS",
                vendor_service=code,
                service_name=name and f"UPS {name}",
                list_price=list_price,
                delivery_days=rated_shipment.integer("GuaranteedDelivery.BusinessDaysInTransit"),
                guaranteed=True if rated_shipment.object("GuaranteedDelivery") else None,
                raw=rated_shipment.raw,
            )
        )
    if not rates and not messages:
        messages.append(_message("UPS has no service for this shipment."))
    return RateResult(rates=tuple(rates), messages=tuple(messages), raw=body.raw)


def _money(body: sdk.Answer, path: str) -> sdk.Money | None:
    return sdk.as_money(body.value(f"{path}.MonetaryValue"), body.value(f"{path}.CurrencyCode"))


def _message(text: str | None, code: str | None = None) -> CarrierMessage:
    return CarrierMessage(carrier=CARRIER, code=code, text=text)


def _alerts(body: sdk.Answer, path: str) -> Iterable[CarrierMessage]:
    return (_message(item.text("Description"), item.text("Code")) for item in body.objects(path))


def no_rates(error: sdk.VendorRejected) -> RateResult:
    """UPS's message that it offers no service for a shipment."""
    return RateResult(rates=(), messages=(_message(error.vendor_message, error.vendor_code),))


def read_shipment(wire: sdk.Wire, response: sdk.Response, offer: sdk.Ref) -> Shipment:
    """Parse a bought shipment, with labels in the purchased format."""
    body = sdk.read_answer(response)
    results = body.object("ShipmentResponse.ShipmentResults")
    number = sdk.required(
        results.text("ShipmentIdentificationNumber"), response, "ShipmentIdentificationNumber"
    )
    labels = read_labels(results, "PackageResults", "ShippingLabel", "ImageFormat")
    cost = _money(results, "NegotiatedRateCharges.TotalCharge")
    shipment = bought_shipment(wire, number, labels, offer)
    return attrs.evolve(
        shipment,
        cost=cost or _money(results, "ShipmentCharges.TotalCharges") or shipment.cost,
        warnings=tuple(_alerts(body.object("ShipmentResponse.Response"), "Alert")),
        raw=body.raw,
    )


def read_labels(body: sdk.Answer, path: str, image: str, format: str) -> tuple[Label, ...]:  # noqa: A002 - the vendor's word
    """The labels in a response, one for each package."""
    labels: list[Label] = []
    for item in body.objects(path):
        format_code = item.text(f"{image}.{format}.Code")
        labels.append(
            Label(
                format=_WRITTEN_FORMATS.get((format_code or "").upper(), LabelFormat.UNKNOWN),
                content=decoded_base64(item.text(f"{image}.GraphicImage")),
                vendor_format=format_code,
                tracking_number=item.text("TrackingNumber"),
            )
        )
    return tuple(labels)


def recovered(response: sdk.Response) -> tuple[str | None, tuple[Label, ...]]:
    """Parse the shipment whose labels were recovered, together with these labels."""
    body = sdk.read_answer(response).object("LabelRecoveryResponse")
    labels = read_labels(body, "LabelResults", "LabelImage", "LabelImageFormat")
    numbers = [label.tracking_number for label in labels if label.tracking_number]
    lead = body.text("ShipmentIdentificationNumber") or next(iter(numbers), None)
    return lead, labels


def bought_shipment(
    wire: sdk.Wire, number: str, labels: tuple[Label, ...], offer: sdk.Ref | None = None
) -> Shipment:
    """A bought shipment, with the rate at which it was bought if that is known."""
    numbers = tuple(label.tracking_number for label in labels if label.tracking_number)
    label_format = labels[0].format if labels else LabelFormat.UNKNOWN
    rate_details = {} if offer is None else dict(offer.related)
    return Shipment(
        ref=wire.ref(
            number, label=None if label_format is LabelFormat.UNKNOWN else label_format.value
        ),
        state=ShipmentState.BOUGHT,
        tracking_numbers=numbers or (number,),
        tracking_url=f"{_PEOPLE}{number}",
        carrier=CARRIER,
        service=rate_details.get("service"),
        cost=sdk.as_money(rate_details.get("price"), rate_details.get("currency")),
        labels=labels,
    )


def read_cancel(ref: sdk.Ref, response: sdk.Response) -> CancelResult:
    """Parse the result of a void."""
    body = sdk.read_answer(response)
    status = body.object("VoidShipmentResponse.SummaryResult.Status")
    code = status.text("Code")
    return CancelResult(
        ref=ref,
        state=CancelState.APPROVED if code == _VOIDED else CancelState.UNKNOWN,
        vendor_status=status.text("Description") or code,
        raw=body.raw,
    )


def read_track(response: sdk.Response, number: str) -> Tracking:
    """Parse the progress of a parcel."""
    body = sdk.read_answer(response)
    packages = list(body.object("trackResponse.shipment.0").objects("package"))
    matching_packages = [item for item in packages if item.text("trackingNumber") == number]
    package = next(iter(matching_packages or packages), sdk.as_answer(None))
    # The newest event comes first; it may have the same second as the event before it.
    newest_events = [_event(activity) for activity in package.objects("activity")]
    events = in_order(reversed(newest_events))
    last_event = newest_events[0] if newest_events else TrackingEvent(status=TrackingStatus.UNKNOWN)
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=last_event.status,
        vendor_status=last_event.vendor_status,
        code=last_event.code,
        events=events,
        estimated_delivery=_delivery_due(package),
        delivered_at=arrival(events),
        signed_by=package.text("deliveryInformation.receivedBy"),
        url=f"{_PEOPLE}{number}",
        raw=body.raw,
    )


def _delivery_due(package: sdk.Answer) -> datetime | None:
    days = {
        delivery_date.text("type"): delivery_date.text("date")
        for delivery_date in package.objects("deliveryDate")
    }
    day = days.get("RDD") or days.get("SDD")
    return None if day is None else sdk.as_time(f"{day}T000000")


def _event(body: sdk.Answer) -> TrackingEvent:
    kind = body.text("status.type")
    return TrackingEvent(
        status=_STATUSES.get((kind or "").strip(), TrackingStatus.UNKNOWN),
        vendor_status=kind,
        code=body.text("status.code"),
        at=_event_time(body),
        text=body.text("status.description"),
        location=place_at(
            body.object("location.address"),
            "city",
            "stateProvince",
            "postalCode",
            "countryCode",
            "country",
        ),
    )


def _event_time(body: sdk.Answer) -> datetime | None:
    """The time of an event: in UTC if UPS states it, else in local time."""
    for day, hour in (("gmtDate", "gmtTime"), ("date", "time")):
        clock = (body.text(hour) or "").replace(":", "").zfill(6)
        moment = sdk.as_time(f"{body.text(day)}T{clock}")
        if moment is not None:
            return moment
    return None


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    answer_body = body.object("XAVResponse")
    if not answer_body:
        raise sdk.malformed(response, "XAVResponse")
    candidate = next(answer_body.objects("Candidate"), None)
    kinds = {"1": False, "2": True}
    residential = kinds.get(answer_body.text("AddressClassification.Code") or "")
    if "ValidAddressIndicator" not in answer_body.raw or candidate is None:
        is_unclear = "AmbiguousAddressIndicator" in answer_body.raw
        text = (
            "UPS knows several addresses like this one."
            if is_unclear
            else "UPS does not know this address."
        )
        return AddressResult(
            verdict=AddressVerdict.UNKNOWN if is_unclear else AddressVerdict.INVALID,
            given=address,
            messages=(_message(text),),
            residential=residential,
            raw=body.raw,
        )
    suggested_address = _suggested_address(
        candidate.object("AddressKeyFormat"), address, residential
    )
    changes = changed_fields(address, suggested_address)
    return AddressResult(
        verdict=AddressVerdict.CORRECTED if changes else AddressVerdict.VALID,
        given=address,
        suggested=suggested_address,
        changes=changes,
        residential=residential,
        raw=body.raw,
    )


def _suggested_address(body: sdk.Answer, address: Address, residential: bool | None) -> Address:  # noqa: FBT001 - as it is told
    lines = [*(body.texts("AddressLine") or (body.text("AddressLine"),)), None, None]
    code, extension = body.text("PostcodePrimaryLow"), body.text("PostcodeExtendedLow")
    return attrs.evolve(
        address,
        line1=lines[0],
        line2=lines[1],
        line3=lines[2],
        city=body.text("PoliticalDivision2"),
        region=body.text("PoliticalDivision1"),
        postal_code=f"{code}-{extension}" if code and extension else code,
        country=country_of(body.text("CountryCode"), address),
        residential=residential,
    )


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error for a response's code and text."""
    if sdk.is_success(response.status):
        return None
    body = sdk.error_answer(response)
    error = next(body.objects("response.errors"), None) or next(body.objects("errors"), None)
    if error is None:
        return None
    code, words = error.text("code"), error.text("message")
    return refusal(kind_of(response.status), "UPS", response, code, words)
