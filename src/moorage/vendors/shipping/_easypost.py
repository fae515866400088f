"""Requests to EasyPost and parsing of its responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address
from moorage.contracts.shipping.rates import (
    CarrierMessage,
    LabelFormat,
    Rate,
    RateResult,
    Signature,
)
from moorage.contracts.shipping.shipments import (
    AddressResult,
    CancelState,
    Label,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import Tracking, TrackingEvent, TrackingStatus
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure, measure_text
from moorage.vendors.shipping._common import (
    address_result,
    arrival,
    carrier_word,
    country_of,
    in_order,
    place_at,
    service_word,
)

if TYPE_CHECKING:
    from moorage.contracts.shipping.parcels import Customs
    from moorage.contracts.shipping.rates import RateRequest

BOUGHT_ALREADY: Final = "SHIPMENT.POSTAGE.EXISTS"
_RETRYABLE_CODES: Final = frozenset(
    {
        "SHIPMENT.POSTAGE.NO_RESPONSE",
        "SHIPMENT.POSTAGE.TIMED_OUT",
        "SHIPMENT.PURCHASE.IN_PROGRESS",
    }
)
_STATUSES: Final = {
    "pre_transit": TrackingStatus.PRE_TRANSIT,
    "in_transit": TrackingStatus.IN_TRANSIT,
    "out_for_delivery": TrackingStatus.OUT_FOR_DELIVERY,
    "available_for_pickup": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "delivered": TrackingStatus.DELIVERED,
    "return_to_sender": TrackingStatus.RETURNED,
    "failure": TrackingStatus.FAILED,
    "error": TrackingStatus.FAILED,
    "cancelled": TrackingStatus.CANCELED,
}
REFUNDS: Final = {
    "submitted": (CancelState.REQUESTED, ShipmentState.CANCELING),
    "refunded": (CancelState.APPROVED, ShipmentState.CANCELED),
    "rejected": (CancelState.REJECTED, ShipmentState.BOUGHT),
    "not_applicable": (CancelState.REJECTED, ShipmentState.BOUGHT),
}
FORMATS: Final = {
    LabelFormat.PDF: "PDF",
    LabelFormat.PNG: "PNG",
    LabelFormat.ZPL: "ZPL",
    LabelFormat.EPL: "EPL2",
}
FILES: Final = {
    "application/pdf": LabelFormat.PDF,
    "image/png": LabelFormat.PNG,
    "application/zpl": LabelFormat.ZPL,
    "text/zpl": LabelFormat.ZPL,
    "application/epl2": LabelFormat.EPL,
    "text/epl2": LabelFormat.EPL,
}
_SIGNATURES: Final = {Signature.ANYBODY: "SIGNATURE", Signature.ADULT: "ADULT_SIGNATURE"}
_CONTENTS: Final = {"returned": "returned_goods", "donation": "humanitarian_donation"}
FIELDS: Final = {
    "name": "name",
    "company": "company",
    "line1": "street1",
    "line2": "street2",
    "city": "city",
    "region": "state",
    "postal_code": "zip",
    "country": "country",
    "phone": "phone",
    "email": "email",
    "residential": "residential",
    "tax_id": "federal_tax_id",
}


def address_body(address: Address) -> dict[str, Any]:
    """An address in EasyPost's format."""
    values = attrs.asdict(_in_two_lines(address))
    body = {vendor_field: values[field_name] for field_name, vendor_field in FIELDS.items()}
    return {name: value for name, value in body.items() if value is not None}


def _in_two_lines(address: Address) -> Address:
    """The fields of an address, squeezed into EasyPost's two address lines."""
    if not address.line3:
        return address
    line2 = ", ".join(line for line in (address.line2, address.line3) if line)
    return attrs.evolve(address, line2=line2, line3=None)


def shipment_body(request: RateRequest) -> dict[str, Any]:
    """The body of the request for a shipment's rates."""
    parcel = request.parcels[0]
    ounces = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.OUNCE, decimals=1)
    box = {"weight": measure_text(ounces)}
    for name, side in zip(("length", "width", "height"), parcel.sides or (), strict=False):
        box[name] = measure_text(
            convert_measure(side, parcel.length_unit, LengthUnit.INCH, decimals=1)
        )
    if request.insurance is not None and request.insurance.currency != "USD":
        raise sdk.UnsupportedByVendor("EasyPost insures in USD only.")
    # EasyPost switches the addresses of a return.
    sender, recipient = request.sender, request.recipient
    if request.is_return:
        sender, recipient = recipient, sender
    customs = request.customs
    options = {
        "label_format": FORMATS[request.label],
        "label_size": request.label_size,
        "label_date": request.ship_date and request.ship_date.isoformat(),
        "delivery_confirmation": request.signature and _SIGNATURES[request.signature],
        "saturday_delivery": request.saturday or None,
        "incoterm": customs and customs.incoterm,
        "invoice_number": customs and customs.invoice_number,
    }
    shipment = {
        "from_address": address_body(sender),
        "to_address": address_body(recipient),
        "return_address": request.return_to and address_body(request.return_to),
        "parcel": box,
        "customs_info": customs and customs_body(customs),
        "options": {name: value for name, value in options.items() if value is not None},
        "is_return": request.is_return or None,
        "carrier_accounts": list(request.carrier_accounts) or None,
        "reference": request.reference,
    }
    fields = {name: value for name, value in shipment.items() if value is not None}
    return {"shipment": sdk.merged(fields, sdk.extra_for("easypost", request.extra))}


