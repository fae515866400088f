"""The request rules of Stripe's sandbox, and its magic payment methods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.money import EXPONENTS
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.requests import Response

VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?")
CREATE: Final = words(
    "amount amount_details application_fee_amount automatic_payment_methods capture_method confirm"
    " confirmation_method confirmation_token currency customer description"
    " error_on_requires_action excluded_payment_method_types expand mandate mandate_data metadata"
    " off_session on_behalf_of payment_method payment_method_configuration payment_method_data"
    " payment_method_options payment_method_types radar_options receipt_email return_url"
    " setup_future_usage shipping statement_descriptor statement_descriptor_suffix transfer_data"
    " transfer_group use_stripe_sdk"
)
CONFIRM: Final = words(
    "capture_method confirmation_token error_on_requires_action expand mandate mandate_data"
    " off_session payment_method payment_method_data payment_method_options payment_method_types"
    " radar_options receipt_email return_url setup_future_usage shipping use_stripe_sdk"
)
CAPTURE: Final = words(
    "amount_to_capture application_fee_amount expand final_capture metadata statement_descriptor"
    " statement_descriptor_suffix transfer_data"
)
CANCEL: Final = words("cancellation_reason expand")
REFUND: Final = words(
    "amount charge currency customer expand instructions_email metadata origin payment_intent"
    " reason refund_application_fee reverse_transfer"
)
LIST: Final = words("created ending_before expand limit starting_after")
SETUP: Final = words(
    "attach_to_self automatic_payment_methods confirm confirmation_token customer description"
    " expand mandate_data metadata payment_method payment_method_data payment_method_options"
    " payment_method_types return_url single_use usage"
)
LINK: Final = words(
    "after_completion allow_promotion_codes custom_text customer_creation expand inactive_message"
    " invoice_creation line_items metadata payment_intent_data payment_method_types restrictions"
)
CLOSE_LINK: Final = frozenset(("active", "expand", "inactive_message", "metadata"))
TRANSFER: Final = words(
    "amount currency description destination metadata source_type transfer_group"
)
EVIDENCE: Final = frozenset(("evidence", "expand", "metadata", "submit"))
BALANCE: Final = LIST | {"payout", "type"}
METHODS: Final = frozenset(("ending_before", "expand", "limit", "starting_after", "type"))
SHOW: Final = frozenset(("expand",))
STEPS: Final = {"isk": 100, "ugx": 100} | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10)
DECLINES: Final = {
    "chargeDeclined": ("card_declined", "generic_decline"),
    "chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
}
ASKS: Final = words("authenticationRequired threeDSecure2Required threeDSecureRequired")
PAYS: Final = words("amex createDispute mastercard pendingRefund refundFail visa")
SLOW: Final = "usBankAccount_success"


class StoredRefusal(Refusal):
    """A refusal after execution began; Stripe stores it under the idempotency key."""


def fields_of(pairs: tuple[tuple[str, str], ...], names: frozenset[str]) -> dict[str, str]:
    fields = dict(pairs)
    for name, _ in pairs:
        if name.partition("[")[0] not in names:
            text = f"Received unknown parameter: {name}"
            raise refusal(400, "invalid_request_error", text, code="parameter_unknown", param=name)
    if any(text == "" for text in fields.values()):
        text = "You passed an empty string. We assume empty values are an attempt to unset."
        raise refusal(400, "invalid_request_error", text, code="parameter_invalid_empty")
    return fields


def expanded_fields(fields: Mapping[str, str]) -> list[str]:
    return [text for name, text in fields.items() if name.startswith("expand[")]


def amount_of(fields: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = fields.get(name)
    if text is None and default is not None:
        return default
    if text is None or re.fullmatch(r"-?[0-9]{1,12}", text) is None:
        raise refusal(400, "invalid_request_error", f"Invalid integer: {text}", param=name)
    return int(text)


def check_currency(currency: str) -> None:
    """Refuse a currency that is not a code of ISO 4217 in lower case."""
    if currency.upper() not in EXPONENTS or not currency.islower():
        text = f"Invalid currency: {currency}"
        raise refusal(400, "invalid_request_error", text, param="currency")


def capture_method_of(fields: Mapping[str, str]) -> str | None:
    """Return the value of a request's field `capture_method`; None if the field is missing."""
    method = fields.get("capture_method")
    if method not in {None, "automatic", "automatic_async", "manual"}:
        text = f"Invalid capture_method: {method}"
        raise refusal(400, "invalid_request_error", text, param="capture_method")
    return method


