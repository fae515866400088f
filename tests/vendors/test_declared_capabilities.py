"""Each vendor declares exactly the capabilities that are listed for it."""

from __future__ import annotations

from typing import Final

import pytest

from moorage.contracts.catalog import CONTRACTS
from moorage.testing.sandbox_scenarios import BY_CAPABILITY
from moorage.wiring.installed_vendors import vendor_class, vendor_names

_ALL: Final = "all"
CAPABILITIES: Final[dict[str, dict[str, str]]] = {
    "email": {
        "attachments": "all",
        "inline_images": "all but brevo postal scaleway",
        "amp_html": "amazon_ses mailgun sendgrid smtp sparkpost unisender_go",
        "custom_headers": "all",
        "unsubscribe": "all but sparkpost unisender_go",
        "envelope_sender": "amazon_ses smtp",
        "international": "smtp",
        "templates": "all but postal scaleway smtp",
        "metadata": "all but mailersend postal scaleway smtp",
        "tags": "all but scaleway smtp",
        "scheduled": "all but amazon_ses mailjet mailtrap postal postmark scaleway smtp",
        "cancel": "brevo mailersend mandrill resend sparkpost",
        "look_up": "mandrill postal postmark resend scaleway",
        "track_opens": "all but amazon_ses brevo mailtrap postal resend scaleway smtp",
        "track_clicks": "all but amazon_ses brevo mailtrap postal resend scaleway smtp",
        "validate_address": "amazon_ses mailgun sendgrid sparkpost",
        "statistics": "all but mailtrap mandrill postal scaleway smtp unisender_go",
        "received": "postal resend",
        "suppressions": "all but mailersend mailjet mailtrap postal smtp",
        "add_suppression": "all but brevo mailersend mailjet mailtrap postal smtp",
    },
    "sms": {
        "sender_pool": "plivo telnyx twilio",
        "media": "all but amazon_sns bird infobip vonage",
        "callback": "all but amazon_sns bird",
        "scheduled": "all but amazon_sns bird plivo vonage",
        "cancel": "all but amazon_sns bird plivo vonage",
        "validity": "infobip plivo twilio vonage",
        "look_up": "all but amazon_sns vonage",
        "validate_number": "all but amazon_sns infobip messagemedia sinch",
        "carrier": "all but amazon_sns infobip messagemedia sinch",
        "balance": "all but amazon_sns bird messagemedia sinch",
        "opt_outs": "amazon_sns bird messagemedia",
        "templates": "infobip twilio",
        "whatsapp": "infobip twilio",
        "rcs": "infobip twilio",
        "sms_fallback": "infobip",
        "verification": "all but amazon_sns messagemedia sinch telnyx",
        "verification_call": "infobip plivo twilio vonage",
    },
    "chat": {
        "channel": "slack telegram",
        "thread": "slack telegram",
        "edit": "slack telegram",
        "delete": "slack telegram",
        "scheduled": "slack",
        "silent": "telegram",
        "buttons": "all",
    },
    "push": {
        "device_token": "apns firebase",
        "subscription": "web_push",
        "topic": "firebase",
        "badge": "all",
        "sound": "apns firebase",
        "image": "all",
        "link": "all",
        "collapse_key": "all",
        "silent": "apns firebase",
    },
    "payments": {
        "intent": "gocardless_payments mollie paypal paystack razorpay stripe",
        "complete": "all but authorize_net braintree mercado_pago square",
        "authorize": "all but gocardless_payments paystack",
        "void": "all but paystack razorpay",
        "partial_capture": "all but gocardless_payments mercado_pago paystack razorpay",
        "multiple_captures": "adyen checkout_com mollie paypal stripe",
        "look_up": "all but adyen",
        "look_up_refund": "all but adyen checkout_com",
        "list": "all but adyen checkout_com",
        "disputes": "all but adyen authorize_net braintree gocardless_payments mercado_pago",
        "look_up_dispute": "checkout_com paypal paystack square stripe",
        "accept_dispute": "adyen checkout_com paypal square stripe",
        "dispute_evidence": "checkout_com paypal square stripe",
        "payouts": "gocardless_payments paypal razorpay square stripe",
        "off_session": "all but mercado_pago",
        "store_method": "all but mercado_pago square",
        "statement_descriptor": "adyen gocardless_payments mercado_pago paypal square stripe",
        "billing_address": "all but braintree gocardless_payments mercado_pago paystack razorpay",
        "shipping_address": "all but gocardless_payments mercado_pago paystack razorpay",
        "line_items": "adyen checkout_com mollie paypal stripe",
        "three_ds": "adyen checkout_com paypal stripe",
        "store_means": "adyen mollie square stripe",
        "stored_means": "all but mercado_pago paypal",
        "links": "adyen mollie razorpay stripe",
        "link_expiry": "adyen mollie razorpay",
        "link_addresses": "adyen mollie",
        "link_line_items": "adyen mollie stripe",
        "payout_items": "square stripe",
        "payees": "paypal stripe",
        "subscriptions": "gocardless_payments mollie paypal razorpay stripe",
        "subscription_source": "gocardless_payments mollie stripe",
        "subscription_consent": "paypal razorpay",
        "subscription_quantity": "paypal razorpay stripe",
        "subscription_period_end": "stripe",
    },
    "storage": {
        "range": "all",
        "conditional_get": "all",
        "conditional_put": "all but fsspec",
        "metadata": "all",
        "multipart": "all",
        "stale_uploads": "all but azure_blob gcs",
        "copy": "all",
        "versions": "all but fsspec local_files",
        "tags": "azure_blob s3",
        "visibility": "gcs s3",
        "storage_class": "all but fsspec local_files",
        "encryption": "all but fsspec local_files",
        "signed_url": "all but fsspec",
        "signed_post": "gcs s3",
        "public_url": "all but fsspec",
        "containers": "all but fsspec local_files",
    },
    "shipping": {
        "rates": "all but colissimo dhl_parcel dpd postnord royalmail",
        "find_lost_label": "all but colissimo dhl_parcel dpd postnord",
        "multi_parcel": "dhl_express fedex shipengine shippo ups",
        "customs": "all but colissimo dhl_parcel dpd gls postnord usps",
        "insurance": "dhl_express easypost shipengine shippo ups",
        "signature": "all but colissimo dhl_parcel dpd gls postnord royalmail",
        "saturday_delivery": "dhl_express easypost fedex shipengine shippo ups",
        "returns": "easypost fedex shipengine shippo",
        "label_zpl": "all but royalmail",
        "label_epl": "dhl_express dpd easypost fedex ups",
        "label_paper": "dhl_express dpd postnord shipengine shippo",
        "label_again": "all but colissimo dhl_express fedex postnord usps",
        "convert_label": "dhl_parcel dpd easypost gls shipengine ups",
        "buy_by_reference": "easypost shipengine shippo",
        "track": "all but dpd royalmail",
        "cancel": "all but colissimo dhl_express dpd postnord usps",
        "validate_address": "all but colissimo dhl_parcel dpd gls postnord royalmail",
        "pickup": "easypost shipengine shippo",
        "pickup_several": "shipengine shippo",
        "cancel_pickup": "easypost shipengine",
        "manifest": "easypost shipengine shippo",
        "duties": "dhl_express ups",
        "paperless_customs": "dhl_express fedex",
        "invoice_upload": "dhl_express",
        "service_points": "shipengine",
    },
    "bank": {
        "institution": "gocardless",
        "chosen_accounts": "berlin_group",
        "pending": "all",
        "end_to_end": "berlin_group gocardless",
        "pay": "berlin_group open_banking_uk",
        "instant": "berlin_group open_banking_uk",
        "sterling": "open_banking_uk",
    },
    "currencies": {
        "history": "all",
    },
    "tax": {
        "eu_numbers": "vies",
        "uk_numbers": "hmrc",
        "norwegian_numbers": "brreg",
        "proof": "hmrc vies",
        "trader_match": "vies",
        "calculation": "avalara stripe_tax taxjar",
        "inclusive_prices": "avalara stripe_tax",
        "buyer_vat_numbers": "avalara stripe_tax",
        "exemptions": "avalara stripe_tax taxjar",
        "reverse_charge": "stripe_tax",
        "records": "avalara stripe_tax taxjar",
        "reversals": "avalara stripe_tax taxjar",
    },
    "einvoices": {
        "ubl": "recommand storecove",
        "cii": "storecove",
        "fa3": "ksef",
        "look_up": "recommand storecove",
        "status": "all",
        "download": "all",
        "inbox": "recommand",
    },
    "people": {
        "groups": "all",
        "manager": "all",
        "time_zone": "scim",
        "version": "scim",
    },
    "calendars": {
        "recurrence": "all",
        "online_meeting": "all",
        "free_busy": "all",
        "changes": "all",
        "version": "all",
        "without_invitations": "google_calendar",
    },
    "accounting": {
        "drafts": "odoo xero",
        "sales_accounts": "odoo xero",
        "items": "all",
        "invoice_numbers": "quickbooks xero",
        "void_bills": "odoo xero",
        "contact_numbers": "odoo xero",
    },
    "shops": {
        "partial_fulfilment": "amazon_sp_api shopify",
        "cancel": "shopify woocommerce",
        "refund": "woocommerce",
        "compare_stock": "shopify",
        "locations": "shopify",
    },
    "signatures": {
        "templates": "docusign dropbox_sign",
        "anchors": "docusign",
        "positions": "docusign dropbox_sign",
        "phone_check": "all",
        "embedded": "all",
        "language": "acrobat_sign docusign",
        "expiry": "all",
        "reminders": "acrobat_sign docusign",
        "remind": "all",
        "void_reason": "acrobat_sign docusign",
        "certificate": "acrobat_sign docusign",
    },
    "inference": {
        "temperature": "mistral openai",
        "images": "all",
        "tools": "all",
        "schema": "all",
        "embeddings": "mistral openai",
        "streams": "all",
    },
    "crm": {"match_email": "hubspot", "deal_people": "hubspot"},
}
"""For each contract, the vendors that have each capability: their names, or all but these names."""


def vendors_of(kind: str) -> set[str]:
    """Return the names of the vendors of a contract."""
    return {name for name in vendor_names() if kind in vendor_class(name).kinds}


def vendors_with(kind: str, capability: str) -> set[str]:
    """Return the names of the vendors that must declare a capability."""
    names = CAPABILITIES[kind][capability].split()
    if _ALL in names:
        return vendors_of(kind).difference(names)
    return set(names)


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_vendor_declares_its_capabilities(vendor: str) -> None:
    """A vendor declares a capability if and only if the capability is listed for it."""
    kind = vendor_class(vendor).kinds[0]

    assert vendor_class(vendor).capabilities == {
        capability for capability in CAPABILITIES[kind] if vendor in vendors_with(kind, capability)
    }


def test_capabilities_are_listed_by_contract() -> None:
    """The list has each capability of each contract, and names only vendors of the contract."""
    assert set(CAPABILITIES) == set(CONTRACTS)
    for kind, capabilities in CAPABILITIES.items():
        assert set(capabilities) == {str(name) for name in BY_CAPABILITY[kind]}
        for names in capabilities.values():
            assert set() == set(names.split()) - vendors_of(kind) - {_ALL, "but"}
