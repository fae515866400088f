"""The keys and URLs that tell a vendor's live mode from its test mode."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import pytest

from moorage.domain.secrets.secret import Secret
from moorage.domain.service.safety import Mode
from moorage.wiring.installed_vendors import vendor_class, vendor_names

STRIPE: Final = ("sk_live_ rk_live_", "sk_test_ rk_test_")
KEYS: Final[dict[str, tuple[str, str]]] = {
    "easypost": ("EZAK", "EZTK"),
    "mercado_pago": ("", "TEST-"),
    "mollie": ("live_", "test_"),
    "paystack": ("sk_live_", "sk_test_"),
    "postmark": ("", "POSTMARK_API_TEST"),
    "shipengine": ("", "TEST_"),
    "shippo": ("shippo_live_", "shippo_test_"),
    "stripe": STRIPE,
    "stripe_tax": STRIPE,
}
"""The beginnings of the keys for live mode and for test mode."""

URLS: Final[dict[str, tuple[str, str]]] = {
    "authorize_net": ("https://api.authorize.net", "https://apitest.authorize.net"),
    "avalara": ("https://rest.avatax.com", "https://sandbox-rest.avatax.com"),
    "braintree": (
        "https://payments.braintree-api.com",
        "https://payments.sandbox.braintree-api.com",
    ),
    "checkout_com": ("https://api.checkout.com", "https://api.sandbox.checkout.com"),
    "dhl_express": (
        "https://express.api.dhl.com/mydhlapi",
        "https://express.api.dhl.com/mydhlapi/test",
    ),
    "dhl_parcel": (
        "https://api-eu.dhl.com/parcel/de/shipping/v2",
        "https://api-sandbox.dhl.com/parcel/de/shipping/v2",
    ),
    "docusign": ("https://www.docusign.net", "https://demo.docusign.net"),
    "dpd": ("https://api.dpdgroup.com", "https://api-preprod.dpsin.dpdgroup.com"),
    "ebay": ("https://api.ebay.com", "https://api.sandbox.ebay.com"),
    "gls": ("https://api.gls-group.net", "https://api-sandbox.gls-group.net"),
    "gocardless_payments": ("https://api.gocardless.com", "https://api-sandbox.gocardless.com"),
    "hmrc": ("https://api.service.hmrc.gov.uk", "https://test-api.service.hmrc.gov.uk"),
    "paypal": ("https://api-m.paypal.com", "https://api-m.sandbox.paypal.com"),
    "plaid": ("https://production.plaid.com", "https://sandbox.plaid.com"),
    "postnord": ("https://api2.postnord.com", "https://atapi2.postnord.com"),
    "quickbooks": (
        "https://quickbooks.api.intuit.com",
        "https://sandbox-quickbooks.api.intuit.com",
    ),
    "square": ("https://connect.squareup.com", "https://connect.squareupsandbox.com"),
    "taxjar": ("https://api.taxjar.com", "https://api.sandbox.taxjar.com"),
    "ups": ("https://onlinetools.ups.com", "https://wwwcie.ups.com"),
    "usps": ("https://apis.usps.com", "https://apis-tem.usps.com"),
}
"""The URLs of the live system and of the test system."""


@pytest.mark.parametrize("vendor", KEYS)
def test_key_decides_the_mode(vendor: str) -> None:
    """The beginning of a vendor's key decides whether an account is in live or test mode."""
    kind: Any = vendor_class(vendor)
    expected = {
        **dict.fromkeys(KEYS[vendor][0].split(), Mode.LIVE),
        **dict.fromkeys(KEYS[vendor][1].split(), Mode.TEST),
    }

    assert expected == {
        key: kind.modes(SimpleNamespace(credentials=Secret(f"{key}a1B2c3"))) for key in expected
    }


@pytest.mark.parametrize("vendor", URLS)
def test_url_decides_the_mode(vendor: str) -> None:
    """A vendor's URL decides whether an account is in live or test mode."""
    kind: Any = vendor_class(vendor)
    modes = [
        kind.modes(SimpleNamespace(**dict.fromkeys(("base_url", "url", "_api_url"), url)))
        for url in URLS[vendor]
    ]

    assert [Mode.LIVE, Mode.TEST] == modes


def test_vendors_with_modes_are_listed() -> None:
    """The lists contain each vendor that has a live mode and a test mode."""
    expected = {name for name in vendor_names() if getattr(vendor_class(name), "modes", None)}

    assert expected == {*KEYS, *URLS}
