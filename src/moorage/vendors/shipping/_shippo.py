"""Requests to Shippo and parsing of its responses, without I/O."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    LabelSize,
    Rate,
    RateResult,
    Signature,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    CancelState,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure, measure_text
from moorage.vendors.shipping._common import (
    address_result,
    arrival,
    carrier_word,
    country_of,
    filled,
    in_order,
    place_at,
    service_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from moorage.contracts.shipping.parcels import Customs, Parcel
    from moorage.contracts.shipping.rates import RateRequest

STATES: Final = {
    "WAITING": ShipmentState.PENDING,
    "QUEUED": ShipmentState.PENDING,
    "SUCCESS": ShipmentState.BOUGHT,
    "ERROR": ShipmentState.FAILED,
    "REFUNDPENDING": ShipmentState.CANCELING,
    "REFUNDED": ShipmentState.CANCELED,
    "REFUNDREJECTED": ShipmentState.BOUGHT,
}
REFUNDS: Final = {
    "QUEUED": CancelState.REQUESTED,
    "PENDING": CancelState.REQUESTED,
    "REFUNDPENDING": CancelState.REQUESTED,
    "SUCCESS": CancelState.APPROVED,
    "REFUNDED": CancelState.APPROVED,
    "ERROR": CancelState.REJECTED,
    "REFUNDREJECTED": CancelState.REJECTED,
}
_STATUSES: Final = {
    "PRE_TRANSIT": TrackingStatus.PRE_TRANSIT,
    "TRANSIT": TrackingStatus.IN_TRANSIT,
    "DELIVERED": TrackingStatus.DELIVERED,
    "RETURNED": TrackingStatus.RETURNED,
    "FAILURE": TrackingStatus.FAILED,
}
_DETAILED_STATUSES: Final = {
    "delivery_attempted": TrackingStatus.DELIVERY_ATTEMPTED,
    "out_for_delivery": TrackingStatus.OUT_FOR_DELIVERY,
    "package_held": TrackingStatus.ON_HOLD,
    "pickup_available": TrackingStatus.AVAILABLE_FOR_PICKUP,
}
_FILES: Final[Mapping[tuple[LabelFormat, LabelSize | None], str]] = {
    (LabelFormat.PDF, None): "PDF",
    (LabelFormat.PDF, LabelSize.INCHES_4X6): "PDF_4x6",
    (LabelFormat.PDF, LabelSize.A4): "PDF_A4",
    (LabelFormat.PDF, LabelSize.A5): "PDF_A5",
    (LabelFormat.PDF, LabelSize.A6): "PDF_A6",
    (LabelFormat.PNG, None): "PNG",
    (LabelFormat.ZPL, None): "ZPLII",
}
_FORMATS: Final = {
    "PDF": LabelFormat.PDF,
    "PNG": LabelFormat.PNG,
    "ZPLII": LabelFormat.ZPL,
}
_SIGNATURES: Final = {Signature.ANYBODY: "STANDARD", Signature.ADULT: "ADULT"}
_CONTENTS: Final = {"returned": "RETURN_MERCHANDISE", "donation": "HUMANITARIAN_DONATION"}
_EXEMPTIONS: Final = {
    code.replace("_", "").lower(): code
    for code in ("NOEEI_30_37_a", "NOEEI_30_37_h", "NOEEI_30_37_f", "NOEEI_30_36", "AES_ITN")
}
"""Shippo's codes of exemptions from filing, by their letters and digits in lower case."""
_RETURNING: Final = frozenset({"fedex", "ups", "usps"})
"""Carriers of which Shippo makes return labels."""
_FIELDS: Final = {
    "name": "name",
    "company": "company",
    "line1": "street1",
    "line2": "street2",
    "line3": "street3",
    "city": "city",
    "region": "state",
    "postal_code": "zip",
    "country": "country",
    "phone": "phone",
    "email": "email",
    "residential": "is_residential",
}
_MARKED: Final = 100
_PLACES: Final = 4


def _measure(value: Decimal, unit: WeightUnit | LengthUnit) -> str:
    return measure_text(convert_measure(value, unit, unit, decimals=_PLACES))


def transaction_mark(key: str) -> str:
    """The search mark by which the transaction of an idempotency key can be found."""
    if len(key) <= _MARKED:
        return key
    content = key.encode()
    return sha256(b"%d:%b" % (len(content), content)).hexdigest()


