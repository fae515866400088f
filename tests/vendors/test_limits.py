"""The largest values that vendors accept, as the vendors' pages state."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from moorage.contracts import chat, email, people
from moorage.contracts.accounting import BookInvoice, BookInvoiceLine
from moorage.contracts.accounting import invoices as accounting
from moorage.contracts.shipping import ShippingCapability
from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.contracts.signatures import requests as signatures
from moorage.errors import InvalidData
from moorage.testing.sandboxes.signatures.base import PDF
from moorage.wiring.installed_vendors import vendor_class
from tests.vendors.email_hubs import mail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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


CHECKS: dict[str, Callable[[str, int, Mapping[str, int]], None]] = {
    "accounting": _check_invoice,
    "chat": _check_chat,
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


@pytest.mark.parametrize(
    "vendor, limits",
    [
        ("apns", {"message_bytes": 4_096}),
        ("firebase", {"message_bytes": 4_096, "topic_message_bytes": 2_048}),
        ("web_push", {"message_bytes": 3_993}),
        ("teams", {"message_bytes": 28 * 1024}),
    ],
)
def test_vendor_declares_the_largest_message(vendor: str, limits: Mapping[str, int]) -> None:
    """Programs can read the largest size of a message before they write one."""
    assert limits == vendor_class(vendor).limits


HOUR = 3_600.0
KEYS = {
    # These vendors publish no retention time, and moorage assumes an hour.
    **dict.fromkeys(("gocardless_payments", "quickbooks", "razorpay", "square", "usps"), HOUR),
    # Bird publishes three hours, and users of Xero report six minutes; moorage assumes less.
    **dict.fromkeys(("checkout_com", "resend", "stripe", "stripe_tax"), 24 * HOUR),
    "adyen": 7 * 24 * HOUR,
    "bird": 2 * HOUR,
    "mollie": HOUR,
    "paypal": 6 * HOUR,
    "xero": HOUR / 12,
}
"""The times for which vendors remember an idempotency key."""


@pytest.mark.parametrize("vendor, seconds", KEYS.items())
def test_idempotency_key_is_remembered_for_a_time(vendor: str, seconds: float) -> None:
    """A vendor remembers idempotency keys for the time on its page."""
    keys = vendor_class(vendor).idempotency

    assert keys is not None
    assert seconds == keys.memory
