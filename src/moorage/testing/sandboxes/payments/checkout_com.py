"""A local sandbox that imitates Checkout.com.

`token` makes magic tokens: `token()` is approved, `token("20051")` is declined with this response
code, and `token("3ds")` waits for the buyer, whose part `visit` plays; so do methods such as
`ideal`. Captures, voids and refunds are accepted at first; `settle` decides them and sends their
webhooks.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture, action_url
from moorage.testing.sandboxes.payments._checkout_com_rules import (
    CAPTURE,
    CONFIRMED,
    EVIDENCE,
    REFUND,
    SUMMARIES,
    VOID,
    check_amount,
    check_fields,
    check_payment,
    error,
    invalid_data,
    outcome_of,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.domain.http.requests import Response

_API = "https://api.sandbox.checkout.com"
_UNSENT_FIELDS = frozenset({"status", "received_on", "last_update"})
_SUMMARY_FIELDS = frozenset({"payment_id", "payment_method", "payment_reference"})
_EVENTS = {
    "Capture": ("payment_captured", "payment_capture_declined"),
    "Refund": ("payment_refunded", "payment_refund_declined"),
    "Void": ("payment_voided", "payment_void_declined"),
}


@attrs.define(kw_only=True)
class CheckoutComPayment:
    """A payment in Checkout.com's sandbox; amounts are in minor units."""

    id: str
    fields: dict[str, Any]
    source: dict[str, Any] | None
    at: str
    status: str = "Pending"
    code: str | None = None
    authorized: int = 0
    voided: int = 0
    captured: int = 0
    refunded: int = 0
    refunding: int = 0
    capturing: int = 0
    voiding: int = 0
    actions: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    @property
    def open(self) -> int:
        """The amount that can still be captured or voided."""
        return self.authorized - self.voided - self.captured - self.capturing - self.voiding

    def balances(self) -> dict[str, int]:
        """Return the balances in Checkout.com's format."""
        is_captured = self.captured > 0
        return {
            "total_authorized": self.authorized,
            "total_voided": self.voided,
            "available_to_void": 0 if is_captured else self.open,
            "total_captured": self.captured,
            "available_to_capture": self.open,
            "total_refunded": self.refunded,
            "available_to_refund": self.captured - self.refunded,
        }

    def count(self) -> None:
        """Set the payment's status from its authorized, captured, refunded and voided amounts."""
        if self.refunded:
            is_whole = self.refunded >= self.captured
            self.status = "Refunded" if is_whole else "Partially Refunded"
        elif self.captured:
            is_whole = self.captured >= self.authorized
            self.status = "Captured" if is_whole else "Partially Captured"
        elif self.voided:
            self.status = "Voided"


