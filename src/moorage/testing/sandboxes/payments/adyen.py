"""A local sandbox that imitates Adyen's Checkout API.

A test chooses the outcome of a payment by Adyen's own words, such as CARD_EXPIRED, DECLINED,
NOT_ENOUGH_BALANCE or PENDING: as the card's `holderName`, as the number in
`additionalData.RequestedTestAcquirerResponseCode`, or as the `storedPaymentMethodId`. The card
4212345678901237 and the stored method CHALLENGE require their holder to authenticate; methods such
as ideal redirect the buyer. Captures, cancellations and refunds are answered `received`, and
completed by `settle()`, whose webhooks report the results.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.testing.sandboxes.base import Replays, Sandbox, reply, state_field
from moorage.testing.sandboxes.fixture import SandboxFixture, action_url
from moorage.testing.sandboxes.payments._adyen_notifications import (
    challenge,
    notification,
    redirect_to,
)
from moorage.testing.sandboxes.payments._adyen_requests import (
    ACCEPT_DISPUTE,
    ALREADY,
    CANCEL,
    CHALLENGE,
    CLOSE_LINK,
    DETAILS,
    LINK,
    MODIFICATIONS,
    OUTCOMES,
    PAYMENT,
    REDIRECTED,
    REFUND_REASONS,
    STORE,
    amount_of,
    body_of,
    check,
    check_order,
    check_payment,
    error,
    is_challenged,
    outcome_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice, Routes, SandboxRequest

_OPERATIONS: Final = ["CANCEL", "CAPTURE", "REFUND"]
_EVENTS: Final = {
    "captures": "CAPTURE",
    "cancels": "CANCELLATION",
    "refunds": "REFUND",
}


@attrs.define
class AdyenPayment:
    """A payment in Adyen's sandbox; amounts are in minor units."""

    psp: str
    reference: str
    value: int
    currency: str
    automatic: bool
    method: str
    outcome: dict[str, str]
    native: bool = False
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    canceled: bool = False


