"""The request rules of Braintree's sandbox, and its errors."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESS: Final = {
    **typed(str, "firstName lastName company addressLine1 addressLine2"),
    **typed(str, "adminArea1 adminArea2 postalCode countryCodeAlpha2"),
}
_TRANSACTION: Final[Mapping[str, Any]] = {
    **typed(str, "amount! merchantAccountId orderId purchaseOrderNumber channel customerId"),
    "customFields": [{"name!": str, "value": str}],
    "customerDetails": {"email": str, "phoneNumber": str},
    "descriptor": {"name": str, "phone": str, "url": str},
    "paymentInitiator": frozenset({"MOTO", "RECURRING", "RECURRING_FIRST", "UNSCHEDULED"}),
    "shipping": {"shippingAddress": _ADDRESS},
    "vaultPaymentMethodAfterTransacting": {
        "when!": frozenset({"ALWAYS", "ON_SUCCESSFUL_TRANSACTION"})
    },
}
INPUTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "chargePaymentMethod": {"paymentMethodId!": str, "transaction!": _TRANSACTION},
    "authorizePaymentMethod": {"paymentMethodId!": str, "transaction!": _TRANSACTION},
    "captureTransaction": {"transactionId!": str, "transaction": {"amount": str}},
    "reverseTransaction": {"transactionId!": str},
    "refundTransaction": {
        "transactionId!": str,
        "refund": {"amount": str, "orderId": str, "description": str},
    },
    "deletePaymentMethodFromVault": {"paymentMethodId!": str},
}
"""The input fields of each mutation."""

_AMOUNT: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{2})?")
_MAGIC: Final = re.compile(r"fake-(?:processor-declined|gateway-rejected)-([0-9A-Z_]+)-nonce")
_NONCES: Final = frozenset({"fake-valid-nonce", "fake-valid-visa-nonce"})
VAULTED: Final = "paymentmethod_vaulted"
"""The id of a payment method in the vault that can be charged."""


def errors(
    name: str | None, message: str, class_: str, code: str | None = None, status: int = 200
) -> Refusal:
    """Return Braintree's response with an error."""
    details = {"errorType": "developer_error", "errorClass": class_}
    details |= {} if code is None else {"legacyCode": code}
    error = {"message": message, "extensions": details}
    data = {} if name is None else {"data": {name: None}}
    request_id = {"requestId": "a-request-of-the-sandbox"}
    return Refusal(reply({**data, "errors": [error], "extensions": request_id}, status))


def invalid(name: str, message: str, code: str | None = None) -> Refusal:
    """Return Braintree's error for input that is invalid in itself or in the current state."""
    return errors(name, message, "VALIDATION", code)


def checked_input(name: str, fields: Any) -> dict[str, Any]:
    """Return the input of a mutation, after checking its fields."""
    wrong_fields = [
        f"{path}/{field} is {kind}" for path, field, kind in problems(INPUTS[name], fields)
    ]
    if wrong_fields:
        raise errors(name, f"Variable 'input' is invalid: {wrong_fields[0]}", "VALIDATION")
    result: dict[str, Any] = fields
    return result


def amount_of(name: str, text: str, most: Decimal | None = None, code: str = "91521") -> Decimal:
    """Return an amount above zero with zero or two decimals, up to a maximum."""
    if _AMOUNT.fullmatch(text) is None or Decimal(text) <= 0:
        raise invalid(name, "Amount is an invalid format.", "81503")
    amount = Decimal(text)
    if most is not None and amount > most:
        raise invalid(name, "Amount is too large.", code)
    return amount


def decline_code(name: str, source: str) -> str | None:
    """Return the code with which a payment method is declined; None if it succeeds."""
    match = _MAGIC.fullmatch(source)
    if match is not None:
        return match[1]
    if source in _NONCES or source.startswith(VAULTED):
        return None
    raise invalid(name, "Unknown or expired single-use payment method.", "91565")
