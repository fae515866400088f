"""Prepares Mollie and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.payments import Customer, DeclineReason, Money, StoreRequest
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import SandboxRequest, reply
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.vendors.payments.mollie import Mollie

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def refusal(status: int, detail: str = "No.", **more: str) -> Response:
    """Return an error response of Mollie."""
    return reply({"status": status, "title": "No", "detail": detail, **more}, status)


def amount_of_request(request: SandboxRequest) -> int:
    """Return the amount that a request asks for, in minor units."""
    amount = request.json()["amount"]
    return Money(amount["value"], amount["currency"]).minor


def mollie() -> PaymentsSubject:
    """Return a Mollie test subject with a new sandbox."""
    sandbox = MollieSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (refusal(429), RateLimitExceeded),
        (refusal(401), AuthenticationFailed),
        (refusal(403), AuthenticationFailed),
        (refusal(422, field="amount"), InvalidRequest),
        (refusal(404), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Mollie(credentials=sandbox.api_key, webhook_url=sandbox.webhook_url),
        sandbox=sandbox,
        charged=lambda: sum(
            "paidAt" in payment or "authorizedAt" in payment
            for payment in sandbox.payments.values()
        ),
        pays="tkn_visa",
        declined="tkn_insufficient_funds",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired="tkn_card_expired",
        asks="ideal",
        refusals=refusals,
        written=amount_of_request,
        pending="pending",
        pending_refund="pending",
        option=({"locale": "nl_NL"}, b'"locale":"nl_NL"'),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_token,
        longest_key=64,
        stores=StoreRequest(
            "NL55INGB0000000000", customer=Customer(id="cst_sandbox", name="Ada Byron")
        ),
        subscriber=("mdt_sandbox", Customer(id="cst_sandbox")),
        renew=lambda id, success: sandbox.renew(id, success=success),
    )
