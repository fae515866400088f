"""Requests to UPS, without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.parcels import Contents, Customs, CustomsItem, Parcel
from moorage.contracts.shipping.rates import LabelFormat, LabelSize, RateRequest, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure, measure_text
from moorage.vendors.shipping._common import (
    extra_of,
    filled,
    order_lines_per_parcel,
    reference_on_label,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

    from moorage.contracts.address import Address

CARRIER: Final = "ups"
_EMPTY_TAG: Final = ""
"""Content of a tag whose presence is its meaning."""
_OWN_BOX: Final = "02"
_LINE: Final = 35
_TRUE: Final = "The information on this invoice is true and correct."
REASONS: Final = {
    Contents.MERCHANDISE: "SALE",
    Contents.GIFT: "GIFT",
    Contents.SAMPLE: "SAMPLE",
    Contents.RETURNED: "RETURN",
}
_TOTALLED: Final = frozenset({("US", "CA"), ("US", "PR")})
FORMATS: Final = {
    LabelFormat.PDF: "PDF",
    LabelFormat.ZPL: "ZPL",
    LabelFormat.EPL: "EPL",
}
_PICTURE: Final = "GIF"
"""Format in which labels for PDF are bought, because UPS returns PDF only for recovered labels."""
_INCHES: Final = frozenset({"US", "PR", "VI"})
"""Countries where parcels are measured in pounds and inches."""
_DOMESTIC_ROUTES: Final = frozenset({("US", "US"), ("PR", "PR")})
"""Routes on which references and signatures belong to each package."""
CHECKED: Final = frozenset({"US", "PR"})
"""Countries where UPS checks addresses."""
_ADDRESS: Final = {
    "city": "City",
    "region": "StateProvinceCode",
    "postal_code": "PostalCode",
    "country": "CountryCode",
}


def _address_lines(address: Address) -> list[str]:
    return [line for line in (address.line1, address.line2, address.line3) if line]


def _address(address: Address) -> dict[str, Any]:
    values = attrs.asdict(address)
    fields = filled(
        (vendor_field, values[field_name] or None) for field_name, vendor_field in _ADDRESS.items()
    )
    return {"AddressLine": _address_lines(address), **fields}


def _party(address: Address) -> dict[str, Any]:
    """A sender's or recipient's name and address."""
    fields = {
        "Name": address.company or address.name,
        "AttentionName": address.name or address.company,
        "Address": _address(address),
    }
    return filled(fields.items())


def _party_with_phone(address: Address) -> dict[str, Any]:
    """A sender's or recipient's name, address and contact details."""
    digits = re.sub(r"\D", "", address.phone or "")
    return {**_party(address), "Phone": {"Number": digits}} if digits else _party(address)


def _parties(
    request: RateRequest, account: str, party: Callable[[Address], dict[str, Any]]
) -> dict[str, Any]:
    """The parties of a shipment: the account with its return address, recipient and sender."""
    recipient = party(request.recipient)
    if request.recipient.residential:
        recipient["Address"]["ResidentialAddressIndicator"] = _EMPTY_TAG
    parties = {
        "Shipper": {**party(request.return_to or request.sender), "ShipperNumber": account},
        "ShipTo": recipient,
        "ShipFrom": request.return_to and party(request.sender),
    }
    return filled(parties.items())


def _package_measures(parcel: Parcel, country: str) -> dict[str, Any]:
    """A parcel in the units of the sender's country, with its longest side first.

    Dimensions are whole numbers, and all measures are rounded up.
    """
    british = country in _INCHES
    weight, length = (
        (WeightUnit.POUND, LengthUnit.INCH)
        if british
        else (WeightUnit.KILOGRAM, LengthUnit.CENTIMETRE)
    )
    package: dict[str, Any] = {
        "PackageWeight": {
            "UnitOfMeasurement": _unit("LBS" if british else "KGS"),
            "Weight": measure_text(
                convert_measure(parcel.weight, parcel.weight_unit, weight, decimals=1)
            ),
        }
    }
    if parcel.sides is not None:
        sides = sorted(
            (
                convert_measure(side, parcel.length_unit, length, decimals=0)
                for side in parcel.sides
            ),
            reverse=True,
        )
        package["Dimensions"] = {
            "UnitOfMeasurement": _unit("IN" if british else "CM"),
            **dict(zip(("Length", "Width", "Height"), map(measure_text, sides), strict=True)),
        }
    return package


def _unit(code: str) -> dict[str, str]:
    return {"Code": code, "Description": code}


def _is_domestic(request: RateRequest) -> bool:
    return (request.sender.country, request.recipient.country) in _DOMESTIC_ROUTES


def _packages(request: RateRequest) -> list[dict[str, Any]]:
    """The parcels, each with a share of the insured value."""
    count = len(request.parcels)
    insured_value = request.insurance
    shares: Iterable[sdk.Money | None] = (
        [None] * count if insured_value is None else insured_value.allocate([1] * count)
    )
    signed_signature = request.signature if _is_domestic(request) else None
    kinds = {Signature.ANYBODY: "2", Signature.ADULT: "3"}
    packages: list[dict[str, Any]] = []
    for parcel, share in zip(request.parcels, shares, strict=True):
        options = {
            "DeliveryConfirmation": signed_signature and {"DCISType": kinds[signed_signature]},
            "DeclaredValue": share
            and {"CurrencyCode": share.currency, "MonetaryValue": str(share.amount)},
        }
        package = {
            **_package_measures(parcel, request.sender.country),
            "PackageServiceOptions": filled(options.items()) or None,
        }
        packages.append(filled(package.items()))
    return packages


def _customs_invoice(request: RateRequest, customs: Customs, day: date) -> dict[str, Any]:
    """The invoice that UPS prints for customs.

    Raises:
        InvalidData: the invoice lacks a number, or has several currencies.
    """
    number = reference_on_label(
        customs.invoice_number or request.reference, "customs.invoice_number"
    )
    if number is None:
        raise sdk.InvalidData(
            "UPS does not print a customs invoice without a number.",
            field="customs.invoice_number",
            remedy="Set the invoice number, or the shipment's reference.",
        )
    reason = customs.explanation or customs.contents.value
    form = {
        "FormType": ["01"],
        "InvoiceNumber": number,
        "InvoiceDate": f"{day:%Y%m%d}",
        "ReasonForExport": REASONS.get(customs.contents, reason[:20]),
        "TermsOfShipment": customs.incoterm,
        "CurrencyCode": customs.value.currency,
        "DeclarationStatement": f"{_TRUE} {customs.signer}"[:550],
        "Contacts": {"SoldTo": _party_with_phone(request.recipient)},
        "Product": [
            _product(item, count, unit_price)
            for item in customs.items
            for count, unit_price in order_lines_per_parcel(item)
        ],
    }
    return filled(form.items())


def _product(item: CustomsItem, count: int, unit_price: sdk.Money) -> dict[str, Any]:
    words = item.description[: 3 * _LINE]
    product = {
        "Description": [words[start : start + _LINE] for start in range(0, len(words), _LINE)],
        "Unit": {
            "Number": str(count),
            "UnitOfMeasurement": {"Code": "PCS"},
            "Value": str(unit_price.amount),
        },
        "CommodityCode": plain_code(item.hs_code),
        "PartNumber": item.sku,
        "OriginCountryCode": item.origin,
    }
    return filled(product.items())


def _options(request: RateRequest) -> dict[str, Any] | None:
    kinds = {Signature.ANYBODY: "1", Signature.ADULT: "2"}
    abroad = request.signature if not _is_domestic(request) else None
    options = {
        "SaturdayDeliveryIndicator": _EMPTY_TAG if request.saturday else None,
        "DeliveryConfirmation": abroad and {"DCISType": kinds[abroad]},
    }
    return filled(options.items()) or None


def _check_label(request: RateRequest) -> None:
    if request.label not in FORMATS:
        raise sdk.UnsupportedByVendor(f"UPS does not print {request.label} labels.")
    if request.label_size not in {None, LabelSize.INCHES_4X6}:
        raise sdk.UnsupportedByVendor(
            f"UPS does not print labels of the size {request.label_size}."
        )


def rates_body(request: RateRequest, account: str) -> dict[str, Any]:
    """The body of the request for a shipment's rates."""
    _check_label(request)
    packages = [{"PackagingType": {"Code": _OWN_BOX}, **package} for package in _packages(request)]
    shipment = {
        **_parties(request, account, _party),
        "PaymentDetails": {
            "ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]
        },
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": _EMPTY_TAG},
        "ShipmentServiceOptions": _options(request),
        "NumOfPieces": str(len(packages)),
        "Package": packages,
    }
    body = {"Request": {"RequestOption": "Shop"}, "Shipment": filled(shipment.items())}
    return {"RateRequest": sdk.merged(body, extra_of(CARRIER, request, "rates"))}


