"""Tables of the fields that Shippo's sandbox accepts."""

from __future__ import annotations

from typing import Any, Final

from moorage.testing.sandboxes._fields import typed, words

_PLACE: Final = {
    **typed(str, "name company street1 street2 street3 street_no city state zip phone email"),
    **typed(bool, "is_residential validate"),
    "metadata": str,
}
ADDRESS: Final[dict[str, Any]] = {**_PLACE, "country!": str}
PICKUP_ADDRESS: Final[dict[str, Any]] = {
    **{
        name: kind
        for name, kind in _PLACE.items()
        if name not in words("name street1 city state zip")
    },
    **typed(str, "name! street1! city! state! zip! country!"),
}
_ITEM: Final = {
    **typed(
        str,
        "description! net_weight! origin_country! value_amount! value_currency! eccn_ear99 metadata"
        " sku_code hs_code tariff_number",
    ),
    "quantity!": int,
    "mass_unit!": words("g kg lb oz"),
}
CUSTOMS: Final[dict[str, Any]] = {
    **typed(
        str,
        "certify_signer! aes_itn b13a_number certificate contents_explanation disclaimer"
        " exporter_reference importer_reference invoice license metadata notes",
    ),
    **typed(bool, "certify! commercial_invoice is_vat_collected test"),
    **typed(dict, "address_importer duties_payor exporter_identification"),
    "b13a_filing_option": words("FILED_ELECTRONICALLY SUMMARY_REPORTING NOT_REQUIRED"),
    "contents_type!": words(
        "DOCUMENTS GIFT SAMPLE MERCHANDISE HUMANITARIAN_DONATION RETURN_MERCHANDISE OTHER"
    ),
    "eel_pfc": words("NOEEI_30_37_a NOEEI_30_37_h NOEEI_30_37_f NOEEI_30_36 AES_ITN"),
    "incoterm": words("DDP DDU FCA DAP eDAP"),
    "items!": [_ITEM],
    "non_delivery_option!": words("ABANDON RETURN"),
}
EXTRA: Final[dict[str, Any]] = {
    "insurance": {
        **typed(str, "amount content currency"),
        "provider": words("FEDEX UPS ONTRAC"),
    },
    **typed(bool, "is_return saturday_delivery"),
    "signature_confirmation": words("STANDARD ADULT CERTIFIED INDIRECT CARRIER_CONFIRMATION"),
}
"""Some of the options in a shipment's `extra`; Shippo has more."""
