"""Prepares GoCardless and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import Customer
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.payments._gocardless_payments_rules import (
    error,
    invalid_field,
    missing_object,
)
from moorage.testing.sandboxes.payments.gocardless_payments import GoCardlessPaymentsSandbox
from moorage.vendors.payments.gocardless_payments import GoCardlessPayments

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

_NEVER_TAKEN = frozenset({"cancelled", "failed"})


def gocardless_payments() -> PaymentsSubject:
    """Return a GoCardless test subject with a new sandbox."""
    sandbox = GoCardlessPaymentsSandbox()
    usage = "invalid_api_usage"
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (error(429, usage, "rate_limit_exceeded"), RateLimitExceeded),
        (error(401, usage, "unauthorized"), AuthenticationFailed),
        (error(403, usage, "insufficient_permissions"), AuthenticationFailed),
        (invalid_field("amount").response, InvalidRequest),
        (missing_object().response, VendorRejected),
    )
    return PaymentsSubject(
        vendor=GoCardlessPayments(
            credentials=sandbox.access_token, base_url="https://api-sandbox.gocardless.com"
        ),
        sandbox=sandbox,
        charged=lambda: sum(
            payment["status"] not in _NEVER_TAKEN for payment in sandbox.payments.values()
        ),
        pays="MD_SANDBOX",
        declined="MD_CANCELLED",
        refusals=refusals,
        written=lambda request: int(request.json()["payments"]["amount"]),
        pending="submitted",
        pending_refund="created",
        option=({"charge_date": "2034-05-19"}, b'"charge_date":"2034-05-19"'),
        secret=sandbox.access_token,
        webhook_secret=sandbox.webhook_secret,
        happen=sandbox.settle,
        longest_key=128,
        currencies=frozenset({"EUR"}),
        subscriber=("MD_SANDBOX", Customer(id="CU_ADA")),
        renew=lambda id, success: sandbox.renew(id, success=success),
    )