def shipment_body(
    request: RateRequest, offer: sdk.Ref, *, account: str, goods: str, marked: str, day: date
) -> dict[str, Any]:
    """The request that buys a shipment; its date is for the customs invoice."""
    _check_label(request)
    is_home = _is_domestic(request)
    references = [
        {"Value": value}
        for value in (reference_on_label(request.reference, "reference"), marked)
        if value is not None
    ]
    customs, options = request.customs, _options(request)
    if customs is not None:
        goods = ", ".join(item.description for item in customs.items)
        options = {**(options or {}), "InternationalForms": _customs_invoice(request, customs, day)}
    packages: list[dict[str, Any]] = []
    for package in _packages(request):
        fields = {"Description": goods[:_LINE], "Packaging": {"Code": _OWN_BOX}, **package}
        packages.append({**fields, "ReferenceNumber": references} if is_home else fields)
    shipment = {
        "Description": goods[:50],
        **_parties(request, account, _party_with_phone),
        "PaymentInformation": {
            "ShipmentCharge": [{"Type": "01", "BillShipper": {"AccountNumber": account}}]
        },
        "ShipmentRatingOptions": {"NegotiatedRatesIndicator": _EMPTY_TAG},
        "ReferenceNumber": None if is_home else references,
        "Service": {"Code": offer.id},
        "InvoiceLineTotal": customs and _total(request, customs),
        "ShipmentServiceOptions": options,
        "Package": packages,
    }
    code = FORMATS[request.label]
    label = {
        "LabelImageFormat": {"Code": _PICTURE if code == "PDF" else code},
        "LabelStockSize": {"Height": "6", "Width": "4"},
    }
    body = {
        "Request": {"RequestOption": "nonvalidate"},
        "Shipment": filled(shipment.items()),
        "LabelSpecification": label,
    }
    return {"ShipmentRequest": sdk.merged(body, extra_of(CARRIER, request, "shipment"))}


