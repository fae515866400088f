"""Prepares Paystack and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import Customer, DeclineReason
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.payments._paystack_rules import CHALLENGED, error
from moorage.testing.sandboxes.payments.paystack import ADA, PaystackSandbox
from moorage.vendors.payments.paystack import Paystack

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

CURRENCIES = frozenset({"EUR", "GHS", "KES", "NGN", "USD", "XOF", "ZAR"})


def _key_of(request: SandboxRequest) -> str | None:
    """Return a request's identifier: the reference of a charge, or the note of a refund."""
    if request.method == "GET":
        return None
    body = request.json()
    key: str | None = body.get("reference") or body.get("merchant_note")
    return key


def paystack() -> PaymentsSubject:
    """Return a Paystack test subject with a new sandbox, whose account accepts euros too."""
    sandbox = PaystackSandbox(currencies=CURRENCIES)
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (error(429, "Rate limit exceeded!", "rate_limited"), RateLimitExceeded),
        (error(401, "Invalid key"), AuthenticationFailed),
        (error(403, "Access denied"), AuthenticationFailed),
        (error(400, "Currency not supported by merchant"), InvalidRequest),
        (error(404, "Not found"), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Paystack(credentials=sandbox.secret_key),
        sandbox=sandbox,
        charged=lambda: sum(
            item["status"] in {"success", "reversed"} for item in sandbox.transactions.values()
        ),
        pays="AUTH_sandbox",
        declined="AUTH_insufficient",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired="AUTH_expired",
        asks=CHALLENGED,
        refusals=refusals,
        written=lambda request: int(request.json()["amount"]),
        pending="pending",
        pending_refund="pending",
        option=({"queue": True}, b'"queue":true'),
        secret=sandbox.secret_key,
        webhook_secret=sandbox.secret_key,
        happen=sandbox.settle,
        key_of=_key_of,
        keyless=("/transaction/initialize",),
        dispute=sandbox.dispute,
        currencies=CURRENCIES,
        buyer=Customer(email=ADA),
    )
