"""Requests to DPD's META-API and parsing of its responses, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import CarrierMessage, LabelFormat, LabelSize
from moorage.contracts.shipping.shipments import Label, Shipment, ShipmentState
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendors.shipping._common import (
    decoded_base64,
    error_object,
    filled,
    kind_of,
    reference_on_label,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.parcels import Parcel
    from moorage.contracts.shipping.rates import RateRequest

CARRIER: Final = "dpd"
_GRANTED: Final = "X-DPD-TOKEN"
_STATE: Final = 2


def label_query(label: LabelFormat, size: LabelSize | None) -> dict[str, str]:
    """The query parameters that choose the file format and the paper size of a label.

    Raises:
        UnsupportedByVendor: DPD has no such paper.
    """
    if size is LabelSize.INCHES_4X6:
        raise sdk.UnsupportedByVendor("DPD does not print labels of 4 by 6 inches.")
    query = {"LabelPrintFormat": label.upper(), "LabelPaperFormat": size}
    return filled(query.items())


def shipment_body(
    request: RateRequest, code: str, customer: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The body that buys a label.

    Raises:
        InvalidData: a reference is too long.
        UnsupportedByVendor: the request has an address for returns.
    """
    if request.return_to is not None:
        raise sdk.UnsupportedByVendor(
            "DPD returns parcels only to the sender, so it does not accept `return_to`."
        )
    [parcel] = request.parcels
    reference = reference_on_label(request.reference, "reference")
    ship_date = request.ship_date
    body = {
        "numberOfParcels": "1",
        "shipmentInfos": {"productCode": code},
        "customerReferenceNumbers": None if reference is None else [reference],
        "sender": {**_party(request.sender), **({"customerInfos": customer} if customer else {})},
        "receiver": _party(request.recipient),
        "parcel": [_parcel(parcel)],
        "shippingDate": None if ship_date is None else ship_date.isoformat(),
    }
    return [sdk.merged(filled(body.items()), sdk.extra_for(CARRIER, request.extra))]


def _party(address: Address) -> dict[str, Any]:
    region = address.region
    fields = {
        "companyName": address.company,
        "name1": address.name,
        "street": address.line1,
        "addressLine2": address.line2,
        "addressLine3": address.line3,
        "country": address.country,
        "state": region if region is not None and len(region) == _STATE else None,
        "zipCode": address.postal_code,
        "city": address.city,
    }
    contact = {"contactPerson": address.name, "phone1": address.phone, "email": address.email}
    return {"address": filled(fields.items()), "contact": filled(contact.items())}


def _parcel(parcel: Parcel) -> dict[str, Any]:
    reference = reference_on_label(parcel.reference, "parcels[0].reference")
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.GRAM, decimals=0)
    sides = {
        name: int(convert_measure(side, parcel.length_unit, LengthUnit.CENTIMETRE, decimals=0))
        for name, side in zip(("length", "width", "height"), parcel.sides or (), strict=False)
    }
    infos = {"weight": str(weight), "dimensions": sides or None}
    fields = {
        "parcelInfos": filled(infos.items()),
        "senderParcelRefs": None if reference is None else [reference],
    }
    return filled(fields.items())


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response, which is an object or a list of objects."""
    if sdk.is_success(response.status):
        return None
    problem = error_object(response)
    code, text = problem.text("errorCode"), problem.text("errorMessage")
    return refusal(kind_of(response.status), "DPD", response, code, text)


def bearer_header(response: sdk.Response) -> dict[str, str]:
    """The header that carries the token from a login's response."""
    token = sdk.required(response.headers.get(_GRANTED), response, _GRANTED)
    return {"Authorization": f"Bearer {token}"}


def read_shipment(
    wire: sdk.Wire, service: str, request: RateRequest, response: sdk.Response
) -> Shipment:
    """Parse a label that was bought."""
    body = sdk.read_answer(response)
    number = sdk.required(body.text("parcelIds.0"), response, "parcelIds.0")
    warning = body.text("warningMessage")
    ref = wire.ref(
        number,
        shipment=body.text("shipmentId"),
        label=request.label.value,
        size=request.label_size,
        service=service,
    )
    return bought_shipment(
        ref,
        read_labels(number, request.label, response),
        raw=body.raw,
        warnings=() if warning is None else (CarrierMessage(carrier=CARRIER, text=warning),),
    )


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


def label_body(ref: sdk.Ref, customer: Mapping[str, str]) -> dict[str, Any]:
    """The body that retrieves a label again."""
    shipment = {"shipmentId": ref.other("shipment"), "parcelNumbers": [ref.id]}
    body = {"shipment": filled(shipment.items()), "customerInfos": customer or None}
    return filled(body.items())


def read_labels(
    number: str, label_format: LabelFormat, response: sdk.Response
) -> tuple[Label, ...]:
    """Parse the label in a response; empty if there is none."""
    content = decoded_base64(sdk.read_answer(response).text("label.base64Data"))
    if content is None:
        return ()
    return (Label(format=label_format, content=content, tracking_number=number),)
