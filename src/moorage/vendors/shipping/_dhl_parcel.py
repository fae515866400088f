"""Requests to DHL Parcel in Germany and parsing of its responses, without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import CarrierMessage, LabelFormat
from moorage.contracts.shipping.shipments import (
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendors.shipping._common import (
    decoded_base64,
    error_object,
    filled,
    kind_of,
    reference_on_label,
    refusal,
)
from moorage.vendors.shipping._dhl_parcel_countries import COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import Parcel
    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.shipping.tracking import Tracking

CARRIER: Final = "dhl_parcel"
ORDERS: Final = "/orders"
IS_CUSTOMER_NUMBER: Final = sdk.matches(
    r"\w{10}",
    problem="The customer_number is not a customer number of DHL Parcel.",
    remedy="Set its ten characters as a string, such as '3333333333'.",
)
_OK: Final = "200"
_WARNING: Final = "Warning"
_PRODUCT: Final = re.compile(r"V(\d\d)[A-Z]+")
_SHORTEST_REFERENCE: Final = 8
_SIDES: Final = ("length", "width", "height")
_FORMATS: Final = {LabelFormat.PDF: "PDF", LabelFormat.ZPL: "ZPL2"}


def label_query(label: LabelFormat, print_format: str | None) -> dict[str, str]:
    """The query parameters that choose the file format and the paper of a label.

    Raises:
        UnsupportedByVendor: DHL Parcel has no such file format.
    """
    if label not in _FORMATS:
        raise sdk.UnsupportedByVendor(f"DHL Parcel does not print {label.upper()} labels.")
    query = {
        "includeDocs": "include",
        "docFormat": _FORMATS[label],
        "printFormat": print_format,
    }
    return filled(query.items())


def label_request(ref: sdk.Ref, label: LabelFormat | None, print_format: str | None) -> sdk.Request:
    """The request for a shipment with its label, by default in the format in which it was bought.

    Raises:
        UnsupportedByVendor: DHL Parcel has no such file format.
    """
    query = label_query(_label_format(ref, label), print_format)
    return sdk.Request.get(ORDERS, query={"shipment": ref.id, **query})


def billing_number(customer_number: str, code: str, participation: str) -> str:
    """The number that a shipment of a product is billed to.

    Raises:
        InvalidData: the code is not one of a product.
    """
    product = _PRODUCT.fullmatch(code)
    if product is None:
        raise sdk.InvalidData(
            "The service is not a product of DHL Parcel.",
            field="choose.services",
            remedy=f"Use a product of your contract, such as '{CARRIER}_v01_pak' for V01PAK.",
        )
    return f"{customer_number}{product[1]}{participation}"


def shipment_body(request: RateRequest, code: str, billed_to: str) -> dict[str, Any]:
    """The shipment in an order.

    Raises:
        InvalidData: the reference is too long, or a country unknown.
        UnsupportedByVendor: the request has an address for returns.
    """
    if request.return_to is not None:
        raise sdk.UnsupportedByVendor(
            "DHL Parcel returns parcels only to the sender, so it does not accept `return_to`."
        )
    [parcel] = request.parcels
    reference = reference_on_label(parcel.reference or request.reference, "reference")
    sent = request.ship_date
    shipment = {
        "product": code,
        "billingNumber": billed_to,
        "refNo": None if reference is None else reference.ljust(_SHORTEST_REFERENCE),
        "shipDate": None if sent is None else sent.isoformat(),
        "shipper": _shipper(request.sender),
        "consignee": _consignee(request.recipient),
        "details": _details(parcel),
    }
    return sdk.merged(filled(shipment.items()), sdk.extra_for(CARRIER, request.extra))


def _shipper(address: Address) -> dict[str, Any]:
    further_lines = [line for line in (address.line2, address.line3) if line]
    return filled([*_place(address), ("name3", ", ".join(further_lines) or None)])


def _consignee(address: Address) -> dict[str, Any]:
    fields = {
        "additionalAddressInformation1": address.line2,
        "additionalAddressInformation2": address.line3,
        "state": address.region,
        "phone": address.phone,
    }
    return filled([*_place(address), *fields.items()])


def _place(address: Address) -> Iterator[tuple[str, str | None]]:
    """The fields that a shipper and a consignee have in common."""
    country = COUNTRIES.get(address.country)
    if country is None:
        raise sdk.InvalidData(
            "DHL Parcel does not know the country of an address.",
            field="country",
            remedy="Pass the two letters of ISO 3166 for a country that DHL Parcel delivers to.",
        )
    yield "name1", address.company or address.name
    yield "name2", address.name if address.company else None
    yield "addressStreet", address.line1
    yield "postalCode", address.postal_code
    yield "city", address.city
    yield "country", country
    yield "email", address.email


def _details(parcel: Parcel) -> dict[str, Any]:
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.GRAM, decimals=0)
    sides = {
        name: int(convert_measure(side, parcel.length_unit, LengthUnit.MILLIMETRE, decimals=0))
        for name, side in zip(_SIDES, parcel.sides or (), strict=False)
    }
    fields = {
        "weight": {"uom": "g", "value": int(weight)},
        "dim": {"uom": "mm", **sides} if sides else None,
    }
    return filled(fields.items())


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response: about the only shipment, the whole request, or a parcel's number."""
    body = error_object(response)
    item = body.object("items.0")
    status = item.object("sstatus") or body.object("status") or body
    code = status.text("status") or status.text("statusCode")
    if not sdk.is_success(response.status):
        kind: Any = kind_of(response.status)
    elif code in {None, _OK}:
        return None
    else:
        kind = sdk.VendorRejected
    text = _validation_texts(item) or item.text("message")
    text = text or status.text("detail") or status.text("title")
    return refusal(kind, "DHL Parcel", response, code, text)


