"""The request bodies for payments at Adyen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Charge, Customer, RefundReason, ThreeDs, stated_amount
from moorage.contracts.payments.requests import looks_like_a_card
from moorage.vendor_sdk import InvalidData, Money, Ref, extra_for, is_object, merged, word_set
from moorage.vendors.payments._adyen_answers import UNITS
from moorage.vendors.payments._adyen_order import order_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendors.payments.adyen import Adyen

_MAX_LENGTH: Final = 80
_REASONS: Final = {
    RefundReason.REQUESTED_BY_CUSTOMER: "CUSTOMER REQUEST",
    RefundReason.DUPLICATE: "DUPLICATE",
    RefundReason.FRAUD: "FRAUD",
    RefundReason.OTHER: "OTHER",
}
_DETAILS: Final = word_set(
    "MD PaReq PaRes authorization_token billingToken cupsecureplus.smscode facilitatorAccessToken"
    " oneTimePasscode orderID payerID payload paymentID paymentStatus redirectResult resultCode"
    " returnUrlQueryString threeDSResult threeds2.challengeResult threeds2.fingerprint vaultToken"
)


def amount_body(amount: Money) -> dict[str, Any]:
    """An amount in Adyen's format."""
    return {"currency": amount.currency, "value": UNITS.to_minor(amount)}


def move_body(vendor: Adyen, amount: Money | None, reason: RefundReason | None) -> dict[str, Any]:
    """The body of a capture, cancellation or refund request."""
    body: dict[str, Any] = {"merchantAccount": vendor.merchant_account}
    if amount is not None:
        body["amount"] = amount_body(amount)
    if reason is not None:
        body["merchantRefundReason"] = _REASONS[reason]
    return body


def amount_of(ref: Ref, amount: Money | None) -> Money:
    """The amount of a capture or refund; by default the payment's amount.

    Raises:
        InvalidData: the reference does not contain the amount of the payment.
    """
    requested_amount = amount or stated_amount(ref)
    if requested_amount is None:
        raise InvalidData(
            "Adyen requires an amount, but this reference does not contain one.",
            field="amount",
            remedy="Give the amount.",
        )
    return requested_amount


def check_reference(vendor: Adyen, reference: str) -> None:
    """Check the length of a reference.

    Raises:
        InvalidData: the reference is too long for Adyen.
    """
    if len(reference) > vendor.limits["reference"]:
        raise InvalidData(
            "Adyen accepts at most 80 characters for a reference.",
            field="reference",
            remedy="Give a shorter one.",
        )


def payment_body(vendor: Adyen, charge: Charge, *, taken: bool) -> dict[str, Any]:
    """The body of a payment request."""
    check_reference(vendor, charge.reference)
    body: dict[str, Any] = {
        "merchantAccount": vendor.merchant_account,
        "amount": amount_body(charge.amount),
        "reference": charge.reference,
        "returnUrl": charge.return_url or vendor.return_url,
        "shopperStatement": charge.statement_descriptor,
    }
    body |= {"captureDelayHours": 0} if taken else {"additionalData": {"manualCapture": "true"}}
    if charge.customer is not None:
        body |= _buyer(charge.customer)
    body |= order_fields(charge)
    metadata = dict(charge.metadata)
    if charge.description:
        metadata.setdefault("description", charge.description[:_MAX_LENGTH])
    if metadata:
        body["metadata"] = metadata
    if charge.source is not None:
        body |= _source(charge.source)
    if charge.off_session:
        body |= {"shopperInteraction": "ContAuth"}
        body |= {"recurringProcessingModel": "UnscheduledCardOnFile"}
    elif charge.store_method:
        body |= {"storePaymentMethod": True, "recurringProcessingModel": "CardOnFile"}
    if charge.three_ds is ThreeDs.ALWAYS:
        body["authenticationData"] = {"attemptAuthentication": "always"}
    body = {name: value for name, value in body.items() if value is not None}
    return _completed_body(merged(body, extra_for("adyen", charge.extra)))


def _buyer(customer: Customer) -> dict[str, Any]:
    name = None
    if customer.name:
        first_names, _, last_name = customer.name.rpartition(" ")
        name = {"firstName": first_names or last_name, "lastName": last_name}
    return {
        "shopperReference": customer.id,
        "shopperName": name,
        "shopperEmail": customer.email,
        "shopperIP": customer.ip,
        "telephoneNumber": customer.phone,
        "countryCode": None if customer.country is None else customer.country.upper(),
    }


def _source(source: str) -> dict[str, Any]:
    """The id of a stored method, or the JSON from Adyen's browser form."""
    if not source.lstrip().startswith("{"):
        return {
            "paymentMethod": {"type": "scheme", "storedPaymentMethodId": source},
            "shopperInteraction": "ContAuth",
            "recurringProcessingModel": "CardOnFile",
        }
    return {"paymentMethod": method_of(source)}


def method_of(source: str) -> dict[str, Any]:
    """The payment method's fields in the JSON from Adyen's browser form."""
    try:
        method: Any = json.loads(source)
    except ValueError:
        method = None
    if not is_object(method) or looks_like_a_card(str(method.get("number", ""))):
        raise InvalidData(
            "The source is not a paymentMethod from Adyen's form in the browser.",
            field="source",
            remedy="Pass its state.data.paymentMethod as JSON, or the id of a stored means of"
            " payment.",
        )
    return method


_REQUIRED: Final = {
    "returnUrl": ("return_url", "Set the charge's or the account's `return_url`."),
    "paymentMethod": (
        "source",
        "Pass the id of a stored means of payment, or the paymentMethod as JSON.",
    ),
}


def _completed_body(body: dict[str, Any]) -> dict[str, Any]:
    missing = [
        (f"Adyen requires {name}.", field, remedy)
        for name, (field, remedy) in _REQUIRED.items()
        if name not in body
    ]
    method: object = body.get("paymentMethod")
    is_stored_method = is_object(method) and "storedPaymentMethodId" in method
    if (is_stored_method or body.get("storePaymentMethod")) and "shopperReference" not in body:
        missing.append(
            (
                (
                    "A stored means of payment at Adyen belongs to a customer, but the charge"
                    " names no customer."
                ),
                "customer.id",
                "Pass the customer with the id that Adyen stores as shopperReference.",
            )
        )
    if missing:
        messages, fields, remedies = zip(*missing, strict=True)
        raise InvalidData(" ".join(messages), field=fields[0], remedy=" ".join(remedies))
    return body


def details_body(returned: Mapping[str, str]) -> dict[str, Any]:
    """The body that continues a payment, with only the parameters that Adyen knows."""
    details = {name: value for name, value in returned.items() if name in _DETAILS}
    if not details:
        raise InvalidData(
            "The buyer's return URL contains no parameter that Adyen uses.",
            field="returned",
            remedy="Pass the query parameters of the URL to which the buyer returned, such as"
            " redirectResult.",
        )
    data = returned.get("paymentData")
    return {"details": details} if data is None else {"details": details, "paymentData": data}
