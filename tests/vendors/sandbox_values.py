"""Writes the tables of test values on the vendors' pages, by using each value in its sandbox.

`python -m tests.vendors.sandbox_values` writes the tables anew.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.payments import Charge, Customer, Money
from moorage.contracts.sms import SmsMessage
from moorage.errors import ConnectorError, PaymentDeclined
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.payments.checkout_com import token
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.testing.sandboxes.fixture import SandboxFixture

PAGES: Final = Path(__file__).parents[2] / "docs" / "vendors"
TITLE: Final = "## Test values\n"

_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "adyen": (
        *("APPROVED", "DECLINED", "NOT_ENOUGH_BALANCE", "CARD_EXPIRED", "CVC_DECLINED", "FRAUD"),
        *("BLOCK_CARD", "PENDING", "CHALLENGE"),
    ),
    "authorize_net": (
        *("nonce-ok", "nonce-held", "nonce-code-2", "nonce-code-8", "nonce-code-27"),
        *("nonce-code-44", "8000001/9000001"),
    ),
    "braintree": (
        *("fake-valid-nonce", "fake-processor-declined-2000-nonce"),
        *("fake-processor-declined-2001-nonce", "fake-processor-declined-2004-nonce"),
        "fake-gateway-rejected-FRAUD-nonce",
    ),
    "checkout_com": (
        *("token()", 'token("20005")', 'token("20051")', 'token("20054")', 'token("20059")'),
        'token("3ds")',
    ),
    "gocardless_payments": ("MD_SANDBOX", "MD_CANCELLED"),
    "mollie": (
        *("tkn_visa", "tkn_card_declined", "tkn_insufficient_funds", "tkn_card_expired"),
        *("tkn_invalid_cvv", "tkn_possible_fraud", "tkn_3dsecure"),
    ),
    "paypal": (
        *("card:visa-1", "paypal:wallet-1", "card:declined-5120", "card:declined-5400"),
        *("paypal:refused-1", "card:confirms-1", "card:pending-1"),
    ),
    "mercado_pago": (
        *("visa:card-approved", "visa:card-funds", "visa:card-cvc", "visa:card-other"),
        "visa:card-review",
    ),
    "paystack": (
        *("AUTH_sandbox", "AUTH_declined", "AUTH_insufficient", "AUTH_expired"),
        "AUTH_challenged",
    ),
    "razorpay": (
        *("token_sandbox", "token_payment_failed", "token_insufficient_funds"),
        "token_card_expired",
    ),
    "square": (
        *("cnon:card-nonce-ok", "cnon:card-nonce-declined", "cnon:card-nonce-rejected-cvv"),
        *("cnon:card-nonce-rejected-expiration", "cnon:card-nonce-rejected-postalcode"),
        *("cnon:gift-card-nonce-insufficient-funds", "cnon:sandbox-CARD_EXPIRED"),
        *("ccof:customer-card-id-ok", "ccof:customer-card-id-declined"),
        *("ccof:customer-card-id-requires-verification", "bnon:bank-nonce-ok"),
    ),
    "stripe": (
        *("pm_card_visa", "pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"),
        *("pm_card_chargeDeclinedExpiredCard", "pm_card_chargeDeclinedIncorrectCvc"),
        *("pm_card_chargeDeclinedLostCard", "pm_card_chargeDeclinedStolenCard"),
        *("pm_card_chargeDeclinedFraudulent", "pm_card_chargeDeclinedProcessingError"),
        *("pm_card_chargeDeclinedVelocityLimitExceeded", "pm_card_authenticationRequired"),
        *("pm_card_threeDSecure2Required", "pm_usBankAccount_success"),
    ),
}
"""The sources of charges, by vendor."""

_NUMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "amazon_sns": ("+15005550004", "+15005550008", "+15005550009"),
    "bird": ("+15005550001", "+15005550002", "+15005550008"),
    "infobip": ("+15005550001", "+15005550002", "+15005550008"),
    "messagemedia": ("+15005550001", "+15005550008"),
    "plivo": ("+15005550001", "+15005550003", "+15005550008"),
    "sinch": ("+15005550001", "+15005550003", "+15005550008"),
    "telnyx": ("+15005550001", "+15005550004", "+15005550008"),
    "twilio": ("+15005550001", "+15005550002", "+15005550003", "+15005550004", "+15005550009"),
    "vonage": ("+447700900001", "+447700900005", "+447700900006"),
}
"""The recipients of text messages, by vendor; all others get their messages."""

VENDORS: Final = (*_SOURCES, *_NUMBERS)

_NOTES: Final = {
    "adyen": "These values are stored payment methods, so pass the `customer` of the charge too.",
    "checkout_com": "`token` is in `moorage.testing.sandboxes.payments.checkout_com`.",
    "paystack": "These values are authorizations of the buyer `ada@erp.example`.",
    "razorpay": "These values are tokens of the customer `cust_ada`.",
    "square": "A card on file (`ccof:…`) belongs to the customer `CUSTOMER0SANDBOX`.",
}


def table(vendor: str) -> str:
    """Return the table for a vendor's page: each test value of its sandbox, and its result."""
    is_payment = vendor in _SOURCES
    column = "`source` of a charge" if is_payment else "`to` of a message"
    introduction = (
        "This table lists test values, with their results in moorage's sandbox of this vendor."
    )
    text = fill(f"{introduction} {_NOTES.get(vendor, '')}", 100)
    lines = [TITLE, f"{text}\n", f"| {column} | result |", "| --- | --- |"]
    values = _SOURCES[vendor] if is_payment else _NUMBERS[vendor]
    lines += [f"| `{value}` | {_result(vendor, value)} |" for value in values]
    return "\n".join([*lines, "", ""])


