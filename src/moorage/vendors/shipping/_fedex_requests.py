"""Requests to FedEx, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.shipping.parcels import Contents, Customs, CustomsItem, Parcel
from moorage.contracts.shipping.rates import LabelFormat, RateRequest, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendor_sdk import Money, UnsupportedByVendor, merged
from moorage.vendors.shipping._common import as_number, extra_of, filled, reference_on_label

if TYPE_CHECKING:
    from decimal import Decimal

    from moorage.contracts.address import Address

CARRIER: Final = "fedex"
PACKAGING: Final = "YOUR_PACKAGING"
MARK: Final = "CUSTOMER_REFERENCE"
_IMAGES: Final = {
    LabelFormat.PDF: ("PDF", "PAPER_4X6"),
    LabelFormat.PNG: ("PNG", "PAPER_4X6"),
    LabelFormat.ZPL: ("ZPLII", "STOCK_4X6"),
    LabelFormat.EPL: ("EPL2", "STOCK_4X6"),
}
_SIGNATURES: Final = {Signature.ANYBODY: "DIRECT", Signature.ADULT: "ADULT"}
_PURPOSES: Final = {
    Contents.MERCHANDISE: "SOLD",
    Contents.GIFT: "GIFT",
    Contents.SAMPLE: "SAMPLE",
    Contents.RETURNED: "REPAIR_AND_RETURN",
}
_OTHER_PURPOSE: Final = "NOT_SOLD"
_DUTIES_PAID: Final = "DDP"
_METRIC: Final = {WeightUnit.GRAM, WeightUnit.KILOGRAM}
_CENTIMETRES: Final = {LengthUnit.MILLIMETRE, LengthUnit.CENTIMETRE, LengthUnit.METRE}
_PLACES: Final = 2


def account_body(number: str) -> dict[str, Any]:
    """Return the FedEx account that pays, in the format of a request."""
    return {"value": number}


def address_body(address: Address) -> dict[str, Any]:
    """An address in FedEx's format."""
    lines = [line for line in (address.line1, address.line2, address.line3) if line]
    body = {
        "streetLines": lines or None,
        "city": address.city,
        "stateOrProvinceCode": address.region,
        "postalCode": address.postal_code,
        "countryCode": address.country,
        "residential": address.residential,
    }
    return filled(body.items())


def _place_fields(address: Address) -> dict[str, Any]:
    """The part of an address that affects the price."""
    body = address_body(address)
    body.pop("streetLines", None)
    return {"address": body}


def _party(address: Address) -> dict[str, Any]:
    contact = {
        "personName": address.name,
        "companyName": address.company,
        "phoneNumber": address.phone,
        "emailAddress": address.email,
    }
    return {"contact": filled(contact.items()), "address": address_body(address)}


def rates_body(request: RateRequest, account: str, pickup: str) -> dict[str, Any]:
    """The body of the request for a shipment's rates."""
    customs = request.customs
    shipment = {
        **_common_fields(request, pickup),
        "shipDateStamp": request.ship_date and request.ship_date.isoformat(),
        "shipper": _place_fields(request.sender),
        "recipient": _place_fields(request.recipient),
        "rateRequestType": ["ACCOUNT", "LIST"],
        "requestedPackageLineItems": [_package(request, parcel) for parcel in request.parcels],
        "customsClearanceDetail": customs and {"commodities": _goods(request, customs)},
    }
    body = {
        "accountNumber": account_body(account),
        "rateRequestControlParameters": {"returnTransitTimes": True},
        "requestedShipment": filled(shipment.items()),
    }
    return merged(body, extra_of(CARRIER, request, "rates"))


def shipment_body(
    request: RateRequest, service: str, *, account: str, pickup: str, marked: str
) -> dict[str, Any]:
    """The request that buys a shipment."""
    image, stock = _IMAGES[request.label]
    pounds = [
        convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.POUND, decimals=1)
        for parcel in request.parcels
    ]
    packages = [
        {
            **_package(request, parcel),
            "sequenceNumber": number,
            "customerReferences": _references(request, parcel, marked),
        }
        for number, parcel in enumerate(request.parcels, 1)
    ]
    customs, fields = request.customs, _common_fields(request, pickup)
    if customs is not None and customs.paperless:
        fields |= _paperless_fields(fields["shipmentSpecialServices"] or {})
    shipment = {
        **fields,
        "shipDatestamp": request.ship_date and request.ship_date.isoformat(),
        "serviceType": service,
        "shipper": _party(request.sender),
        "recipients": [_party(request.recipient)],
        "shippingChargesPayment": {"paymentType": "SENDER"},
        "totalWeight": as_number(sum(pounds[1:], pounds[0])),
        "labelSpecification": {"imageType": image, "labelStockType": stock},
        "rateRequestType": ["ACCOUNT"],
        "requestedPackageLineItems": packages,
        "customsClearanceDetail": customs and _clearance(request, customs),
    }
    body = {
        "accountNumber": account_body(account),
        "labelResponseOptions": "LABEL",
        "processingOptionType": "SYNCHRONOUS_ONLY",
        "requestedShipment": filled(shipment.items()),
    }
    return merged(body, extra_of(CARRIER, request, "shipment"))


