"""Prepares Braintree and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from moorage.contracts.payments import DeclineReason
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments._braintree_rules import errors
from moorage.testing.sandboxes.payments.braintree import BraintreeSandbox
from moorage.vendors.payments.braintree import Braintree

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest


def _amount_cents(request: SandboxRequest) -> int:
    fields = request.json()["variables"]["input"]["transaction"]
    return int(Decimal(fields["amount"]) * 100)


def braintree() -> PaymentsSubject:
    """Return a Braintree test subject with a new sandbox."""
    sandbox = BraintreeSandbox()

    def says(name: str, code: str | None = None) -> Response:
        return errors("chargePaymentMethod", "It is refused.", name, code).response

    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (says("RESOURCE_LIMIT"), RateLimitExceeded),
        (says("AUTHENTICATION"), AuthenticationFailed),
        (says("AUTHORIZATION"), AuthenticationFailed),
        (says("VALIDATION", "81503"), InvalidRequest),
        (says("VALIDATION", "91564"), VendorRejected),
        (says("NOT_FOUND"), VendorRejected),
        (says("UNSUPPORTED_CLIENT"), InvalidRequest),
        (reply({"errors": [{"message": "No."}]}, 401), AuthenticationFailed),
        (reply({}, 429), RateLimitExceeded),
    )
    return PaymentsSubject(
        vendor=Braintree(
            public_key=sandbox.public_key, credentials=sandbox.private_key, currency="EUR"
        ),
        sandbox=sandbox,
        charged=lambda: sum(
            item["status"] not in {"PROCESSOR_DECLINED", "GATEWAY_REJECTED"}
            for item in sandbox.transactions.values()
        ),
        pays="fake-valid-nonce",
        declined="fake-gateway-rejected-FRAUD-nonce",
        decline_reason=DeclineReason.FRAUD_SUSPECTED,
        expired="fake-processor-declined-2004-nonce",
        refusals=refusals,
        written=_amount_cents,
        pending="SETTLEMENT_PENDING",
        pending_refund="SETTLING",
        option=({"channel": "MOORAGE"}, b'"channel":"MOORAGE"'),
        secret=sandbox.private_key,
        webhook_secret=sandbox.private_key,
        happen=sandbox.settle,
        keyless=("/graphql",),
        currencies=frozenset({"EUR"}),
    )
