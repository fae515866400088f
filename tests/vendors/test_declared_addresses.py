"""Each vendor's addresses, API version, headers and webhooks are those of written lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage.testing.sandbox_fixtures import fixture_of
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES: Final[dict[str, dict[str, str]]] = {
    "adyen": {"": "https://checkout-test.adyen.com", "disputes": "https://ca-test.adyen.com"},
    "amazon_ses": {"": "https://email.eu-central-1.amazonaws.com"},
    "amazon_sns": {"": "https://sns.eu-central-1.amazonaws.com"},
    "amazon_sp_api": {"": "https://sellingpartnerapi-eu.amazon.com"},
    "anthropic": {"": "https://api.anthropic.com"},
    "apns": {"": "https://api.push.apple.com"},
    "authorize_net": {"": "https://api.authorize.net"},
    "avalara": {"": "https://rest.avatax.com"},
    "azure_blob": {"": "https://sandboxaccount.blob.core.windows.net"},
    "bird": {"": "https://eu1.platform.bird.com"},
    "braintree": {"": "https://payments.braintree-api.com"},
    "brevo": {"": "https://api.brevo.com"},
    "brreg": {"": "https://data.brreg.no/enhetsregisteret/api"},
    "checkout_com": {"": "https://api.checkout.com"},
    "colissimo": {"": "https://ws.colissimo.fr", "suivi": "https://api.laposte.fr"},
    "dhl_express": {"": "https://express.api.dhl.com/mydhlapi"},
    "dhl_parcel": {
        "": "https://api-eu.dhl.com/parcel/de/shipping/v2",
        "tracking": "https://api-eu.dhl.com",
    },
    "docusign": {"": "https://demo.docusign.net"},
    "dpd": {"": "https://api.dpdgroup.com", "login": "https://api.dpdgroup.com"},
    "dropbox_sign": {"": "https://api.hellosign.com/v3"},
    "easypost": {"": "https://api.easypost.com"},
    "ebay": {"": "https://api.ebay.com"},
    "ecb": {"": "https://data-api.ecb.europa.eu"},
    "entra": {"": "https://graph.microsoft.com"},
    "fedex": {"": "https://apis.fedex.com"},
    "firebase": {"": "https://fcm.googleapis.com"},
    "gcs": {"": "https://storage.googleapis.com"},
    "gls": {"": "https://api.gls-group.net"},
    "gocardless": {"": "https://bankaccountdata.gocardless.com"},
    "gocardless_payments": {"": "https://api.gocardless.com"},
    "google_calendar": {"": "https://www.googleapis.com"},
    "google_workspace": {"": "https://admin.googleapis.com"},
    "hmrc": {"": "https://api.service.hmrc.gov.uk"},
    "hubspot": {"": "https://api.hubapi.com"},
    "ksef": {"": "https://api.ksef.mf.gov.pl/v2"},
    "mailersend": {"": "https://api.mailersend.com"},
    "mailgun": {"": "https://api.mailgun.net"},
    "mailjet": {"": "https://api.mailjet.com"},
    "mailtrap": {"": "https://send.api.mailtrap.io"},
    "mandrill": {"": "https://mandrillapp.com/api/1.0"},
    "mercado_pago": {"": "https://api.mercadopago.com"},
    "messagemedia": {"": "https://au.app.api.sinch.com"},
    "microsoft_calendar": {"": "https://graph.microsoft.com"},
    "mistral": {"": "https://api.mistral.ai"},
    "mollie": {"": "https://api.mollie.com"},
    "nbp": {"": "https://api.nbp.pl"},
    "norges_bank": {"": "https://data.norges-bank.no"},
    "openai": {"": "https://api.openai.com/v1"},
    "paypal": {"": "https://api-m.sandbox.paypal.com"},
    "paystack": {"": "https://api.paystack.co"},
    "plaid": {"": "https://production.plaid.com"},
    "plivo": {"": "https://api.plivo.com", "lookups": "https://lookup.plivo.com"},
    "postmark": {"": "https://api.postmarkapp.com"},
    "postnord": {"": "https://api2.postnord.com"},
    "quickbooks": {"": "https://quickbooks.api.intuit.com"},
    "razorpay": {"": "https://api.razorpay.com"},
    "recommand": {"": "https://app.recommand.eu/api/v1"},
    "resend": {"": "https://api.resend.com"},
    "royalmail": {"": "https://api.parcel.royalmail.com"},
    "s3": {
        "": "https://sandbox-bucket.s3.us-east-1.amazonaws.com",
        "buckets": "https://s3.us-east-1.amazonaws.com",
    },
    "scaleway": {"": "https://api.scaleway.com"},
    "sendgrid": {"": "https://api.sendgrid.com", "validations": "https://api.sendgrid.com"},
    "shipengine": {"": "https://api.shipengine.com"},
    "shippo": {"": "https://api.goshippo.com"},
    "shopify": {"": "https://harbour-goods.myshopify.com"},
    "sinch": {"": "https://us.sms.api.sinch.com"},
    "slack": {"": "https://slack.com/api"},
    "sparkpost": {"": "https://api.sparkpost.com"},
    "square": {"": "https://connect.squareup.com"},
    "storecove": {"": "https://api.storecove.com/api/v2"},
    "stripe": {"": "https://api.stripe.com"},
    "stripe_tax": {"": "https://api.stripe.com"},
    "taxjar": {"": "https://api.taxjar.com"},
    "telegram": {"": "https://api.telegram.org"},
    "telnyx": {"": "https://api.telnyx.com"},
    "twilio": {
        "": "https://api.twilio.com",
        "lookups": "https://lookups.twilio.com",
        "verify": "https://verify.twilio.com",
    },
    "unisender_go": {"": "https://go1.unisender.ru"},
    "ups": {"": "https://onlinetools.ups.com"},
    "usps": {"": "https://apis.usps.com"},
    "vies": {"": "https://ec.europa.eu/taxation_customs/vies/rest-api"},
    "vonage": {"": "https://rest.nexmo.com", "insight": "https://api.nexmo.com"},
    "xero": {"": "https://api.xero.com/api.xro/2.0"},
}
"""The addresses of the services of each vendor with an address of its own, with default options."""

OTHER_ADDRESSES: Final[dict[str, dict[str, object]]] = {
    "amazon_sp_api": {"token_url": "https://api.amazon.com/auth/o2/token"},
    "azure_blob": {"authority": "https://login.microsoftonline.com"},
    "entra": {"login_url": "https://login.microsoftonline.com"},
    "microsoft_calendar": {"login_url": "https://login.microsoftonline.com"},
    "shippo": {
        "label_hosts": (
            "https://deliver.goshippo.com",
            "https://shippo-delivery.s3.amazonaws.com",
            "https://shippo-delivery-east.s3.amazonaws.com",
        )
    },
    "web_push": {
        "push_services": (
            "https://fcm.googleapis.com",
            "https://updates.push.services.mozilla.com",
            "https://web.push.apple.com",
        )
    },
    "xero": {"token_url": "https://identity.xero.com/connect/token"},
}
"""The default addresses of vendors for logins, and for files and messages of other services."""

VERSIONS: Final[dict[str, str]] = {
    "acrobat_sign": "v6",
    "adyen": "v72",
    "amazon_ses": "v2",
    "amazon_sns": "2010-03-31",
    "amazon_sp_api": "2026-01-01",
    "anthropic": "2023-06-01",
    "apns": "3",
    "avalara": "v2",
    "azure_blob": "2025-01-05",
    "berlin_group": "1.3",
    "bird": "v1",
    "braintree": "2018-09-10",
    "brevo": "v3",
    "colissimo": "2.0",
    "dhl_express": "3.1.0",
    "dhl_parcel": "v2",
    "docusign": "v2.1",
    "dpd": "v1",
    "dropbox_sign": "v3",
    "easypost": "v2",
    "ebay": "v1",
    "entra": "v1.0",
    "fedex": "v1",
    "firebase": "v1",
    "gcs": "v1",
    "gls": "v1",
    "gocardless": "v2",
    "gocardless_payments": "2015-07-06",
    "google_calendar": "v3",
    "google_workspace": "directory_v1",
    "hmrc": "2.0",
    "hubspot": "v3",
    "infobip": "3",
    "ksef": "v2",
    "mailersend": "v1",
    "mailgun": "v3",
    "mailjet": "v3.1",
    "mailtrap": "v2",
    "mandrill": "1.0",
    "mercado_pago": "v1",
    "messagemedia": "v1",
    "microsoft_calendar": "v1.0",
    "mistral": "v1",
    "mollie": "v2",
    "open_banking_uk": "4.0",
    "openai": "v1",
    "paypal": "v2",
    "plaid": "2020-09-14",
    "plivo": "v1",
    "postal": "v1",
    "postnord": "v3",
    "quickbooks": "3",
    "razorpay": "v1",
    "recommand": "v1",
    "royalmail": "v1",
    "s3": "2006-03-01",
    "scaleway": "v1alpha1",
    "scim": "2.0",
    "sendgrid": "v3",
    "shipengine": "v1",
    "shippo": "2018-02-08",
    "shopify": "2026-07",
    "sinch": "v1",
    "sparkpost": "v1",
    "square": "2025-08-20",
    "storecove": "v2",
    "stripe": "2025-09-30.clover",
    "stripe_tax": "2025-09-30.clover",
    "taxjar": "2022-01-24",
    "telnyx": "v2",
    "twilio": "2010-04-01",
    "unisender_go": "v1",
    "ups": "v2409",
    "usps": "v3",
    "woocommerce": "v3",
    "xero": "2.0",
}
"""The version of each vendor's API, if its API has versions."""
HEADERS: Final[dict[str, dict[str, str]]] = {
    "anthropic": {"anthropic-version": "2023-06-01"},
    "avalara": {"X-Avalara-Client": "moorage"},
    "braintree": {"Braintree-Version": "2018-09-10"},
    "brevo": {"Accept": "application/json"},
    "brreg": {"Accept": "application/json"},
    "dhl_express": {"x-version": "3.1.0"},
    "gocardless_payments": {"GoCardless-Version": "2015-07-06"},
    "hmrc": {"Accept": "application/vnd.hmrc.2.0+json"},
    "mailersend": {"Accept": "application/json"},
    "microsoft_calendar": {"Prefer": 'IdType="ImmutableId", outlook.timezone="UTC"'},
    "postmark": {"Accept": "application/json"},
    "quickbooks": {"Accept": "application/json"},
    "resend": {"User-Agent": "moorage"},
    "scim": {"Accept": "application/scim+json"},
    "shippo": {"SHIPPO-API-VERSION": "2018-02-08"},
    "square": {"Square-Version": "2025-08-20"},
    "taxjar": {"x-api-version": "2022-01-24"},
    "ups": {"transactionSrc": "moorage"},
}
"""The headers that each request of a vendor has, besides those of its authentication."""

