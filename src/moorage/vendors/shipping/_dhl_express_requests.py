"""Requests to DHL Express, without I/O."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.shipping.duties import declared_goods
from moorage.contracts.shipping.parcels import Contents, Customs, Parcel
from moorage.contracts.shipping.rates import LabelFormat, LabelSize, RateRequest, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendor_sdk import InvalidData, Money, Ref, UnsupportedByVendor, merged
from moorage.vendors.shipping._common import (
    as_number,
    extra_of,
    filled,
    order_lines_per_parcel,
    reference_on_label,
    required_dimensions,
)
from moorage.vendors.shipping._duties import GoodsLine, goods_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, time

    from moorage.contracts.address import Address

CARRIER: Final = "dhl_express"
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
_TEMPLATES: Final = {LabelSize.A4: "ECOM26_84_A4_001", LabelSize.A6: "ECOM26_A6_002"}
_SIGNATURES: Final = {Signature.ANYBODY: "SF", Signature.ADULT: "SD"}
_SATURDAY: Final = "AA"
_INSURANCE: Final = "II"
_DUTIES_PAID: Final = "DD"
_PAPERLESS: Final = "WY"
_REASONS: Final = {
    Contents.MERCHANDISE: "commercial_purpose_or_sale",
    Contents.GIFT: "gift",
    Contents.SAMPLE: "sample",
    Contents.RETURNED: "return",
}


def _address(address: Address) -> dict[str, Any]:
    values = attrs.asdict(address)
    fields = filled(
        {
            vendor_field: values[field_name] or None
            for field_name, vendor_field in _ADDRESS.items()
        }.items()
    )
    return {"postalCode": "", **fields}


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
    weight = convert_measure(
        parcel.weight, parcel.weight_unit, WeightUnit.KILOGRAM, decimals=_PLACES
    )
    names = ("length", "width", "height")
    return {
        "weight": as_number(weight),
        "dimensions": {
            name: as_number(
                convert_measure(side, parcel.length_unit, LengthUnit.CENTIMETRE, decimals=_PLACES)
            )
            for name, side in zip(names, required_dimensions(parcel, number), strict=True)
        },
    }


def _services(request: RateRequest) -> list[dict[str, Any]] | None:
    """The additional services of a shipment."""
    codes = {
        request.signature and _SIGNATURES[request.signature]: request.signature,
        _SATURDAY: request.saturday,
        _DUTIES_PAID: request.customs and request.customs.incoterm == "DDP",
        _PAPERLESS: request.customs and _is_paperless(request.customs),
    }
    services: list[dict[str, Any]] = [
        {"serviceCode": code} for code, wanted_service in codes.items() if wanted_service
    ]
    if request.insurance is not None:
        services.append({"serviceCode": _INSURANCE, **_value_body(request.insurance)})
    return services or None


def _is_paperless(customs: Customs) -> bool:
    return customs.paperless or customs.invoice_file is not None


def _value_body(money: Money) -> dict[str, Any]:
    return {"value": as_number(money.amount), "currency": money.currency}


def handover_time(day: date, ready: time, offset: str) -> str:
    """The time at which the carrier gets a shipment, in the sender's local time."""
    return f"{day}T{ready:%H:%M:%S} GMT{offset}"


def rates_body(request: RateRequest, account: str, planned: str) -> dict[str, Any]:
    """The body of a request for a shipment's rates."""
    customs, insurance = request.customs, request.insurance
    amounts: list[dict[str, Any]] = []
    if customs is not None:
        amounts.append({"typeCode": "declaredValue", **_value_body(customs.value)})
    if insurance is not None:
        amounts.append({"typeCode": "insuredValue", **_value_body(insurance)})
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
        "packages": [_package(parcel, number) for number, parcel in enumerate(request.parcels)],
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "rates"))


def _check_label(request: RateRequest) -> None:
    if request.label not in _FORMATS:
        raise UnsupportedByVendor(f"DHL Express does not print {request.label} labels.")
    if request.label_size is not None and request.label_size not in _TEMPLATES:
        raise UnsupportedByVendor(
            f"DHL Express does not print labels of the size {request.label_size}."
        )