class AdyenSandbox(Sandbox):
    """A sandbox of Adyen: payments, and the operations on them.

    Attributes:
        api_key: credentials that requests must have.
        merchant_account: account of the payments.
        hmac_key: secret with which webhooks are signed, in hexadecimal.
        webhook_url: URL that webhooks are sent to.
        multiple_captures: True if the amount left after a partial capture can be captured later;
            otherwise it is released, as at Adyen unless its support team enables multiple
            captures.
        payments: every payment, by its PSP reference.
        stored, links: stored means of payment and payment links, by id.
        disputes: the payment of each dispute, and the dispute's status, by its PSP reference.
    """

    hosts = ("checkout-test.adyen.com", ".adyenpayments.com", "ca-test.adyen.com")

    api_key: str = "adyen-sandbox-key"
    merchant_account: str = "SandboxMerchant"
    hmac_key: str = "44" * 32
    webhook_url: str = "https://erp.example/webhooks/adyen"
    multiple_captures: bool = False
    payments: dict[str, AdyenPayment] = state_field(dict)
    stored: dict[str, dict[str, Any]] = state_field(dict)
    links: dict[str, dict[str, Any]] = state_field(dict)
    disputes: dict[str, tuple[str, str]] = state_field(dict)
    _returns: dict[str, tuple[AdyenPayment, dict[str, str]]] = state_field(dict)
    _open: list[tuple[str, str, AdyenPayment, dict[str, Any]]] = state_field(list)
    _replays: Replays = state_field(
        lambda: Replays(
            lambda: error(422, "704", ALREADY), refusals=lambda response: response.status == 422
        )
    )
    _busy: set[str] = state_field(set)
    _now: datetime = state_field(lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        lower_functions: dict[str, Callable[..., Response]] = {
            "/payments": self._pay,
            "/payments/details": self._complete,
            "/payments/{psp}/{verb}": self._modify,
            "/cancels": self._cancel,
            "/storedPaymentMethods": self._store,
            "/paymentLinks": self._create_link,
        }
        routes: dict[str, Callable[..., Response]] = {}
        for base in ("/v72", "/checkout/v72"):
            routes |= {
                f"POST {base}{path}": self._keyed_handler(handle)
                for path, handle in lower_functions.items()
            }
            routes |= {
                f"GET {base}/storedPaymentMethods": self._list_stored,
                f"DELETE {base}/storedPaymentMethods/{{id}}": self._remove_stored,
                f"GET {base}/paymentLinks/{{id}}": self._show_link,
                f"PATCH {base}/paymentLinks/{{id}}": self._keyed_handler(self._close_link),
            }
        accept = "/ca/services/DisputeService/v30/acceptDispute"
        return {**routes, f"POST {accept}": self._keyed_handler(self._accept_dispute)}

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return error(404, "000", f"There is no {request.method} {request.path}.").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(400, "702", problem).response

    # --- what happens besides requests --------------------------------------

    def busy(self, *keys: str) -> None:
        """Treat exactly these idempotency keys as keys of requests in progress."""
        self._busy = set(keys)

    def buyer_returns(self, psp: str, word: str = "APPROVED") -> dict[str, str]:
        """Complete the buyer's action; return the details that complete the payment.

        Args:
            psp: the payment's PSP reference.
            word: the outcome, in Adyen's words.
        """
        payment = self.payments[psp]
        token = f"X{self.number():012d}!{word}"
        self._returns[token] = payment, OUTCOMES[word]
        return {"threeDSResult" if payment.native else "redirectResult": token}

    def settle(self) -> list[Notice]:
        """Settle all pending operations, and return their webhooks."""
        notice_count = len(self.sent)
        with self._lock:
            while self._open:
                self._decide_modification(*self._open.pop(0))
        return self.sent[notice_count:]

    def dispute(self, psp: str) -> str:
        """Charge a payment back as the buyer's bank; return the dispute's reference."""
        key = f"DISPUTE{self.number():09d}"
        self.disputes[key] = psp, "Undefended"
        self.apply_event("CHARGEBACK", psp, by=key, disputeStatus="Undefended")
        return key

    def apply_event(
        self,
        event: str,
        psp: str,
        *,
        value: int | None = None,
        success: bool = True,
        reason: str = "",
        by: str | None = None,
        **additional: str,
    ) -> Notice:
        """Apply an event such as CHARGEBACK to a payment, and send its notification.

        Args:
            event: Adyen's code of the event.
            psp: PSP reference of the payment.
            value: the amount, in minor units; by default the payment's amount.
            success: True if the event succeeded.
            reason: the reason of the event or of its failure.
            by: the PSP reference of the operation, if it is not the payment itself.
            additional: fields of `additionalData`.
        """
        payment = self.payments[psp]
        self._now += timedelta(seconds=1)
        item: dict[str, Any] = {
            "amount": {
                "currency": payment.currency,
                "value": payment.value if value is None else value,
            },
            "eventCode": event,
            "eventDate": self._now.isoformat(),
            "merchantAccountCode": self.merchant_account,
            "merchantReference": payment.reference,
            "paymentMethod": payment.method,
            "pspReference": by or psp,
            "reason": reason,
            "success": "true" if success else "false",
        }
        if by is not None:
            item["originalReference"] = psp
        if event == "AUTHORISATION":
            item["operations"] = ["REFUND"] if payment.automatic else _OPERATIONS
        body = notification(self.hmac_key, item, additional)
        return self.notify(self.webhook_url, body, {"Content-Type": "application/json"})

    # --- requests -----------------------------------------------------------

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's API key."""
        if request.headers.get("x-api-key") != self.api_key:
            raise error(401, "000", "HTTP Status Response - Unauthorized", "security")

    def _keyed_handler(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        def answer(request: SandboxRequest, **names: str) -> Response:
            body = body_of(request)
            key = request.headers.get("idempotency-key")
            if key is None:
                return handle(body, **names)
            return self._reply_once(key, (request.path, body), lambda: handle(body, **names))

        return answer

    def _reply_once(self, key: str, content: object, act: Callable[[], Response]) -> Response:
        if not 0 < len(key) <= 64:
            raise error(400, "702", "Idempotency-Key has more than 64 characters")
        if key in self._busy:
            raise error(409, "704", ALREADY, transient_error="true")
        response = self._replays.respond(key, content, act)
        return response.evolve(headers={**dict(response.headers), "Idempotency-Key": key})

    def _accept_dispute(self, body: dict[str, Any]) -> Response:
        check(body, ACCEPT_DISPUTE, "AcceptDisputeRequest")
        key = body.get("disputePspReference", "")
        if body.get("merchantAccountCode") != self.merchant_account or key not in self.disputes:
            raise error(403, "901", "Invalid Merchant Account", "security")
        psp, status = self.disputes[key]
        if status != "Undefended":
            problem = f"The dispute is {status}."
            return reply({"disputeServiceResult": {"success": False, "errorMessage": problem}})
        self.disputes[key] = psp, "Accepted"
        self.apply_event("DISPUTE_DEFENSE_PERIOD_ENDED", psp, by=key, disputeStatus="Accepted")
        return reply({"disputeServiceResult": {"success": True}})

    def _pay(self, body: dict[str, Any]) -> Response:
        check(body, PAYMENT, "PaymentRequest")
        self._check_merchant(body)
        value, currency = amount_of(body)
        check_payment(body)
        self._check_stored(body)
        method = body["paymentMethod"]
        kind = method.get("type", "scheme")
        manual = body.get("additionalData", {}).get("manualCapture") == "true"
        payment = AdyenPayment(
            self._psp(),
            body["reference"],
            value,
            currency,
            not manual,
            kind,
            outcome_of(body),
        )
        self.payments[payment.psp] = payment
        if kind in REDIRECTED:
            return reply(
                {"resultCode": "RedirectShopper", "action": redirect_to(kind, payment.psp)}
            )
        if is_challenged(method):
            data = body.get("authenticationData", {}).get("threeDSRequestData", {})
            payment.native = data.get("nativeThreeDS") == "preferred"
            return reply(
                {"pspReference": payment.psp, **challenge(payment.psp, native=payment.native)}
            )
        return self._finish(payment, payment.outcome)

    def _check_stored(self, body: dict[str, Any]) -> None:
        """Refuse a stored means of payment that was removed, or belongs to another shopper."""
        key = body["paymentMethod"].get("storedPaymentMethodId")
        if key is None or key in OUTCOMES or key == CHALLENGE:
            return
        if self.stored.get(key, {}).get("shopperReference") != body["shopperReference"]:
            raise error(422, "803", "PaymentDetail not found")

    def _complete(self, body: dict[str, Any]) -> Response:
        check(body, DETAILS, "PaymentDetailsRequest")
        brought = body.get("details", {})
        token = brought.get("redirectResult") or brought.get("threeDSResult")
        if token not in self._returns:
            raise error(422, "14_018", "Invalid payload provided")
        return self._finish(*self._returns[token])

    def _finish(self, payment: AdyenPayment, outcome: dict[str, str]) -> Response:
        is_refused = outcome["resultCode"] not in {"Authorised", "Received"}
        payment.outcome = outcome
        if outcome["resultCode"] == "Authorised" and not payment.authorised:
            payment.authorised = payment.value
            payment.captured = payment.value if payment.automatic else 0
        reason = outcome.get("refusalReason", "")
        self._open.append((payment.psp, "", payment, {"success": not is_refused, "reason": reason}))
        return reply(
            {
                "pspReference": payment.psp,
                "merchantReference": payment.reference,
                "amount": {"currency": payment.currency, "value": payment.value},
                "paymentMethod": {"brand": "visa", "type": payment.method},
                "additionalData": {"cardSummary": "1111", "expiryDate": "3/2030"},
                **outcome,
            }
        )

    def _modify(self, body: dict[str, Any], psp: str, verb: str) -> Response:
        if verb not in MODIFICATIONS:
            raise error(404, "000", f"There is no {verb}.")
        check(body, MODIFICATIONS[verb], "PaymentModificationRequest")
        self._check_merchant(body)
        modification: dict[str, Any] = {"paymentPspReference": psp, "status": "received", **body}
        if verb in {"captures", "refunds"}:
            modification["value"], modification["currency"] = amount_of(body)
        reason = body.get("merchantRefundReason", "OTHER")
        if reason not in REFUND_REASONS:
            raise error(422, "702", f"Invalid merchantRefundReason {reason}")
        payment = self.payments.get(psp)
        if payment is None or not payment.authorised:
            raise error(422, "167", "Original pspReference required for this operation")
        modification_psp = self._psp()
        self._open.append((modification_psp, verb, payment, modification))
        answer = {
            name: modification[name] for name in modification if name not in {"value", "currency"}
        }
        return reply({**answer, "pspReference": modification_psp}, 201)

    def _cancel(self, body: dict[str, Any]) -> Response:
        check(body, CANCEL, "StandalonePaymentCancelRequest")
        self._check_merchant(body)
        if not body.get("paymentReference"):
            raise error(422, "167", "Original pspReference required for this operation")
        cancel_psp = self._psp()
        for payment in self.payments.values():
            if payment.reference == body["paymentReference"]:
                self._open.append((cancel_psp, "cancels", payment, {"event": "TECHNICAL_CANCEL"}))
        return reply({**body, "pspReference": cancel_psp, "status": "received"}, 201)

    def _store(self, body: dict[str, Any]) -> Response:
        check(body, STORE, "StoredPaymentMethodRequest")
        self._check_merchant(body)
        if len(body.get("shopperReference", "")) < 3 or "recurringProcessingModel" not in body:
            raise error(422, "702", "Required field 'shopperReference' is missing.")
        method = body["paymentMethod"]
        outcome = outcome_of(body)
        if outcome["resultCode"] != "Authorised":
            raise error(422, "103", "CVC is not the right length")
        key = f"{self.number():016d}"
        self.stored[key] = {
            "id": key,
            "brand": "visa",
            "expiryMonth": "03",
            "expiryYear": "2030",
            "holderName": method.get("holderName", ""),
            "lastFour": "1111",
            "shopperReference": body["shopperReference"],
            "supportedRecurringProcessingModels": [body["recurringProcessingModel"]],
            "type": method.get("type", "scheme"),
        }
        return reply(self.stored[key], 201)

    def _list_stored(self, request: SandboxRequest) -> Response:
        query = dict(request.query)
        self._check_merchant(query)
        shopper = query.get("shopperReference")
        methods = [item for item in self.stored.values() if item["shopperReference"] == shopper]
        return reply({**query, **({"storedPaymentMethods": methods} if methods else {})})

    def _remove_stored(self, request: SandboxRequest, id: str) -> Response:
        query = dict(request.query)
        self._check_merchant(query)
        method = self.stored.get(id, {"shopperReference": None})
        if method["shopperReference"] != query.get("shopperReference"):
            raise error(422, "803", "PaymentDetail not found")
        del self.stored[id]
        return reply({}, 204).evolve(body=b"")

    def _create_link(self, body: dict[str, Any]) -> Response:
        check(body, LINK, "PaymentLinkRequest")
        self._check_merchant(body)
        amount_of(body)
        check_order(body)
        if not body.get("reference"):
            raise error(422, "130", "Reference Missing")
        key = f"PL{self.number():010d}"
        self.links[key] = {
            "expiresAt": "2026-01-02T00:00:00Z",
            **body,
            "id": key,
            "status": "active",
            "url": f"https://test.adyen.link/{key}",
        }
        return reply(self.links[key], 201)

    def _show_link(self, _: SandboxRequest, id: str) -> Response:
        return reply(self._link(id))

    def _close_link(self, body: dict[str, Any], id: str) -> Response:
        check(body, CLOSE_LINK, "UpdatePaymentLinkRequest")
        link = self._link(id)
        if body.get("status") != "expired" or link["status"] != "active":
            raise error(422, "702", "This status is not possible.")
        link["status"] = "expired"
        return reply(link)

    def _link(self, id: str) -> dict[str, Any]:
        if id not in self.links:
            raise error(404, "000", "Payment link not found")
        return self.links[id]

    def _psp(self) -> str:
        return f"SBX{self.number():013d}"

    def _check_merchant(self, body: dict[str, Any]) -> None:
        if body.get("merchantAccount") != self.merchant_account:
            raise error(403, "901", "Invalid Merchant Account", "security")

    # --- decisions ----------------------------------------------------------

    def _decide_modification(
        self, by: str, verb: str, payment: AdyenPayment, modification: dict[str, Any]
    ) -> None:
        if not verb:
            success, reason = modification["success"], modification["reason"]
            if payment.outcome["resultCode"] == "Received":
                payment.outcome = {"resultCode": "Authorised"}
                payment.authorised = payment.value
                payment.captured = payment.value if payment.automatic else 0
            self.apply_event("AUTHORISATION", payment.psp, success=success, reason=reason)
            return
        notice_fields = {}
        if verb == "reversals":
            verb = "refunds" if payment.captured else "cancels"
            notice_fields = {"modification.action": verb.removesuffix("s")}
            modification = {**modification, "value": payment.captured, "currency": payment.currency}
            modification["event"] = "CANCEL_OR_REFUND"
        failure_reason = getattr(self, f"_{verb}")(payment, modification)
        self.apply_event(
            modification.get("event", _EVENTS[verb]),
            payment.psp,
            value=modification.get("value"),
            success=not failure_reason,
            reason=failure_reason,
            by=by,
            **notice_fields,
        )

    def _captures(self, payment: AdyenPayment, modification: dict[str, Any]) -> str:
        if payment.canceled:
            return "Transaction has been cancelled, capture not possible"
        capturable_amount = payment.authorised - payment.captured
        if (
            modification["currency"] != payment.currency
            or modification["value"] > capturable_amount
        ):
            return "Insufficient balance on payment"
        payment.captured += modification["value"]
        if not self.multiple_captures:
            payment.authorised = payment.captured
        return ""

    def _cancels(self, payment: AdyenPayment, _: dict[str, Any]) -> str:
        if payment.captured:
            return "Transaction has been captured, cancellation not possible"
        if payment.canceled:
            return "Transaction has been cancelled"
        payment.canceled = True
        return ""

    def _refunds(self, payment: AdyenPayment, modification: dict[str, Any]) -> str:
        if not payment.captured:
            return "Transaction hasn't been captured, refund not possible"
        refundable_amount = payment.captured - payment.refunded
        if (
            modification["currency"] != payment.currency
            or modification["value"] > refundable_amount
        ):
            return "Insufficient balance on payment"
        payment.refunded += modification["value"]
        return ""


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AdyenSandbox()

    def buyer(payment: Payment) -> dict[str, str]:
        return sandbox.buyer_returns(action_url(payment).rpartition("/")[2])

    def open_dispute(payment: Ref) -> str:
        return sandbox.dispute(payment.id)

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "merchant_account": sandbox.merchant_account,
            "credentials": sandbox.api_key,
            "return_url": "https://erp.example/back",
            "multiple_captures": True,
            "volatile_keys": True,
        },
        vendor_values={
            "asks": '{"type": "ideal"}',
            "stores": '{"type": "scheme"}',
            "dispute": open_dispute,
        },
        token="APPROVED",
        buyer=buyer,
    )