def _paperless_fields(services: dict[str, Any]) -> dict[str, Any]:
    """The fields by which FedEx makes an invoice and sends it to customs electronically."""
    types = [*services.get("specialServiceTypes", ()), "ELECTRONIC_TRADE_DOCUMENTS"]
    return {
        "shipmentSpecialServices": {
            **services,
            "specialServiceTypes": types,
            "etdDetail": {"requestedDocumentTypes": ["COMMERCIAL_INVOICE"]},
        },
        "shippingDocumentSpecification": {
            "shippingDocumentTypes": ["COMMERCIAL_INVOICE"],
            "commercialInvoiceDetail": {
                "documentFormat": {"docType": "PDF", "stockType": "PAPER_LETTER"}
            },
        },
    }


def _references(request: RateRequest, parcel: Parcel, marked: str) -> list[dict[str, Any]]:
    """The search mark, and the caller's reference for the parcel or shipment."""
    numbers = {
        MARK: marked,
        "P_O_NUMBER": reference_on_label(parcel.reference or request.reference, "reference"),
    }
    return [
        {"customerReferenceType": kind, "value": value}
        for kind, value in filled(numbers.items()).items()
    ]


def _common_fields(request: RateRequest, pickup: str) -> dict[str, Any]:
    if request.return_to is not None and request.return_to != request.sender:
        raise UnsupportedByVendor(
            "FedEx returns undeliverable parcels only to the sender, so"
            " it does not accept `return_to`."
        )
    services: dict[str, Any] = {}
    if request.saturday:
        services = {"specialServiceTypes": ["SATURDAY_DELIVERY"]}
    if request.is_return:
        services = {
            "specialServiceTypes": [*services.get("specialServiceTypes", ()), "RETURN_SHIPMENT"],
            "returnShipmentDetail": {"returnType": "PRINT_RETURN_LABEL"},
        }
    return {
        "pickupType": pickup,
        "packagingType": PACKAGING,
        "totalPackageCount": len(request.parcels),
        "shipmentSpecialServices": services or None,
    }


def _package(request: RateRequest, parcel: Parcel) -> dict[str, Any]:
    body: dict[str, Any] = {
        "groupPackageCount": 1,
        "weight": _weight(request, parcel.weight, parcel.weight_unit),
    }
    if parcel.sides is not None:
        metric = parcel.length_unit in _CENTIMETRES
        unit = LengthUnit.CENTIMETRE if metric else LengthUnit.INCH
        body["dimensions"] = {"units": "CM" if metric else "IN"} | {
            name: int(convert_measure(side, parcel.length_unit, unit, decimals=0))
            for name, side in zip(("length", "width", "height"), parcel.sides, strict=True)
        }
    if request.signature is not None:
        body["packageSpecialServices"] = {
            "specialServiceTypes": ["SIGNATURE_OPTION"],
            "signatureOptionType": _SIGNATURES[request.signature],
        }
    return body


def _weight(request: RateRequest, value: Decimal, unit: WeightUnit) -> dict[str, Any]:
    """A weight in the unit used for the whole shipment."""
    metric = request.parcels[0].weight_unit in _METRIC
    stated_unit = WeightUnit.KILOGRAM if metric else WeightUnit.POUND
    return {
        "units": "KG" if metric else "LB",
        "value": as_number(convert_measure(value, unit, stated_unit, decimals=_PLACES)),
    }


def _money(money: Money) -> dict[str, Any]:
    return {"amount": as_number(money.amount), "currency": money.currency}


def _goods(request: RateRequest, customs: Customs) -> list[dict[str, Any]]:
    return [_commodity(request, item) for item in customs.items]


def _commodity(request: RateRequest, item: CustomsItem) -> dict[str, Any]:
    body = {
        "description": item.description,
        "countryOfManufacture": item.origin,
        "harmonizedCode": item.hs_code,
        "partNumber": item.sku,
        "numberOfPieces": 1,
        "quantity": item.quantity,
        "quantityUnits": "PCS",
        "weight": _weight(request, item.weight, item.weight_unit),
        "unitPrice": _piece_value(item),
        "customsValue": _money(item.value),
    }
    return filled(body.items())


def _piece_value(item: CustomsItem) -> dict[str, Any] | None:
    """The value per piece if the total is divisible evenly; the total value is always stated."""
    unit_price, remainder = divmod(item.value.minor, item.quantity)
    return None if remainder else _money(Money.from_minor(unit_price, item.value.currency))


def _clearance(request: RateRequest, customs: Customs) -> dict[str, Any]:
    values = [item.value for item in customs.items]
    number = customs.invoice_number
    invoice = {
        "originatorName": customs.signer,
        "shipmentPurpose": _PURPOSES.get(customs.contents, _OTHER_PURPOSE),
        "specialInstructions": customs.explanation,
        "termsOfSale": customs.incoterm,
        "customerReferences": number
        and [{"customerReferenceType": "INVOICE_NUMBER", "value": number}],
    }
    body = {
        "commercialInvoice": filled(invoice.items()),
        "dutiesPayment": {
            "paymentType": "SENDER" if customs.incoterm == _DUTIES_PAID else "RECIPIENT"
        },
        "isDocumentOnly": customs.contents is Contents.DOCUMENTS,
        "totalCustomsValue": _money(sum(values[1:], values[0])),
        "commodities": _goods(request, customs),
        "exportDetail": customs.eel_pfc and {"exportComplianceStatement": customs.eel_pfc},
    }
    return filled(body.items())
