"""Parsing of DHL Express's responses, without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.duties import DutiesEstimate, ItemDuties, declared_goods
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    Rate,
    RateResult,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Place, Tracking, TrackingEvent, TrackingStatus
from moorage.vendors.shipping._common import (
    arrival,
    changed_fields,
    country_of,
    decoded_base64,
    filled,
    in_order,
    kind_of,
    refusal,
    service_word,
)
from moorage.vendors.shipping._dhl_express_requests import CARRIER
from moorage.vendors.shipping._duties import item_charges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import RateRequest

NO_OFFER: Final = frozenset({"996", "1001", "1004"})
"""DHL's message codes for a shipment for which it has no product."""
_CODE: Final = re.compile(r"\s*([0-9]{3,6})\s*:")
_WRITTEN_FORMATS: Final = {
    "PDF": LabelFormat.PDF,
    "PNG": LabelFormat.PNG,
    "ZPL": LabelFormat.ZPL,
    "EPL": LabelFormat.EPL,
}
_STATUSES: Final = {
    **dict.fromkeys(
        ("PU", "SA", "AF", "AR", "DF", "PL", "CR", "IC", "TR", "FD", "MC", "MS", "MD", "BR", "PD"),
        TrackingStatus.IN_TRANSIT,
    ),
    **dict.fromkeys(("BA", "CD", "CM", "HP", "OH", "SS", "UD"), TrackingStatus.ON_HOLD),
    **dict.fromkeys(("CA", "ND", "NH", "RD"), TrackingStatus.DELIVERY_ATTEMPTED),
    "WC": TrackingStatus.OUT_FOR_DELIVERY,
    "CC": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "OK": TrackingStatus.DELIVERED,
    "DD": TrackingStatus.DELIVERED,
    "RT": TrackingStatus.RETURNED,
    "DS": TrackingStatus.FAILED,
}
_CHARGE_TYPES: Final = ("DUTY", "TAX", "FEE")
_TOTAL: Final = "TOTAL "
"""The beginning of the name of a charge that is the total of other charges."""
_LABEL_WARNING: Final = (
    "DHL returns a label only in the response to the purchase, and that response was lost."
)


def read_rates(wire: sdk.Wire, response: sdk.Response) -> RateResult:
    """Parse the rates in a response, and DHL's messages about them."""
    body = sdk.read_answer(response)
    if "products" not in body.raw:
        raise sdk.malformed(response, "products")
    rates: list[Rate] = []
    messages = [_message(text) for text in body.texts("warnings")]
    for product in body.objects("products"):
        code, total = product.text("productCode"), _billed_price(product, "totalPrice")
        if code is None or total is None:
            messages.append(_message("A rate could not be read."))
            continue
        name = product.text("productName")
        service = service_word(CARRIER, name or code)
        ref = wire.ref(
            code,
            local=product.text("localProductCode"),
            service=service,
            price=str(total.amount),
            currency=total.currency,
        )
        rates.append(
            Rate(
                ref=ref,
                carrier=CARRIER,
                service=service,
                total=total,
                vendor_carrier="DHL Express",
                vendor_service=code,
                service_name=name,
                delivery_days=product.integer("deliveryCapabilities.totalTransitDays"),
                delivery_date=product.time("deliveryCapabilities.estimatedDeliveryDateAndTime"),
                raw=product.raw,
            )
        )
    if not rates and not messages:
        messages.append(_message("DHL Express has no product for this shipment."))
    return RateResult(rates=tuple(rates), messages=tuple(messages), raw=body.raw)


def _billed_price(body: sdk.Answer, path: str) -> sdk.Money | None:
    """The price in the currency in which DHL bills the account."""
    for item in body.objects(path):
        price = sdk.as_money(item.value("price"), item.value("priceCurrency"))
        if item.text("currencyType") == "BILLC" and price is not None and price.minor > 0:
            return price
    return None


def _message(text: str | None, code: str | None = None) -> CarrierMessage:
    return CarrierMessage(carrier=CARRIER, code=code, text=text)


def no_rates(error: sdk.VendorRejected) -> RateResult:
    """DHL's message that it offers no product for a shipment."""
    message = _message(error.vendor_message, error.vendor_code)
    return RateResult(rates=(), messages=(message,))