def _validation_texts(item: sdk.Answer) -> str | None:
    """The texts of all errors in a shipment; those of the warnings if there are no errors."""
    messages = [
        (text, message.text("validationState") == _WARNING)
        for message in item.objects("validationMessages")
        if (text := message.text("validationMessage"))
    ]
    errors = [text for text, is_warning in messages if not is_warning]
    return " ".join(errors or [text for text, _ in messages]) or None


def read_order(
    wire: sdk.Wire, service: str, label_format: LabelFormat, response: sdk.Response
) -> Shipment:
    """Parse a shipment that was ordered, with its label."""
    body = sdk.read_answer(response)
    item = body.object("items.0")
    number = sdk.required(item.text("shipmentNo"), response, "items.0.shipmentNo")
    ref = wire.ref(number, label=label_format.value, service=service)
    warnings = (text.text("validationMessage") for text in item.objects("validationMessages"))
    return bought_shipment(
        ref,
        read_labels(ref, label_format, response),
        raw=body.raw,
        warnings=tuple(CarrierMessage(carrier=CARRIER, text=text) for text in warnings if text),
    )


def read_labels(
    ref: sdk.Ref, label: LabelFormat | None, response: sdk.Response
) -> tuple[Label, ...]:
    """Parse the label in a response; empty if there is none."""
    document = sdk.read_answer(response).object("items.0.label")
    zpl = document.text("zpl2")
    # DHL sends ZPL as it is, and PDF in base64.
    content = decoded_base64(document.text("b64")) if zpl is None else zpl.encode()
    if not content:
        return ()
    label_format = _label_format(ref, label)
    return (Label(format=label_format, content=content, tracking_number=ref.id),)


def _label_format(ref: sdk.Ref, label: LabelFormat | None) -> LabelFormat:
    return label or LabelFormat(ref.other("label") or LabelFormat.PDF)


def bought_shipment(ref: sdk.Ref, labels: tuple[Label, ...], **fields: Any) -> Shipment:
    """A shipment that was bought, with its reference and labels."""
    return Shipment(
        ref=ref,
        state=ShipmentState.BOUGHT,
        tracking_numbers=(ref.id,),
        carrier=CARRIER,
        service=ref.other("service"),
        labels=labels,
        **fields,
    )


def forgotten_shipment(
    ref: sdk.Ref, error: sdk.VendorRejected, tracking: Tracking | None
) -> Shipment:
    """A shipment that the shipping API no longer knows: bought if it is tracked, else deleted."""
    if tracking is not None:
        return bought_shipment(ref, (), vendor_status=tracking.vendor_status, raw=tracking.raw)
    return Shipment(
        ref=ref,
        state=ShipmentState.CANCELED,
        vendor_status=error.vendor_code,
        tracking_numbers=(ref.id,),
        carrier=CARRIER,
        service=ref.other("service"),
        raw={"code": error.vendor_code, "message": error.vendor_message},
    )


def read_cancel(ref: sdk.Ref, response: sdk.Response) -> CancelResult:
    """Parse the result of a deletion, which takes effect immediately."""
    body = sdk.read_answer(response)
    return _canceled(ref, body.text("items.0.sstatus.title"), body.raw)


def forgotten_cancel(ref: sdk.Ref, error: sdk.VendorRejected) -> CancelResult:
    """The result of the deletion of a shipment that DHL Parcel does not know."""
    return _canceled(ref, error.vendor_code, forgotten_shipment(ref, error, None).raw)


def _canceled(ref: sdk.Ref, status: str | None, raw: object) -> CancelResult:
    return CancelResult(ref=ref, state=CancelState.APPROVED, vendor_status=status, raw=raw)
