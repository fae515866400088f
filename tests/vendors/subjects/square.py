"""Prepares Square and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import Customer, DeclineReason, StoreRequest
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments.square import SquareSandbox
from moorage.vendors.payments.square import Square

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def refusal(status: int, category: str, code: str, detail: str = "No.") -> Response:
    """Return an error response of Square."""
    return reply({"errors": [{"category": category, "code": code, "detail": detail}]}, status)


def square() -> PaymentsSubject:
    """Return a Square test subject with a new sandbox."""
    sandbox = SquareSandbox()
    wrong_request = "INVALID_REQUEST_ERROR"
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (refusal(429, "RATE_LIMIT_ERROR", "RATE_LIMITED"), RateLimitExceeded),
        (refusal(401, "AUTHENTICATION_ERROR", "ACCESS_TOKEN_EXPIRED"), AuthenticationFailed),
        (refusal(403, "AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES"), AuthenticationFailed),
        (refusal(400, wrong_request, "MISSING_REQUIRED_PARAMETER"), InvalidRequest),
        (refusal(404, wrong_request, "NOT_FOUND"), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Square(credentials=sandbox.access_token),
        sandbox=sandbox,
        charged=lambda: sum(payment["status"] != "FAILED" for payment in sandbox.payments.values()),
        pays="cnon:card-nonce-ok",
        declined="cnon:card-nonce-declined",
        decline_reason=DeclineReason.DO_NOT_HONOR,
        expired="cnon:sandbox-CARD_EXPIRED",
        refusals=refusals,
        written=lambda request: int(request.json()["amount_money"]["amount"]),
        pending="PENDING",
        pending_refund="PENDING",
        option=({"team_member_id": "TM1"}, b'"team_member_id":"TM1"'),
        secret=sandbox.access_token,
        webhook_secret=sandbox.signature_key,
        happen=sandbox.settle,
        longest_key=45,
        key_of=lambda request: request.json().get("idempotency_key") if request.body else None,
        keyless=("/complete", "/cancel", "/accept", "/submit-evidence"),
        stores=StoreRequest("cnon:card-nonce-ok", customer=Customer(id="CUSTOMER0SANDBOX")),
        pay_out=sandbox.pay_out_payments,
        dispute=sandbox.dispute,
    )
