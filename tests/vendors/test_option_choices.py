"""Each option of an account with fixed words accepts exactly the words that are listed for it."""

from __future__ import annotations

from typing import Any, Final

import attrs
import pytest

from moorage.wiring.installed_vendors import vendor_class, vendor_names

CHOICES: Final[dict[str, dict[str, tuple[object, ...]]]] = {
    "amazon_sns": {"message_type": (None, "Transactional", "Promotional")},
    "bird": {
        "category": ("transactional", "transactional", "marketing", "authentication", "service")
    },
    "brevo": {"webhook_authentication": ("bearer", "bearer", "basic")},
    "colissimo": {
        "zebra_format": (
            "ZPL_10x15_203dpi",
            "ZPL_10x15_203dpi",
            "ZPL_10x15_300dpi",
            "ZPL_10x10_203dpi",
            "ZPL_10x10_300dpi",
        )
    },
    "fedex": {
        "pickup": (
            "DROPOFF_AT_FEDEX_LOCATION",
            "DROPOFF_AT_FEDEX_LOCATION",
            "USE_SCHEDULED_PICKUP",
            "CONTACT_FEDEX_TO_SCHEDULE",
        )
    },
    "gls": {"zebra_template": ("ZPL_200", "ZPL_200", "ZPL_300")},
    "mailgun": {
        "region": ("us", "us", "eu"),
        "webhook_content": ("events", "events", "received"),
    },
    "messagemedia": {"region": ("au", "au", "eu")},
    "odoo": {"release": (18, 17, 18, 19)},
    "open_banking_uk": {
        "algorithm": ("PS256", "PS256", "ES256"),
        "authentication": ("private_key_jwt", "private_key_jwt", "tls_client_auth"),
    },
    "plivo": {"webhook_version": (3, 3, 2)},
    "postnord": {"issuer": ("Z12", "Z12", "Z11", "Z13", "Z14")},
    "royalmail": {
        "package_format": (
            "parcel",
            "parcel",
            "letter",
            "largeLetter",
            "smallParcel",
            "mediumParcel",
            "largeParcel",
        )
    },
    "s3": {"checksum": ("sha256", "crc32", "sha1", "sha256")},
    "sendgrid": {"webhook_content": ("events", "events", "received", "received_basic")},
    "shipengine": {"insurer": ("carrier", "carrier", "shipsurance", "third_party")},
    "sinch": {"region": ("us", "us", "eu", "au", "br", "ca")},
    "smtp": {"security": ("starttls", "starttls", "tls", "none")},
    "sparkpost": {"region": ("us", "us", "eu"), "webhook_auth": ("basic", "basic", "oauth2")},
    "usps": {"price_type": ("COMMERCIAL", "COMMERCIAL", "RETAIL")},
}
"""For each option of a vendor, its default and then its words."""


@pytest.mark.parametrize("vendor", vendor_names())
def test_option_has_its_words_and_default(vendor: str) -> None:
    """Each option with fixed words has the default and the words that are listed for it."""
    kind: Any = vendor_class(vendor)
    options = {
        field.name: (field.default, *field.metadata["choices"])
        for field in attrs.fields(kind)
        if "choices" in field.metadata
    }

    assert CHOICES.get(vendor, {}) == options
