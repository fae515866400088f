"""Prepares Authorize.Net and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments._authorize_net_rules import error, unsuccessful
from moorage.testing.sandboxes.payments.authorize_net import AuthorizeNetSandbox
from moorage.vendors.payments.authorize_net import AuthorizeNet

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest


def _amount_cents(request: SandboxRequest) -> int:
    fields = request.json()["createTransactionRequest"]["transactionRequest"]
    return int(Decimal(fields["amount"]) * 100)


def authorize_net() -> PaymentsSubject:
    """Return an Authorize.Net test subject with a new sandbox."""
    sandbox = AuthorizeNetSandbox()

    def says(code: str) -> Response:
        return error(code, "It is refused.").response

    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (says("E00007"), AuthenticationFailed),
        (says("E00010"), AuthenticationFailed),
        (says("E00003"), InvalidRequest),
        (says("E00013"), InvalidRequest),
        (says("E00040"), VendorRejected),
        (says("E00114"), VendorRejected),
        (unsuccessful("13", {}), AuthenticationFailed),
        (unsuccessful("16", {}), VendorRejected),
        (unsuccessful("39", {}), VendorRejected),
        (reply({}, 400), InvalidRequest),
        (reply({}, 401), AuthenticationFailed),
        (reply({}, 403), AuthenticationFailed),
        (reply({}, 429), RateLimitExceeded),
    )
    return PaymentsSubject(
        vendor=AuthorizeNet(
            login_id=sandbox.login_id, transaction_key=sandbox.transaction_key, currency="EUR"
        ),
        sandbox=sandbox,
        charged=lambda: sum(
            item["type"] != "refundTransaction"
            and item["status"] not in {"declined", "generalError"}
            for item in sandbox.transactions.values()
        ),
        pays="nonce-ok",
        declined="nonce-code-2",
        expired="nonce-code-8",
        refusals=refusals,
        written=_amount_cents,
        pending="FDSPendingReview",
        pending_refund="refundPendingSettlement",
        option=({"employeeId": "0042"}, b'"employeeId":"0042"'),
        secret=sandbox.transaction_key,
        webhook_secret=sandbox.signature_key,
        happen=sandbox.settle,
        keyless=("/xml/v1/request.api",),
        currencies=frozenset({"EUR"}),
    )
