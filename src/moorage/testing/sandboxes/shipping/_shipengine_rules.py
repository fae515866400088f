"""Tables of the fields that ShipEngine's sandbox accepts, and its errors."""

from __future__ import annotations

from typing import Any, Final

from moorage.testing.sandboxes._fields import NUMBER, typed, words
from moorage.testing.sandboxes.base import Refusal, reply

REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"
_AMOUNT: Final = {"currency!": str, "amount!": NUMBER}
_WEIGHT: Final = {"value!": NUMBER, "unit!": words("pound ounce gram kilogram")}
ADDRESS: Final[dict[str, Any]] = {
    **typed(
        str,
        "name company_name address_line1 address_line2 address_line3 city_locality state_province!"
        " postal_code country_code! phone email",
    ),
    "address_residential_indicator": words("unknown yes no"),
}
_PRODUCT: Final = {
    "description": str,
    "quantity": int,
    "value": _AMOUNT,
    "weight": _WEIGHT,
    **typed(str, "harmonized_tariff_code country_of_origin sku"),
}
_PACKAGE: Final = {
    "package_code": str,
    "weight!": _WEIGHT,
    "dimensions": {
        "unit!": words("inch centimeter"),
        **typed(NUMBER, "length! width! height!"),
    },
    "insured_value": _AMOUNT,
    "label_messages": {"reference1": str, "reference2": str, "reference3": str},
    "external_package_id": str,
    "products": [_PRODUCT],
}
_CUSTOMS: Final = {
    "contents!": words("merchandise documents gift returned_goods sample other"),
    "contents_explanation": str,
    "non_delivery!": words("return_to_sender treat_as_abandoned"),
    "terms_of_trade_code": words("exw fca cpt cip dap ddp ddu fob"),
    "invoice_additional_details": {"invoice_number": str},
}
_SHIPMENT: Final = {
    "validate_address": words("no_validation validate_only validate_and_clean"),
    **typed(ADDRESS, "ship_from! ship_to! return_to"),
    "ship_date": str,
    "confirmation": words("none delivery signature adult_signature direct_signature"),
    "customs": _CUSTOMS,
    "insurance_provider": words("none shipsurance carrier third_party"),
    "is_return": bool,
    "shipment_number": str,
    "advanced_options": {
        "saturday_delivery": bool,
        "contains_alcohol": bool,
        "custom_field1": str,
        "custom_field2": str,
    },
    "packages!": [_PACKAGE],
}
RATES: Final[dict[str, Any]] = {
    "rate_options!": {"carrier_ids!": [str], "service_codes": [str], "is_return": bool},
    "shipment!": _SHIPMENT,
    "ship_to_service_point_id": str,
}
LABEL: Final[dict[str, Any]] = {
    "label_format": words("pdf png zpl"),
    "label_layout": words("4x6 letter A4 A6"),
    "label_download_type": words("url"),
    "validate_address": words("no_validation validate_only validate_and_clean"),
    **typed(str, "custom_field1 custom_field2 custom_field3"),
}


PICKUP: Final[dict[str, Any]] = {
    "label_ids!": [str],
    "contact_details!": {"name!": str, "email!": str, "phone!": str},
    "pickup_notes": str,
    "pickup_window!": {"start_at!": str, "end_at!": str},
}
MANIFEST: Final[dict[str, Any]] = {"label_ids!": [str]}
POINTS: Final[dict[str, Any]] = {
    "address!": typed(
        str,
        "address_line1 address_line2 address_line3 city_locality state_province postal_code"
        " country_code!",
    ),
    "providers!": [{"carrier_id": str, "service_code": [str]}],
    "max_results": int,
    "radius": int,
}


def refusal(status: int, code: str, kind: str, message: str, **more: str) -> Refusal:
    """Return the response to a refused request in ShipEngine's format."""
    error = {"error_source": "shipengine", "error_type": kind, "error_code": code, **more}
    body = {"request_id": REQUEST_ID, "errors": [{**error, "message": message}]}
    return Refusal(reply(body, status))