_OWN_SCHEMES: Final = """
    acrobat_sign adyen authorize_net braintree brevo checkout_com docusign dropbox_sign
    easypost hubspot infobip mailersend mailgun mailjet mailtrap mandrill mercado_pago
    messagemedia paypal paystack plivo postal postmark razorpay sendgrid shipengine
    shippo shopify sinch slack sparkpost square stripe telegram telnyx twilio
    unisender_go vonage woocommerce xero
"""
"""The vendors whose webhooks have a scheme with the vendor's name."""
WEBHOOKS: Final[dict[str, str]] = {
    **{name: name.replace("_", "-") for name in _OWN_SCHEMES.split()},
    "amazon_ses": "aws-sns",
    "bird": "standard-webhooks",
    "gocardless_payments": "gocardless",
    "mollie": "mollie-classic",
    "quickbooks": "intuit",
    "recommand": "url-token",
    "resend": "svix",
    "storecove": "url-token",
}
"""The name of the signature scheme of each vendor's webhooks."""


def default_options(vendor: str) -> dict[str, Any]:
    """Return the defaults of a vendor's options by name."""
    return {field.name: field.default for field in attrs.fields(cast("Any", vendor_class(vendor)))}


@pytest.mark.parametrize("vendor", ADDRESSES)
def test_services_have_the_addresses_of_the_vendor(vendor: str, tmp_path: Path) -> None:
    """With the default options, requests go to the listed address of each service."""
    kind: Any = vendor_class(vendor)
    fixture = fixture_of(vendor, tmp_path)
    options = {
        name: value
        for name, value in fixture.options.items()
        if name in default_options(vendor) and name != "base_url"
    }
    services = kind(**options).services()
    fixture.close()

    assert ADDRESSES[vendor] == {
        name: service.base_url for name, service in services.items() if service.base_url is not None
    }