def read_duties(
    response: sdk.Response, request: RateRequest, freight: sdk.Money | None
) -> DutiesEstimate:
    """Parse the charges on the import of a shipment.

    Raises:
        VendorFailed: the response lacks an item, or has charges only in another currency.
    """
    body, customs = sdk.read_answer(response), declared_goods(request)
    currency = customs.value.currency
    product = sdk.required(next(body.objects("products"), None), response, "products")
    charges = {
        item.text("number") or "": _line_charges(response, item, currency)
        for item in product.objects("items")
    }
    items = item_charges(response, customs, charges)
    shipment_charges = _charges_on_the_whole(response, product, currency)
    sums: dict[str, sdk.Money] = {}
    zero = sdk.Money.from_minor(0, currency)
    on_items = {
        "DUTY": sum((item.duties for item in items), zero),
        "TAX": sum((item.taxes for item in items), zero),
        "FEE": sum((item.fees for item in items), zero),
    }
    for kind in _CHARGE_TYPES:
        listed = [charge for charge in shipment_charges if charge.text("typeCode") == kind]
        totals = [charge for charge in listed if (charge.text("name") or "").startswith(_TOTAL)]
        sums[kind] = (
            _charge(response, totals[0], currency)
            if totals
            else sum((_charge(response, charge, currency) for charge in listed), on_items[kind])
        )
    return DutiesEstimate(
        goods=customs.value,
        freight=freight,
        items=items,
        duties=sums["DUTY"],
        taxes=sums["TAX"],
        fees=sums["FEE"],
        messages=tuple(_message(text) for text in body.texts("warnings")),
        raw=body.raw,
    )


def _charges_on_the_whole(
    response: sdk.Response, product: sdk.Answer, currency: str
) -> list[sdk.Answer]:
    """The charges on a shipment in a currency; DHL may list the same charges in several ways.

    Raises:
        VendorFailed: they are only in other currencies, so that the estimate would be too low.
    """
    price_lists = list(product.objects("detailedPriceBreakdown"))
    for prices in price_lists:
        if prices.text("priceCurrency") == currency:
            return list(prices.objects("breakdown"))
    if price_lists:
        raise sdk.malformed(response, "detailedPriceBreakdown")
    return []


def _line_charges(response: sdk.Response, item: sdk.Answer, currency: str) -> ItemDuties:
    sums = dict.fromkeys(_CHARGE_TYPES, sdk.Money.from_minor(0, currency))
    for charge in item.objects("breakdown"):
        kind = charge.text("typeCode")
        if kind in sums:
            sums[kind] += _charge(response, charge, currency)
    return ItemDuties(duties=sums["DUTY"], taxes=sums["TAX"], fees=sums["FEE"])


def _charge(response: sdk.Response, charge: sdk.Answer, currency: str) -> sdk.Money:
    amount = sdk.as_money(charge.value("price"), charge.text("priceCurrency"))
    if amount is None or amount.currency != currency:
        raise sdk.malformed(response, "price")
    return amount


def read_shipment(
    wire: sdk.Wire, response: sdk.Response, offer: sdk.Ref, request: RateRequest
) -> Shipment:
    """Parse a bought shipment and its labels."""
    body = sdk.read_answer(response)
    number = sdk.required(body.text("shipmentTrackingNumber"), response, "shipmentTrackingNumber")
    pieces = [
        text for package in body.objects("packages") if (text := package.text("trackingNumber"))
    ]
    numbers = tuple(pieces) if len(request.parcels) > 1 and pieces else (number,)
    labels = tuple(_labels(body, numbers))
    warnings = [_message(text) for text in body.texts("warnings")]
    return Shipment(
        ref=wire.ref(number, label=labels[0].format.value if labels else None),
        state=ShipmentState.BOUGHT,
        tracking_numbers=numbers,
        carrier=CARRIER,
        service=offer.other("service"),
        cost=_billed_price(body, "shipmentCharges") or _quoted_amount(offer),
        labels=labels,
        warnings=tuple(warnings),
        raw=body.raw,
    )


def _quoted_amount(offer: sdk.Ref) -> sdk.Money | None:
    return sdk.as_money(offer.other("price"), offer.other("currency"))


def _labels(body: sdk.Answer, numbers: tuple[str, ...]) -> Iterator[Label]:
    for document in body.objects("documents"):
        if document.text("typeCode") != "label":
            continue
        format_name = document.text("imageFormat")
        number = document.integer("packageReferenceNumber") or 1
        yield Label(
            format=_WRITTEN_FORMATS.get((format_name or "").upper(), LabelFormat.UNKNOWN),
            content=decoded_base64(document.text("content")),
            vendor_format=format_name,
            tracking_number=numbers[number - 1] if 0 < number <= len(numbers) else None,
        )


