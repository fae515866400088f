"""The bodies of requests to GoCardless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.vendors.payments._gocardless_payments_answers import UNITS

if TYPE_CHECKING:
    from moorage.contracts.payments import Charge

MOST_TEXTS: Final = 3
NAME: Final = "gocardless_payments"
_CURRENCIES: Final = frozenset({"AUD", "CAD", "DKK", "EUR", "GBP", "NZD", "SEK", "USD"})


def payment_fields(charge: Charge) -> dict[str, Any]:
    """The fields that create a payment; the caller's extra options override them."""
    fields: dict[str, Any] = {
        **amount_fields(charge.amount),
        "description": charge.description,
        "reference": charge.statement_descriptor,
        "metadata": _metadata(charge),
        "links": {"mandate": charge.source},
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    return sdk.merged(fields, sdk.extra_for(NAME, charge.extra))


def request_fields(charge: Charge) -> dict[str, Any]:
    """The fields that create a billing request; the caller's extra options override them."""
    customer = None if charge.customer is None else charge.customer.id
    fields: dict[str, Any] = {
        "payment_request": {
            **amount_fields(charge.amount),
            "description": charge.description or charge.reference,
            "metadata": _metadata(charge),
        }
    }
    if charge.store_method:
        fields["mandate_request"] = {"currency": charge.amount.currency}
    if customer is not None:
        fields["links"] = {"customer": customer}
    return sdk.merged(fields, sdk.extra_for(NAME, charge.extra))


def flow_fields(charge: Charge, return_url: str | None, ref: sdk.Ref) -> dict[str, Any]:
    """The fields that create the page of a billing request."""
    customer = charge.customer
    fields: dict[str, Any] = {
        "redirect_uri": return_url,
        "exit_uri": return_url,
        "links": {"billing_request": ref.id},
    }
    if customer is not None and customer.id is None:
        known_details = {"email": customer.email, "country_code": charge.country}
        fields["prefilled_customer"] = {
            name: text for name, text in known_details.items() if text is not None
        } or None
    return {name: value for name, value in fields.items() if value is not None}


def amount_fields(amount: sdk.Money) -> dict[str, Any]:
    """An amount in GoCardless' format.

    Raises:
        InvalidData: GoCardless does not collect this currency.
    """
    if amount.currency not in _CURRENCIES:
        raise sdk.InvalidData(
            f"GoCardless does not collect {amount.currency}.",
            field="amount",
            remedy=f"Give one of: {', '.join(sorted(_CURRENCIES))}.",
        )
    return {"amount": UNITS.to_minor(amount), "currency": amount.currency}


def _metadata(charge: Charge) -> dict[str, str]:
    """The caller's texts for the payment, and the charge's reference."""
    metadata = {**charge.metadata, "reference": charge.reference}
    if len(metadata) > MOST_TEXTS or "reference" in charge.metadata:
        raise sdk.InvalidData(
            f"GoCardless stores at most {MOST_TEXTS} metadata entries with a payment, and"
            " moorage uses one of them for the reference.",
            field="metadata",
            remedy=f"Pass at most {MOST_TEXTS - 1} metadata entries, and do not name any of"
            ' them "reference".',
        )
    return metadata