def after_cursor(
    resources: Mapping[str, dict[str, Any]], fields: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the resources after or before the cursor of a list request, newest first."""
    names = [*resources][::-1]
    start, end = fields.get("starting_after"), fields.get("ending_before")
    if start is not None and end is not None:
        text = "You cannot use both starting_after and ending_before."
        raise refusal(400, "invalid_request_error", text)
    if start is not None:
        resource_in(resources, start)
        names = names[names.index(start) + 1 :]
    if end is not None:
        resource_in(resources, end)
        names = names[: names.index(end)]
    return {name: resources[name] for name in names}


def is_selected(resource: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Return whether the filters of a list request select a resource."""
    kind = resource["object"]
    if kind == "subscription":
        # Without a status, Stripe lists all subscriptions that are not canceled.
        usual_status = "" if resource["status"] == "canceled" else resource["status"]
        return (
            fields.get("customer") in {None, resource["customer"]}
            and fields.get("price") in {None, resource["items"]["data"][0]["price"]["id"]}
            and fields.get("status", usual_status) in {"all", resource["status"]}
        )
    return fields.get("type") in {None, resource.get("type")}


def check_lines(fields: Mapping[str, str]) -> None:
    """Refuse a payment intent whose lines do not add up to its amount."""
    total, number = 0, 0
    while (line := f"amount_details[line_items][{number}]") + "[quantity]" in fields:
        if (
            not fields.get(f"{line}[product_name]")
            or len(fields.get(f"{line}[product_code]", "")) > 12
        ):
            raise refusal(400, "invalid_request_error", "Invalid line item.", param=line)
        price, count = (amount_of(fields, f"{line}[{name}]") for name in ("unit_cost", "quantity"))
        total += price * count - amount_of(fields, f"{line}[discount_amount]", 0)
        total += amount_of(fields, f"{line}[tax][total_tax_amount]", 0)
        number += 1
    if number and total != amount_of(fields, "amount"):
        text = "The line items do not add up to the amount."
        raise refusal(400, "invalid_request_error", text, param="amount_details")


def link_items(fields: Mapping[str, str], key: str) -> Iterator[dict[str, Any]]:
    """Return a payment link's lines with totals; there must be at least one item."""
    number = 0
    while not number or f"line_items[{number}][quantity]" in fields:
        price = f"line_items[{number}][price_data]"
        amount = amount_of(fields, f"{price}[unit_amount]")
        count = amount_of(fields, f"line_items[{number}][quantity]")
        currency = fields.get(f"{price}[currency]", "")
        check_currency(currency)
        if amount < 0 or count < 1 or not fields.get(f"{price}[product_data][name]"):
            raise refusal(400, "invalid_request_error", "Invalid item.", param="line_items")
        if currency != fields.get("line_items[0][price_data][currency]"):
            text = "All line items must have the same currency."
            raise refusal(400, "invalid_request_error", text, param="line_items")
        yield {
            "id": f"li_{key}_{number}",
            "object": "item",
            "amount_subtotal": amount * count,
            "amount_total": amount * count,
            "currency": currency,
            "description": fields[f"{price}[product_data][name]"],
            "quantity": count,
        }
        number += 1


def flag_of(fields: Mapping[str, str], name: str) -> bool:
    text = fields.get(name, "false")
    if text not in {"true", "false"}:
        raise refusal(400, "invalid_request_error", f"Invalid boolean: {text}", param=name)
    return text == "true"


def means_of(fields: Mapping[str, str]) -> str | None:
    token = fields.get("payment_method_data[card][token]")
    return fields.get("payment_method") or fields.get("confirmation_token") or token


def magic(means: str) -> str:
    kind = re.sub(r"^(pm_card_|tok_|ctoken_|pm_[0-9]{8}_|pm_)(visa_)?", "", means)
    if kind in PAYS or kind in DECLINES or kind in ASKS or kind == SLOW:
        return kind
    text = f"No such PaymentMethod: '{means}'"
    raise refusal(400, "invalid_request_error", text, code="resource_missing")


def details_of(means: str) -> dict[str, Any]:
    if magic(means) == SLOW:
        return {"type": "us_bank_account", "us_bank_account": {"last4": "6789"}}
    card = {
        "brand": "amex" if magic(means) == "amex" else "visa",
        "funding": "credit",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2034,
        "wallet": None,
    }
    return {"type": "card", "card": card}


def resource_in(resources: Mapping[str, dict[str, Any]], id: str) -> dict[str, Any]:
    if id not in resources:
        text = f"No such object: '{id}'"
        raise refusal(404, "invalid_request_error", text, code="resource_missing")
    return resources[id]


def error(status: int, kind: str, text: str, **more: str) -> Response:
    return reply({"error": {"type": kind, "message": text, **more}}, status)


def refusal(status: int, kind: str, text: str, **more: str) -> Refusal:
    return Refusal(error(status, kind, text, **more))


def stored_refusal(status: int, text: str, **more: str) -> StoredRefusal:
    return StoredRefusal(error(status, "invalid_request_error", text, **more))