def section(vendor: str) -> str:
    """Return the section on test values of a vendor's page; empty if there is none."""
    match = _SECTION.search((PAGES / f"{vendor}.md").read_text("utf-8"))
    return "" if match is None else match[0]


_SECTION: Final = re.compile(rf"^{TITLE}.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def _result(vendor: str, value: str) -> str:
    """Use a test value in a new sandbox, and return the outcome as Markdown text."""
    kind = "payments" if vendor in _SOURCES else "sms"
    module: Any = import_module(f"moorage.testing.sandboxes.{kind}.{vendor}")
    fixture: SandboxFixture = module.fixture(Path())
    account = fixture.account(vendor_class(vendor))
    settings = {**account.settings, "retry": None, "circuit": None, "volatile_keys": True}
    http = SandboxHttpClient(fixture.sandbox)  # type: ignore[arg-type]  # these vendors have one
    with Hub([attrs.evolve(account, settings=settings)], http=http) as hub:
        try:
            return f"`{_use(hub, fixture, value)}`"
        except PaymentDeclined as error:
            return f"`PaymentDeclined`, reason `{error.reason}`"
        except ConnectorError as error:
            code = getattr(error, "vendor_code", None)
            return f"`{type(error).__name__}`" + ("" if code is None else f", code `{code}`")


def _use(hub: Hub, fixture: SandboxFixture, value: str) -> str:
    """Charge a test source or text a test number; return the payment's or message's state."""
    if value.startswith("+"):
        message = SmsMessage(to=value, text="Your parcel is on its way.")
        return hub.sms().send(message, idempotency_key="INV-1/1").status
    made_token = re.fullmatch(r'token\((?:"(\w+)")?\)', value)
    if made_token is not None:
        value = token(*filter(None, made_token.groups()))
    currency = "INR" if value.startswith("token_") else "EUR"
    buyer = fixture.vendor_values.get("buyer") or Customer(id="ada-1")
    charge = Charge(Money("20.00", currency), value, reference="INV-1", customer=buyer)
    return hub.payments().charge(charge, idempotency_key="INV-1/1").state


def main() -> None:
    """Write the tables of all vendors into their pages."""
    for vendor in VENDORS:
        path = PAGES / f"{vendor}.md"
        text, new_section = path.read_text("utf-8"), table(vendor)
        if section(vendor):
            text = _SECTION.sub(lambda _: new_section, text)  # noqa: B023 - used at once
        else:
            position = re.search(
                r"^## (?:Webhooks|Open questions|Other fields)", text, re.MULTILINE
            )
            start = len(text) if position is None else position.start()
            text = text[:start] + new_section + text[start:]
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