def address_body(address: Address) -> dict[str, Any]:
    """An address in Shippo's format."""
    values = attrs.asdict(address)
    return filled(
        (vendor_field, values[field_name]) for field_name, vendor_field in _FIELDS.items()
    )


def shipment_body(request: RateRequest) -> dict[str, Any]:
    """The body of the request for a shipment's rates."""
    insurance = request.insurance
    extra_options = {
        "insurance": insurance
        and {"amount": str(insurance.amount), "currency": insurance.currency},
        "signature_confirmation": request.signature and _SIGNATURES[request.signature],
        "saturday_delivery": request.saturday or None,
        "is_return": request.is_return or None,
    }
    sender, recipient = request.sender, request.recipient
    if request.is_return:
        # Shippo switches the addresses of a return.
        sender, recipient = recipient, sender
    body = {
        "address_from": address_body(sender),
        "address_to": address_body(recipient),
        "address_return": request.return_to and address_body(request.return_to),
        "parcels": [_parcel(parcel) for parcel in request.parcels],
        "customs_declaration": request.customs and customs_body(request.customs),
        "carrier_accounts": list(request.carrier_accounts) or None,
        "shipment_date": request.ship_date and f"{request.ship_date.isoformat()}T12:00:00Z",
        "extra": filled(extra_options.items()) or None,
        "metadata": request.reference,
        "async": False,
    }
    return sdk.merged(filled(body.items()), sdk.extra_for("shippo", request.extra))


def _parcel(parcel: Parcel) -> dict[str, Any]:
    body = {
        "weight": _measure(parcel.weight, parcel.weight_unit),
        "mass_unit": parcel.weight_unit.value,
    }
    if parcel.sides is not None:
        for name, side in zip(("length", "width", "height"), parcel.sides, strict=True):
            body[name] = _measure(side, parcel.length_unit)
        body["distance_unit"] = parcel.length_unit.value
    if parcel.reference is not None:
        body["metadata"] = parcel.reference
    return body


def customs_body(customs: Customs) -> dict[str, Any]:
    """A customs declaration in Shippo's format."""
    exempt = customs.eel_pfc
    body = {
        "certify": True,
        "certify_signer": customs.signer,
        "contents_type": _CONTENTS.get(customs.contents, customs.contents.upper()),
        "contents_explanation": customs.explanation,
        "non_delivery_option": customs.non_delivery.upper(),
        "incoterm": customs.incoterm,
        "invoice": customs.invoice_number,
        "eel_pfc": exempt and _EXEMPTIONS.get(re.sub(r"[\W_]", "", exempt).lower(), exempt),
        "items": [
            filled(
                {
                    "description": item.description,
                    "quantity": item.quantity,
                    "net_weight": _measure(item.weight, item.weight_unit),
                    "mass_unit": item.weight_unit.value,
                    "value_amount": str(item.value.amount),
                    "value_currency": item.value.currency,
                    "origin_country": item.origin,
                    "tariff_number": item.hs_code,
                    "sku_code": item.sku,
                }.items()
            )
            for item in customs.items
        ],
    }
    return filled(body.items())


def read_rates(wire: sdk.Wire, response: sdk.Response, request: RateRequest) -> RateResult:
    """Parse the rates, and the messages of carriers that offer none."""
    body = sdk.read_answer(response)
    shipment = sdk.required(body.text("object_id"), response, "object_id")
    file = _FILES[request.label, request.label_size]
    parcel_count = str(len(request.parcels)) if len(request.parcels) > 1 else None
    rates: list[Rate] = []
    messages = list(read_messages(body))
    for rate in body.objects("rates"):
        id = rate.text("object_id")
        carrier, service, total = read_offer(rate)
        if id is None or total is None:
            messages.append(CarrierMessage(carrier=carrier, text="A rate could not be read."))
            continue
        if request.is_return and carrier not in _RETURNING:
            # Shippo would print a label to the customer.
            text = "Shippo makes no return labels of this carrier."
            messages.append(CarrierMessage(carrier=carrier, text=text))
            continue
        rates.append(
            Rate(
                ref=wire.ref(id, shipment=shipment, file=file, parcels=parcel_count),
                carrier=carrier or "",
                service=service or "",
                total=total,
                vendor_carrier=rate.text("provider"),
                vendor_service=rate.text("servicelevel.token"),
                service_name=rate.text("servicelevel.name"),
                delivery_days=rate.integer("estimated_days"),
                carrier_account=rate.text("carrier_account"),
                raw=rate.raw,
            )
        )
    return RateResult(
        rates=tuple(rates), messages=tuple(messages), ref=wire.ref(shipment), raw=body.raw
    )


