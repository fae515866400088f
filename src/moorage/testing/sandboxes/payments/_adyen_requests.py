"""The validation of requests in Adyen's sandbox: fields, errors and magic values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

_TEXTS: Final = """
    channel checkoutAttemptId countryCode dateOfBirth deliverAt deliveryDate deviceFingerprint
    entityType industryUsage mcc merchantAccount merchantOrderReference orderReference origin
    recurringExpiry recurringFrequency recurringProcessingModel redirectFromIssuerMethod
    redirectToIssuerMethod reference returnUrl sessionValidity shopperConversionId shopperEmail
    shopperIP shopperInteraction shopperLocale shopperReference shopperStatement
    socialSecurityNumber store telephoneNumber
"""
_TABLES: Final = """
    accountInfo additionalAmount additionalData amount applicationInfo authenticationData
    bankAccount billingAddress browserInfo company dccQuote deliveryAddress enhancedSchemeData
    fundOrigin fundRecipient installments localizedShopperStatement mandate merchantRiskIndicator
    metadata mpiData order paymentMethod paymentValidations platformChargebackLogic riskData
    shopperName shopperTaxInfo surcharge threeDS2RequestData
"""
_FLAGS: Final = """
    enableOneClick enablePayOut enableRecurring storePaymentMethod threeDSAuthenticationOnly
    trustedShopper
"""

PAYMENT: Final[dict[str, type]] = {
    **dict.fromkeys(_TEXTS.split(), str),
    **dict.fromkeys(_TABLES.split(), dict),
    **dict.fromkeys(_FLAGS.split(), bool),
    **typed(int, "captureDelayHours fraudOffset"),
    **typed(list, "lineItems splits subMerchants"),
}
"""The fields of a payment, each with its description."""

DETAILS: Final[dict[str, type]] = {
    "authenticationData": dict,
    "details": dict,
    "paymentData": str,
    "threeDSAuthenticationOnly": bool,
}
_MODIFICATION: Final[dict[str, type]] = {
    "applicationInfo": dict,
    "merchantAccount": str,
    "reference": str,
}
CANCEL: Final[dict[str, type]] = {**_MODIFICATION, "paymentReference": str}
_MORE_FIELDS: Final[dict[str, type]] = {
    **_MODIFICATION,
    "amount": dict,
    "enhancedSchemeData": dict,
    "lineItems": list,
    "splits": list,
}
MODIFICATIONS: Final[dict[str, dict[str, type]]] = {
    "captures": {**_MORE_FIELDS, "platformChargebackLogic": dict, "subMerchants": list},
    "cancels": _MODIFICATION,
    "refunds": {
        **_MORE_FIELDS,
        **typed(str, "capturePspReference merchantRefundReason store"),
    },
    "reversals": _MODIFICATION,
}
ACCEPT_DISPUTE: Final[dict[str, type]] = {"disputePspReference": str, "merchantAccountCode": str}
STORE: Final[dict[str, type]] = {
    **typed(str, "merchantAccount recurringProcessingModel shopperEmail"),
    **typed(str, "shopperIP shopperReference"),
    "paymentMethod": dict,
}
LINK: Final[dict[str, type]] = {
    **typed(str, "description expiresAt merchantAccount reference"),
    **typed(str, "returnUrl shopperReference shopperStatement themeId"),
    **typed(dict, "amount billingAddress deliveryAddress"),
    "lineItems": list,
    "manualCapture": bool,
    "metadata": dict,
    "reusable": bool,
}
CLOSE_LINK: Final[dict[str, type]] = {"status": str}
REFUND_REASONS: Final = frozenset({"FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"})
ADDRESS: Final = ("city", "country", "houseNumberOrName", "postalCode", "street")

REDIRECTED: Final = frozenset({"ideal", "klarna", "paypal", "bcmc_mobile", "trustly", "twint"})
"""Methods whose buyer is sent elsewhere."""

CHALLENGED: Final = "4212345678901237"
CHALLENGE: Final = "CHALLENGE"
"""The card, and the stored method, whose holder has to prove who they are."""
_REQUIRED: Final = {
    "reference": (422, "130", "Reference Missing"),
    "paymentMethod": (400, "702", "Required field 'paymentMethod' is not provided."),
    "returnUrl": (422, "14_030", "Return URL is missing."),
}

_OUTCOMES: Final = """
    0 Error UNKNOWN Unknown
    2 Refused DECLINED Refused
    3 Refused REFERRAL Referral
    4 Error ERROR Acquirer Error
    5 Refused BLOCK_CARD Blocked Card
    6 Refused CARD_EXPIRED Expired Card
    7 Refused INVALID_AMOUNT Invalid Amount
    8 Refused INVALID_CARD_NUMBER Invalid Card Number
    9 Refused ISSUER_UNAVAILABLE Issuer Unavailable
    10 Refused NOT_SUPPORTED Not supported
    11 Refused NOT_3D_AUTHENTICATED 3D Not Authenticated
    12 Refused NOT_ENOUGH_BALANCE Not enough balance
    14 Refused ACQUIRER_FRAUD Acquirer Fraud
    15 Refused CANCELLED Cancelled
    16 Refused SHOPPER_CANCELLED Shopper Cancelled
    17 Refused INVALID_PIN Invalid Pin
    18 Refused PIN_TRIES_EXCEEDED Pin tries exceeded
    19 Refused PIN_VALIDATION_NOT_POSSIBLE Pin validation not possible
    20 Refused FRAUD FRAUD
    21 Refused NOT_SUBMITTED Not Submitted
    22 Cancelled FRAUD_CANCELLED FRAUD-CANCELLED
    23 Refused TRANSACTION_NOT_PERMITTED Transaction Not Permitted
    24 Refused CVC_DECLINED CVC Declined
    25 Refused RESTRICTED_CARD Restricted Card
    26 Refused REVOCATION_OF_AUTH Revocation Of Auth
    27 Refused DECLINED_NON_GENERIC Declined Non Generic
    28 Refused WITHDRAWAL_AMOUNT_EXCEEDED Withdrawal amount exceeded
    29 Refused WITHDRAWAL_COUNT_EXCEEDED Withdrawal count exceeded
    31 Refused ISSUER_SUSPECTED_FRAUD Issuer Suspected Fraud
    32 Refused AVS_DECLINED AVS Declined
    38 Refused AUTHENTICATION_REQUIRED Authentication required
    46 Refused ERPS_BLOCK Transaction blocked by Adyen to prevent excessive retry fees
