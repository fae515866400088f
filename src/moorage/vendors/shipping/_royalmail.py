"""Requests to Royal Mail's Click & Drop and parsing of its responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.parcels import Contents
from moorage.contracts.shipping.rates import LabelFormat
from moorage.contracts.shipping.shipments import (
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendors.shipping._common import (
    as_number,
    decoded_base64,
    error_object,
    filled,
    kind_of,
    order_lines_per_parcel,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import Customs, Parcel
    from moorage.contracts.shipping.rates import RateRequest

CARRIER: Final = "royalmail"
ORDERS: Final = "/api/v1/orders"
NOT_FOUND: Final = 404
_CATEGORIES: Final = {
    Contents.MERCHANDISE: "saleOfGoods",
    Contents.GIFT: "gift",
    Contents.SAMPLE: "commercialSample",
    Contents.DOCUMENTS: "documents",
    Contents.RETURNED: "returnedGoods",
}
_PROBLEMS: Final = ("failedOrders.0.errors.0", "createdOrders.0.labelErrors.0", "errors.0")
_DESCRIPTION: Final = 50
_REFERENCE: Final = 27
_MARK: Final = 12


def order_path(identifier: str) -> str:
    """The path of an order, which is given by its number or by its reference in quotes."""
    return f"{ORDERS}/{quote(identifier, safe='')}"


def marked_reference(reference: str | None, mark: str) -> str:
    """The reference of an order: the caller's, and a mark by which moorage finds the order.

    Raises:
        InvalidData: the caller's reference is too long.
    """
    if reference is not None and len(reference) > _REFERENCE:
        raise sdk.InvalidData(
            "The reference is too long for a Click & Drop order.",
            field="reference",
            remedy=f"Pass a reference of at most {_REFERENCE} characters.",
        )
    return " ".join(filter(None, (reference, mark[:_MARK])))


def order_body(
    request: RateRequest, code: str, reference: str, package_format: str, day: date
) -> dict[str, Any]:
    """The body that creates an order with a label.

    Raises:
        UnsupportedByVendor: the request has an address for returns, or wants another format.
    """
    if request.return_to is not None:
        raise sdk.UnsupportedByVendor(
            "Click & Drop returns parcels only to the account's"
            " address, so it does not accept `return_to`."
        )
    if request.label is not LabelFormat.PDF:
        raise sdk.UnsupportedByVendor(
            f"Click & Drop does not print {request.label.upper()} labels."
        )
    [parcel] = request.parcels
    customs, sent = request.customs, request.ship_date
    goods_value = None if customs is None else customs.value
    total = 0 if goods_value is None else as_number(goods_value.amount)
    invoice_number = None if customs is None else customs.invoice_number
    postage = {"serviceCode": code, "commercialInvoiceNumber": invoice_number}
    sender = {"tradingName": request.sender.company or request.sender.name}
    order = {
        "orderReference": reference,
        "recipient": {"address": _address(request.recipient), **_contact(request.recipient)},
        "sender": filled({**sender, **_contact(request.sender)}.items()),
        "packages": [_package(parcel, package_format, customs)],
        "orderDate": f"{day.isoformat()}T00:00:00Z",
        "plannedDespatchDate": None if sent is None else f"{sent.isoformat()}T00:00:00Z",
        "subtotal": total,
        "shippingCostCharged": 0,
        "total": total,
        "currencyCode": None if goods_value is None else goods_value.currency,
        "postageDetails": filled(postage.items()),
        "label": {"includeLabelInResponse": True},
    }
    return {"items": [sdk.merged(filled(order.items()), sdk.extra_for(CARRIER, request.extra))]}


def _address(address: Address) -> dict[str, Any]:
    fields = {
        "fullName": address.name,
        "companyName": address.company,
        "addressLine1": address.line1,
        "addressLine2": address.line2,
        "addressLine3": address.line3,
        "city": address.city,
        "county": address.region,
        "postcode": address.postal_code,
        "countryCode": address.country,
    }
    return filled(fields.items())


def _contact(address: Address) -> dict[str, Any]:
    return filled({"phoneNumber": address.phone, "emailAddress": address.email}.items())


def _package(parcel: Parcel, package_format: str, customs: Customs | None) -> dict[str, Any]:
    sides = {
        name: int(convert_measure(side, parcel.length_unit, LengthUnit.MILLIMETRE, decimals=0))
        for name, side in zip(
            ("depthInMms", "widthInMms", "heightInMms"), parcel.sides or (), strict=False
        )
    }
    package = {
        "weightInGrams": int(
            convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.GRAM, decimals=0)
        ),
        "packageFormatIdentifier": package_format,
        "dimensions": sides or None,
        "contents": None if customs is None else [*_contents(customs)],
    }
    return filled(package.items())


def _contents(customs: Customs) -> Iterator[dict[str, Any]]:
    """The goods, without article numbers, which would change the products in the account."""
    for item in customs.items:
        weight = convert_measure(
            item.weight / item.quantity, item.weight_unit, WeightUnit.GRAM, decimals=0
        )
        for count, unit_price in order_lines_per_parcel(item):
            fields = {
                "name": item.description,
                "quantity": count,
                "unitValue": as_number(unit_price.amount),
                "unitWeightInGrams": int(weight),
                "customsDescription": item.description[:_DESCRIPTION],
                "extendedCustomsDescription": item.description,
                "customsCode": item.hs_code,
                "originCountryCode": item.origin,
                "customsDeclarationCategory": _CATEGORIES.get(customs.contents, "other"),
            }
            yield filled(fields.items())


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response: about an order, its label, or the whole request."""
    body = error_object(response)
    if sdk.is_success(response.status):
        problem = next((item for path in _PROBLEMS if (item := body.object(path))), None)
        kind: Any = sdk.VendorRejected
    else:
        problem, kind = body, kind_of(response.status)
    if problem is None:
        return None
    code, text = problem.text("errorCode") or problem.text("code"), problem.text("errorMessage")
    return refusal(kind, "Royal Mail", response, code, text or problem.text("message"))


