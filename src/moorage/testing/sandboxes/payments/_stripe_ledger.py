"""The stored objects of Stripe's sandbox, their state changes and webhooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Sandbox, check_step
from moorage.testing.sandboxes.payments._stripe_objects import stripe_reply, whole_object
from moorage.testing.sandboxes.payments._stripe_rules import (
    StoredRefusal,
    details_of,
    stored_refusal,
)
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Callable


_MONEY_WITHDRAWN: Final = frozenset(("lost", "needs_response", "under_review"))


class StripeLedger(Sandbox):
    """Intents, charges, refunds, disputes and payouts, and the events that change them."""

    def __init__(self, webhook_secret: str, webhook_url: str, now: Callable[[], float]) -> None:
        super().__init__()
        self.webhook_secret = webhook_secret
        self.webhook_url = webhook_url
        self.now = now
        self.intents: dict[str, dict[str, Any]] = {}
        self.charges: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.transfers: dict[str, dict[str, Any]] = {}
        self.payouts: dict[str, dict[str, Any]] = {}
        self.transactions: dict[str, dict[str, Any]] = {}
        self.payout_of: dict[str, str] = {}
        self.methods: dict[str, dict[str, Any]] = {}
        self.links: dict[str, dict[str, Any]] = {}

    def authenticate(self, id: str, *, success: bool = True) -> None:
        """Complete or fail the authentication for a payment intent."""
        intent = self.intents[id]
        check_step(f"The payment intent {id}", intent["status"], "requires_action")
        intent["next_action"] = None
        if success:
            self.succeed(intent)
            return
        error = {
            "type": "invalid_request_error",
            "code": "payment_intent_authentication_failure",
            "message": "The provided PaymentMethod has failed authentication.",
        }
        self.mark_failed(intent, error)

    def arrive(self, id: str) -> None:
        """Complete a pending payment intent."""
        self.succeed(self.intents[id])

    def arrive_refund(self, id: str, *, success: bool = True) -> None:
        """Complete or fail a pending refund."""
        refund = self.refunds[id]
        refund["status"] = "succeeded" if success else "failed"
        if not success:
            refund["failure_reason"] = "expired_or_canceled_card"
            charge = self.charges[refund["charge"]]
            charge["amount_refunded"] -= refund["amount"]
            charge["refunded"] = False
        self.emit_event("refund.updated" if success else "refund.failed", refund)

    def lapse(self, id: str) -> None:
        """Expire the authorisation of a payment intent."""
        intent = self.intents[id]
        intent |= {"status": "canceled", "cancellation_reason": "automatic"}
        intent["amount_capturable"] = 0
        self.emit_event("payment_intent.canceled", intent)
        self.emit_event("charge.expired", self.charges[intent["latest_charge"]])

    def dispute(self, id: str, status: str = "needs_response") -> str:
        """Open a dispute about a payment, and return its id."""
        charge = self.charges[self.intents[id]["latest_charge"]]
        charge["disputed"] = True
        key = f"du_{self.number():08d}"
        dispute = {
            "id": key,
            "object": "dispute",
            "amount": charge["amount_captured"],
            "currency": charge["currency"],
            "charge": charge["id"],
            "payment_intent": id,
            "reason": "fraudulent",
            "status": status,
            "created": int(self.now()),
            "evidence_details": {
                "due_by": int(self.now()) + 864_000,
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
        }
        self.disputes[key] = dispute
        self.emit_event("charge.dispute.created", dispute)
        return key

    def is_disputed(self, charge: str) -> bool:
        """Return whether a charge has a dispute that takes its money back for now or forever."""
        return any(
            dispute["charge"] == charge and dispute["status"] in _MONEY_WITHDRAWN
            for dispute in self.disputes.values()
        )

    def close_dispute(self, id: str, status: str) -> None:
        """Close a dispute with "won", "lost" or "warning_closed"."""
        self.disputes[id]["status"] = status
        self.emit_event("charge.dispute.closed", self.disputes[id])

    def pay_out(self, amount: int, currency: str, status: str = "in_transit") -> str:
        """Pay out money to the merchant's bank, and return the payout's id."""
        key = f"po_{self.number():08d}"
        payout = {
            "id": key,
            "object": "payout",
            "amount": amount,
            "currency": currency,
            "status": status,
            "arrival_date": int(self.now()) + 172_800,
            "created": int(self.now()),
            "failure_code": "account_closed" if status == "failed" else None,
        }
        self.payouts[key] = payout
        self.emit_event(f"payout.{'created' if status == 'in_transit' else status}", payout)
        return key

    def pay_out_charges(self) -> str:
        """Pay out all charges and refunds not paid out yet; return the payout's id."""
        paid_out = {item["source"] for item in self.transactions.values()}
        items = [
            item
            for item in (*self.charges.values(), *self.refunds.values())
            if item["id"] not in paid_out
            and item["currency"] == self._first_currency()
            # An authorised charge is not captured, and a refund may be pending or have failed.
            and item.get("captured", True)
            and item["status"] == "succeeded"
        ]
        new_transactions = [self._transaction(item) for item in items]
        net = sum(item["net"] for item in new_transactions)
        key = self.pay_out(net, self._first_currency())
        new_transactions.append(self._transaction(self.payouts[key]))
        for item in new_transactions:
            self.payout_of[item["id"]] = key
        return key

    def _first_currency(self) -> str:
        return str(next(iter(self.charges.values()))["currency"])

    def _transaction(self, source: dict[str, Any]) -> dict[str, Any]:
        is_charge = source["object"] == "charge"
        amount = source["amount_captured"] if is_charge else -source["amount"]
        fee = 25 + amount * 15 // 1000 if is_charge else 0
        transaction: dict[str, Any] = {
            "id": f"txn_{self.number():08d}",
            "object": "balance_transaction",
            "amount": amount,
            "available_on": int(self.now()),
            "balance_type": "payments",
            "created": int(self.now()),
            "currency": source["currency"],
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [],
            "net": amount - fee,
            "reporting_category": source["object"],
            "source": source["id"],
            "status": "available",
            "type": source["object"],
        }
        self.transactions[transaction["id"]] = transaction
        return transaction

    def use_link(self, id: str) -> None:
        """Pay with a payment link as a buyer."""
        link = self.links[id]
        check_step(f"The link {id}", "active" if link["active"] else "inactive", "active")
        sessions = link["restrictions"]["completed_sessions"]
        sessions["count"] += 1
        link["active"] = sessions["count"] < sessions["limit"]

    def succeed(self, intent: dict[str, Any]) -> None:
        """Authorise a payment intent; capture it unless capture is manual."""
        details = details_of(intent["payment_method"])
        if "card" in details:
            details["card"]["capture_before"] = int(self.now()) + 604_800
        charge: dict[str, Any] = {
            "id": f"ch_{self.number():08d}",
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "captured": False,
            "created": int(self.now()),
            "currency": intent["currency"],
            "disputed": False,
            "metadata": dict(intent["metadata"]),
            "payment_intent": intent["id"],
            "payment_method_details": details,
            "refunded": False,
            "status": "succeeded",
        }
        self.charges[charge["id"]] = charge
        intent |= {"latest_charge": charge["id"], "last_payment_error": None, "next_action": None}
        if intent["capture_method"] == "manual":
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self.emit_event("payment_intent.amount_capturable_updated", intent)
        else:
            self.take(intent, intent["amount"], final=True)

    def take(self, intent: dict[str, Any], amount: int, *, final: bool) -> None:
        """Capture a part of a payment intent."""
        charge = self.charges[intent["latest_charge"]]
        charge |= {"captured": True, "amount_captured": charge["amount_captured"] + amount}
        intent["amount_received"] += amount
        intent["amount_capturable"] = 0 if final else intent["amount_capturable"] - amount
        self.emit_event("charge.captured", charge)
        if final:
            intent["status"] = "succeeded"
            self.emit_event("payment_intent.succeeded", intent)

    def decline(self, intent: dict[str, Any], code: str, decline_code: str) -> None:
        """Decline a payment intent, and send the webhook."""
        error = {
            "type": "card_error",
            "code": code,
            "decline_code": decline_code,
            "message": "Your card was declined.",
            "charge": f"ch_{self.number():08d}",
        }
        self.mark_failed(intent, error)
        raise StoredRefusal(stripe_reply({"error": {**error, "payment_intent": dict(intent)}}, 402))

    def mark_failed(self, intent: dict[str, Any], error: dict[str, Any]) -> None:
        """Mark a payment intent as failed, and send the webhook."""
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        self.emit_event("payment_intent.payment_failed", intent)

    def check_state(self, intent: dict[str, Any], verb: str, *states: str) -> None:
        """Refuse an operation that a payment intent's state does not allow."""
        if intent["status"] not in states:
            text = (
                f"You cannot {verb} this PaymentIntent because it has a status of"
                f" {intent['status']}."
            )
            raise stored_refusal(400, text, code="payment_intent_unexpected_state")

    def emit_event(self, kind: str, resource: dict[str, Any]) -> None:
        """Send the signed webhook of an event."""
        event = {
            "id": f"evt_{self.number():08d}",
            "object": "event",
            "created": int(self.now()),
            "type": kind,
            "livemode": False,
            "data": {"object": whole_object(resource)},
        }
        body, moment = json.dumps(event).encode(), int(self.now())
        signed_bytes = f"{moment}.".encode() + body
        signature = hex_hmac(self.webhook_secret, signed_bytes)
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": f"t={moment},v1={signature}",
        }
        self.notify(self.webhook_url, body, headers)
