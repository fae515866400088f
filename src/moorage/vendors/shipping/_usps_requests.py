"""Bodies of the requests to USPS, without I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.shipping.rates import LabelFormat, RateRequest, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendor_sdk import InvalidData, Ref, UnsupportedByVendor, merged
from moorage.vendors.shipping._common import as_number, extra_of, filled, required_dimensions

if TYPE_CHECKING:
    from datetime import date

    from moorage.contracts.address import Address

CARRIER: Final = "usps"
SIGNATURES: Final = {Signature.ANYBODY: 921, Signature.ADULT: 922}
"""Extra services by the signature that they require."""
_IMAGES: Final = {
    LabelFormat.PDF: "PDF",
    LabelFormat.PNG: "PNG",
    LabelFormat.ZPL: "ZPL203DPI",
}
_ZIP: Final = re.compile(r"(\d{5})(?:-?(\d{4}))?")
_COUNTRY: Final = "US"
_LONGEST_REFERENCE: Final = 30


def rates_body(request: RateRequest, day: date, price_type: str) -> dict[str, Any]:
    """The body of the request for a shipment's rates."""
    package = {
        **_measures(request),
        "mailClass": "ALL_OUTBOUND",
        "mailingDate": day.isoformat(),
        "extraServices": _extra_services(request),
    }
    body = {
        "originZIPCode": zip_of(request.sender, "sender")[0],
        "destinationZIPCode": zip_of(request.recipient, "recipient")[0],
        "packageDescription": package,
        "pricingOptions": [{"priceType": price_type}],
    }
    return merged(body, extra_of(CARRIER, request, "rates"))


def payment_body(crid: str, mid: str, manifest_mid: str, account_number: str) -> dict[str, Any]:
    """The request for the authorization to pay for a label."""
    owner = {"CRID": crid, "MID": mid, "manifestMID": manifest_mid}
    account = {"accountType": "EPS", "accountNumber": account_number}
    return {
        "roles": [
            {"roleName": "PAYER", **owner, **account},
            {"roleName": "LABEL_OWNER", **owner},
        ]
    }


def label_body(request: RateRequest, rate: Ref, day: date) -> dict[str, Any]:
    """The request that buys a label."""
    return_to = request.return_to
    package = {
        "mailClass": rate.id,
        "rateIndicator": rate.other("indicator"),
        "processingCategory": rate.other("category"),
        "destinationEntryFacilityType": "NONE",
        "weightUOM": "lb",
        "dimensionsUOM": "in",
        **_measures(request),
        "mailingDate": day.isoformat(),
        "extraServices": _extra_services(request),
        "customerReference": _references(request),
    }
    body = {
        "imageInfo": {
            "imageType": _IMAGES[request.label],
            "labelType": "4X6LABEL",
            "receiptOption": "NONE",
        },
        "fromAddress": party(request.sender, "sender"),
        "toAddress": party(request.recipient, "recipient"),
        "returnAddress": None if return_to is None else party(return_to, "return_to"),
        "packageDescription": filled(package.items()),
    }
    return merged(filled(body.items()), extra_of(CARRIER, request, "shipment"))


def address_query(address: Address) -> dict[str, str | None]:
    """The query that checks an address."""
    fields = _place(address, "address")
    return {**fields, "firm": address.company}


def party(address: Address, field: str) -> dict[str, Any]:
    """A sender or recipient; without a company, the person's name is sent in its place."""
    if address.company is None:
        return filled({"firm": address.name, **_place(address, field)}.items())
    first_name, _, last_name = (address.name or "").strip().rpartition(" ")
    names = {
        "firstName": first_name or None,
        "lastName": last_name or None,
        "firm": address.company,
    }
    return filled({**names, **_place(address, field)}.items())


def zip_of(address: Address, field: str) -> tuple[str, str | None]:
    """The five digits of a ZIP code, and its four additional digits if it has them.

    Raises:
        UnsupportedByVendor: the address is in another country.
        InvalidData: the address has no ZIP code.
    """
    if address.country != _COUNTRY:
        raise UnsupportedByVendor(
            "USPS's API for domestic labels accepts only addresses in the US."
        )
    match = _ZIP.fullmatch((address.postal_code or "").strip())
    if match is None:
        raise InvalidData(
            "The address does not have a ZIP code of five or nine digits.",
            field=f"{field}.postal_code",
            remedy="Set a ZIP code such as '20260' or '20260-0004'.",
        )
    return match[1], match[2]


def _place(address: Address, field: str) -> dict[str, str | None]:
    code, extension = zip_of(address, field)
    return {
        "streetAddress": address.line1,
        "secondaryAddress": " ".join(filter(None, (address.line2, address.line3))) or None,
        "city": address.city,
        "state": address.region,
        "ZIPCode": code,
        "ZIPPlus4": extension,
    }


def _measures(request: RateRequest) -> dict[str, int | float]:
    [parcel] = request.parcels
    sides = [
        convert_measure(side, parcel.length_unit, LengthUnit.INCH, decimals=2)
        for side in required_dimensions(parcel, 0)
    ]
    weight = convert_measure(parcel.weight, parcel.weight_unit, WeightUnit.POUND, decimals=3)
    # USPS takes the longest side for the length.
    length, width, height = map(as_number, sorted(sides, reverse=True))
    return {"weight": as_number(weight), "length": length, "width": width, "height": height}


def _extra_services(request: RateRequest) -> list[int]:
    return [] if request.signature is None else [SIGNATURES[request.signature]]


def _references(request: RateRequest) -> list[dict[str, Any]] | None:
    [parcel] = request.parcels
    reference = parcel.reference or request.reference
    if reference is None:
        return None
    if len(reference) > _LONGEST_REFERENCE:
        raise InvalidData(
            "The reference is too long for a USPS label.",
            field="reference",
            remedy=f"Pass a reference of at most {_LONGEST_REFERENCE} characters.",
        )
    return [{"referenceNumber": reference, "printReferenceNumber": True}]