def _total(request: RateRequest, customs: Customs) -> dict[str, str] | None:
    """The total value of the goods, if UPS requires it in addition to the invoice."""
    if (request.sender.country, request.recipient.country) not in _TOTALLED:
        return None
    goods_value = customs.value
    return {"CurrencyCode": goods_value.currency, "MonetaryValue": str(goods_value.amount)}


def plain_code(code: str | None) -> str | None:
    """A customs tariff number without dots and spaces; None if no character is left."""
    return re.sub(r"[^A-Za-z0-9]", "", code or "") or None


def recovery_body(label: LabelFormat, identification: dict[str, Any]) -> dict[str, Any]:
    """The request that gets the labels of a bought shipment again."""
    code = FORMATS.get(label)
    if code is None:
        raise sdk.UnsupportedByVendor(f"UPS does not print {label} labels.")
    size = {"LabelStockSize": {"Height": "6", "Width": "4"}} if code != "PDF" else {}
    specification = {"LabelImageFormat": {"Code": code}, **size}
    body = {"Request": {}, "LabelSpecification": specification, **identification}
    return {"LabelRecoveryRequest": body}


def by_mark(marked: str, account: str) -> dict[str, Any]:
    """The request that searches for a shipment by its search mark."""
    return {"ReferenceValues": {"ReferenceNumber": {"Value": marked}, "ShipperNumber": account}}


def address_body(address: Address) -> dict[str, Any]:
    """The request that checks an address."""
    fields = {
        "AddressLine": _address_lines(address),
        "PoliticalDivision2": address.city,
        "PoliticalDivision1": address.region,
        "PostcodePrimaryLow": address.postal_code and address.postal_code[:5],
        "CountryCode": address.country,
    }
    return {"XAVRequest": {"AddressKeyFormat": filled(fields.items())}}
