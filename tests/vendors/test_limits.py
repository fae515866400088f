"""The largest values that vendors accept, as the vendors' pages state."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts import chat, crm, email, people
from moorage.contracts.accounting import BookInvoice, BookInvoiceLine
from moorage.contracts.accounting import invoices as accounting
from moorage.contracts.shipping import ShippingCapability
from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.contracts.signatures import requests as signatures
from moorage.contracts.vendor import RepeatedKey
from moorage.errors import InvalidData
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.signatures.base import PDF
from moorage.wiring.installed_vendors import vendor_class, vendor_names
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def _check_chat(name: str, size: int, limits: Mapping[str, int]) -> None:
    fields: dict[str, Any] = {"text": "a", name: "a" * size}
    if name in {"buttons", "button_label"}:
        label, count = ("a" * size, 1) if name == "button_label" else ("a", size)
        button = chat.LinkButton(label=label, url="https://shop.example")
        fields = {"text": "a", "buttons": [button] * count}
    chat.check_fits(chat.ChatMessage(**fields), limits)


def _check_signatures(name: str, size: int, limits: Mapping[str, int]) -> None:
    signer = Signer(name="Ada", email="ada@example.com")
    document = SignatureDocument(name="a.pdf", content=PDF)
    fields: dict[str, Any] = {"subject": "a", name: "a" * size}
    request = SignatureRequest(documents=[document], signers=[signer], **fields)
    signatures.check_fits(request, limits)


def _check_people(name: str, size: int, limits: Mapping[str, int]) -> None:
    fields: dict[str, Any] = {name: "a" * size}
    people.check_fits(people.NewPerson(user_name="ada@example.com", **fields), limits)


def _check_invoice(_: str, size: int, limits: Mapping[str, int]) -> None:
    day = dt.date(2031, 5, 6)
    line = BookInvoiceLine(description="Rope", unit_price=Decimal(1), account="200")
    invoice = BookInvoice(currency="EUR", date=day, due=day, lines=[line], number="a" * size)
    accounting.check_fits(invoice, limits)


def _check_email(name: str, size: int, limits: Mapping[str, int]) -> None:
    message = mail(subject="a", text="a")
    if name == "message_bytes":
        message = mail(subject="a", text="a" * (size - 1))
    email.check_fits(message, size if name == "recipients" else 1, limits)


def _check_note(_: str, size: int, limits: Mapping[str, int]) -> None:
    crm.check_fits(crm.CrmNote(text="a" * size, at=dt.datetime.now(dt.UTC)), limits)


CHECKS: dict[str, Callable[[str, int, Mapping[str, int]], None]] = {
    "accounting": _check_invoice,
    "chat": _check_chat,
    "crm": _check_note,
    "email": _check_email,
    "people": _check_people,
    "signatures": _check_signatures,
}


@pytest.mark.parametrize(
    "vendor, name, largest",
    [
        ("slack", "text", 4_000),
        ("slack", "title", 150),
        ("slack", "buttons", 25),
        ("slack", "button_label", 75),
        ("docusign", "subject", 100),
        ("docusign", "message", 10_000),
        ("dropbox_sign", "subject", 255),
        ("dropbox_sign", "message", 5_000),
        ("entra", "external_id", 16),
        ("hubspot", "note", 65_536),
        ("quickbooks", "invoice_number", 21),
        ("xero", "invoice_number", 255),
        ("amazon_ses", "recipients", 50),
        ("amazon_ses", "message_bytes", 40 * 1024**2),
        ("brevo", "recipients", 99),
        ("brevo", "message_bytes", 15 * 1024**2),
        ("mailersend", "recipients", 50),
        ("mailersend", "message_bytes", 25 * 1024**2),
        ("mailgun", "recipients", 1_000),
        ("mailgun", "message_bytes", 25 * 1024**2),
        ("mailjet", "recipients", 50),
        ("mailjet", "message_bytes", 15_000_000),
        ("mailtrap", "recipients", 1_000),
        ("mailtrap", "message_bytes", 10 * 1024**2),
        ("mandrill", "recipients", 50),
        ("postal", "recipients", 50),
        ("postmark", "recipients", 50),
        ("postmark", "message_bytes", 10 * 1024**2),
        ("resend", "recipients", 50),
        ("resend", "message_bytes", 40 * 1024**2),
        ("scaleway", "message_bytes", 2_000_000),
        ("sendgrid", "recipients", 1_000),
        ("sendgrid", "message_bytes", 30 * 1024**2),
        ("smtp", "recipients", 100),
        ("sparkpost", "message_bytes", 20_000_000),
        ("unisender_go", "message_bytes", 10_000_000),
    ],
)
def test_value_of_the_largest_size_is_accepted_and_a_larger_one_is_refused(
    vendor: str, name: str, largest: int
) -> None:
    """Each vendor accepts a value of exactly its limit, and none that is larger by one."""
    kind = vendor_class(vendor)
    check = CHECKS[kind.kinds[0]]

    check(name, largest, kind.limits)
    with pytest.raises(InvalidData):
        check(name, largest + 1, kind.limits)


@pytest.mark.parametrize(
    "vendor, parcels",
    [
        *((vendor, 1) for vendor in ("colissimo", "dhl_parcel", "dpd", "gls", "postnord")),
        ("royalmail", 1),
        ("usps", 1),
        ("dhl_express", 999),
        ("ups", 200),
    ],
)
def test_shipment_has_at_most_as_many_parcels(vendor: str, parcels: int) -> None:
    """A vendor that takes one parcel has no capability for several, as its page says."""
    kind = vendor_class(vendor)

    assert parcels == kind.limits["parcels"]
    assert (parcels > 1) is (ShippingCapability.MULTI_PARCEL in kind.capabilities)


LIMITS: dict[str, dict[str, int]] = {
    "adyen": {"reference": 80},
    "amazon_ses": {"batch": 50, "recipients": 50, "message_bytes": 40 * 1024**2},
    "amazon_sns": {"text": 1_600},
    "amazon_sp_api": {"page": 100},
    "apns": {"message_bytes": 4_096},
    "authorize_net": {
        "page": 1_000,
        "reference": 20,
        "description": 255,
        "customer_id": 20,
        "metadata": 20,
    },
    "azure_blob": {"delete": 100, "parts": 50_000, "tags": 10},
    "bird": {"segments": 12, "idempotency_key": 255},
    "braintree": {"page": 50},
    "brevo": {"batch": 1_000, "recipients": 99, "message_bytes": 15 * 1024**2},
    "checkout_com": {"page": 250, "reference": 50, "digits": 9},
    "colissimo": {"parcels": 1},
    "dhl_express": {"parcels": 999},
    "dhl_parcel": {"parcels": 1},
    "docusign": {"subject": 100, "message": 10_000},
    "dpd": {"parcels": 1},
    "dropbox_sign": {"subject": 255, "message": 5_000},
    "ebay": {"page": 200},
    "entra": {"external_id": 16},
    "firebase": {"message_bytes": 4_096, "topic_message_bytes": 2_048},
    "fsspec": {"delete": 1_000, "parts": 10_000},
    "gcs": {"delete": 1},
    "gls": {"parcels": 1},
    "gocardless_payments": {"metadata": 3, "page": 500},
    "google_calendar": {"addresses": 50},
    "hubspot": {"note": 65_536},
    "infobip": {"reference": 4_000},
    "ksef": {"document_bytes": 1_000_000},
    "local_files": {"delete": 1_000, "parts": 10_000},
    "mailersend": {"batch": 50, "recipients": 50, "message_bytes": 25 * 1024**2},
    "mailgun": {"batch": 1_000, "recipients": 1_000, "message_bytes": 25 * 1024**2},
    "mailjet": {"batch": 100, "recipients": 50, "message_bytes": 15_000_000},
    "mailtrap": {"batch": 500, "recipients": 1_000, "message_bytes": 10 * 1024**2},
    "mandrill": {"batch": 100, "recipients": 50},
    "mercado_pago": {"idempotency_key": 128, "page": 50},
    "messagemedia": {"reference": 256},
    "microsoft_calendar": {"addresses": 20},
    "mollie": {"page": 250},
    "openai": {"texts": 2_048},
    "paypal": {"idempotency_key": 108, "page": 50, "reference": 127, "statement_descriptor": 22},
    "paystack": {"page": 50},
    "plaid": {"page": 500},
    "plivo": {"text": 1_600, "media": 10},
    "postal": {"batch": 100, "recipients": 50},
    "postmark": {"batch": 500, "recipients": 50, "message_bytes": 10 * 1024**2},
    "postnord": {"parcels": 1},
    "quickbooks": {"idempotency_key": 50, "invoice_number": 21},
    "razorpay": {"metadata": 15, "page": 100},
    "resend": {
        "batch": 100,
        "recipients": 50,
        "message_bytes": 40 * 1024**2,
        "idempotency_key": 256,
    },
    "royalmail": {"parcels": 1},
    "s3": {"delete": 1_000, "part": 5 * 1024**2, "parts": 10_000, "copy": 5 * 1024**3},
    "scaleway": {"batch": 100, "message_bytes": 2_000_000},
    "sendgrid": {"batch": 1_000, "recipients": 1_000, "message_bytes": 30 * 1024**2},
    "shopify": {"page": 10},
    "sinch": {"media": 1},
    "slack": {"text": 4_000, "title": 150, "buttons": 25, "button_label": 75},
    "smtp": {"batch": 100, "recipients": 100},
    "sparkpost": {"batch": 100, "message_bytes": 20_000_000},
    "square": {
        "idempotency_key": 45,
        "page": 100,
        "note": 500,
        "reference": 40,
        "statement_descriptor": 20,
    },
    "stripe": {"idempotency_key": 255, "page": 100},
    "stripe_tax": {"idempotency_key": 255},
    "teams": {"message_bytes": 28 * 1024},
    "telegram": {"text": 4_096},
    "telnyx": {"segments": 10, "media": 10},
    "twilio": {"text": 1_600},
    "unisender_go": {"batch": 100, "message_bytes": 10_000_000},
    "ups": {"parcels": 200},
    "usps": {"parcels": 1},
    "web_push": {"message_bytes": 3_993},
    "woocommerce": {"page": 100},
    "xero": {"idempotency_key": 128, "invoice_number": 255},
}
"""The largest sizes and numbers that a vendor accepts, or that moorage sends in one request."""


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_vendor_declares_its_limits(vendor: str) -> None:
    """Programs can read the largest size of a message or page before they send a request."""
    assert LIMITS.get(vendor, {}) == vendor_class(vendor).limits


HOUR = 3_600.0
KEYS = {
    # These vendors publish no retention time, and moorage assumes an hour.
    "gocardless_payments": (HOUR, "Idempotency-Key"),
    "mercado_pago": (HOUR, "X-Idempotency-Key"),
    "quickbooks": (HOUR, None),
    "razorpay": (HOUR, None),
    "square": (HOUR, None),
    "usps": (HOUR, None),
    # Bird publishes three hours, and users of Xero report six minutes; moorage assumes less.
    "bird": (2 * HOUR, "Idempotency-Key"),
    "xero": (HOUR / 12, "Idempotency-Key"),
    "adyen": (7 * 24 * HOUR, "Idempotency-Key"),
    "checkout_com": (24 * HOUR, "Cko-Idempotency-Key"),
    "mollie": (HOUR, "Idempotency-Key"),
    "open_banking_uk": (24 * HOUR, "x-idempotency-key"),
    "paypal": (6 * HOUR, "PayPal-Request-Id"),
    "resend": (24 * HOUR, "Idempotency-Key"),
    "stripe": (24 * HOUR, "Idempotency-Key"),
    "stripe_tax": (24 * HOUR, "Idempotency-Key"),
}
"""For how long vendors remember an idempotency key, and the header that carries it."""


@pytest.mark.parametrize("vendor", sorted(vendor_names()))
def test_idempotency_key_is_remembered_for_a_time(vendor: str) -> None:
    """A vendor remembers idempotency keys for the time on its page; most replay the response."""
    keys = vendor_class(vendor).idempotency
    repeat = RepeatedKey.CONFLICT if vendor == "gocardless_payments" else RepeatedKey.REPLAYED

    assert KEYS.get(vendor) == (None if keys is None else (keys.memory, keys.header))
    assert keys is None or repeat is keys.repeat


@pytest.mark.parametrize(
    "vendor", sorted(name for name in vendor_names() if "payments" in vendor_class(name).kinds)
)
def test_payment_is_in_the_vendors_list_after_a_time(vendor: str) -> None:
    """A payment is listed within an hour, at PayPal within three, at Authorize.Net within a day."""
    times = {"authorize_net": 24 * HOUR, "paypal": 3 * HOUR}
    payments: Any = vendor_class(vendor)

    assert times.get(vendor, HOUR) == payments.listed_within
    assert (vendor not in {"authorize_net", "paystack"}) is payments.states_refunds


@pytest.mark.parametrize(
    "vendor, piece_size", [("fsspec", 4 * 1024 * 1024), ("local_files", 1024 * 1024)]
)
def test_files_are_read_in_pieces(vendor: str, piece_size: int) -> None:
    """A file of a server is read in larger pieces than one of this machine."""
    kind: Any = vendor_class(vendor)

    assert piece_size == kind.piece_size


@pytest.mark.parametrize(
    "vendor, timeout, attempt_timeout",
    [
        *((vendor, 120.0, 110.0) for vendor in ("anthropic", "mistral", "openai")),
        *((vendor, 120.0, 60.0) for vendor in ("azure_blob", "gcs", "s3")),
        ("fsspec", 600.0, 300.0),
        ("local_files", 600.0, None),
    ],
)
def test_files_and_models_have_more_time_than_other_requests(
    vendor: str, timeout: float, attempt_timeout: float | None, tmp_path: Path
) -> None:
    """A large file or a long text may take minutes, so their services have longer timeouts."""
    kind: Any = vendor_class(vendor)
    fixture = fixture_of(vendor, tmp_path)
    fields = {field.name for field in attrs.fields(kind)}
    options = {name: value for name, value in fixture.options.items() if name in fields}
    service = kind(**options).services()[""]
    fixture.close()

    assert (timeout, attempt_timeout) == (service.timeout, service.attempt_timeout)