def recovered_shipment(wire: sdk.Wire, body: sdk.Answer, offer: sdk.Ref) -> Shipment:
    """A bought shipment that was found by tracking, and so has no label."""
    return attrs.evolve(
        tracked_shipment(wire, body),
        service=offer.other("service"),
        cost=_quoted_amount(offer),
        warnings=(_message(_LABEL_WARNING),),
    )


def tracked_shipment(wire: sdk.Wire, body: sdk.Answer) -> Shipment:
    """Convert the tracking of a shipment to a shipment."""
    number = body.text("shipmentTrackingNumber") or ""
    pieces = [text for piece in body.objects("pieces") if (text := piece.text("trackingNumber"))]
    return Shipment(
        ref=wire.ref(number),
        state=ShipmentState.BOUGHT,
        vendor_status=body.text("status"),
        tracking_numbers=tuple(pieces) if len(pieces) > 1 else (number,),
        carrier=CARRIER,
        raw=body.raw,
    )


def read_track(body: sdk.Answer, number: str) -> Tracking:
    """Parse the progress of a shipment."""
    events = in_order(_event(event) for event in body.objects("events"))
    last_event = events[-1] if events else TrackingEvent(status=TrackingStatus.PRE_TRANSIT)
    signatories = [text for event in body.objects("events") if (text := event.text("signedBy"))]
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=last_event.status,
        vendor_status=last_event.vendor_status,
        events=events,
        estimated_delivery=body.time("estimatedDeliveryDate"),
        delivered_at=arrival(events),
        signed_by=signatories[-1] if signatories else None,
        raw=body.raw,
    )


def _event(body: sdk.Answer) -> TrackingEvent:
    code = body.text("typeCode")
    area = body.text("serviceArea.0.description")
    moment = f"{body.text('date')}T{body.text('time')}{body.text('GMTOffset') or ''}"
    return TrackingEvent(
        status=_STATUSES.get(code or "", TrackingStatus.UNKNOWN),
        vendor_status=code,
        at=sdk.as_time(moment),
        text=body.text("description"),
        location=None if area is None else Place(city=area),
    )


def address_query(address: Address) -> dict[str, str]:
    """The request for a check of DHL's delivery to a place."""
    return filled(
        {
            "type": "delivery",
            "countryCode": address.country,
            "postalCode": address.postal_code,
            "cityName": address.city,
            "strictValidation": "true",
        }.items()
    )


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Return the result of an address check, with the place's name as DHL spells it."""
    body = sdk.read_answer(response)
    if "address" not in body.raw:
        raise sdk.malformed(response, "address")
    first_match = next(body.objects("address"), None)
    if first_match is None:
        reason_messages = [
            *map(_message, body.texts("warnings")),
            _message("DHL Express does not know this place."),
        ]
        return no_address(address, *reason_messages)
    suggested_address = attrs.evolve(
        address,
        country=country_of(first_match.text("countryCode"), address),
        postal_code=first_match.text("postalCode") or address.postal_code,
        city=first_match.text("cityName") or address.city,
    )
    changes = changed_fields(address, suggested_address)
    return AddressResult(
        verdict=AddressVerdict.CORRECTED if changes else AddressVerdict.VALID,
        given=address,
        suggested=suggested_address,
        changes=changes,
        messages=tuple(_message(text) for text in body.texts("warnings")),
        raw=body.raw,
    )


def no_address(address: Address, *why: CarrierMessage) -> AddressResult:
    """The result of an address check if DHL does not deliver to the place."""
    return AddressResult(verdict=AddressVerdict.INVALID, given=address, messages=why)


def refused_address(address: Address, error: sdk.VendorRejected) -> AddressResult:
    """The result of an address check if DHL does not know the place."""
    return no_address(address, _message(error.vendor_message, error.vendor_code))


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error for a response's status, with DHL's text."""
    if sdk.is_success(response.status):
        return None
    try:
        body = sdk.as_answer(response.json())
    except sdk.InvalidData:
        return None
    texts = [text for text in (body.text("detail"), *body.texts("additionalDetails")) if text]
    codes = [match[1] for text in texts if (match := _CODE.match(text)) is not None]
    words = " ".join(texts) or body.text("title") or body.text("message")
    code = codes[0] if codes else None
    return refusal(kind_of(response.status), "DHL Express", response, code, words)
