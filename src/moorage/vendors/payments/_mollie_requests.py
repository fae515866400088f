"""The request bodies for payments and refunds at Mollie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._mollie_answers import amount_body
from moorage.vendors.payments._mollie_order import order_fields

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge, Customer, RefundReason
    from moorage.vendors.payments.mollie import Mollie

_MAX_LENGTH: Final = 255


def payment_body(vendor: Mollie, charge: Charge, **fields: Any) -> dict[str, Any]:
    """The body that creates a payment; the caller's extra options override its fields."""
    body: dict[str, Any] = {
        "amount": amount_body(charge.amount),
        "description": (charge.description or charge.reference)[:_MAX_LENGTH],
        "redirectUrl": charge.return_url or vendor.return_url,
        "webhookUrl": vendor.notification_url,
        # The reference by which the payment and its events are found.
        "metadata": {**charge.metadata, "reference": charge.reference},
        **_means_fields(charge),
        **sdk.merged(_buyer(charge.customer), order_fields(charge)),
        **fields,
    }
    body = {name: value for name, value in body.items() if value is not None}
    body = sdk.merged(body, sdk.extra_for("mollie", charge.extra))
    if "redirectUrl" not in body and body.get("sequenceType") != "recurring":
        raise sdk.InvalidData(
            "Mollie requires a URL to which the buyer returns.",
            field="return_url",
            remedy="Set the charge's or the account's `return_url`.",
        )
    return body


def _means_fields(charge: Charge) -> dict[str, Any]:
    """The fields that choose the payment method, and store it for later payments."""
    means: dict[str, Any] = {}
    source = charge.source
    if source is not None and source.startswith("tkn_"):
        means = {"method": "creditcard", "cardToken": source}
    elif source is not None and source.startswith("mdt_"):
        means = {"mandateId": source}
    elif source is not None:
        means = {"method": source}
    if charge.off_session or charge.store_method:
        if charge.customer is None or charge.customer.id is None:
            raise sdk.InvalidData(
                "Mollie stores means of payment for customers only, but the charge names no"
                " customer.",
                field="customer.id",
                remedy="Pass the customer with Mollie's id, such as cst_8wmqcHMN4U.",
            )
        means["sequenceType"] = "recurring" if charge.off_session else "first"
    return means


def _buyer(customer: Customer | None) -> dict[str, Any]:
    if customer is None:
        return {}
    buyer: dict[str, Any] = {"customerId": customer.id}
    if customer.email is not None:
        # Mollie accepts an address only with an email address or a complete postal address.
        contact_fields = {
            "email": customer.email,
            "phone": customer.phone,
            "country": None if customer.country is None else customer.country.upper(),
        }
        buyer["billingAddress"] = {
            name: text for name, text in contact_fields.items() if text is not None
        }
    return buyer


def refund_body(ref: sdk.Ref, amount: sdk.Money, reason: RefundReason | None) -> dict[str, Any]:
    """The body that refunds an amount of a payment."""
    return {
        "amount": amount_body(amount),
        "description": f"Refund of {ref.id}"[:_MAX_LENGTH],
        "metadata": None if reason is None else {"reason": reason.value},
    }