class CheckoutComSandbox(base.Sandbox):
    """A sandbox of Checkout.com: payments, their actions, disputes, customers and webhooks.

    Attributes:
        secret_key: credentials that requests must have.
        webhook_secret: key that webhooks are signed with.
        webhook_url: URL that webhooks are sent to.
        now: returns the time, in seconds since 1970.
        payments: every payment, by its id.
        disputes: every dispute, the most recently changed first.
        evidence: the evidence of each dispute, by the dispute's id.
        customers: the stored cards of each customer, by their ids.
    """

    hosts = (
        "api.checkout.com",
        "api.sandbox.checkout.com",
        ".api.checkout.com",
        ".api.sandbox.checkout.com",
    )

    secret_key: str = "sk_sbox_sandbox"
    webhook_secret: str = "checkout-sandbox-secret"
    webhook_url: str = "https://erp.example/webhooks/checkout_com"
    now: Callable[[], float] = time.time
    _replays: base.Replays = base.state_field(lambda: base.Replays(header="cko-idempotency-key"))
    payments: dict[str, CheckoutComPayment] = base.state_field(dict)
    disputes: list[dict[str, Any]] = base.state_field(list)
    evidence: dict[str, dict[str, Any]] = base.state_field(dict)
    customers: dict[str, dict[str, dict[str, Any]]] = base.state_field(dict)
    _open: list[tuple[CheckoutComPayment, dict[str, Any], bool]] = base.state_field(list)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /payments": self._replays.once(self._pay),
            "GET /payments/{id}": self._show,
            "GET /payments/{id}/actions": self._show_actions,
            "POST /payments/{id}/captures": self._replays.once(self._capture),
            "POST /payments/{id}/voids": self._replays.once(self._void),
            "POST /payments/{id}/refunds": self._replays.once(self._refund),
            "GET /disputes": self._list_disputes,
            "GET /disputes/{id}": self._show_dispute,
            "POST /disputes/{id}/accept": self._accept_dispute,
            "GET /disputes/{id}/evidence": self._show_evidence,
            "PUT /disputes/{id}/evidence": self._store_evidence,
            "POST /disputes/{id}/evidence": self._submit_evidence,
            "GET /customers/{id}": self._show_customer,
            "DELETE /instruments/{id}": self._delete_instrument,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - the answer is empty
        """Return the response to a request that matches no route."""
        return base.reply({}, 404).evolve(body=b"")

    def unreadable(self, problem: str) -> Response:  # noqa: ARG002 - the answer is fixed
        """Return the response to a request that cannot be read."""
        return error(422, "request_body_malformed")

    # --- what happens besides requests --------------------------------------

    def visit(self, where: str, *, code: str = "10000") -> None:
        """Act as the buyer on a redirect page, given by URL or payment id.

        Args:
            where: the payment.
            code: response code of the authorisation afterwards.
        """
        id_ = where.rpartition("/")[2]
        base.check_step(f"The payment {id_}", self.payments[id_].status, "Pending")
        self._decide(self.payments[id_], code)

    def settle(self, *, success: bool = True) -> list[base.Notice]:
        """Decide accepted captures, voids and refunds, and return their webhooks."""
        notice_count = len(self.sent)
        with self._lock:
            while self._open:
                payment, action, is_final = self._open.pop(0)
                self._finish(payment, action, is_final=is_final, success=success)
        return self.sent[notice_count:]

    def dispute(self, id: str, status: str = "evidence_required") -> dict[str, Any]:
        """Dispute a payment, send the webhook, and return the dispute."""
        payment = self.payments[id]
        dispute = {
            "id": f"dsp_{self.number():022d}",
            "category": "fraudulent",
            "status": status,
            "amount": payment.captured,
            "currency": payment.fields["currency"],
            "reason_code": "10.4",
            "payment_id": id,
            "payment_reference": payment.fields.get("reference"),
            "payment_method": "VISA",
            "evidence_required_by": self._moment(864_000),
            "received_on": self._moment(),
            "last_update": self._moment(),
        }
        self.disputes.insert(0, dispute)
        self._notify_dispute(f"dispute_{status}", dispute)
        return dispute

    def _notify_dispute(self, kind: str, dispute: dict[str, Any]) -> None:
        data = {name: value for name, value in dispute.items() if name not in _UNSENT_FIELDS}
        self._notify(kind, {**data, "date": self._moment()})

    def store(self, customer: str) -> str:
        """Store a customer's card, and return its id."""
        key = f"src_{self.number():026d}"
        self.customers.setdefault(customer, {})[key] = _card(key)
        return key

    # --- requests -----------------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's secret key."""
        if request.bearer() != self.secret_key:
            raise base.Refusal(base.reply({}, 401).evolve(body=b""))

    def _pay(self, request: base.SandboxRequest) -> Response:
        fields = check_payment(request.json())
        is_asked = bool(fields.get("3ds", {}).get("enabled"))
        outcome = outcome_of(fields["source"], confirmed=is_asked)
        self._check_customer(fields)
        payment = CheckoutComPayment(
            id=f"pay_{self.number():026d}", fields=fields, source=None, at=self._moment()
        )
        self.payments[payment.id] = payment
        if outcome != CONFIRMED:
            self._decide(payment, outcome)
            return base.reply(self._decided_reply(payment), 201)
        links = {"self": _link(payment.id), "redirect": {"href": f"{_API}/3ds/{payment.id}"}}
        body = {"id": payment.id, "status": payment.status, "_links": links}
        body |= {name: fields[name] for name in ("reference", "customer") if name in fields}
        return base.reply(body, 202)

    def _check_customer(self, fields: dict[str, Any]) -> None:
        customer = fields.get("customer", {}).get("id")
        if customer is not None and customer not in self.customers:
            raise invalid_data("customer_id_invalid")
        source = fields["source"].get("id")
        if source is not None and not any(source in cards for cards in self.customers.values()):
            raise invalid_data("source_id_invalid")

    def _decided_reply(self, payment: CheckoutComPayment) -> dict[str, Any]:
        """Return the response for a new payment whose authorisation is decided."""
        action = payment.actions[-1]
        body = self._payment_fields(payment)
        del body["requested_on"], body["payment_type"]
        return body | {
            "action_id": action["id"],
            "response_code": payment.code,
            "response_summary": SUMMARIES[payment.code or ""],
            "processed_on": action["processed_on"],
        }

    def _decide(self, payment: CheckoutComPayment, code: str) -> None:
        """Approve or decline a payment's authorisation."""
        amount, approved = payment.fields["amount"], code.startswith("10")
        payment.code = code
        payment.status = "Authorized" if approved else "Declined"
        payment.source = self._source_of(payment.fields, approved=approved)
        action = self._add_action(payment, "Authorization", amount, approved=approved)
        action |= {"response_code": code, "response_summary": SUMMARIES[code]}
        if approved:
            payment.authorized = amount
            if payment.fields.get("capture", True):
                payment.capturing = amount
                self._open.append((payment, self._add_action(payment, "Capture", amount), True))
        extra = {name: payment.fields[name] for name in ("reference",) if name in payment.fields}
        name = "payment_approved" if approved else "payment_declined"
        self._send_webhook(name, payment, action, **extra)

    def _source_of(self, fields: dict[str, Any], *, approved: bool) -> dict[str, Any]:
        source = fields["source"]
        if source["type"] not in {"token", "id"}:
            return {"type": source["type"]}
        card = _card(source.get("id") or f"src_{self.number():026d}")
        customer = fields.get("customer", {}).get("id")
        if not approved:
            del card["id"]
        elif customer is not None and source.get("store_for_future_use"):
            self.customers[customer][card["id"]] = card
        return card

    def _add_action(
        self, payment: CheckoutComPayment, kind: str, amount: int, *, approved: bool = True
    ) -> dict[str, Any]:
        action = {
            "id": f"act_{self.number():026d}",
            "type": kind,
            "processed_on": self._moment(),
            "amount": amount,
            "approved": approved,
            "response_code": "10000",
            "response_summary": SUMMARIES["10000"],
        }
        if kind == "Authorization":
            payment.actions.append(action)
        return action

    def _show(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._payment_fields(self._payment(id)))

    def _payment_fields(self, payment: CheckoutComPayment) -> dict[str, Any]:
        fields = payment.fields
        body: dict[str, Any] = {
            "id": payment.id,
            "requested_on": payment.at,
            "amount": fields["amount"],
            "currency": fields["currency"],
            "payment_type": fields.get("payment_type", "Regular"),
            "approved": payment.authorized > 0,
            "status": payment.status,
            "balances": payment.balances(),
            "_links": {"self": _link(payment.id), "actions": _link(payment.id, "/actions")},
        }
        names = ("reference", "description", "metadata", "customer")
        body |= {name: fields[name] for name in names if name in fields}
        if payment.source is not None:
            body["source"] = payment.source
        return body

    def _show_actions(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._payment(id).actions[::-1])

    def _capture(self, request: base.SandboxRequest, id: str) -> Response:
        fields, payment = check_fields(request.json(), CAPTURE), self._payment(id)
        if payment.open <= 0 or self._is_final(payment):
            raise base.Refusal(error(403))
        amount = check_amount(fields.get("amount", payment.open), payment.fields["currency"])
        if amount > payment.open:
            raise invalid_data("capture_value_greater_than_remaining_authorized")
        is_final = fields.get("capture_type", "Final") == "Final"
        payment.capturing += amount
        return self._accept(payment, "Capture", amount, fields, is_final=is_final)

    def _is_final(self, payment: CheckoutComPayment) -> bool:
        return any(is_final for open_payment, _, is_final in self._open if open_payment is payment)

    def _void(self, request: base.SandboxRequest, id: str) -> Response:
        fields, payment = check_fields(request.json(), VOID), self._payment(id)
        if payment.open <= 0 or payment.captured or payment.capturing:
            raise base.Refusal(error(403))
        amount = payment.open
        payment.voiding += amount
        return self._accept(payment, "Void", amount, fields)

    def _refund(self, request: base.SandboxRequest, id: str) -> Response:
        fields, payment = check_fields(request.json(), REFUND), self._payment(id)
        # An accepted capture takes effect before a later refund of it.
        captured_amount = payment.captured + payment.capturing
        if captured_amount == 0:
            raise base.Refusal(error(403))
        amount = check_amount(fields.get("amount", captured_amount), payment.fields["currency"])
        if amount > captured_amount - payment.refunded - payment.refunding:
            raise invalid_data("refund_amount_exceeds_balance")
        payment.refunding += amount
        return self._accept(payment, "Refund", amount, fields)

    def _accept(
        self,
        payment: CheckoutComPayment,
        kind: str,
        amount: int,
        fields: dict[str, Any],
        *,
        is_final: bool = False,
    ) -> Response:
        action = self._add_action(payment, kind, amount)
        self._open.append((payment, action, is_final))
        body = {"action_id": action["id"], "_links": {"payment": _link(payment.id)}}
        body |= {name: fields[name] for name in ("reference",) if name in fields}
        return base.reply(body, 202)

    def _finish(
        self, payment: CheckoutComPayment, action: dict[str, Any], *, is_final: bool, success: bool
    ) -> None:
        kind, amount = action["type"], action["amount"]
        if kind == "Capture":
            payment.capturing -= amount
            payment.captured += amount if success else 0
            if is_final and success:
                payment.voided = payment.authorized - payment.captured
        elif kind == "Refund":
            payment.refunding -= amount
            payment.refunded += amount if success else 0
        else:
            payment.voiding -= amount
            payment.voided += amount if success else 0
        if not success:
            action |= {
                "approved": False,
                "response_code": "20005",
                "response_summary": SUMMARIES["20005"],
            }
        payment.actions.append(action)
        payment.count()
        self._send_webhook(_EVENTS[kind][not success], payment, action, balances=payment.balances())

    def _show_dispute(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = self._dispute(id)
        summary = {name: value for name, value in dispute.items() if name not in _SUMMARY_FIELDS}
        payment = {"id": dispute["payment_id"], "method": dispute["payment_method"]}
        return base.reply({**summary, "payment": payment})

    def _accept_dispute(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = self._open_dispute(id)
        dispute["status"] = "accepted"
        self._notify_dispute("dispute_accepted", dispute)
        return base.reply({}, 204).evolve(body=b"")

    def _show_evidence(self, _: base.SandboxRequest, id: str) -> Response:
        self._dispute(id)
        return base.reply(self.evidence.get(id, {}))

    def _store_evidence(self, request: base.SandboxRequest, id: str) -> Response:
        self._open_dispute(id)
        self.evidence[id] = check_fields(request.json(), EVIDENCE)
        return base.reply({}, 204).evolve(body=b"")

    def _submit_evidence(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = self._open_dispute(id)
        if not self.evidence.get(id):
            raise invalid_data("evidence_required")
        dispute["status"] = "evidence_under_review"
        self._notify_dispute("dispute_evidence_submitted", dispute)
        return base.reply({}, 204).evolve(body=b"")

    def _open_dispute(self, id: str) -> dict[str, Any]:
        dispute = self._dispute(id)
        if dispute["status"] != "evidence_required":
            raise invalid_data("dispute_status_invalid")
        return dispute

    def _dispute(self, id: str) -> dict[str, Any]:
        dispute = next((dispute for dispute in self.disputes if dispute["id"] == id), None)
        if dispute is None:
            raise base.Refusal(error(404))
        return dispute

    def _list_disputes(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        limit, skip = int(query.pop("limit", "50")), int(query.pop("skip", "0"))
        query.pop("from", None)
        if query or not 1 <= limit <= 250:
            raise invalid_data("paging_limit_invalid")
        page = self.disputes[skip : skip + limit]
        total = len(self.disputes)
        return base.reply({"limit": limit, "skip": skip, "total_count": total, "data": page})

    def _show_customer(self, _: base.SandboxRequest, id: str) -> Response:
        if id not in self.customers:
            raise base.Refusal(base.reply({}, 404).evolve(body=b""))
        cards = [*self.customers[id].values()]
        return base.reply({"id": id, "email": "ada@erp.example", "instruments": cards})

    def _delete_instrument(self, _: base.SandboxRequest, id: str) -> Response:
        for cards in self.customers.values():
            if cards.pop(id, None) is not None:
                return base.reply({}, 204).evolve(body=b"")
        raise base.Refusal(base.reply({}, 404).evolve(body=b""))

    def _payment(self, id: str) -> CheckoutComPayment:
        if id not in self.payments:
            raise base.Refusal(base.reply({}, 404).evolve(body=b""))
        return self.payments[id]

    def _moment(self, later: float = 0) -> str:
        moment = datetime.fromtimestamp(self.now() + later, UTC)
        return moment.isoformat().replace("+00:00", "Z")

    def _send_webhook(
        self, name: str, payment: CheckoutComPayment, action: dict[str, Any], **fields: Any
    ) -> None:
        """Send a signed webhook about a payment's action."""
        data = {
            "id": payment.id,
            "action_id": action["id"],
            "amount": action["amount"],
            "currency": payment.fields["currency"],
            "processed_on": action["processed_on"],
            "response_code": action["response_code"],
            "response_summary": action["response_summary"],
            **fields,
        }
        self._notify(name, data)

    def _notify(self, name: str, data: dict[str, Any]) -> None:
        event = {
            "id": f"evt_{self.number():026d}",
            "type": name,
            "version": "1.0.29",
            "created_on": self._moment(),
            "data": data,
        }
        body = encode_json(event)
        signature = hex_hmac(self.webhook_secret, body)
        headers = {"Content-Type": "application/json", "Cko-Signature": signature}
        self.notify(self.webhook_url, body, headers)


def token(word: str = "10000") -> str:
    """Return a magic token for a response code, or "3ds" for a card that needs confirmation."""
    return f"tok_{word:_<26}"


def _link(payment: str, ending: str = "") -> dict[str, str]:
    return {"href": f"{_API}/payments/{payment}{ending}"}


def _card(id: str) -> dict[str, Any]:
    return {
        "type": "card",
        "id": id,
        "fingerprint": "f31828e2bdabae63eb694903a1",
        "expiry_month": 12,
        "expiry_year": 2034,
        "scheme": "Visa",
        "last4": "4242",
        "bin": "424242",
    }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = CheckoutComSandbox()
    sandbox.store("ada-1")

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.visit(action_url(payment))
        return {"cko-session-id": "sid_ubfj2q76miwundwlk72vxt2i7q"}

    def open_dispute(payment: Ref) -> str:
        dispute_id: str = sandbox.dispute(payment.id)["id"]
        return dispute_id

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.secret_key,
            "base_url": _API,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        vendor_values={
            "asks": "ideal",
            "dispute": open_dispute,
            "is_stored": True,
            "settle": sandbox.settle,
        },
        token=token(),
        buyer=buyer,
    )
