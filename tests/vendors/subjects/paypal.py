"""Prepares PayPal and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage import AuthenticationFailed, InvalidRequest, Money, RateLimitExceeded, VendorRejected
from moorage.contracts.payments import DeclineReason
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.vendors.payments.paypal import PayPal

if TYPE_CHECKING:
    from moorage import ConnectorError
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest


def paypal_refusal(status: int, name: str, issue: str | None = None, field: str = "") -> Response:
    """Return an error response of PayPal."""
    details = [] if issue is None else [{"issue": issue, "description": "No.", "field": field}]
    fields = {"name": name, "message": "No.", "debug_id": "b1d1f06c7246c", "details": details}
    return reply(fields, status)


def amount_of_order(request: SandboxRequest) -> int:
    """Return the amount of an order that a request creates, in minor units."""
    amount = request.json()["purchase_units"][0]["amount"]
    return Money(amount["value"], amount["currency_code"]).minor


def paypal() -> PaymentsSubject:
    """Return a PayPal test subject with a new sandbox."""
    sandbox = PayPalSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (paypal_refusal(429, "RATE_LIMIT_REACHED"), RateLimitExceeded),
        # After a 401 the sandbox is asked for another token, and goes on.
        (paypal_refusal(403, "NOT_AUTHORIZED", "PERMISSION_DENIED"), AuthenticationFailed),
        (paypal_refusal(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH", "/x"), InvalidRequest),
        (paypal_refusal(422, "UNPROCESSABLE_ENTITY", "DUPLICATE_INVOICE_ID"), VendorRejected),
        (paypal_refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"), VendorRejected),
    )

    def open_dispute(payment: str) -> str:
        capture = sandbox.orders[payment]["purchase_units"][0]["payments"]["captures"][0]
        dispute_id: str = sandbox.dispute(capture["id"])["dispute_id"]
        return dispute_id

    return PaymentsSubject(
        vendor=PayPal(
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            sandbox=True,
            webhook_id=sandbox.webhook_id,
        ),
        sandbox=sandbox,
        charged=lambda: len(sandbox.charged_orders),
        pays="card:visa-1",
        declined="card:declined-5120",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired="card:declined-5400",
        asks="paypal",
        refusals=refusals,
        written=amount_of_order,
        pending="PENDING",
        pending_refund="PENDING",
        option=(
            {"processing_instruction": "NO_INSTRUCTION"},
            b'"processing_instruction":"NO_INSTRUCTION"',
        ),
        secret=sandbox.client_secret,
        webhook_secret=None,
        longest_key=108,
        keyless=("/void",),
        payee="grace@erp.example",
        consent=sandbox.billing.approve,
        renew=lambda id, success: sandbox.billing.renew(id, success=success),
        dispute=open_dispute,
    )
