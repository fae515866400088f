"""Requests to ShipEngine, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.shipping.parcels import Contents, Customs, CustomsItem, NonDelivery, Parcel
from moorage.contracts.shipping.rates import LabelSize, RateRequest, Signature
from moorage.contracts.shipping.units import LengthUnit, WeightUnit, convert_measure
from moorage.vendor_sdk import Money, UnsupportedByVendor, extra_for, merged
from moorage.vendors.shipping._common import as_number, filled, order_lines_per_parcel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from moorage.contracts.address import Address

_LAYOUTS: Final = {LabelSize.INCHES_4X6: "4x6", LabelSize.A4: "A4", LabelSize.A6: "A6"}
_SIGNATURES: Final = {Signature.ANYBODY: "signature", Signature.ADULT: "adult_signature"}
_CONTENTS: Final = {
    Contents.RETURNED: ("returned_goods", None),
    Contents.DONATION: ("other", "donation"),
}
_NON_DELIVERY: Final = {
    NonDelivery.RETURN: "return_to_sender",
    NonDelivery.ABANDON: "treat_as_abandoned",
}
_WEIGHTS: Final = {
    WeightUnit.GRAM: "gram",
    WeightUnit.KILOGRAM: "kilogram",
    WeightUnit.OUNCE: "ounce",
    WeightUnit.POUND: "pound",
}
_METRIC: Final = {LengthUnit.MILLIMETRE, LengthUnit.CENTIMETRE, LengthUnit.METRE}
_PLACES: Final = 4
FIELDS: Final = {
    "name": "name",
    "company": "company_name",
    "line1": "address_line1",
    "line2": "address_line2",
    "line3": "address_line3",
    "city": "city_locality",
    "region": "state_province",
    "postal_code": "postal_code",
    "country": "country_code",
    "phone": "phone",
    "email": "email",
}
_COUNTRIES_WITH_STATES: Final = frozenset({"AU", "CA", "US"})
"""Countries whose addresses must have a region."""
_RESIDENTIAL: Final = {True: "yes", False: "no", None: "unknown"}


def address_body(address: Address) -> dict[str, Any]:
    """An address in ShipEngine's format.

    ShipEngine requires a name and a region in every address. A company's name serves as the name
    if there is no other; the city serves as the region in countries whose addresses have no
    region.
    """
    values = attrs.asdict(address)
    values["name"] = address.name or address.company
    if address.country not in _COUNTRIES_WITH_STATES:
        values["region"] = address.region or address.city
    body = filled((vendor_field, values[field_name]) for field_name, vendor_field in FIELDS.items())
    return body | {"address_residential_indicator": _RESIDENTIAL[address.residential]}


def layout_of(request: RateRequest) -> str | None:
    """The label size in ShipEngine's format; None if none is requested.

    Raises:
        UnsupportedByVendor: ShipEngine does not print this size.
    """
    if request.label_size is None:
        return None
    if request.label_size not in _LAYOUTS:
        raise UnsupportedByVendor(
            f"ShipEngine does not print labels of the size {request.label_size}."
        )
    return _LAYOUTS[request.label_size]


def rates_body(request: RateRequest, carriers: Sequence[str], insurer: str) -> dict[str, Any]:
    """The request for rates of these carriers."""
    options = {"carrier_ids": list(carriers), "is_return": request.is_return or None}
    body = {
        "rate_options": filled(options.items()),
        "shipment": _shipment(request, insurer),
        "ship_to_service_point_id": request.service_point,
    }
    return merged(filled(body.items()), extra_for("shipengine", request.extra))


def _shipment(request: RateRequest, insurer: str) -> dict[str, Any]:
    customs = request.customs
    body = {
        # By default, the vendor ships to the address that it considers better.
        "validate_address": "no_validation",
        "ship_from": address_body(request.sender),
        "ship_to": address_body(request.recipient),
        "return_to": request.return_to and address_body(request.return_to),
        "ship_date": request.ship_date and request.ship_date.isoformat(),
        "confirmation": request.signature and _SIGNATURES[request.signature],
        "customs": customs and customs_body(customs),
        "insurance_provider": insurer if request.insurance else None,
        "is_return": request.is_return or None,
        "shipment_number": request.reference,
        "advanced_options": {"saturday_delivery": True} if request.saturday else None,
        "packages": _packages(request),
    }
    return filled(body.items())


def _packages(request: RateRequest) -> list[dict[str, Any]]:
    packages = [_package(parcel) for parcel in request.parcels]
    if request.insurance is not None:
        if len(packages) > 1:
            raise UnsupportedByVendor(
                "ShipEngine insures each parcel separately, but the shipment has several parcels."
            )
        packages[0]["insured_value"] = money_body(request.insurance)
    if request.customs is not None:
        packages[0]["products"] = [
            product for item in request.customs.items for product in _products(item)
        ]
    return packages


def _package(parcel: Parcel) -> dict[str, Any]:
    body = {"weight": _weight(parcel.weight, parcel.weight_unit)}
    if parcel.sides is not None:
        metric = parcel.length_unit in _METRIC
        unit = LengthUnit.CENTIMETRE if metric else LengthUnit.INCH
        body["dimensions"] = {"unit": "centimeter" if metric else "inch"} | {
            name: as_number(convert_measure(side, parcel.length_unit, unit, decimals=_PLACES))
            for name, side in zip(("length", "width", "height"), parcel.sides, strict=True)
        }
    return filled([*body.items(), ("external_package_id", parcel.reference)])


def _weight(value: Decimal, unit: WeightUnit) -> dict[str, Any]:
    return {
        "value": as_number(convert_measure(value, unit, unit, decimals=_PLACES)),
        "unit": _WEIGHTS[unit],
    }


def money_body(money: Money) -> dict[str, Any]:
    """An amount in ShipEngine's format."""
    return {"currency": money.currency.lower(), "amount": as_number(money.amount)}


def customs_body(customs: Customs) -> dict[str, Any]:
    """A customs declaration in ShipEngine's format; the goods are not in it but in the parcels."""
    if customs.eel_pfc is not None:
        raise UnsupportedByVendor(
            "ShipEngine does not accept an exemption from export filing (eel_pfc)."
        )
    contents, explanation = _CONTENTS.get(customs.contents, (customs.contents.value, None))
    number = customs.invoice_number
    body = {
        "contents": contents,
        "contents_explanation": customs.explanation or explanation,
        "non_delivery": _NON_DELIVERY[customs.non_delivery],
        "terms_of_trade_code": customs.incoterm and customs.incoterm.lower(),
        "invoice_additional_details": number and {"invoice_number": number},
    }
    return filled(body.items())


def _products(item: CustomsItem) -> list[dict[str, Any]]:
    """The goods as lines, each with the value per piece."""
    return [_product(item, count, unit_price) for count, unit_price in order_lines_per_parcel(item)]


def _product(item: CustomsItem, quantity: int, unit_price: Money) -> dict[str, Any]:
    body = {
        "description": item.description,
        "quantity": quantity,
        "value": money_body(unit_price),
        "weight": _weight(item.weight / item.quantity, item.weight_unit),
        "harmonized_tariff_code": item.hs_code,
        "country_of_origin": item.origin,
        "sku": item.sku,
    }
    return filled(body.items())
