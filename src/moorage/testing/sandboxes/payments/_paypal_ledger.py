"""The stored orders, payments, disputes and webhooks of PayPal's sandbox."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json
from moorage.domain.values.money import Money
from moorage.testing.sandboxes.base import Refusal, Sandbox
from moorage.testing.sandboxes.payments._paypal_rules import amount_fields, refusal, unprocessable
from moorage.testing.sandboxes.payments._paypal_webhooks import signature_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.testing.sandboxes.base import Notice

HOST: Final = "https://api.sandbox.paypal.com"
_DAYS: Final = 29 * 86_400
_DECLINES: Final = "declined-"

Resource = dict[str, Any]
"""An order, or an authorisation, capture or refund of it, as PayPal shows it."""


class PayPalLedger(Sandbox):
    """The stored objects of PayPal's sandbox, and the changes of their state."""

    def __init__(self, webhook_id: str, webhook_url: str, now: Callable[[], float]) -> None:
        super().__init__()
        self.webhook_id = webhook_id
        self.webhook_url = webhook_url
        self.now = now
        self.vault: dict[str, str] = {
            "visa-1": "card",
            "confirms-1": "card",
            "pending-1": "card",
            "declined-5120": "card",
            "declined-5400": "card",
            "wallet-1": "paypal",
            "refused-1": "paypal",
            "venmo-1": "venmo",
        }
        self.orders: dict[str, Resource] = {}
        self.authorizations: dict[str, Resource] = {}
        self.captures: dict[str, Resource] = {}
        self.refunds: dict[str, Resource] = {}
        self.disputes: dict[str, Resource] = {}
        self.transactions: list[Resource] = []
        self._order_of: dict[str, str] = {}

    @property
    def charged_orders(self) -> list[Resource]:
        """The orders with an authorised or captured payment."""
        return [order for order in self.orders.values() if any(map(_is_valid, _moves(order)))]

    # --- what a buyer and PayPal do ----------------------------------------

    def approve(self, order_id: str) -> dict[str, str]:
        """Approve an order as its buyer; return the URL to which the buyer is sent back."""
        order = self.orders[order_id]
        self._move(order, "APPROVED", ("capture", "authorize"))
        self._notify_about("CHECKOUT.ORDER.APPROVED", "checkout-order", order)
        return {"token": order_id, "PayerID": "QYR5Z8XDVJNXQ"}

    def enter_card(self, order_id: str, shift: str | None = None) -> None:
        """Enter a card in PayPal's form as a buyer; `shift` is its 3-D Secure outcome."""
        card: Resource = {"last_digits": "7704", "brand": "VISA", "expiry": "2031-05"}
        if shift is not None:
            enrolled = {"enrollment_status": "Y"}
            card["authentication_result"] = {"liability_shift": shift, "three_d_secure": enrolled}
        self.orders[order_id]["payment_source"] = {"card": card}

    def reverse(self, order_id: str) -> Notice:
        """Expire an approved order that was not captured."""
        order = self.orders[order_id]
        order["status"] = "VOIDED"
        resource = {"order_id": order_id, "purchase_units": order["purchase_units"]}
        return self._notify_about("CHECKOUT.PAYMENT-APPROVAL.REVERSED", "checkout-order", resource)

    def arrive(self, capture_id: str) -> Notice:
        """Complete a pending capture, and return its webhook."""
        capture = self.captures[capture_id]
        capture["status"] = "COMPLETED"
        del capture["status_details"]
        return self._notify_about("PAYMENT.CAPTURE.COMPLETED", "capture", capture)

    def dispute(self, capture_id: str, reason: str = "UNAUTHORISED") -> Resource:
        """Open a dispute about a capture, as the buyer."""
        capture, key = self.captures[capture_id], f"PP-R-{self.number()}"
        order = self.orders[self._order_of[capture_id]]
        dispute: Resource = {
            "dispute_id": key,
            "create_time": self._time(),
            "update_time": self._time(),
            "disputed_transactions": [
                {
                    "seller_transaction_id": capture_id,
                    "custom": order["purchase_units"][0].get("custom_id"),
                    "gross_amount": capture["amount"],
                }
            ],
            "reason": reason,
            "status": "WAITING_FOR_SELLER_RESPONSE",
            "dispute_amount": capture["amount"],
            "dispute_life_cycle_stage": "CHARGEBACK",
            "seller_response_due_date": self._time(_DAYS),
        }
        self.disputes[key] = dispute
        self._notify_about("CUSTOMER.DISPUTE.CREATED", "dispute", dispute)
        return dispute

    def resolve(self, dispute_id: str, outcome: str) -> Notice:
        """Settle a dispute, and return its webhook."""
        dispute = self.disputes[dispute_id]
        dispute |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome}}
        return self._notify_about("CUSTOMER.DISPUTE.RESOLVED", "dispute", dispute)

    def withdraw(self, amount: Money, status: str = "S") -> Resource:
        """Pay out money to the merchant's bank account."""
        return self._report("T0400", self._id("7W"), amount * -1, None, status)

    # --- what is done under an order -----------------------------------------

    def _perform(self, order: Resource) -> None:
        """Authorise or capture an order's amount."""
        kind, means = next(iter(order["payment_source"].items()))
        vault_id = means.pop("vault_id", "")
        if vault_id == "refused-1":
            raise unprocessable("INSTRUMENT_DECLINED")
        if means.get("attributes", {}).get("vault", {}).get("store_in_vault"):
            vault_id = f"stored-{self.number()}"
            self.vault[vault_id] = kind
            means["attributes"]["vault"] = {"id": vault_id, "status": "VAULTED"}
        means.pop("experience_context", None)
        if kind == "card":
            means |= {"brand": "VISA", "last_digits": "7704"}
        self._move(order, "COMPLETED", ())
        amount = order["purchase_units"][0]["amount"]
        if order["intent"] == "CAPTURE":
            self._add_capture(order, amount, vault_id, final=True)
        else:
            self._authorize(order, amount, vault_id)

    def _authorize(self, order: Resource, amount: Resource, vault_id: str) -> None:
        authorization = self._create_under(order, "authorizations", "0A", amount, vault_id)
        authorization |= {"expiration_time": self._time(_DAYS)}
        if not _is_declined(authorization, vault_id, "DENIED"):
            authorization["status"] = "CREATED"
            self._notify_about("PAYMENT.AUTHORIZATION.CREATED", "authorization", authorization)

    def _add_capture(
        self, order: Resource, amount: Resource, vault_id: str, *, final: bool
    ) -> Resource:
        capture = self._create_under(order, "captures", "3C", amount, vault_id)
        capture["final_capture"] = final
        if _is_declined(capture, vault_id, "DECLINED"):
            self._notify_about("PAYMENT.CAPTURE.DECLINED", "capture", capture)
        elif vault_id == "pending-1":
            capture |= {"status": "PENDING", "status_details": {"reason": "PENDING_REVIEW"}}
            self._notify_about("PAYMENT.CAPTURE.PENDING", "capture", capture)
        else:
            capture["status"] = "COMPLETED"
            self._report(
                "T0006", capture["id"], read_amount(capture["amount"]), capture["custom_id"]
            )
            self._notify_about("PAYMENT.CAPTURE.COMPLETED", "capture", capture)
        return capture

    def _create_under(
        self, order: Resource, kind: str, begins: str, amount: Resource, vault_id: str
    ) -> Resource:
        """Create an object of an order, without outcome yet."""
        unit, key = order["purchase_units"][0], self._id(begins)
        resource: Resource = {
            "id": key,
            "amount": {name: amount[name] for name in ("currency_code", "value")},
            "custom_id": unit.get("custom_id"),
            "supplementary_data": {"related_ids": {"order_id": order["id"]}},
            "links": [
                link("self", f"/v2/payments/{kind}/{key}"),
                link("up", f"/v2/checkout/orders/{order['id']}"),
            ],
            "create_time": self._time(),
            "update_time": self._time(),
        }
        if self.vault.get(vault_id) == "card":
            resource["processor_response"] = {"response_code": "0000"}
        unit.setdefault("payments", {}).setdefault(kind, []).append(resource)
        self._resources_of(kind)[key] = resource
        self._order_of[key] = order["id"]
        return resource

    def _resources_of(self, kind: str) -> dict[str, Resource]:
        return {"authorizations": self.authorizations, "captures": self.captures}[kind]

    def _refund_capture(self, capture: Resource, amount: Money, custom_id: str | None) -> Resource:
        order = self.orders[self._order_of[capture["id"]]]
        refund: Resource = {
            "id": self._id("1R"),
            "amount": amount_fields(amount),
            "custom_id": custom_id,
            "status": "COMPLETED",
            "links": [link("up", f"/v2/payments/captures/{capture['id']}")],
            "create_time": self._time(),
            "update_time": self._time(),
        }
        order["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        self.refunds[refund["id"]] = refund
        self._order_of[refund["id"]] = order["id"]
        is_whole = self._refunded(capture) == read_amount(capture["amount"])
        capture["status"] = "REFUNDED" if is_whole else "PARTIALLY_REFUNDED"
        self._report("T1107", refund["id"], amount * -1, custom_id)
        self._notify_about("PAYMENT.CAPTURE.REFUNDED", "refund", refund)
        return refund

    def _report(
        self, code: str, key: str, amount: Money, custom: str | None, status: str = "S"
    ) -> Resource:
        """Add a transaction to the transaction report."""
        transaction: Resource = {
            "transaction_id": key,
            "transaction_event_code": code,
            "transaction_initiation_date": self._time(),
            "transaction_updated_date": self._time(),
            "transaction_amount": amount_fields(amount),
            "transaction_status": status,
        }
        if custom is not None:
            transaction["custom_field"] = custom
        self.transactions.append(transaction)
        return transaction

    def _refunded(self, capture: Resource) -> Money:
        """Return the refunded amount of a capture."""
        parent_link = link("up", f"/v2/payments/captures/{capture['id']}")
        amounts = (
            read_amount(refund["amount"])
            for refund in self.refunds.values()
            if parent_link in refund["links"]
        )
        return sum(amounts, read_amount(capture["amount"]) * 0)

    def _captured(self, order: Resource) -> Money:
        """Return the captured amount of an order."""
        payments = order["purchase_units"][0].get("payments", {})
        amounts = (
            read_amount(capture["amount"])
            for capture in payments.get("captures", ())
            if capture["status"] != "DECLINED"
        )
        return sum(amounts, read_amount(order["purchase_units"][0]["amount"]) * 0)

    def _is_disputed(self, capture_id: str) -> bool:
        """Return whether a capture has an open dispute."""
        return any(
            dispute["status"] != "RESOLVED"
            and dispute["disputed_transactions"][0]["seller_transaction_id"] == capture_id
            for dispute in self.disputes.values()
        )

    # --- how it is kept ----------------------------------------------------

    def _found_or_404(self, resources: Mapping[str, Resource], key: str) -> Resource:
        if key not in resources:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        return resources[key]

    def _move(self, order: Resource, status: str, verbs: tuple[str, ...]) -> None:
        path = f"/v2/checkout/orders/{order['id']}"
        order |= {"status": status, "update_time": self._time()}
        order["links"] = [
            link("self", path),
            *(link(verb, f"{path}/{verb}", "POST") for verb in verbs),
        ]

    def _notify_about(self, kind: str, resource: str, content: Resource) -> Notice:
        number = self.number()
        event = {
            "id": f"WH-{number}",
            "event_version": "1.0",
            "create_time": self._time(),
            "resource_type": resource,
            "event_type": kind,
            "resource": content,
        }
        body = encode_json(event)
        return self.notify(
            self.webhook_url, body, signature_headers(body, number, self.webhook_id, self._time())
        )

    def _id(self, begins: str) -> str:
        return f"{begins}{self.number():015d}"

    def _time(self, later: int = 0) -> str:
        moment = datetime.fromtimestamp(self.now() + later, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_amount(amount: Resource) -> Money:
    """Convert an amount of PayPal to `Money`."""
    return Money(amount["value"], amount["currency_code"])


def link(rel: str, path: str, method: str = "GET") -> dict[str, str]:
    """Return a link in PayPal's format."""
    return {"rel": rel, "href": f"{HOST}{path}", "method": method}


def usual_now() -> float:
    """Return the current time in seconds since 1970."""
    return time.time()


def _is_declined(resource: Resource, vault_id: str, status: str) -> bool:
    """Return whether the card with this vault id is declined."""
    if not vault_id.startswith(_DECLINES):
        return False
    code = vault_id.removeprefix(_DECLINES)
    resource |= {"status": status, "processor_response": {"response_code": code}}
    return True


def _moves(order: Resource) -> list[Resource]:
    payments = order["purchase_units"][0].get("payments", {})
    return [*payments.get("authorizations", ()), *payments.get("captures", ())]


def _is_valid(move: Resource) -> bool:
    return move["status"] not in {"DENIED", "DECLINED"}
