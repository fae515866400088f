"""A local sandbox that imitates Razorpay.

The token `token_sandbox` of the customer `cust_ada` pays immediately; `token_insufficient_funds`,
`token_card_expired` and `token_payment_failed` are declined for the reason in their names. `visit`
acts as the buyer in Razorpay's Checkout, `use_link` as the buyer of a payment link, and `consent`
as the buyer on the page of a subscription, which `renew` charges again.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Customer
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._razorpay_rules import (
    CAPTURE,
    DECLINES,
    LINK,
    MANDATORY,
    ORDER,
    RECURRING,
    REFUND,
    check_amount,
    check_fields,
    check_key,
    error,
    invalid_request,
)
from moorage.testing.sandboxes.payments._razorpay_subscriptions import RazorpaySubscriptions
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.domain.http.requests import Response

_SUCCESSFUL = frozenset({"created", "authorized", "captured", "refunded"})
_RECURRING = "/v1/payments/create/recurring"


class RazorpaySandbox(base.Sandbox):
    """A sandbox of Razorpay: orders, payments, refunds, tokens, links, subscriptions and webhooks.

    Attributes:
        key_id, key_secret: API key that requests must have.
        webhook_secret: key that webhooks are signed with.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        orders, payments, refunds, links, settlements: all objects, by id, the oldest first.
        disputes: every dispute, the latest first.
        tokens: the tokens of each customer, by their ids.
        billing: the plans and the subscriptions.
    """

    hosts = ("api.razorpay.com",)

    key_id: str = "rzp_test_sandbox"
    key_secret: str = "razorpay-sandbox-key"
    webhook_secret: str = "razorpay-sandbox-secret"
    webhook_url: str = "https://erp.example/webhooks/razorpay"
    now: Callable[[], float] = time.time
    _replays: base.Replays = base.state_field(
        lambda: base.Replays(
            conflict=lambda: invalid_request("A different payload came with this key."),
            header="x-refund-idempotency",
            by_path=True,
        )
    )
    orders: dict[str, dict[str, Any]] = base.state_field(dict)
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    links: dict[str, dict[str, Any]] = base.state_field(dict)
    settlements: dict[str, dict[str, Any]] = base.state_field(dict)
    disputes: list[dict[str, Any]] = base.state_field(list)
    tokens: dict[str, dict[str, dict[str, Any]]] = base.state_field(dict)
    _captures: set[str] = base.state_field(set)

    def __attrs_post_init__(self) -> None:
        self.billing = RazorpaySubscriptions(self._moment, self.number, self._notify)
        for token in ("token_sandbox", *DECLINES):
            self.store("cust_ada", token)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v1/orders": self._create_order,
            "GET /v1/orders/{id}": self._show_order,
            "GET /v1/orders/{id}/payments": self._show_attempts,
            f"POST {_RECURRING}": self._charge_token,
            "GET /v1/payments": self._list_payments,
            "GET /v1/payments/{id}": self._show_payment,
            "POST /v1/payments/{id}/capture": self._capture,
            "POST /v1/payments/{id}/refund": self._replays.once(self._refund),
            "GET /v1/refunds/{id}": self._show_refund,
            "GET /v1/disputes": self._list_disputes,
            "GET /v1/settlements": self._list_settlements,
            "GET /v1/customers/{id}/tokens": self._list_tokens,
            "DELETE /v1/customers/{id}/tokens/{token}": self._delete_token,
            "POST /v1/plans": self.billing.create_plan,
            "GET /v1/plans/{id}": self.billing.show_plan,
            "POST /v1/subscriptions": self.billing.create,
            "GET /v1/subscriptions": self._list_subscriptions,
            "GET /v1/subscriptions/{id}": self.billing.show,
            "PATCH /v1/subscriptions/{id}": self.billing.change,
            "POST /v1/subscriptions/{id}/cancel": self.billing.cancel,
            "GET /v1/subscriptions/{id}/retrieve_scheduled_changes": self.billing.show_scheduled,
            "POST /v1/payment_links": self._create_link,
            "GET /v1/payment_links": self._find_links,
            "GET /v1/payment_links/{id}": self._show_link,
            "POST /v1/payment_links/{id}/cancel": self._cancel_link,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - the answer is fixed
        """Return the response to a request that matches no route."""
        return error(400, "The requested URL was not found on the server.")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(400, problem)

    # --- what happens besides requests --------------------------------------

    def store(self, customer: str, token: str, status: str = "confirmed") -> None:
        """Store a customer's token for later payments."""
        self.tokens.setdefault(customer, {})[token] = {
            "id": token,
            "entity": "token",
            "method": "card",
            "card": _card(),
            "recurring": status == "confirmed",
            "recurring_details": {"status": status, "failure_reason": None},
            "created_at": self._moment(),
        }

    def visit(
        self, order_id: str, *, reason: str | None = None, notes: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Pay an order in Razorpay's Checkout as the buyer, and return the payment.

        Args:
            order_id: id of the order.
            reason: reason of a decline; None for a payment that succeeds.
            notes: the notes that the shop's page passes to Checkout.
        """
        order = self.orders[order_id]
        base.check_step(f"The order {order_id}", order["status"], "created", "attempted")
        fields = {"notes": notes or {}, "email": "ada@erp.example", "contact": "+919000090000"}
        return self._add_payment(order, fields, reason)

    def use_link(self, id: str) -> dict[str, Any]:
        """Pay with a payment link as the buyer, and return the payment."""
        link = self.links[id]
        base.check_step(f"The link {id}", link["status"], "created")
        order = self._add_order(link | {"payment_capture": True})
        payment = self._add_payment(order, {"notes": link["notes"]}, None)
        link |= {"status": "paid", "amount_paid": link["amount"]}
        self._notify("payment_link.paid", payment_link=link, order=order, payment=payment)
        return payment

    def consent(self, id: str) -> None:
        """Start a subscription on its page as the buyer; it is charged now or at its start."""
        subscription = self.billing.subscriptions[id]
        if subscription["status"] != "created":
            return
        self.billing.authenticate(id, "cust_ada")
        if subscription["start_at"] is None:
            self.renew(id)

    def renew(self, id: str, *, success: bool = True) -> dict[str, Any]:
        """Charge a subscription's next period, and return the payment."""
        subscription = self.billing.subscriptions[id]
        order = self._add_order(self.billing.due(id) | {"payment_capture": success})
        fields = {"customer_id": subscription["customer_id"], "notes": subscription["notes"]}
        reason = None if success else "insufficient_funds"
        payment = self._add_payment(order, fields, reason)
        (self.billing.charged if success else self.billing.failed)(id, payment)
        return payment

    def dispute(self, id: str, status: str = "open") -> dict[str, Any]:
        """Dispute a payment, send the webhook, and return the dispute."""
        payment = self.payments[id]
        dispute: dict[str, Any] = {
            "id": f"disp_{self.number():014d}",
            "entity": "dispute",
            "payment_id": id,
            "amount": payment["amount"],
            "currency": payment["currency"],
            "amount_deducted": 0,
            "reason_code": "chargeback_not_received",
            "respond_by": self._moment(864_000),
            "status": status,
            "phase": "chargeback",
            "created_at": self._moment(),
        }
        self.disputes.insert(0, dispute)
        name = "created" if status == "open" else status
        self._notify(f"payment.dispute.{name}", payment=payment, dispute=dispute)
        return dispute

    def settle_balance(self) -> dict[str, Any]:
        """Pay out the balance in rupees that was not paid out yet, and return the settlement."""
        taken_items = [
            payment["amount"] - payment["amount_refunded"]
            for payment in self.payments.values()
            if payment["captured"] and payment["currency"] == "INR"
        ]
        paid_out = sum(settlement["amount"] for settlement in self.settlements.values())
        settlement: dict[str, Any] = {
            "id": f"setl_{self.number():014d}",
            "entity": "settlement",
            "amount": sum(taken_items) - paid_out,
            "status": "processed",
            "fees": 0,
            "tax": 0,
            "utr": "1568176960vxp0rj",
            "created_at": self._moment(),
        }
        self.settlements[settlement["id"]] = settlement
        self._notify("settlement.processed", settlement=settlement)
        return settlement

    # --- requests -----------------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key."""
        if request.basic() != (self.key_id, self.key_secret):
            raise base.Refusal(error(401, "The api key provided is invalid"))

    def _create_order(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), ORDER)
        check_amount(fields)
        return base.reply(self._add_order(fields))

    def _add_order(self, fields: dict[str, Any]) -> dict[str, Any]:
        order: dict[str, Any] = {
            "id": f"order_{self.number():014d}",
            "entity": "order",
            "amount": fields["amount"],
            "amount_paid": 0,
            "amount_due": fields["amount"],
            "currency": fields["currency"],
            "receipt": fields.get("receipt"),
            "offer_id": None,
            "status": "created",
            "attempts": 0,
            "notes": fields.get("notes") or [],
            "created_at": self._moment(),
        }
        self.orders[order["id"]] = order
        if fields.get("payment_capture", False):
            self._captures.add(order["id"])
        return order

    def _charge_token(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), RECURRING)
        for name in MANDATORY:
            if name not in fields:
                raise invalid_request(f"The {name} field is required.", name)
        amount, currency = check_amount(fields)
        order = self._object_with(self.orders, fields["order_id"])
        if (amount, currency) != (order["amount"], order["currency"]):
            raise invalid_request("The amount differs from the amount of the order.", "amount")
        token = self.tokens.get(fields["customer_id"], {}).get(fields["token"])
        if token is None or not token["recurring"]:
            raise invalid_request("The token cannot be used for later payments.", "token")
        if any(payment["status"] in _SUCCESSFUL for payment in self._attempts_of(order)):
            raise invalid_request("Payment already done for this order.")
        reason = DECLINES.get(fields["token"])
        payment = self._add_payment(order, fields, reason)
        if reason is None:
            return base.reply({"razorpay_payment_id": payment["id"]})
        metadata = {"payment_id": payment["id"], "order_id": order["id"]}
        raise base.Refusal(
            error(400, "The payment failed.", reason, source="bank", metadata=metadata)
        )

    def _add_payment(
        self, order: dict[str, Any], fields: dict[str, Any], reason: str | None
    ) -> dict[str, Any]:
        is_declined = reason is not None
        payment: dict[str, Any] = {
            "id": f"pay_{self.number():014d}",
            "entity": "payment",
            "amount": order["amount"],
            "currency": order["currency"],
            "status": "failed" if is_declined else "authorized",
            "order_id": order["id"],
            "international": False,
            "method": "card",
            "amount_refunded": 0,
            "refund_status": None,
            "captured": False,
            "description": fields.get("description"),
            "card_id": "card_KOdY30ajbuyOYN",
            "card": _card(),
            "email": fields.get("email"),
            "contact": fields.get("contact"),
            "customer_id": fields.get("customer_id"),
            "token_id": fields.get("token"),
            "notes": fields.get("notes") or [],
            "error_code": "BAD_REQUEST_ERROR" if is_declined else None,
            "error_description": "The payment failed." if is_declined else None,
            "error_reason": reason,
            "created_at": self._moment(),
        }
        self.payments[payment["id"]] = payment
        order["attempts"] += 1
        order["status"] = "attempted"
        self._notify("payment.failed" if is_declined else "payment.authorized", payment=payment)
        if not is_declined and order["id"] in self._captures:
            self._capture_payment(payment)
        return payment

    def _capture_payment(self, payment: dict[str, Any]) -> None:
        payment |= {"status": "captured", "captured": True}
        order = self.orders[payment["order_id"]]
        order |= {"status": "paid", "amount_paid": payment["amount"], "amount_due": 0}
        self._notify("payment.captured", payment=payment)

    def _capture(self, request: base.SandboxRequest, id: str) -> Response:
        fields = check_fields(request.json(), CAPTURE)
        payment = self._object_with(self.payments, id)
        if payment["status"] == "captured":
            raise invalid_request("This payment has already been captured")
        if payment["status"] != "authorized":
            raise invalid_request("Only payments which have been authorized can be captured")
        if check_amount(fields) != (payment["amount"], payment["currency"]):
            raise invalid_request("Capture amount must be equal to the amount authorized", "amount")
        self._capture_payment(payment)
        return base.reply(payment)

    def _refund(self, request: base.SandboxRequest, id: str) -> Response:
        check_key(request.headers.get("x-refund-idempotency"))
        fields = check_fields(request.json(), REFUND)
        payment = self._object_with(self.payments, id)
        if payment["status"] == "refunded":
            raise invalid_request("The payment has been fully refunded already")
        if payment["status"] != "captured":
            raise invalid_request("The payment status should be captured for action to be taken")
        remaining = payment["amount"] - payment["amount_refunded"]
        amount = fields.get("amount", remaining)
        if not 0 < amount <= remaining:
            raise invalid_request(
                "The total refund amount is greater than the refund payment amount"
            )
        payment["amount_refunded"] += amount
        is_whole = amount == remaining
        payment["refund_status"] = "full" if is_whole else "partial"
        payment["status"] = "refunded" if is_whole else "captured"
        refund: dict[str, Any] = {
            "id": f"rfnd_{self.number():014d}",
            "entity": "refund",
            "amount": amount,
            "currency": payment["currency"],
            "payment_id": id,
            "notes": fields.get("notes") or [],
            "receipt": fields.get("receipt"),
            "status": "processed",
            "speed_processed": "normal",
            "speed_requested": fields.get("speed", "normal"),
            "created_at": self._moment(),
        }
        self.refunds[refund["id"]] = refund
        self._notify("refund.processed", refund=refund, payment=payment)
        return base.reply(refund)

    def _show_payment(self, request: base.SandboxRequest, id: str) -> Response:
        payment = self._object_with(self.payments, id)
        return self._dated_reply(_payment_answer(payment, dict(request.query)))

    def _show_order(self, _: base.SandboxRequest, id: str) -> Response:
        return self._dated_reply(self._object_with(self.orders, id))

    def _show_attempts(self, _: base.SandboxRequest, id: str) -> Response:
        attempts = self._attempts_of(self._object_with(self.orders, id))
        return self._dated_reply(_collection(_payment_answer(payment, {}) for payment in attempts))

    def _show_refund(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._object_with(self.refunds, id))

    def _list_payments(self, request: base.SandboxRequest) -> Response:
        filters = dict(request.query)
        payments = self._page(filters, self.payments)
        return base.reply(_collection(_payment_answer(payment, filters) for payment in payments))

    def _list_subscriptions(self, request: base.SandboxRequest) -> Response:
        filters = dict(request.query)
        plan = filters.pop("plan_id", None)
        matches = {
            key: item
            for key, item in self.billing.subscriptions.items()
            if plan in {None, item["plan_id"]}
        }
        return base.reply(_collection(self._page(filters, matches)))

    def _list_settlements(self, request: base.SandboxRequest) -> Response:
        return base.reply(_collection(self._page(dict(request.query), self.settlements)))

    def _list_disputes(self, request: base.SandboxRequest) -> Response:
        start, end = _bounds(dict(request.query))
        return base.reply(_collection(self.disputes[start:end]))

    def _page(
        self, filters: dict[str, str], objects: dict[str, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        start, end = _bounds(filters)
        earliest, latest_time = int(filters.get("from", "0")), int(filters.get("to", "9999999999"))
        items = [
            item
            for item in reversed(objects.values())
            if earliest <= item["created_at"] <= latest_time
        ]
        return items[start:end]

    def _list_tokens(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(_collection(self.tokens.get(id, {}).values()))

    def _delete_token(self, _: base.SandboxRequest, id: str, token: str) -> Response:
        if self.tokens.get(id, {}).pop(token, None) is None:
            raise invalid_request("The id provided does not exist")
        return base.reply({"deleted": True})

    def _create_link(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), LINK)
        check_amount(fields)
        name = fields.get("reference_id", "")
        if name and any(link["reference_id"] == name for link in self.links.values()):
            raise invalid_request(f"payment link with given reference_id ({name}) already exists")
        if fields.get("callback_url") and fields.get("callback_method") != "get":
            raise invalid_request("The callback method must be get.", "callback_method")
        number = self.number()
        link: dict[str, Any] = {
            "id": f"plink_{number:014d}",
            "short_url": f"https://rzp.io/i/{number:07d}",
            "status": "created",
            "amount": fields["amount"],
            "amount_paid": 0,
            "currency": fields["currency"],
            "description": fields.get("description"),
            "reference_id": name,
            "expire_by": fields.get("expire_by", 0),
            "notes": fields.get("notes"),
            "created_at": self._moment(),
        }
        self.links[link["id"]] = link
        return base.reply(link)

    def _find_links(self, request: base.SandboxRequest) -> Response:
        name = dict(request.query).get("reference_id")
        links = [link for link in self.links.values() if name in {None, link["reference_id"]}]
        return base.reply({"payment_links": links})

    def _show_link(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._object_with(self.links, id))

    def _cancel_link(self, _: base.SandboxRequest, id: str) -> Response:
        link = self._object_with(self.links, id)
        if link["status"] != "created":
            raise invalid_request(f"A {link['status']} payment link cannot be cancelled.")
        link["status"] = "cancelled"
        return base.reply(link)

    # --- helpers ------------------------------------------------------------

    def _attempts_of(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        payments = reversed(self.payments.values())
        return [payment for payment in payments if payment["order_id"] == order["id"]]

    def _object_with(self, objects: dict[str, dict[str, Any]], id: str) -> dict[str, Any]:
        if id not in objects:
            raise invalid_request("The id provided does not exist")
        return objects[id]

    def _moment(self, later: float = 0) -> int:
        return int(self.now() + later)

    def _dated_reply(self, body: dict[str, Any]) -> Response:
        now = datetime.fromtimestamp(self.now(), UTC)
        return base.reply(body, Date=format_datetime(now, usegmt=True))

    def _notify(self, name: str, **entities: dict[str, Any]) -> None:
        """Send a signed webhook with the current state of objects."""
        event: dict[str, Any] = {
            "entity": "event",
            "account_id": "acc_BFQ7uQEaa7j2z7",
            "event": name,
            "contains": [*entities],
            "payload": {kind: {"entity": entity} for kind, entity in entities.items()},
            "created_at": self._moment(),
        }
        body = encode_json(event)
        headers = {
            "Content-Type": "application/json",
            "X-Razorpay-Signature": hex_hmac(self.webhook_secret, body),
            "x-razorpay-event-id": f"{self.number():014d}",
        }
        self.notify(self.webhook_url, body, headers)


def _payment_answer(payment: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return a payment, with its card only if requested."""
    if query.get("expand[]") == "card":
        return payment
    return {name: value for name, value in payment.items() if name != "card"}


def _bounds(filters: Mapping[str, str]) -> tuple[int, int]:
    """Return the first number and the end of the page that a list request asks for."""
    count, skip = int(filters.get("count", "10")), int(filters.get("skip", "0"))
    if not 1 <= count <= 100:
        raise invalid_request("The count must be between 1 and 100.", "count")
    return skip, skip + count


def _collection(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    entries = [*items]
    return {"entity": "collection", "count": len(entries), "items": entries}


def _card() -> dict[str, Any]:
    return {
        "id": "card_KOdY30ajbuyOYN",
        "entity": "card",
        "last4": "4366",
        "network": "Visa",
        "type": "credit",
        "international": False,
    }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = RazorpaySandbox()
    sandbox.store("ada-1", "token_stored")

    def buyer(payment: Payment) -> dict[str, str]:
        paid = sandbox.visit(payment.ref.id)
        return {"razorpay_order_id": payment.ref.id, "razorpay_payment_id": paid["id"]}

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "key_id": sandbox.key_id,
            "credentials": sandbox.key_secret,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        vendor_values={
            "asked_by": "create_intent",
            "consent": sandbox.consent,
            "buyer": Customer(id="cust_ada", email="ada@erp.example", phone="+919000090000"),
            "is_stored": True,
        },
        token="token_sandbox",
        buyer=buyer,
    )
