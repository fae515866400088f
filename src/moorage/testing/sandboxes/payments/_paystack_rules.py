"""The request rules of Paystack's sandbox, its errors, and the forms of its objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes._fields import typed
from moorage.testing.sandboxes.base import Refusal, reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

INITIALIZE: Final[Mapping[str, type]] = {
    **typed(int, "amount invoice_limit"),
    **typed(
        str,
        "bearer callback_url currency email label plan reference split_code subaccount"
        " transaction_charge",
    ),
    **typed(dict, "metadata split"),
    "channels": list,
}
CHARGE: Final[Mapping[str, type]] = {
    "amount": int,
    **typed(
        str,
        "authorization_code bearer currency email metadata reference split_code subaccount"
        " transaction_charge",
    ),
    "split": dict,
    "queue": bool,
}
REFUND: Final[Mapping[str, type]] = {
    "amount": int,
    **typed(str, "currency customer_note merchant_note transaction"),
}
DEACTIVATE: Final[Mapping[str, type]] = {"authorization_code": str}
DECLINES: Final = {
    "AUTH_declined": "Declined",
    "AUTH_expired": "Expired card",
    "AUTH_insufficient": "Insufficient funds",
}
"""The authorizations that are declined, with the bank's words."""
CHALLENGED: Final = "AUTH_challenged"
"""The authorization for which the buyer's bank wants a confirmation."""
_REFERENCE: Final = re.compile(r"[A-Za-z0-9.=-]+")
_CHARGED: Final = (
    "amount", "authorization", "channel", "currency", "customer", "domain", "fees",
    "gateway_response", "id", "ip_address", "log", "message", "metadata", "plan", "reference",
    "status", "transaction_date",
)  # fmt: skip
_LISTED: Final = (
    "amount", "authorization", "channel", "connect", "createdAt", "created_at", "currency",
    "customer", "domain", "fees", "fees_split", "gateway_response", "id", "ip_address", "log",
    "message", "metadata", "order_id", "paidAt", "paid_at", "plan", "pos_transaction_data",
    "reference", "requested_amount", "source", "split", "status", "subaccount",
)  # fmt: skip
_DISPUTED: Final = (
    "amount", "authorization", "channel", "connect", "createdAt", "created_at", "currency",
    "customer", "domain", "fees", "fees_breakdown", "fees_split", "gateway_response", "id",
    "ip_address", "log", "message", "metadata", "order_id", "paidAt", "paid_at", "plan",
    "pos_transaction_data", "reference", "source", "split", "status", "subaccount",
)  # fmt: skip


def error(status: int, message: str, code: str | None = None) -> Response:
    """Return an error in Paystack's format, which has a code only for some errors."""
    body: dict[str, Any] = {"status": False, "message": message}
    if code is not None:
        body |= {"meta": {"nextStep": "Check the request."}, "type": "api_error", "code": code}
    return reply(body, status)


def invalid_request(message: str, code: str | None = "invalid_params") -> Refusal:
    """Return the error response to a request that is wrong, or not possible in this state."""
    return Refusal(error(400, message, code))


def missing(name: str) -> Refusal:
    """Return the error response to a look-up of an unknown object."""
    return Refusal(error(404, f"{name} not found", "not_found"))


def check_fields(body: Any, types: Mapping[str, type], *mandatory: str) -> dict[str, Any]:
    """Check that a body has these fields with the right types, and return it."""
    if not is_object(body):
        raise invalid_request("The request is not a JSON object.")
    for name in mandatory:
        if not body.get(name):
            raise invalid_request(f"{name} is required", "missing_params")
    for name, value in body.items():
        if name not in types or type(value) is not types[name]:
            raise invalid_request(f"{name} is invalid")
    if "amount" in body and body["amount"] <= 0:
        raise invalid_request("Amount must be a positive integer")
    if "email" in body and "@" not in body["email"]:
        raise invalid_request("Invalid Email Address Passed")
    if "reference" in body and _REFERENCE.fullmatch(body["reference"]) is None:
        raise invalid_request("Transaction reference contains an invalid character")
    return body


def success(message: str, data: Any = None, **rest: Any) -> Response:
    """Return a successful response in Paystack's format."""
    body: dict[str, Any] = {"status": True, "message": message}
    return reply(body | ({} if data is None else {"data": data}) | rest)


def charged(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction as the response to its charge contains it."""
    answer = {name: transaction[name] for name in _CHARGED}
    return answer | {"metadata": transaction["stored_metadata"], "plan": None}


def verified(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction as its verification contains it."""
    hidden_fields = {"stored_metadata"}
    answer = {name: value for name, value in transaction.items() if name not in hidden_fields}
    return answer | {"plan": None, "plan_object": {}}


def listed(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction as a list contains it."""
    answer = {name: transaction[name] for name in _LISTED}
    customer = dict(transaction["customer"])
    del customer["international_format_phone"]
    return answer | {"customer": customer}


def disputed(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction as its dispute contains it."""
    return {name: transaction[name] for name in _DISPUTED} | {
        "authorization": {"receiver_bank_account_number": None, "receiver_bank": None},
        "customer": {"international_format_phone": None},
        "metadata": {"custom_fields": []},
    }