"""
OUTCOMES: Final[dict[str, dict[str, str]]] = {}
"""By a magic word or its number: the result that it asks for."""
for _line in _OUTCOMES.strip().splitlines():
    _code, _result, _word, _reason = _line.split(maxsplit=3)
    OUTCOMES[_word] = OUTCOMES[_code] = {
        "resultCode": _result,
        "refusalReason": _reason,
        "refusalReasonCode": _code,
    }
APPROVED: Final = {"resultCode": "Authorised"}
OUTCOMES["APPROVED"] = OUTCOMES["1"] = APPROVED
OUTCOMES["PENDING"] = OUTCOMES["13"] = {"resultCode": "Received"}


ALREADY: Final = "request already processed or in progress"


def error(
    status: int, code: str, message: str, kind: str = "validation", **headers: str
) -> Refusal:
    """Return an error in Adyen's format."""
    body = {"status": status, "errorCode": code, "message": message, "errorType": kind}
    return Refusal(reply(body, status, **headers))


def body_of(request: SandboxRequest) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    kind = (request.headers.get("content-type") or "").partition(";")[0]
    try:
        body = json.loads(request.body) if kind == "application/json" else None
    except ValueError:
        body = None
    if is_object(body):
        return body
    raise error(400, "702", "The submitted JSON could not be parsed")


def check(body: dict[str, Any], types: dict[str, type], kind: str) -> None:
    """Refuse unknown fields and fields of a wrong type, in Adyen's format."""
    unknown_fields = sorted(set(body) - set(types))
    if unknown_fields:
        fields = ", ".join(unknown_fields)
        raise error(
            400, "702", f"Structure of {kind} contains the following unknown fields: [{fields}]"
        )
    for name, value in body.items():
        if type(value) is not types[name]:
            raise error(400, "702", f"Unexpected input in {name}")


def amount_of(body: dict[str, Any]) -> tuple[int, str]:
    """Return the requested amount in minor units."""
    amount = body.get("amount", {})
    value, currency = amount.get("value"), amount.get("currency")
    if value is None:
        raise error(422, "100", "No amount specified")
    if type(value) is not int or value < 0:
        raise error(422, "137", "Invalid amount specified")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isupper()):
        raise error(422, "138", "Unsupported currency specified")
    return value, currency


def check_payment(body: dict[str, Any]) -> None:
    """Refuse a payment without a required field, or with invalid metadata or addresses."""
    for name, refusal in _REQUIRED.items():
        if not body.get(name):
            raise error(*refusal)
    for name in ("metadata", "additionalData"):
        if not all(isinstance(value, str) for value in body.get(name, {}).values()):
            raise error(400, "702", f"Unexpected input in {name}")
    metadata = body.get("metadata", {})
    if len(metadata) > 20 or any(len(k) > 20 or len(v) > 80 for k, v in metadata.items()):
        raise error(422, "177", "Metadata size exceeds limit")
    check_order(body)
    _check_stored(body)


def check_order(body: dict[str, Any]) -> None:
    """Refuse incomplete addresses, and lines that do not add up to the amount."""
    for name in ("billingAddress", "deliveryAddress"):
        missing_parts = [part for part in ADDRESS if name in body and not body[name].get(part)]
        if missing_parts:
            raise error(422, "702", f"{name} has no {', '.join(missing_parts)}")
    lines = body.get("lineItems", [])
    total = sum(line["quantity"] * line["amountIncludingTax"] for line in lines)
    if lines and total != body["amount"]["value"]:
        raise error(422, "702", "lineItems do not add up to the amount")


def _check_stored(body: dict[str, Any]) -> None:
    stored_method_id = body["paymentMethod"].get("storedPaymentMethodId")
    if stored_method_id is not None and len(body.get("shopperReference", "")) < 3:
        raise error(422, "702", "Required field 'shopperReference' is missing.")


def is_challenged(method: dict[str, Any]) -> bool:
    """Return whether a card's holder must confirm the payment."""
    card_number = method.get("number") or method.get("encryptedCardNumber") or ""
    number = str(card_number).removeprefix("test_")
    return number == CHALLENGED or method.get("storedPaymentMethodId") == CHALLENGE


def outcome_of(body: dict[str, Any]) -> dict[str, str]:
    """Return the outcome selected by the magic values in a payment."""
    method = body["paymentMethod"]
    keywords = (
        body.get("additionalData", {}).get("RequestedTestAcquirerResponseCode"),
        method.get("holderName"),
        method.get("storedPaymentMethodId"),
    )
    outcome = next((OUTCOMES[word] for word in keywords if word in OUTCOMES), None)
    return outcome or APPROVED