def read_offer(body: sdk.Answer) -> tuple[str | None, str | None, Any]:
    """The carrier, service and price of a rate."""
    provider = body.text("provider")
    if provider is None:
        return None, None, None
    carrier = carrier_word(provider)
    service = service_word(carrier, body.text("servicelevel.token"))
    return carrier, service, sdk.as_money(body.value("amount"), body.value("currency"))


def read_messages(body: sdk.Answer, path: str = "messages") -> tuple[CarrierMessage, ...]:
    """Parse the carriers' additional messages."""
    return tuple(
        CarrierMessage(
            carrier=carrier_word(item.text("source")) or None,
            code=item.text("code"),
            text=item.text("text"),
        )
        for item in body.objects(path)
    )


def read_format(text: str | None) -> tuple[LabelFormat, str | None]:
    """The format and size of a label."""
    kind, _, size = (text or "").partition("_")
    return _FORMATS.get(kind, LabelFormat.UNKNOWN), size or None


def read_track(body: sdk.Answer) -> Tracking:
    """Parse the progress of a shipment."""
    events = in_order(
        _event(tracking_history) for tracking_history in body.objects("tracking_history")
    )
    now = _event(body.object("tracking_status"))
    carrier = body.text("carrier")
    return Tracking(
        number=body.text("tracking_number"),
        carrier=carrier_word(carrier) if carrier else None,
        status=now.status,
        vendor_status=now.vendor_status,
        code=now.code,
        events=events,
        estimated_delivery=body.time("eta"),
        delivered_at=arrival((*events, now)),
        raw=body.raw,
    )


def _event(body: sdk.Answer) -> TrackingEvent:
    status, code = body.text("status"), body.text("substatus.code")
    progress = _STATUSES.get(status or "", TrackingStatus.UNKNOWN)
    is_moving = progress in {TrackingStatus.IN_TRANSIT, TrackingStatus.FAILED}
    return TrackingEvent(
        status=_DETAILED_STATUSES.get(code or "", progress) if is_moving else progress,
        vendor_status=status,
        code=code,
        at=body.time("status_date"),
        text=body.text("status_details"),
        location=place_at(body.object("location"), "city", "state", "zip", "country"),
    )


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    fields = {
        field_name: body.text(vendor_field)
        for field_name, vendor_field in _FIELDS.items()
        if field_name not in {"country", "residential"}
    }
    suggested_address = Address(
        **fields,
        country=country_of(body.text("country"), address),
        residential=body.flag("is_residential"),
        tax_id=address.tax_id,
    )
    is_valid = body.flag("validation_results.is_valid")
    return address_result(
        address,
        suggested_address,
        valid=is_valid,
        messages=tuple(
            CarrierMessage(code=message.text("code"), text=message.text("text"))
            for message in body.objects("validation_results.messages")
        ),
        raw=body.raw,
    )


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response's body; a failed label purchase has status 201."""
    try:
        body = sdk.as_answer(response.json())
    except sdk.InvalidData:
        return None
    buying = request.method.value == "POST" and request.path == "/transactions"
    if sdk.is_success(response.status) and buying and body.text("status") == "ERROR":
        messages = read_messages(body)
        code = messages[0].code if messages else None
        words = " ".join(message.text for message in messages if message.text) or None
        sentence = f"Shippo could not buy the label: {words or 'no reason is given.'}"
        kind: type[sdk.VendorRejected] = sdk.VendorRejected
    elif response.status == 400 and body.text("detail") is None:
        # The error is an object with the names of the wrong fields and their errors.
        code, details = next(((name, details) for name, details in body.raw.items()), (None, None))
        words = (
            " ".join(item for item in details if isinstance(item, str))
            if sdk.is_list(details)
            else None
        )
        sentence, kind = f"Shippo refused {code}: {words}", sdk.InvalidRequest
    else:
        return None
    return kind(
        sdk.masked_words(sentence) or "",
        status=response.status,
        vendor_code=code,
        vendor_message=sdk.masked_words(words),
        response=response,
    )