def created_order(response: sdk.Response | None) -> str | None:
    """The number of the order in a response; None if no order was created."""
    if response is None:
        return None
    return sdk.error_answer(response).text("createdOrders.0.orderIdentifier")


def read_created(wire: sdk.Wire, service: str, response: sdk.Response) -> Shipment:
    """Parse a new order with its label."""
    order = sdk.read_answer(response).object("createdOrders.0")
    return _shipment(wire, order, response, service)


def read_order(wire: sdk.Wire, service: str | None, response: sdk.Response) -> Shipment:
    """Parse the only order in a response, without its label.

    Raises:
        VendorFailed: there is no order, or there are several.
    """
    orders = sdk.read_answers(response)
    if len(orders) != 1:
        raise sdk.malformed(response, "orderIdentifier")
    return _shipment(wire, orders[0], response, service)


def _shipment(
    wire: sdk.Wire, order: sdk.Answer, response: sdk.Response, service: str | None
) -> Shipment:
    id_ = sdk.required(order.text("orderIdentifier"), response, "orderIdentifier")
    number = order.text("trackingNumber") or order.text("packages.0.trackingNumber")
    content = decoded_base64(order.text("label"))
    return Shipment(
        ref=wire.ref(id_, number=number, label=LabelFormat.PDF.value, service=service),
        state=ShipmentState.BOUGHT,
        tracking_numbers=() if number is None else (number,),
        carrier=CARRIER,
        service=service,
        labels=() if content is None else (pdf_label(content, number),),
        raw=order.raw,
    )


def pdf_label(content: bytes, number: str | None) -> Label:
    """A label in PDF."""
    return Label(format=LabelFormat.PDF, content=content, tracking_number=number)


def deleted_shipment(ref: sdk.Ref, error: sdk.VendorRejected) -> Shipment:
    """A shipment whose order no longer exists in Click & Drop."""
    number = ref.other("number")
    return Shipment(
        ref=ref,
        state=ShipmentState.CANCELED,
        vendor_status=error.vendor_code,
        tracking_numbers=() if number is None else (number,),
        carrier=CARRIER,
        service=ref.other("service"),
        raw={"code": error.vendor_code, "message": error.vendor_message},
    )


def cancel_result(ref: sdk.Ref, status: str, raw: object) -> CancelResult:
    """The result of a deletion, which takes effect immediately."""
    return CancelResult(ref=ref, state=CancelState.APPROVED, vendor_status=status, raw=raw)
