"""The vendors of moorage itself, which are found without a search through installed packages.

`importlib.metadata` reads the metadata of every package, which takes as long as half of a hub's
start. The table repeats the entry points of `pyproject.toml`, which other programs read.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple

GROUP: Final = "moorage.vendors"
"""The group of entry points of vendors."""


class BuiltInVendor(NamedTuple):
    """An entry point of moorage, with the attributes of `importlib.metadata.EntryPoint`."""

    name: str
    value: str
    group: str = GROUP

    def load(self) -> Any:
        """Import the vendor's class."""
        module, _, attribute = self.value.partition(":")
        return getattr(import_module(module), attribute)


_CLASSES: Final = {
    "acrobat_sign": "signatures.acrobat_sign:AcrobatSign",
    "adyen": "payments.adyen:Adyen",
    "amazon_ses": "email.amazon_ses:AmazonSes",
    "amazon_sns": "sms.amazon_sns:AmazonSns",
    "amazon_sp_api": "shops.amazon_sp_api:AmazonSpApi",
    "apns": "push.apns:Apns",
    "avalara": "tax.avalara:Avalara",
    "azure_blob": "storage.azure_blob:AzureBlob",
    "berlin_group": "bank.berlin_group:BerlinGroup",
    "bird": "sms.bird:Bird",
    "braintree": "payments.braintree:Braintree",
    "brevo": "email.brevo:Brevo",
    "brreg": "tax.brreg:Brreg",
    "checkout_com": "payments.checkout_com:CheckoutCom",
    "dhl_express": "shipping.dhl_express:DhlExpress",
    "docusign": "signatures.docusign:Docusign",
    "dropbox_sign": "signatures.dropbox_sign:DropboxSign",
    "easypost": "shipping.easypost:EasyPost",
    "ebay": "shops.ebay:Ebay",
    "ecb": "currencies.ecb:Ecb",
    "entra": "people.entra:Entra",
    "fedex": "shipping.fedex:FedEx",
    "firebase": "push.firebase:Firebase",
    "fsspec": "storage.fsspec:Fsspec",
    "gcs": "storage.gcs:Gcs",
    "gocardless": "bank.gocardless:GoCardless",
    "gocardless_payments": "payments.gocardless_payments:GoCardlessPayments",
    "google_calendar": "calendars.google_calendar:GoogleCalendar",
    "google_workspace": "people.google_workspace:GoogleWorkspace",
    "hmrc": "tax.hmrc:Hmrc",
    "infobip": "sms.infobip:Infobip",
    "ksef": "einvoices.ksef:Ksef",
    "local_files": "storage.local_files:LocalFiles",
    "mailersend": "email.mailersend:MailerSend",
    "mailgun": "email.mailgun:Mailgun",
    "mailjet": "email.mailjet:Mailjet",
    "microsoft_calendar": "calendars.microsoft_calendar:MicrosoftCalendar",
    "mollie": "payments.mollie:Mollie",
    "nbp": "currencies.nbp:Nbp",
    "norges_bank": "currencies.norges_bank:NorgesBank",
    "odoo": "accounting.odoo:Odoo",
    "paypal": "payments.paypal:PayPal",
    "plivo": "sms.plivo:Plivo",
    "postmark": "email.postmark:Postmark",
    "quickbooks": "accounting.quickbooks:QuickBooks",
    "razorpay": "payments.razorpay:Razorpay",
    "recommand": "einvoices.recommand:Recommand",
    "resend": "email.resend:Resend",
    "s3": "storage.s3:S3",
    "scim": "people.scim:Scim",
    "sendgrid": "email.sendgrid:SendGrid",
    "shipengine": "shipping.shipengine:ShipEngine",
    "shippo": "shipping.shippo:Shippo",
    "shopify": "shops.shopify:Shopify",
    "sinch": "sms.sinch:Sinch",
    "slack": "chat.slack:Slack",
    "smtp": "email.smtp:Smtp",
    "sparkpost": "email.sparkpost:SparkPost",
    "square": "payments.square:Square",
    "storecove": "einvoices.storecove:Storecove",
    "stripe": "payments.stripe:Stripe",
    "stripe_tax": "tax.stripe_tax:StripeTax",
    "taxjar": "tax.taxjar:TaxJar",
    "teams": "chat.teams:Teams",
    "telegram": "chat.telegram:Telegram",
    "twilio": "sms.twilio:Twilio",
    "ups": "shipping.ups:Ups",
    "vies": "tax.vies:Vies",
    "vonage": "sms.vonage:Vonage",
    "web_push": "push.web_push:WebPush",
    "woocommerce": "shops.woocommerce:WooCommerce",
    "xero": "accounting.xero:Xero",
}

BUILT_IN: Final = {
    name: BuiltInVendor(name, f"moorage.vendors.{place}") for name, place in _CLASSES.items()
}
"""The vendors of moorage by name; no other package replaces one."""
