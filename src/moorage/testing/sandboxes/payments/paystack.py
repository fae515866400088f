"""A local sandbox that imitates Paystack.

The authorization `AUTH_sandbox` of `ada@erp.example` pays immediately; `AUTH_insufficient`,
`AUTH_expired` and `AUTH_declined` are declined, and for `AUTH_challenged` the buyer confirms the
payment on a page. `visit` acts as the buyer on such a page, and on the page of a new transaction.
Refunds are pending until `settle`.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moorage.contracts.payments import Customer
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.payments._paystack_rules import (
    CHALLENGED,
    CHARGE,
    DEACTIVATE,
    DECLINES,
    INITIALIZE,
    REFUND,
    charged,
    check_fields,
    disputed,
    error,
    invalid_request,
    listed,
    missing,
    success,
    verified,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from moorage.contracts.payments import Payment
    from moorage.contracts.ref import Ref
    from moorage.domain.http.requests import Response

ADA = "ada@erp.example"


class PaystackSandbox(base.Sandbox):
    """A sandbox of Paystack: transactions, refunds, disputes, authorizations and webhooks.

    Attributes:
        secret_key: secret key that requests must have, and that signs the webhooks.
        webhook_url: URL that webhooks are sent to.
        currencies: currencies that the account accepts.
        now: returns the time, in seconds since 1970.
        transactions: all transactions, by reference, the oldest first.
        refunds, disputes: all objects, by id, the oldest first.
        authorizations: the authorizations of each customer's email address, by their codes.
    """

    hosts = ("api.paystack.co",)

    secret_key: str = "sk_test_sandbox"
    webhook_url: str = "https://erp.example/webhooks/paystack"
    currencies: frozenset[str] = frozenset({"GHS", "KES", "NGN", "USD", "XOF", "ZAR"})
    now: Callable[[], float] = time.time
    transactions: dict[str, dict[str, Any]] = base.state_field(dict)
    refunds: dict[str, dict[str, Any]] = base.state_field(dict)
    disputes: dict[str, dict[str, Any]] = base.state_field(dict)
    authorizations: dict[str, dict[str, dict[str, Any]]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        for code in ("AUTH_sandbox", CHALLENGED, *DECLINES):
            self.store(ADA, code)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /transaction/initialize": self._initialize,
            "POST /transaction/charge_authorization": self._charge,
            "GET /transaction/verify/{reference}": self._verify,
            "GET /transaction": self._list_transactions,
            "POST /refund": self._refund,
            "GET /refund": self._list_refunds,
            "GET /refund/{id}": self._show_refund,
            "GET /dispute": self._list_disputes,
            "GET /dispute/{id}": self._show_dispute,
            "POST /customer/authorization/deactivate": self._deactivate,
            "GET /customer/{code}": self._show_customer,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return error(404, f"There is no {request.path}.", "not_found")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that cannot be read."""
        return error(400, problem)

    # --- what happens besides requests --------------------------------------

    def store(self, email: str, code: str, *, reusable: bool = True) -> None:
        """Store an authorization of a customer for later payments."""
        self.authorizations.setdefault(email, {})[code] = {
            "authorization_code": code,
            "bin": "408408",
            "last4": "4081",
            "exp_month": "12",
            "exp_year": "2030",
            "channel": "card",
            "card_type": "visa ",
            "bank": "TEST BANK",
            "country_code": "NG",
            "brand": "visa",
            "reusable": reusable,
            "signature": "SIG_yEXu7dLBeqG0kU7g95Ke",
            "account_name": None,
        }

    def visit(self, reference: str, *, decline: str | None = None, fees: int = 0) -> None:
        """Pay a transaction on its page as the buyer.

        Args:
            reference: reference of the transaction.
            decline: the bank's words of a decline; None for a payment that succeeds.
            fees: Paystack's fees, if the buyer bears them.
        """
        transaction = self.transactions[reference]
        base.check_step(
            f"The transaction {reference}", transaction["status"], "abandoned", "ongoing", "failed"
        )
        transaction["amount"] += fees
        transaction["fees"] = fees
        self.store(transaction["customer"]["email"], f"AUTH_{self.number()}")
        means = self.authorizations[transaction["customer"]["email"]]
        transaction["authorization"] = [*means.values()][-1]
        self._finish(transaction, decline)

    def settle(self, status: str = "processed") -> None:
        """Give all refunds that are under way this status."""
        for refund in self.refunds.values():
            if refund["status"] not in {"processed", "failed"}:
                refund["status"] = status
                if status == "processed":
                    refund["refunded_at"] = self._moment()
                transaction = self.transactions[refund["transaction_reference"]]
                if self._refunded(transaction, "processed") == transaction["amount"]:
                    transaction["status"] = "reversed"
                self._notify_refund(refund)

    def dispute(self, reference: str) -> str:
        """Dispute a payment, send the webhook, and return the dispute's id."""
        transaction = self.transactions[reference]
        id_ = self.number()
        self.disputes[str(id_)] = {
            "id": id_,
            "refund_amount": transaction["amount"],
            "currency": transaction["currency"],
            "status": "awaiting-merchant-feedback",
            "resolution": None,
            "domain": "test",
            "transaction_reference": None,
            "category": "chargeback",
            "customer": transaction["customer"],
            "bin": "408408",
            "last4": "4081",
            "dueAt": self._moment(16 * 3_600),
            "resolvedAt": None,
            "evidence": None,
            "attachments": None,
            "note": None,
            "history": [],
            "messages": [],
            "createdAt": self._moment(),
            "updatedAt": self._moment(),
            "disputed": reference,
        }
        self._notify_dispute("create", str(id_))
        return str(id_)

    def remind(self, id_: str) -> None:
        """Send the webhook that reminds of a dispute."""
        self._notify_dispute("remind", id_)

    def resolve(self, id_: str, resolution: str) -> None:
        """Resolve a dispute, and send the webhook; an accepted one reverses its transaction."""
        dispute = self.disputes[id_]
        dispute |= {"status": "resolved", "resolution": resolution, "resolvedAt": self._moment()}
        if resolution.endswith("accepted"):
            self.transactions[dispute["disputed"]]["status"] = "reversed"
        self._notify_dispute("resolve", id_)

    # --- requests -----------------------------------------------------------

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's secret key."""
        if request.bearer() != self.secret_key:
            raise base.Refusal(error(401, "Invalid key"))

    def _initialize(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), INITIALIZE, "email", "amount")
        transaction = self._add(fields, fields.get("metadata"), "abandoned")
        return success("Authorization URL created", self._page(transaction))

    def _charge(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), CHARGE, "email", "amount", "authorization_code")
        code = fields["authorization_code"]
        authorization = self.authorizations.get(fields["email"], {}).get(code)
        if authorization is None:
            raise invalid_request(
                "Email does not match Authorization code. Authorization may be inactive or belong"
                " to a different email. Please confirm."
            )
        if not authorization["reusable"]:
            raise invalid_request("This authorization is not reusable")
        metadata = json.loads(fields["metadata"]) if fields.get("metadata") else None
        transaction = self._add(fields, metadata, "ongoing")
        transaction["authorization"] = authorization
        if code == CHALLENGED:
            return success(
                "Please, redirect your customer to the authorization url provided",
                {**self._page(transaction), "paused": True},
            )
        self._finish(transaction, DECLINES.get(code))
        return success("Charge attempted", charged(transaction))

    def _add(self, fields: dict[str, Any], metadata: Any, status: str) -> dict[str, Any]:
        currency = fields.get("currency", "NGN")
        if currency not in self.currencies:
            raise invalid_request("Currency not supported by merchant", None)
        number = self.number()
        reference = fields.get("reference", f"T{number:015d}")
        if reference in self.transactions:
            raise invalid_request("Duplicate Transaction Reference", "duplicate_reference")
        transaction = {
            "id": number,
            "domain": "test",
            "status": status,
            "reference": reference,
            "receipt_number": None,
            "amount": fields["amount"],
            "requested_amount": fields["amount"],
            "message": None,
            "gateway_response": "The transaction was not completed",
            "paid_at": None,
            "paidAt": None,
            "created_at": self._moment(),
            "createdAt": self._moment(),
            "transaction_date": self._moment(),
            "channel": "card",
            "currency": currency,
            "ip_address": "192.0.2.7",
            "metadata": metadata,
            "stored_metadata": fields.get("metadata", ""),
            "log": None,
            "fees": 0,
            "fees_split": None,
            "fees_breakdown": None,
            "authorization": {},
            "customer": _customer(fields["email"]),
            "plan": {},
            "split": {},
            "subaccount": {},
            "order_id": None,
            "pos_transaction_data": None,
            "source": None,
            "connect": None,
        }
        self.transactions[reference] = transaction
        return transaction

    def _page(self, transaction: dict[str, Any]) -> dict[str, Any]:
        code = f"{transaction['id']:015d}"
        return {
            "authorization_url": f"https://checkout.paystack.com/{code}",
            "access_code": code,
            "reference": transaction["reference"],
        }

    def _finish(self, transaction: dict[str, Any], decline: str | None) -> None:
        if decline is not None:
            transaction |= {"status": "failed", "gateway_response": decline}
            return
        paid_at = self._moment()
        transaction |= {"status": "success", "gateway_response": "Approved"}
        transaction |= {"paid_at": paid_at, "paidAt": paid_at}
        self._notify("charge.success", listed(transaction))

    def _verify(self, _: base.SandboxRequest, reference: str) -> Response:
        if reference not in self.transactions:
            raise invalid_request("Transaction not found", "transaction_not_found")
        return success("Verification successful", verified(self.transactions[reference]))

    def _refund(self, request: base.SandboxRequest) -> Response:
        fields = check_fields(request.json(), REFUND, "transaction")
        reference = fields["transaction"]
        transaction = base.existing(self.transactions, reference, missing("Transaction"))
        if transaction["status"] == "reversed":
            raise invalid_request("Transaction has been fully reversed", "transaction_reversed")
        if transaction["status"] != "success":
            raise invalid_request("Only successful transactions can be refunded")
        if fields.get("currency", transaction["currency"]) != transaction["currency"]:
            raise invalid_request("The currency is not the one of the transaction")
        amount = fields.get("amount", transaction["amount"])
        if amount + self._refunded(transaction) > transaction["amount"]:
            raise invalid_request("Refund amount cannot be more than transaction amount")
        number, note = self.number(), f"Refund for transaction {reference}"
        refund = {
            "id": number,
            "integration": 100982,
            "domain": "test",
            "transaction": transaction["id"],
            "transaction_reference": reference,
            "transaction_amount": transaction["amount"],
            "dispute": None,
            "settlement": None,
            "amount": amount,
            "currency": transaction["currency"],
            "status": "pending",
            "refunded_at": None,
            "refunded_by": "owner@erp.example",
            "initiated_by": "owner@erp.example",
            "customer_note": fields.get("customer_note", note),
            "merchant_note": fields.get("merchant_note", f"{note} by owner@erp.example"),
            "deducted_amount": amount,
            "fully_deducted": 1,
            "createdAt": self._moment(),
            "bank_reference": None,
            "reason": "PROCESSING",
            "customer": {**transaction["customer"], "metadata": ""},
            "refund_type": "full" if amount == transaction["amount"] else "partial",
            "refund_channel": "card",
            "session_id": None,
            "collect_account_number": False,
        }
        self.refunds[str(number)] = refund
        self._notify_refund(refund)
        return success("Refund has been queued for processing", _new_refund(refund, transaction))

    def _refunded(self, transaction: dict[str, Any], *states: str) -> int:
        """Return the total of a transaction's refunds that did not fail, or have these states."""
        return sum(
            refund["amount"]
            for refund in self.refunds.values()
            if refund["transaction"] == transaction["id"]
            and (refund["status"] in states if states else refund["status"] != "failed")
        )

    def _list_transactions(self, request: base.SandboxRequest) -> Response:
        items = [listed(item) for item in self.transactions.values()]
        return self._list(request, "Transactions retrieved", items, total_volume=0)

    def _list_refunds(self, request: base.SandboxRequest) -> Response:
        return self._list(request, "Refunds retrieved", self.refunds.values(), failedRefundCount=0)

    def _list_disputes(self, request: base.SandboxRequest) -> Response:
        items = [self._dispute_answer(id_) for id_ in self.disputes]
        return self._list(request, "Disputes retrieved", items)

    def _list(
        self,
        request: base.SandboxRequest,
        message: str,
        items: Iterable[dict[str, Any]],
        **more: int,
    ) -> Response:
        """Return a page of objects, the latest first."""
        query = dict(request.query)
        size, number = int(query.get("perPage", "50")), int(query.get("page", "1"))
        bounds = [
            datetime.fromisoformat(query.get(name, text))
            for name, text in (("from", "1970-01-01T00:00Z"), ("to", "9999-01-01T00:00Z"))
        ]
        matches = [
            item
            for item in reversed([*items])
            if bounds[0] <= datetime.fromisoformat(item["createdAt"]) <= bounds[1]
        ]
        skipped = (number - 1) * size
        meta = {
            "total": len(matches),
            "skipped": skipped,
            # A list of refunds has this number as text.
            "perPage": str(size) if request.path == "/refund" else size,
            "page": number,
            "pageCount": -(-len(matches) // size),
            **more,
        }
        return success(message, matches[skipped : skipped + size], meta=meta)

    def _show_refund(self, _: base.SandboxRequest, id: str) -> Response:
        return success("Refund retrieved", base.existing(self.refunds, id, missing("Refund")))

    def _show_dispute(self, _: base.SandboxRequest, id: str) -> Response:
        dispute = base.existing(self.disputes, id, missing("Dispute"))
        answer, transaction = self._dispute_answer(id), self.transactions[dispute["disputed"]]
        answer["transaction"]["requested_amount"] = transaction["requested_amount"]
        return success("Dispute retrieved", answer)

    def _dispute_answer(self, id_: str) -> dict[str, Any]:
        answer = dict(self.disputes[id_])
        transaction = self.transactions[answer.pop("disputed")]
        return answer | {"transaction": disputed(transaction)}

    def _show_customer(self, _: base.SandboxRequest, code: str) -> Response:
        authorizations = base.existing(self.authorizations, code, missing("Customer"))
        customer = _customer(code)
        del customer["international_format_phone"]
        times = ("createdAt", "created_at", "updatedAt", "updated_at")
        return success(
            "Customer retrieved",
            {
                **customer,
                **dict.fromkeys(times, self._moment()),
                "transactions": [],
                "subscriptions": [],
                "authorizations": [*authorizations.values()],
                "domain": "test",
                "integration": 100982,
                "total_transactions": 0,
                "total_transaction_value": [],
                "dedicated_account": None,
                "dedicated_accounts": [],
                "identified": False,
                "identifications": None,
            },
        )

    def _deactivate(self, request: base.SandboxRequest) -> Response:
        code = check_fields(request.json(), DEACTIVATE, "authorization_code")["authorization_code"]
        for stored in self.authorizations.values():
            if stored.pop(code, None) is not None:
                return success("Authorization has been deactivated")
        raise missing("Authorization code")

    # --- helpers ------------------------------------------------------------

    def _moment(self, later: float = 0) -> str:
        at = datetime.fromtimestamp(self.now() + later, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _notify_refund(self, refund: dict[str, Any]) -> None:
        data = {
            "status": refund["status"],
            "transaction_reference": refund["transaction_reference"],
            "refund_reference": None,
            "amount": str(refund["amount"]),
            "currency": refund["currency"],
            "processor": "instant-transfer",
            "customer": refund["customer"],
            "integration": refund["integration"],
            "domain": "test",
        }
        self._notify(f"refund.{refund['status']}", data)

    def _notify_dispute(self, step: str, id_: str) -> None:
        data = self._dispute_answer(id_)
        for name in ("created", "updated"):
            data[f"{name}_at"] = data.pop(f"{name}At")
        self._notify(f"charge.dispute.{step}", data)

    def _notify(self, name: str, data: dict[str, Any]) -> None:
        """Send a signed webhook."""
        body = encode_json({"event": name, "data": data})
        headers = {
            "Content-Type": "application/json",
            "x-paystack-signature": hex_hmac(self.secret_key, body, "sha512"),
        }
        self.notify(self.webhook_url, body, headers)


def _customer(email: str) -> dict[str, Any]:
    return {
        "id": 181873746,
        "first_name": "Ada",
        "last_name": "Byron",
        "email": email,
        "customer_code": "CUS_1rkzaqsv4rrhqo6",
        "phone": "+2348012345678",
        "metadata": {},
        "risk_action": "default",
        "international_format_phone": "+2348012345678",
    }


def _new_refund(refund: dict[str, Any], transaction: dict[str, Any]) -> dict[str, Any]:
    """Return a refund as the response to its request contains it."""
    names = (
        *("amount", "createdAt", "currency", "customer_note", "deducted_amount", "domain"),
        *("id", "integration", "merchant_note", "refunded_by", "status"),
    )
    of_transaction = (
        *("amount", "channel", "currency", "domain", "fees_breakdown", "id", "order_id"),
        *("paidAt", "paid_at", "plan", "pos_transaction_data", "reference", "source", "split"),
    )
    return {name: refund[name] for name in names} | {
        "channel": None,
        "expected_at": refund["createdAt"],
        "updatedAt": refund["createdAt"],
        "fully_deducted": False,
        "transaction": {name: transaction[name] for name in of_transaction}
        | {
            "authorization": {"exp_month": None, "exp_year": None, "account_name": None},
            "customer": {"international_format_phone": None},
            "subaccount": {"currency": None},
        },
    }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PaystackSandbox()
    sandbox.currencies |= {"EUR"}
    sandbox.store("ada-1", "AUTH_stored")

    def buyer(payment: Payment) -> dict[str, str]:
        sandbox.visit(payment.ref.id)
        return {"reference": payment.ref.id, "trxref": payment.ref.id}

    def dispute(ref: Ref) -> object:
        return sandbox.dispute(ref.id)

    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.secret_key,
            "return_url": "https://erp.example/back",
            "volatile_keys": True,
        },
        vendor_values={
            "asked_by": "create_intent",
            "buyer": Customer(email=ADA),
            "dispute": dispute,
            "is_stored": True,
            "settle": sandbox.settle,
        },
        token="AUTH_sandbox",
        buyer=buyer,
    )
