"""Prepares Mercado Pago and its sandbox for the conformance kit of payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Customer, DeclineReason
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.payments_conformance import PaymentsSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments.mercado_pago import BUYER, MercadoPagoSandbox
from moorage.vendors.payments.mercado_pago import MercadoPago

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def mercado_pago_error(status: int, code: int, words: str = "No.") -> Response:
    """Return an error response of Mercado Pago."""
    cause = [{"code": code, "description": words}]
    return reply(
        {"message": words, "error": "bad_request", "status": status, "cause": cause}, status
    )


def payment(status: str, **fields: Any) -> dict[str, Any]:
    """Return a payment in the form of Mercado Pago's API."""
    money = {"transaction_amount": 58.8, "currency_id": "BRL"}
    return {"id": 1321, "status": status, "transaction_amount_refunded": 0} | money | fields


def mercado_pago() -> PaymentsSubject:
    """Return a Mercado Pago test subject, whose account has the currency of the kit."""
    sandbox = MercadoPagoSandbox(currency="EUR")
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (mercado_pago_error(429, 429), RateLimitExceeded),
        (mercado_pago_error(401, 5), AuthenticationFailed),
        (mercado_pago_error(400, 3028), InvalidRequest),
        (mercado_pago_error(400, 2063), VendorRejected),
        (mercado_pago_error(403, 4), VendorRejected),
        (mercado_pago_error(404, 2000), VendorRejected),
    )
    return PaymentsSubject(
        vendor=MercadoPago(credentials=sandbox.access_token, currency="EUR"),
        sandbox=sandbox,
        charged=lambda: sum(
            item["status"] in {"approved", "authorized", "refunded"}
            for item in sandbox.payments.values()
        ),
        pays="visa:card-approved",
        declined="visa:card-funds",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        refusals=refusals,
        written=lambda request: round(request.json()["transaction_amount"] * 100),
        pending="in_process",
        pending_refund="in_process",
        option=({"binary_mode": True}, b'"binary_mode":true'),
        secret=sandbox.access_token,
        webhook_secret=sandbox.webhook_secret,
        happen=sandbox.settle,
        longest_key=128,
        currencies=frozenset({"EUR"}),
        buyer=Customer(email=BUYER),
    )