def customs_body(customs: Customs) -> dict[str, Any]:
    """A customs declaration in EasyPost's format."""
    items = [
        {
            "description": item.description,
            "quantity": item.quantity,
            "value": str(item.value.amount),
            "currency": item.value.currency,
            "weight": measure_text(
                convert_measure(item.weight, item.weight_unit, WeightUnit.OUNCE, decimals=1)
            ),
            "hs_tariff_number": item.hs_code,
            "origin_country": item.origin,
            "code": item.sku,
        }
        for item in customs.items
    ]
    body = {
        "contents_type": _CONTENTS.get(customs.contents, customs.contents),
        "contents_explanation": customs.explanation,
        "customs_certify": True,
        "customs_signer": customs.signer,
        "eel_pfc": customs.eel_pfc,
        "non_delivery_option": customs.non_delivery,
        "restriction_type": "none",
        "customs_items": [
            {name: value for name, value in item.items() if value is not None} for item in items
        ],
    }
    return {name: value for name, value in body.items() if value is not None}


def read_rates(wire: sdk.Wire, response: sdk.Response, request: RateRequest) -> RateResult:
    """Parse the rates, and the messages of carriers that offer none."""
    body = sdk.read_answer(response)
    shipment = sdk.required(body.text("id"), response, "id")
    insured = None if request.insurance is None else str(request.insurance.amount)
    rates: list[Rate] = []
    messages = list(read_messages(body))
    for rate in body.objects("rates"):
        id, carrier = rate.text("id"), carrier_word(rate.text("carrier"))
        total = sdk.as_money(rate.value("rate"), rate.value("currency"))
        if id is None or total is None:
            messages.append(CarrierMessage(carrier=carrier, text="A rate could not be read."))
            continue
        rates.append(
            Rate(
                ref=wire.ref(id, shipment=shipment, insurance=insured),
                carrier=carrier,
                service=service_word(carrier, rate.text("service")),
                total=total,
                vendor_carrier=rate.text("carrier"),
                vendor_service=rate.text("service"),
                service_name=rate.text("service"),
                list_price=sdk.as_money(rate.value("list_rate"), rate.value("list_currency")),
                delivery_days=rate.integer("delivery_days"),
                delivery_date=rate.time("delivery_date"),
                guaranteed=rate.flag("delivery_date_guaranteed"),
                carrier_account=rate.text("carrier_account_id"),
                raw=rate.raw,
            )
        )
    return RateResult(
        rates=tuple(rates), messages=tuple(messages), ref=wire.ref(shipment), raw=body.raw
    )


def read_messages(body: sdk.Answer) -> tuple[CarrierMessage, ...]:
    return tuple(
        CarrierMessage(
            carrier=carrier_word(message.text("carrier")) or None,
            code=message.text("type"),
            text=message.text("message"),
        )
        for message in body.objects("messages")
    )


def read_label(
    body: sdk.Answer, label_format: LabelFormat, url: str, content: bytes | None
) -> Label:
    return Label(
        format=label_format,
        content=content,
        url=url,
        size=body.text("postage_label.label_size"),
        vendor_format=body.text("postage_label.label_file_type"),
        tracking_number=body.text("tracking_code"),
    )


def read_tracker(body: sdk.Answer) -> Tracking:
    """Parse a tracker, which follows one parcel."""
    status = body.text("status")
    carrier = body.text("carrier")
    events = in_order(
        _event(tracking_detail) for tracking_detail in body.objects("tracking_details")
    )
    return Tracking(
        number=body.text("tracking_code"),
        carrier=carrier_word(carrier) if carrier else None,
        status=_STATUSES.get(status or "", TrackingStatus.UNKNOWN),
        vendor_status=status,
        code=body.text("status_detail"),
        events=events,
        estimated_delivery=body.time("est_delivery_date"),
        delivered_at=arrival(events),
        signed_by=body.text("signed_by"),
        url=body.text("public_url"),
        raw=body.raw,
    )


def _event(body: sdk.Answer) -> TrackingEvent:
    status = body.text("status")
    return TrackingEvent(
        status=_STATUSES.get(status or "", TrackingStatus.UNKNOWN),
        vendor_status=status,
        code=body.text("status_detail"),
        at=body.time("datetime"),
        text=body.text("message"),
        location=place_at(body.object("tracking_location"), "city", "state", "zip", "country"),
    )


def read_address(response: sdk.Response, address: Address) -> AddressResult:
    """Parse the verification of an address."""
    body = sdk.read_answer(response)
    fields = {
        field_name: body.text(vendor_field)
        for field_name, vendor_field in FIELDS.items()
        if field_name not in {"country", "residential"}
    }
    is_valid = body.flag("verifications.delivery.success")
    suggested_address = Address(
        **fields,
        country=country_of(body.text("country"), address),
        residential=body.flag("residential"),
    )
    return address_result(
        address,
        suggested_address,
        valid=is_valid,
        compared=_in_two_lines(address),
        messages=tuple(
            CarrierMessage(code=error.text("code"), text=error.text("message"))
            for error in body.objects("verifications.delivery.errors")
        ),
        raw=body.raw,
    )


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's code, which is more specific than the status."""
    if sdk.is_success(response.status):
        return None
    code, words = sdk.vendor_code_and_message(response)
    if code == BOUGHT_ALREADY:
        refusal = sdk.VendorRejected(
            f"EasyPost refused: {words or code}",
            status=response.status,
            vendor_code=code,
            vendor_message=words,
            response=response,
        )
        refusal.conclusive = True
        return refusal
    if code not in _RETRYABLE_CODES:
        return None
    return sdk.VendorFailed(
        f"The carrier has not answered EasyPost yet: {words or code}",
        status=response.status,
        vendor_code=code,
        vendor_message=words,
        response=response,
    )