@pytest.mark.parametrize("vendor", OTHER_ADDRESSES)
def test_other_addresses_are_those_of_the_vendor(vendor: str) -> None:
    """By default, a login or download uses the listed address."""
    options = default_options(vendor)

    assert OTHER_ADDRESSES[vendor] == {name: options[name] for name in OTHER_ADDRESSES[vendor]}


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_vendor_declares_the_version_of_its_api(vendor: str) -> None:
    """A vendor declares the version that its requests name, or no version if its API has none."""
    assert VERSIONS.get(vendor) == vendor_class(vendor).api_version


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_requests_have_the_headers_of_the_vendor(vendor: str) -> None:
    """Each request names the version and the format that are listed for the vendor."""
    kind: Any = vendor_class(vendor)

    assert HEADERS.get(vendor, {}) == dict(getattr(kind, "headers", None) or {})


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_webhooks_have_the_scheme_of_the_vendor(vendor: str) -> None:
    """The webhooks of a vendor are verified by the scheme that is listed for it."""
    assert WEBHOOKS.get(vendor) == vendor_class(vendor).webhook


def test_every_default_address_is_listed() -> None:
    """The lists have the vendors of all options whose default is an address."""
    vendors_with_addresses = {
        vendor
        for vendor in vendor_names()
        for default in default_options(vendor).values()
        if str(default).startswith("https://")
    }

    assert set() == vendors_with_addresses - set(ADDRESSES)