def duties_body(request: RateRequest, account: str, freight: Money | None) -> dict[str, Any]:
    """The body of the request for the charges on the import of a shipment."""
    customs = declared_goods(request)
    charge = freight and {"typeCode": "freight", "amount": as_number(freight.amount)}
    body = {
        "customerDetails": {
            "shipperDetails": _address(request.sender),
            "receiverDetails": _address(request.recipient),
        },
        "accounts": [{"typeCode": "shipper", "number": account}],
        "unitOfMeasurement": "metric",
        "currencyCode": customs.value.currency,
        "isCustomsDeclarable": True,
        "isDTPRequested": customs.incoterm == "DDP",
        "isInsuranceRequested": request.insurance is not None,
        "getCostBreakdown": True,
        "charges": charge and [{**charge, "currencyCode": customs.value.currency}],
        "shipmentPurpose": "commercial" if request.recipient.company else "personal",
        "transportationMode": "air",
        "merchantSelectedCarrierName": "DHL",
        "packages": [_package(parcel, number) for number, parcel in enumerate(request.parcels)],
        "items": [_taxed_line(number, line) for number, line in goods_lines(customs).items()],
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "duties"))


def _taxed_line(number: int, line: GoodsLine) -> dict[str, Any]:
    item = line.item
    if not item.hs_code:
        raise InvalidData(
            "DHL Express estimates no duties on goods without a customs tariff number.",
            field=f"shipment.customs.items[{line.position}].hs_code",
            remedy="Give the tariff number of at least six digits.",
        )
    fields = {
        "number": number,
        "description": item.description,
        "manufacturerCountry": item.origin,
        "partNumber": item.sku,
        "quantity": line.count,
        "quantityType": "prt",
        "unitPrice": as_number(line.unit_price.amount),
        "unitPriceCurrencyCode": line.unit_price.currency,
        "commodityCode": item.hs_code,
    }
    return filled(fields.items())


def shipment_body(
    request: RateRequest, offer: Ref, *, account: str, planned: str, goods: str, marked: str
) -> dict[str, Any]:
    """The request that buys a shipment."""
    _check_label(request)
    customs = request.customs
    words = goods if customs is None else ", ".join(item.description for item in customs.items)
    references = (reference_on_label(request.reference, "reference"), marked)
    content: dict[str, Any] = {
        "packages": [
            _labelled_package(parcel, number) for number, parcel in enumerate(request.parcels)
        ],
        "isCustomsDeclarable": customs is not None,
        "description": words[:70],
        "incoterm": (customs and customs.incoterm) or "DAP",
        "unitOfMeasurement": "metric",
    }
    if customs is not None:
        goods_value = customs.value
        content["declaredValue"] = as_number(goods_value.amount)
        content["declaredValueCurrency"] = goods_value.currency
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
        "documentImages": customs and _attached_invoice(customs),
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "shipment"))


def _attached_invoice(customs: Customs) -> list[dict[str, Any]] | None:
    if customs.invoice_file is None:
        return None
    content = b64encode(customs.invoice_file).decode()
    return [{"typeCode": "CIN", "imageFormat": "PDF", "content": content}]


def _labelled_package(parcel: Parcel, number: int) -> dict[str, Any]:
    package = _package(parcel, number)
    reference = reference_on_label(parcel.reference, f"parcels[{number}].reference")
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
    if request.customs is not None and request.customs.paperless:
        invoice = {"typeCode": "invoice", "isRequested": True, "invoiceType": "commercial"}
        image["imageOptions"].append(invoice)
    if len(request.parcels) > 1:
        image["splitTransportAndWaybillDocLabels"] = True
        image["splitDocumentsByPages"] = True
    return image


def _declaration(customs: Customs, day: str) -> dict[str, Any]:
    number = customs.invoice_number
    if customs.paperless and number is None:
        raise InvalidData(
            "DHL Express writes no invoice without a number.",
            field="customs.invoice_number",
            remedy="Give the number of the invoice.",
        )
    invoice = {"number": number, "date": day, "signatureName": customs.signer[:35]}
    return filled(
        {
            "lineItems": [{"number": n, **line} for n, line in enumerate(_goods_lines(customs), 1)],
            "invoice": invoice if number else None,
            "exportReason": customs.explanation and customs.explanation[:30],
            "exportReasonType": _REASONS.get(customs.contents),
        }.items()
    )


def _goods_lines(customs: Customs) -> Iterator[dict[str, Any]]:
    """The goods as lines, each with the value per piece and the total weight."""
    for item in customs.items:
        for count, unit_price in order_lines_per_parcel(item):
            share = item.weight * count / item.quantity
            weight = as_number(
                convert_measure(share, item.weight_unit, WeightUnit.KILOGRAM, decimals=_PLACES)
            )
            line = {
                "description": item.description,
                "price": as_number(unit_price.amount),
                "quantity": {"value": count, "unitOfMeasurement": "PCS"},
                "commodityCodes": item.hs_code
                and [{"typeCode": "outbound", "value": item.hs_code}],
                "manufacturerCountry": item.origin,
                "weight": {"netValue": weight, "grossValue": weight},
            }
            yield filled(line.items())
