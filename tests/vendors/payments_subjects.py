"""Test subjects of Stripe and Adyen for the conformance kit of payment vendors."""

from __future__ import annotations

import json
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
from moorage.testing.sandboxes.payments.adyen import AdyenSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.adyen import Adyen
from moorage.vendors.payments.stripe import Stripe
from tests.vendors.subjects.authorize_net import authorize_net
from tests.vendors.subjects.braintree import braintree
from tests.vendors.subjects.checkout_com import checkout_com
from tests.vendors.subjects.gocardless_payments import gocardless_payments
from tests.vendors.subjects.mercado_pago import mercado_pago
from tests.vendors.subjects.mollie import mollie
from tests.vendors.subjects.paypal import paypal
from tests.vendors.subjects.paystack import paystack
from tests.vendors.subjects.razorpay import razorpay
from tests.vendors.subjects.square import square

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def stripe_error(status: int, kind: str, code: str, words: str = "No.") -> Response:
    """Return an error response of Stripe."""
    return reply({"error": {"type": kind, "code": code, "message": words}}, status)


def stripe() -> PaymentsSubject:
    """Return a Stripe test subject with a new sandbox."""
    sandbox = StripeSandbox()
    wrong_request = "invalid_request_error"
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (stripe_error(429, wrong_request, "rate_limit"), RateLimitExceeded),
        (stripe_error(401, wrong_request, "api_key_expired"), AuthenticationFailed),
        (stripe_error(403, wrong_request, "secret_key_required"), AuthenticationFailed),
        (stripe_error(400, wrong_request, "parameter_unknown"), InvalidRequest),
        (stripe_error(404, wrong_request, "resource_missing"), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Stripe(credentials=sandbox.api_key),
        sandbox=sandbox,
        charged=lambda: len(sandbox.charges),
        pays="pm_card_visa",
        declined="pm_card_chargeDeclinedInsufficientFunds",
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired="pm_card_chargeDeclinedExpiredCard",
        billed="tok_visa",
        asks="pm_card_threeDSecure2Required",
        refusals=refusals,
        written=lambda request: int(dict(request.form)["amount"]),
        pending="processing",
        pending_refund="pending",
        option=({"radar_options": {"session": "rse_1"}}, b"radar_options%5Bsession%5D=rse_1"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_secret,
        stores=StoreRequest("pm_card_mastercard", customer=Customer(id="cus_ada")),
        pay_out=sandbox.pay_out_charges,
        dispute=sandbox.dispute,
        payee="acct_payee1",
        subscriber=("pm_card_visa", Customer(id="cus_ada")),
        renew=lambda id, success: sandbox.billing.renew(id, success=success),
    )


def adyen_error(status: int, code: str, kind: str) -> Response:
    """Return an error response of Adyen."""
    return reply({"status": status, "errorCode": code, "message": "No.", "errorType": kind}, status)


def adyen() -> PaymentsSubject:
    """Return an Adyen test subject with a new sandbox."""
    sandbox = AdyenSandbox()

    def card(word: str) -> str:
        return json.dumps({"type": "scheme", "holderName": word})

    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (adyen_error(429, "", ""), RateLimitExceeded),
        (adyen_error(401, "000", "security"), AuthenticationFailed),
        (adyen_error(403, "901", "security"), AuthenticationFailed),
        (adyen_error(422, "130", "validation"), InvalidRequest),
        (adyen_error(500, "905", "configuration"), VendorRejected),
    )
    return PaymentsSubject(
        vendor=Adyen(merchant_account=sandbox.merchant_account, credentials=sandbox.api_key),
        sandbox=sandbox,
        charged=lambda: sum(payment.authorised > 0 for payment in sandbox.payments.values()),
        pays=card("J. Smith"),
        declined=card("NOT_ENOUGH_BALANCE"),
        decline_reason=DeclineReason.INSUFFICIENT_FUNDS,
        expired=card("CARD_EXPIRED"),
        asks=json.dumps({"type": "ideal"}),
        refusals=refusals,
        written=lambda request: int(request.json()["amount"]["value"]),
        pending="Received",
        pending_refund="received",
        option=({"channel": "Web"}, b'"channel":"Web"'),
        secret=sandbox.api_key,
        webhook_secret=sandbox.hmac_key,
        longest_key=64,
        happen=sandbox.settle,
        dispute=sandbox.dispute,
        stores=StoreRequest(card("APPROVED"), customer=Customer(id="ada-1")),
    )


SUBJECTS = [
    stripe,
    adyen,
    paypal,
    mollie,
    square,
    checkout_com,
    gocardless_payments,
    razorpay,
    braintree,
    authorize_net,
    paystack,
    mercado_pago,
]
