"""What DHL Express is told, and what it says: no more than words, with nothing sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from mooring.contracts.shipping.parcels import Contents
from mooring.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    LabelSize,
    Rate,
    RateResult,
    Signature,
)
from mooring.contracts.shipping.shipments import (
    AddressResult,
    AddressVerdict,
    Label,
    Shipment,
    ShipmentState,
)
from mooring.contracts.shipping.tracking import Place, Tracking, TrackingEvent, TrackingStatus
from mooring.contracts.shipping.units import LengthUnit, WeightUnit, converted
from mooring.contracts.vendor import merged
from mooring.domain.classify import is_success
from mooring.errors import InvalidData, UnsupportedByVendor
from mooring.vendors._reading import Answer, answer, as_money, as_time, malformed, read
from mooring.vendors._shipping import (
    as_number,
    changed,
    country_of,
    declared,
    decoded,
    extra_of,
    filled,
    in_order,
    kind_of,
    own_number,
    pieces,
    refusal,
    service_word,
    sides,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, time

    from mooring.contracts.address import Address
    from mooring.contracts.ref import Ref
    from mooring.contracts.shipping.parcels import Customs, Parcel
    from mooring.contracts.shipping.rates import RateRequest
    from mooring.contracts.wire import Wire
    from mooring.domain.http import Request, Response
    from mooring.domain.money import Money
    from mooring.errors import ConnectorError, VendorRejected

CARRIER: Final = "dhl_express"
NO_OFFER: Final = frozenset({"996", "1001", "1004"})
"""The codes by which DHL says that it has no product for a shipment."""
_CODE: Final = re.compile(r"\s*([0-9]{3,6})\s*:")
_PLACES: Final = 3
_ADDRESS: Final = {
    "postal_code": "postalCode",
    "city": "cityName",
    "country": "countryCode",
    "region": "provinceCode",
    "line1": "addressLine1",
    "line2": "addressLine2",
    "line3": "addressLine3",
}
_FORMATS: Final = {
    LabelFormat.PDF: "pdf",
    LabelFormat.ZPL: "zpl",
    LabelFormat.EPL: "epl",
}
_WRITTEN: Final = {
    "PDF": LabelFormat.PDF,
    "PNG": LabelFormat.PNG,
    "ZPL": LabelFormat.ZPL,
    "EPL": LabelFormat.EPL,
}
_TEMPLATES: Final = {LabelSize.A4: "ECOM26_84_A4_001", LabelSize.A6: "ECOM26_A6_002"}
_SIGNATURES: Final = {Signature.ANYBODY: "SF", Signature.ADULT: "SD"}
_SATURDAY: Final = "AA"
_INSURANCE: Final = "II"
_DUTIES_PAID: Final = "DD"
_REASONS: Final = {
    Contents.MERCHANDISE: "commercial_purpose_or_sale",
    Contents.GIFT: "gift",
    Contents.SAMPLE: "sample",
    Contents.RETURNED: "return",
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
_ONCE: Final = "DHL gives a label once, with the answer to its purchase, and that was lost."


# --- what DHL is told --------------------------------------------------------


def _address(address: Address) -> dict[str, Any]:
    known = attrs.asdict(address)
    told = filled({theirs: known[ours] or None for ours, theirs in _ADDRESS.items()}.items())
    return {"postalCode": "", **told}


def _party(address: Address) -> dict[str, Any]:
    name, company = address.name or address.company, address.company or address.name
    return {
        "postalAddress": _address(address),
        "contactInformation": filled(
            {
                "fullName": name,
                "companyName": company,
                "phone": address.phone,
                "email": address.email,
            }.items()
        ),
    }


def _package(parcel: Parcel, number: int) -> dict[str, Any]:
    weight = converted(parcel.weight, parcel.weight_unit, WeightUnit.KILOGRAM, places=_PLACES)
    names = ("length", "width", "height")
    return {
        "weight": as_number(weight),
        "dimensions": {
            name: as_number(
                converted(side, parcel.length_unit, LengthUnit.CENTIMETRE, places=_PLACES)
            )
            for name, side in zip(names, sides(parcel, number), strict=True)
        },
    }


def _services(request: RateRequest) -> list[dict[str, Any]] | None:
    """The services that are asked for besides carrying it there."""
    codes = {
        request.signature and _SIGNATURES[request.signature]: request.signature,
        _SATURDAY: request.saturday,
        _DUTIES_PAID: request.customs and request.customs.incoterm == "DDP",
    }
    services: list[dict[str, Any]] = [
        {"serviceCode": code} for code, asked in codes.items() if asked
    ]
    if request.insurance is not None:
        services.append({"serviceCode": _INSURANCE, **_worth(request.insurance)})
    return services or None


def _worth(money: Money) -> dict[str, Any]:
    return {"value": as_number(money.amount), "currency": money.currency}


def when(day: date, ready: time, offset: str) -> str:
    """When a shipment is handed over, by the clock of where that is."""
    return f"{day}T{ready:%H:%M:%S} GMT{offset}"


def rates_body(request: RateRequest, account: str, planned: str) -> dict[str, Any]:
    """What asks for offers."""
    customs, insurance = request.customs, request.insurance
    amounts: list[dict[str, Any]] = []
    if customs is not None:
        amounts.append({"typeCode": "declaredValue", **_worth(declared(customs))})
    if insurance is not None:
        amounts.append({"typeCode": "insuredValue", **_worth(insurance)})
    _check_label(request)
    body = {
        "customerDetails": {
            "shipperDetails": _address(request.sender),
            "receiverDetails": _address(request.recipient),
        },
        "accounts": [{"typeCode": "shipper", "number": account}],
        "valueAddedServices": _services(request),
        "plannedShippingDateAndTime": planned,
        "unitOfMeasurement": "metric",
        "isCustomsDeclarable": customs is not None,
        "monetaryAmount": amounts or None,
        "packages": [_package(one, number) for number, one in enumerate(request.parcels)],
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "rates"))


def _check_label(request: RateRequest) -> None:
    if request.label not in _FORMATS:
        raise UnsupportedByVendor(f"DHL Express writes no labels in {request.label}.")
    if request.label_size is not None and request.label_size not in _TEMPLATES:
        raise UnsupportedByVendor(f"DHL Express prints no labels of the size {request.label_size}.")


def shipment_body(
    request: RateRequest, offer: Ref, *, account: str, planned: str, goods: str, marked: str
) -> dict[str, Any]:
    """What buys a shipment."""
    _check_label(request)
    customs = request.customs
    words = goods if customs is None else ", ".join(item.description for item in customs.items)
    references = (own_number(request.reference, "reference"), marked)
    content = {
        "packages": [_labelled(one, number) for number, one in enumerate(request.parcels)],
        "isCustomsDeclarable": customs is not None,
        "description": words[:70],
        "incoterm": (customs and customs.incoterm) or "DAP",
        "unitOfMeasurement": "metric",
    }
    if customs is not None:
        worth = declared(customs)
        content["declaredValue"] = as_number(worth.amount)
        content["declaredValueCurrency"] = worth.currency
        content["exportDeclaration"] = _declaration(customs, planned[:10])
    body = {
        "plannedShippingDateAndTime": planned,
        "pickup": {"isRequested": False},
        "productCode": offer.id,
        "localProductCode": offer.other("local"),
        "getRateEstimates": True,
        "accounts": [{"typeCode": "shipper", "number": account}],
        "valueAddedServices": _services(request),
        "outputImageProperties": _image(request),
        "customerReferences": [
            {"value": value, "typeCode": "CU"} for value in references if value is not None
        ],
        "customerDetails": {
            "shipperDetails": _party(request.sender),
            "receiverDetails": _party(request.recipient),
        },
        "content": content,
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "shipment"))


def _labelled(parcel: Parcel, number: int) -> dict[str, Any]:
    package = _package(parcel, number)
    reference = own_number(parcel.reference, f"parcels[{number}].reference")
    if reference is not None:
        package["customerReferences"] = [{"value": reference, "typeCode": "CU"}]
    return package


def _image(request: RateRequest) -> dict[str, Any]:
    size = request.label_size
    option = filled({"typeCode": "label", "templateName": size and _TEMPLATES[size]}.items())
    image: dict[str, Any] = {
        "encodingFormat": _FORMATS[request.label],
        "imageOptions": [option],
    }
    if len(request.parcels) > 1:
        image["splitTransportAndWaybillDocLabels"] = True
        image["splitDocumentsByPages"] = True
    return image


def _declaration(customs: Customs, day: str) -> dict[str, Any]:
    number = customs.invoice_number
    invoice = {"number": number, "date": day, "signatureName": customs.signer[:35]}
    return filled(
        {
            "lineItems": [{"number": n, **line} for n, line in enumerate(_lines(customs), 1)],
            "invoice": invoice if number else None,
            "exportReason": customs.explanation and customs.explanation[:30],
            "exportReasonType": _REASONS.get(customs.contents),
        }.items()
    )


def _lines(customs: Customs) -> Iterator[dict[str, Any]]:
    """The goods, each line with what one piece of it is worth and all of them weigh."""
    for item in customs.items:
        for count, each in pieces(item):
            share = item.weight * count / item.quantity
            weight = as_number(
                converted(share, item.weight_unit, WeightUnit.KILOGRAM, places=_PLACES)
            )
            line = {
                "description": item.description,
                "price": as_number(each.amount),
                "quantity": {"value": count, "unitOfMeasurement": "PCS"},
                "commodityCodes": item.hs_code
                and [{"typeCode": "outbound", "value": item.hs_code}],
                "manufacturerCountry": item.origin,
                "weight": {"netValue": weight, "grossValue": weight},
            }
            yield filled(line.items())


# --- what DHL says -----------------------------------------------------------


def read_rates(wire: Wire, response: Response) -> RateResult:
    """The offers, and what was said besides."""
    body = answer(response)
    if "products" not in body.raw:
        raise malformed(response, "products")
    rates: list[Rate] = []
    messages = [_said(text) for text in body.texts("warnings")]
    for one in body.objects("products"):
        code, total = one.text("productCode"), _billed(one, "totalPrice")
        if code is None or total is None:
            messages.append(_said("An offer could not be read."))
            continue
        name = one.text("productName")
        service = service_word(CARRIER, name or code)
        ref = wire.ref(
            code,
            local=one.text("localProductCode"),
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
                delivery_days=one.integer("deliveryCapabilities.totalTransitDays"),
                delivery_date=one.time("deliveryCapabilities.estimatedDeliveryDateAndTime"),
                raw=one.raw,
            )
        )
    if not rates and not messages:
        messages.append(_said("DHL Express has no product for this shipment."))
    return RateResult(rates=tuple(rates), messages=tuple(messages), raw=body.raw)


def _billed(body: Answer, path: str) -> Money | None:
    """The price in the currency that is billed."""
    for one in body.objects(path):
        price = as_money(one.value("price"), one.value("priceCurrency"))
        if one.text("currencyType") == "BILLC" and price is not None and price.minor > 0:
            return price
    return None


def _said(text: str | None, code: str | None = None) -> CarrierMessage:
    return CarrierMessage(carrier=CARRIER, code=code, text=text)


def no_rates(error: VendorRejected) -> RateResult:
    """What DHL says where it has no product."""
    said = _said(error.vendor_message, error.vendor_code)
    return RateResult(rates=(), messages=(said,))


def read_shipment(wire: Wire, response: Response, offer: Ref, request: RateRequest) -> Shipment:
    """What was bought, with its labels."""
    body = answer(response)
    number = body.text("shipmentTrackingNumber")
    if number is None:
        raise malformed(response, "shipmentTrackingNumber")
    pieces = [text for one in body.objects("packages") if (text := one.text("trackingNumber"))]
    numbers = tuple(pieces) if len(request.parcels) > 1 and pieces else (number,)
    labels = tuple(_labels(body, numbers))
    warnings = [_said(text) for text in body.texts("warnings")]
    return Shipment(
        ref=wire.ref(number, label=labels[0].format.value if labels else None),
        state=ShipmentState.BOUGHT,
        tracking_numbers=numbers,
        carrier=CARRIER,
        service=offer.other("service"),
        cost=_billed(body, "shipmentCharges") or _quoted(offer),
        labels=labels,
        warnings=tuple(warnings),
        raw=body.raw,
    )


def _quoted(offer: Ref) -> Money | None:
    return as_money(offer.other("price"), offer.other("currency"))


def _labels(body: Answer, numbers: tuple[str, ...]) -> Iterator[Label]:
    for one in body.objects("documents"):
        if one.text("typeCode") != "label":
            continue
        written = one.text("imageFormat")
        number = one.integer("packageReferenceNumber") or 1
        yield Label(
            format=_WRITTEN.get((written or "").upper(), LabelFormat.UNKNOWN),
            content=decoded(one.text("content")),
            vendor_format=written,
            tracking_number=numbers[number - 1] if 0 < number <= len(numbers) else None,
        )


def found_shipment(wire: Wire, body: Answer, offer: Ref) -> Shipment:
    """What was bought, as the tracking knows it: without its label."""
    return attrs.evolve(
        tracked_shipment(wire, body),
        service=offer.other("service"),
        cost=_quoted(offer),
        warnings=(_said(_ONCE),),
    )


def tracked_shipment(wire: Wire, body: Answer) -> Shipment:
    """A shipment, as the tracking knows it."""
    number = body.text("shipmentTrackingNumber") or ""
    pieces = [text for one in body.objects("pieces") if (text := one.text("trackingNumber"))]
    return Shipment(
        ref=wire.ref(number),
        state=ShipmentState.BOUGHT,
        vendor_status=body.text("status"),
        tracking_numbers=tuple(pieces) if len(pieces) > 1 else (number,),
        carrier=CARRIER,
        raw=body.raw,
    )


def read_track(body: Answer, number: str) -> Tracking:
    """Where a shipment is."""
    events = in_order(_event(one) for one in body.objects("events"))
    last = events[-1] if events else TrackingEvent(status=TrackingStatus.PRE_TRANSIT)
    arrived = [one.at for one in events if one.status is TrackingStatus.DELIVERED]
    signed = [text for one in body.objects("events") if (text := one.text("signedBy"))]
    return Tracking(
        number=number,
        carrier=CARRIER,
        status=last.status,
        vendor_status=last.vendor_status,
        events=events,
        estimated_delivery=body.time("estimatedDeliveryDate"),
        delivered_at=arrived[0] if arrived else None,
        signed_by=signed[-1] if signed else None,
        raw=body.raw,
    )


def _event(body: Answer) -> TrackingEvent:
    code = body.text("typeCode")
    area = body.text("serviceArea.0.description")
    moment = f"{body.text('date')}T{body.text('time')}{body.text('GMTOffset') or ''}"
    return TrackingEvent(
        status=_STATUSES.get(code or "", TrackingStatus.UNKNOWN),
        vendor_status=code,
        at=as_time(moment),
        text=body.text("description"),
        location=None if area is None else Place(city=area),
    )


def address_query(address: Address) -> dict[str, str]:
    """What asks whether DHL delivers somewhere."""
    return filled(
        {
            "type": "delivery",
            "countryCode": address.country,
            "postalCode": address.postal_code,
            "cityName": address.city,
            "strictValidation": "true",
        }.items()
    )


def read_address(response: Response, asked: Address) -> AddressResult:
    """Whether DHL delivers there, and how it writes the place."""
    body = answer(response)
    if "address" not in body.raw:
        raise malformed(response, "address")
    first = next(body.objects("address"), None)
    if first is None:
        why = [*map(_said, body.texts("warnings")), _said("DHL Express does not know this place.")]
        return no_address(asked, *why)
    suggested = attrs.evolve(
        asked,
        country=country_of(first.text("countryCode"), asked),
        postal_code=first.text("postalCode") or asked.postal_code,
        city=first.text("cityName") or asked.city,
    )
    changes = changed(asked, suggested)
    return AddressResult(
        verdict=AddressVerdict.CORRECTED if changes else AddressVerdict.VALID,
        given=asked,
        suggested=suggested,
        changes=changes,
        messages=tuple(_said(text) for text in body.texts("warnings")),
        raw=body.raw,
    )


def no_address(asked: Address, *why: CarrierMessage) -> AddressResult:
    """Somewhere that DHL does not deliver to."""
    return AddressResult(verdict=AddressVerdict.INVALID, given=asked, messages=why)


def refused_address(asked: Address, error: VendorRejected) -> AddressResult:
    """Somewhere that DHL says that it does not know."""
    return no_address(asked, _said(error.vendor_message, error.vendor_code))


def classify(_: Request, response: Response) -> ConnectorError | None:
    """What an error's own words say, besides its status."""
    if is_success(response.status):
        return None
    try:
        body = read(response.json())
    except InvalidData:
        return None
    said = [text for text in (body.text("detail"), *body.texts("additionalDetails")) if text]
    codes = [found[1] for text in said if (found := _CODE.match(text)) is not None]
    words = " ".join(said) or body.text("title") or body.text("message")
    code = codes[0] if codes else None
    return refusal(kind_of(response.status), "DHL Express", response, code, words)
