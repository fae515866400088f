"""A local sandbox that imitates GoCardless' payments.

The mandate `MD_SANDBOX` is active in euros, and `MD_CANCELLED` cannot be charged; `authorise`
creates further mandates. `visit` acts as the buyer at the page of a billing request. `settle`
carries out the steps that take some days at GoCardless: it submits, collects and pays payments and
refunds, and returns their webhooks. `submit`, `fail_payment` and `charge_back` do single steps, and
`renew` charges a subscription.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture, action_url
from moorage.testing.sandboxes.payments._gocardless_payments_rules import (
    CURRENCIES,
    FLOW,
    INACTIVE,
    PAID_AT_ONCE,
    PAYMENT,
    PAYMENT_REQUEST,
    REFUND,
    REQUEST,
    check_amount,
    check_fields,
    check_types,
    error,
    impossible_step,
    invalid_field,
    missing_object,
)
from moorage.testing.sandboxes.payments._gocardless_payments_subscriptions import (
    GoCardlessSubscriptions,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.domain.http.requests import Response

_PAGE = "https://pay-sandbox.gocardless.com/billing/static/flow?id="
_VERSION = "2015-07-06"
_OPEN = frozenset({"pending_submission", "submitted"})
_COLLECTED = frozenset({"confirmed", "paid_out"})
_CAUSES = {
    "submitted": ("gocardless", "payment_submitted"),
    "confirmed": ("gocardless", "payment_confirmed"),
    "cancelled": ("api", "payment_cancelled"),
    "failed": ("bank", "insufficient_funds"),
    "charged_back": ("bank", "authorisation_disputed"),
}


class GoCardlessPaymentsSandbox(base.Sandbox):
    """A sandbox of GoCardless: mandates, payments, pages, refunds, subscriptions and webhooks.

    Attributes:
        access_token: credentials that requests must have.
        webhook_secret: key that webhooks are signed with.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        payments, refunds, billing_requests, mandates, payouts: all objects, by id, the oldest
            first.
        billing: the subscriptions.
    """

    hosts = ("api.gocardless.com", "api-sandbox.gocardless.com")

    access_token: str = "sandbox_token"
    webhook_secret: str = "gocardless-sandbox-secret"
    webhook_url: str = "https://erp.example/webhooks/gocardless"
    now: Callable[[], float] = time.time
    mandates: dict[str, dict[str, Any]] = base.state_field(dict)
    payments: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    billing_requests: dict[str, dict[str, Any]] = base.state_field(dict)
    payouts: dict[str, dict[str, Any]] = base.state_field(dict)
    _created: dict[tuple[str, str], str] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.billing = GoCardlessSubscriptions(
            self.now, self.mandates, self.number, self._notify_subscription
        )
        self.authorise("CU_ADA", id="MD_SANDBOX")
        self.authorise("CU_ADA", id="MD_CANCELLED", status="cancelled")

    @property
    def subscriptions(self) -> dict[str, dict[str, Any]]:
        """All subscriptions, by id."""
        return self.billing.subscriptions

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /payments": self._create(self._pay),
            "GET /payments": self._list_payments,
            "GET /payments/{id}": self._show_handler("payments"),
            "POST /payments/{id}/actions/cancel": self._cancel_payment,
            "POST /billing_requests": self._create(self._request),
            "GET /billing_requests/{id}": self._show_handler("billing_requests"),
            "POST /billing_requests/{id}/actions/cancel": self._cancel_request,
            "POST /billing_request_flows": self._open_page,
            "POST /refunds": self._create(self._refund),
            "GET /refunds/{id}": self._show_handler("refunds"),
            "GET /payouts": self._list_payouts,
            "GET /mandates": self._list_mandates,
            "GET /mandates/{id}": self._show_handler("mandates"),
            "POST /mandates/{id}/actions/cancel": self._cancel_mandate,
            "POST /subscriptions": self._create(self.billing.create),
            "GET /subscriptions": self._list_subscriptions,
            "GET /subscriptions/{id}": self._show_handler("subscriptions"),
            "PUT /subscriptions/{id}": self.billing.change,
            "POST /subscriptions/{id}/actions/cancel": self.billing.cancel,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - the answer is fixed
        """Return the response to a request that matches no route."""
        return missing_object().response

    # --- what happens besides requests --------------------------------------

    def authorise(
        self,
        customer: str,
        *,
        id: str | None = None,
        scheme: str = "sepa_core",
        status: str = "active",
    ) -> str:
        """Store a customer's mandate, and return its id."""
        key = id or f"MD{self.number():012d}"
        self.mandates[key] = {
            "id": key,
            "created_at": self._moment(),
            "reference": f"REF-{key}",
            "scheme": scheme,
            "status": status,
            "metadata": {},
            "links": {"customer": customer, "creditor": "CR123"},
        }
        return key

    def visit(self, where: str, *, agrees: bool = True) -> None:
        """Act as the buyer on a billing request's page, given by URL or id."""
        id_ = where.removeprefix(_PAGE)
        request = self.billing_requests[id_]
        base.check_step(f"The billing request {id_}", request["status"], "pending")
        if not agrees:
            self._end_request(request, "cancelled")
            return
        order = request["payment_request"]
        links = request["links"]
        if "mandate_request" in request:
            schemes = {currency: scheme for scheme, currency in CURRENCIES.items()}
            customer = links.get("customer", "CU_NEW")
            mandate = self.authorise(customer, scheme=schemes[order["currency"]])
            links["mandate_request_mandate"] = mandate
        payment = self._add_payment(order, {"creditor": "CR123"}, "faster_payments")
        links["payment_request_payment"] = payment["id"]
        self._end_request(request, "fulfilled")

    def submit(self) -> None:
        """Submit new payments and refunds to the banks."""
        for payment in self.payments.values():
            if payment["status"] == "pending_submission":
                self._change(payment, "submitted")
        for refund in self.refunds.values():
            if refund["status"] == "created":
                refund["status"] = "submitted"

    def settle(self) -> list[base.Notice]:
        """Collect due payments, pay due refunds, and return the webhooks."""
        notice_count = len(self.sent)
        with self._lock:
            self.submit()
            for payment in self.payments.values():
                if payment["status"] == "submitted":
                    self._change(payment, "confirmed")
            for refund in self.refunds.values():
                if refund["status"] == "submitted":
                    refund["status"] = "paid"
                    self._notify("refunds", "paid", {"refund": refund["id"]})
        return self.sent[notice_count:]

    def fail_payment(self, id: str, cause: str = "insufficient_funds") -> None:
        """Report a payment as failed at the bank, even after its confirmation."""
        self._change(self.payments[id], "failed", cause=cause)

    def charge_back(self, id: str) -> None:
        """Charge back a collected payment as the buyer's bank."""
        self._change(self.payments[id], "charged_back")

    def renew(self, id: str, *, success: bool = True) -> None:
        """Charge a subscription's next period by a payment, which may fail."""
        subscription = self.billing.advance(id)
        links = {"mandate": subscription["links"]["mandate"], "creditor": "CR123"}
        scheme = self.mandates[links["mandate"]]["scheme"]
        order = {
            "amount": subscription["amount"],
            "currency": subscription["currency"],
            "description": subscription["name"],
            "reference": subscription["payment_reference"],
        }
        payment = self._add_payment(order, {**links, "subscription": id}, scheme)
        self._notify_subscription(subscription, "payment_created", payment=payment["id"])
        self._change(payment, "submitted")
        if success:
            self._change(payment, "confirmed")
        else:
            self._change(payment, "failed", cause="insufficient_funds")

    def pay_out(self) -> dict[str, Any]:
        """Pay out all confirmed payments, and return the payout."""
        payout: dict[str, Any] = {
            "id": f"PO{self.number():012d}",
            "amount": 0,
            "currency": "EUR",
            "deducted_fees": 0,
            "arrival_date": self._moment()[:10],
            "created_at": self._moment(),
            "payout_type": "merchant",
            "reference": "ref-1",
            "status": "paid",
        }
        for payment in self.payments.values():
            if payment["status"] == "confirmed" and payment["currency"] == "EUR":
                payout["amount"] += payment["amount"] - payment["amount_refunded"]
                self._change(payment, "paid_out")
        self.payouts[payout["id"]] = payout
        self._notify("payouts", "paid", {"payout": payout["id"]})
        return payout

    # --- requests -----------------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token and version."""
        if request.bearer() != self.access_token:
            raise base.Refusal(error(401, "invalid_api_usage", "unauthorized", "Unauthorized"))
        if request.headers.get("gocardless-version") != _VERSION:
            raise base.Refusal(error(400, "invalid_api_usage", "missing_version_header"))

    def _create(
        self, handle: Callable[[base.SandboxRequest], dict[str, Any]]
    ) -> Callable[..., Response]:
        """Return a handler that creates an object once per idempotency key."""

        def create(request: base.SandboxRequest) -> Response:
            name = request.path[1:]
            key = (name, request.headers.get("idempotency-key") or "")
            created_id = self._created.get(key)
            if created_id is not None:
                message = "A resource has already been created with this idempotency key"
                code = "idempotent_creation_conflict"
                links = {"conflicting_resource_id": created_id}
                raise base.Refusal(error(409, "invalid_state", code, message, **links))
            created = handle(request)
            if key[1]:
                self._created[key] = created["id"]
            return base.reply({name: created}, 201)

        return create

    def _show_handler(self, name: str) -> Callable[..., Response]:
        def show(_: base.SandboxRequest, id: str) -> Response:
            now = datetime.fromtimestamp(self.now(), UTC)
            return base.reply(
                {name: self._object(name, id)}, Date=format_datetime(now, usegmt=True)
            )

        return show

    def _object(self, name: str, id: str) -> dict[str, Any]:
        objects: dict[str, dict[str, Any]] = getattr(self, name)
        if id not in objects:
            raise missing_object()
        return objects[id]

    def _pay(self, request: base.SandboxRequest) -> dict[str, Any]:
        fields = check_fields(request.json(), "payments", PAYMENT)
        check_amount(fields)
        mandate = self.mandates.get(fields.get("links", {}).get("mandate"))
        if mandate is None:
            raise invalid_field("links.mandate", "not found")
        if mandate["status"] in INACTIVE:
            raise impossible_step("mandate_is_inactive", "Mandate is cancelled, failed or expired")
        if fields.get("currency") != CURRENCIES[mandate["scheme"]]:
            raise invalid_field("currency", "does not match the scheme of the mandate")
        links = {"mandate": mandate["id"], "creditor": "CR123"}
        return self._add_payment(fields, links, mandate["scheme"])

    def _add_payment(
        self, fields: dict[str, Any], links: dict[str, Any], scheme: str
    ) -> dict[str, Any]:
        payment: dict[str, Any] = {
            "id": f"PM{self.number():012d}",
            "created_at": self._moment(),
            "charge_date": self._moment(3 * 86_400)[:10],
            "amount": fields["amount"],
            "amount_refunded": 0,
            "currency": fields["currency"],
            "description": fields.get("description"),
            "reference": fields.get("reference"),
            "metadata": fields.get("metadata", {}),
            "retry_if_possible": fields.get("retry_if_possible", False),
            "scheme": scheme,
            "status": "pending_submission",
            "links": links,
        }
        self.payments[payment["id"]] = payment
        return payment

    def _cancel_payment(self, _: base.SandboxRequest, id: str) -> Response:
        payment = self._object("payments", id)
        if payment["status"] != "pending_submission":
            raise impossible_step("cancellation_failed", "This payment cannot be cancelled")
        self._change(payment, "cancelled")
        return base.reply({"payments": payment})

    def _request(self, request: base.SandboxRequest) -> dict[str, Any]:
        fields = check_fields(request.json(), "billing_requests", REQUEST)
        order = check_types(fields.get("payment_request"), PAYMENT_REQUEST)
        check_amount(order)
        if order.get("currency") not in PAID_AT_ONCE:
            raise invalid_field("payment_request.currency", "is not supported")
        billing_request: dict[str, Any] = {
            "id": f"BRQ{self.number():012d}",
            "created_at": self._moment(),
            "status": "pending",
            "payment_request": order,
            "metadata": fields.get("metadata", {}),
            "links": dict(fields.get("links", {})),
        }
        if "mandate_request" in fields:
            billing_request["mandate_request"] = fields["mandate_request"]
        self.billing_requests[billing_request["id"]] = billing_request
        return billing_request

    def _cancel_request(self, _: base.SandboxRequest, id: str) -> Response:
        request = self._object("billing_requests", id)
        if request["status"] != "pending":
            raise impossible_step(
                "billing_request_not_cancellable", "This billing request cannot be cancelled"
            )
        self._end_request(request, "cancelled")
        return base.reply({"billing_requests": request})

    def _open_page(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), "billing_request_flows", FLOW)
        id = str(fields.get("links", {}).get("billing_request"))
        self._object("billing_requests", id)
        flow = {
            "id": f"BRF{self.number():012d}",
            "authorisation_url": _PAGE + id,
            "redirect_uri": fields.get("redirect_uri"),
            "exit_uri": fields.get("exit_uri"),
            "created_at": self._moment(),
            "expires_at": self._moment(7 * 86_400),
            "links": {"billing_request": id},
        }
        return base.reply({"billing_request_flows": flow}, 201)

    def _refund(self, request: base.SandboxRequest) -> dict[str, Any]:
        fields = check_fields(request.json(), "refunds", REFUND)
        amount = check_amount(fields)
        payment = self._object("payments", str(fields.get("links", {}).get("payment")))
        if payment["status"] not in _COLLECTED:
            raise impossible_step("refund_payment_invalid_state", "The payment is not collected")
        total = payment["amount_refunded"] + amount
        if fields.get("total_amount_confirmation") != total:
            raise impossible_step(
                "total_amount_confirmation_invalid",
                "The total of the refunds differs from the stated total",
            )
        if total > payment["amount"]:
            raise impossible_step("refund_is_too_large", "The refund exceeds the payment")
        payment["amount_refunded"] = total
        refund: dict[str, Any] = {
            "id": f"RF{self.number():012d}",
            "created_at": self._moment(),
            "amount": amount,
            "currency": payment["currency"],
            "reference": fields.get("reference"),
            "metadata": fields.get("metadata", {}),
            "status": "created",
            "links": {"payment": payment["id"]},
        }
        self.refunds[refund["id"]] = refund
        self._notify("refunds", "created", {"refund": refund["id"]})
        return refund

    def _cancel_mandate(self, _: base.SandboxRequest, id: str) -> Response:
        mandate = self._object("mandates", id)
        if mandate["status"] in INACTIVE:
            raise impossible_step("cancellation_failed", "This mandate cannot be cancelled")
        mandate["status"] = "cancelled"
        for payment in self.payments.values():
            is_open = payment["status"] == "pending_submission"
            if is_open and payment["links"].get("mandate") == id:
                self._change(payment, "cancelled")
        return base.reply({"mandates": mandate})

    def _list_payments(self, request: base.SandboxRequest) -> Response:
        return self._page(request, "payments", self.payments)

    def _list_payouts(self, request: base.SandboxRequest) -> Response:
        return self._page(request, "payouts", self.payouts)

    def _list_subscriptions(self, request: base.SandboxRequest) -> Response:
        return self._page(request, "subscriptions", self.subscriptions)

    def _list_mandates(self, request: base.SandboxRequest) -> Response:
        filters = dict(request.query)
        customer, statuses = filters.get("customer"), filters.get("status", "").split(",")
        matching_mandates = {
            id: item
            for id, item in self.mandates.items()
            if item["links"]["customer"] == customer and item["status"] in statuses
        }
        return self._page(request, "mandates", matching_mandates)

    def _page(
        self, request: base.SandboxRequest, name: str, objects: dict[str, dict[str, Any]]
    ) -> Response:
        filters = dict(request.query)
        limit, cursor = int(filters.get("limit", "50")), filters.get("after")
        earliest, end = filters.get("created_at[gte]", ""), filters.get("created_at[lt]", "~")
        if not 1 <= limit <= 500:
            raise invalid_field("limit", "must be between 1 and 500")
        items = [
            item for item in reversed(objects.values()) if earliest <= item["created_at"] < end
        ]
        ids = [item["id"] for item in items]
        start = 0 if cursor is None else ids.index(cursor) + 1
        page = items[start : start + limit]
        has_more = start + limit < len(items)
        cursors = {"before": None, "after": page[-1]["id"] if has_more else None}
        return base.reply({name: page, "meta": {"cursors": cursors, "limit": limit}})

    # --- changes ------------------------------------------------------------

    def _moment(self, later: float = 0) -> str:
        moment = datetime.fromtimestamp(self.now() + later, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _change(self, payment: dict[str, Any], status: str, *, cause: str | None = None) -> None:
        payment["status"] = status
        origin, usual_cause = _CAUSES.get(status, ("gocardless", f"payment_{status}"))
        details = {"origin": origin, "cause": cause or usual_cause, "description": "It happened."}
        links = {"payment": payment["id"]}
        self._notify("payments", status, links, details, payment["metadata"])

    def _end_request(self, request: dict[str, Any], status: str) -> None:
        request["status"] = status
        self._notify("billing_requests", status, {"billing_request": request["id"]})

    def _notify_subscription(self, subscription: dict[str, Any], action: str, **links: str) -> None:
        all_links = {"subscription": subscription["id"], **links}
        self._notify("subscriptions", action, all_links, metadata=subscription["metadata"])

    def _notify(
        self,
        resource: str,
        action: str,
        links: dict[str, str],
        details: dict[str, str] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Send a signed webhook with one event."""
        event = {
            "id": f"EV{self.number():012d}",
            "created_at": self._moment(),
            "resource_type": resource,
            "action": action,
            "links": links,
            "details": details or {"origin": "gocardless", "cause": f"{resource}_{action}"},
            "metadata": {},
            "resource_metadata": metadata or {},
        }
        body = encode_json({"events": [event], "meta": {"webhook_id": f"WB{self.number():012d}"}})
        headers = {
            "Content-Type": "application/json",
            "Webhook-Signature": hex_hmac(self.webhook_secret, body),
        }
        self.notify(self.webhook_url, body, headers)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GoCardlessPaymentsSandbox()
    sandbox.authorise("ada-1")

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.visit(action_url(payment))
        return {}

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.access_token,
            "base_url": "https://api-sandbox.gocardless.com",
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        vendor_values={
            "asked_by": "create_intent",
            "is_stored": True,
            "settle": sandbox.settle,
            "subscriber": "MD_SANDBOX",
            "voidable": "charge",
        },
        token="MD_SANDBOX",
        buyer=buyer,
    )
