"""Subscriptions in Stripe's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.payments._stripe_objects import stripe_reply
from moorage.testing.sandboxes.payments._stripe_rules import (
    ASKS,
    DECLINES,
    LIST,
    StoredRefusal,
    amount_of,
    check_currency,
    error,
    flag_of,
    magic,
    refusal,
    resource_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.payments._stripe_ledger import StripeLedger

PRODUCT: Final = frozenset(("active", "description", "images", "metadata", "name", "tax_code"))
SUBSCRIBE: Final = words(
    "billing_cycle_anchor cancel_at_period_end collection_method currency customer"
    " default_payment_method description expand items metadata off_session payment_behavior"
    " payment_settings proration_behavior trial_end trial_period_days"
)
CANCEL_SUBSCRIPTION: Final = frozenset(("cancellation_details", "expand", "invoice_now", "prorate"))
SUBSCRIPTIONS: Final = LIST | {"customer", "price", "status"}
_DAY: Final = 86_400
_DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}


class StripeSubscriptions:
    """Subscriptions with one item; months have 30 days, and years 365.

    Args:
        ledger: provides the time and the numbers of objects, and sends the webhooks.

    Attributes:
        products: all products, by id.
        subscriptions: all subscriptions, by id.
    """

    def __init__(self, ledger: StripeLedger) -> None:
        self._account = ledger
        self.products: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}

    def create_product(self, fields: dict[str, str]) -> Response:
        """Create a product with a name."""
        if "name" not in fields:
            raise refusal(400, "invalid_request_error", "Missing required param: name.")
        key = f"prod_{self._account.number():08d}"
        now = int(self._account.now())
        self.products[key] = {
            "id": key,
            "object": "product",
            "created": now,
            "name": fields["name"],
            "updated": now,
        }
        return stripe_reply(self.products[key])

    def create(self, fields: dict[str, str]) -> Response:
        """Create a subscription, and charge it unless there is a trial."""
        for name in ("customer", "default_payment_method"):
            if name not in fields:
                raise refusal(400, "invalid_request_error", f"Missing required param: {name}.")
        kind = magic(fields["default_payment_method"])
        price = self._price(fields)
        count = _quantity(fields)
        now = int(self._account.now())
        days = amount_of(fields, "trial_period_days", 0)
        starts_at = amount_of(fields, "trial_end", now + days * _DAY)
        if starts_at < now:
            text = "Invalid timestamp: must be an integer Unix timestamp in the future."
            raise refusal(400, "invalid_request_error", text, param="trial_end")
        if starts_at == now and (kind in DECLINES or kind in ASKS):
            code, decline_code = DECLINES.get(kind, ("authentication_required",) * 2)
            raise StoredRefusal(
                error(402, "card_error", "Declined.", code=code, decline_code=decline_code)
            )
        key = f"sub_{self._account.number():08d}"
        subscription: dict[str, Any] = {
            "id": key,
            "object": "subscription",
            "billing_cycle_anchor": starts_at,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "created": now,
            "currency": price["currency"],
            "customer": fields["customer"],
            "default_payment_method": fields["default_payment_method"],
            "description": fields.get("description"),
            "ended_at": None,
            "items": {
                "object": "list",
                "url": f"/v1/subscription_items?subscription={key}",
                "data": [
                    {
                        "id": f"si_{key}",
                        "object": "subscription_item",
                        "created": now,
                        "subscription": key,
                        "current_period_end": starts_at,
                        "current_period_start": now,
                        "price": price,
                        "quantity": count,
                    }
                ],
            },
            "metadata": {"reference": fields.get("metadata[reference]")},
            "start_date": now,
            "status": "trialing" if starts_at > now else "active",
            "trial_end": starts_at if starts_at > now else None,
        }
        self.subscriptions[key] = subscription
        self._account.emit_event("customer.subscription.created", subscription)
        if starts_at == now:
            self._charge(subscription)
        return stripe_reply(subscription)

    def change(self, fields: dict[str, str], id: str) -> Response:
        """Change a subscription's item, or let the subscription end with its period."""
        subscription = resource_in(self.subscriptions, id)
        if subscription["status"] == "canceled":
            text = "A canceled subscription can only update its cancellation_details and metadata."
            raise refusal(400, "invalid_request_error", text)
        item = subscription["items"]["data"][0]
        if fields.get("items[0][id]", item["id"]) != item["id"]:
            raise refusal(400, "invalid_request_error", "No such subscription item.")
        if "items[0][price_data][unit_amount]" in fields:
            item["price"] = self._price(fields)
        item["quantity"] = _quantity(fields, item["quantity"])
        if "cancel_at_period_end" in fields:
            is_ending = flag_of(fields, "cancel_at_period_end")
            subscription |= {
                "cancel_at": item["current_period_end"] if is_ending else None,
                "cancel_at_period_end": is_ending,
            }
        self._account.emit_event("customer.subscription.updated", subscription)
        return stripe_reply(subscription)

    def cancel(self, _: dict[str, str], id: str) -> Response:
        """Cancel a subscription; a repeat gets the response "not found"."""
        subscription = resource_in(self.subscriptions, id)
        if subscription["status"] == "canceled":
            text = f"No such subscription: '{id}'"
            raise refusal(404, "invalid_request_error", text, code="resource_missing")
        self._end(subscription)
        return stripe_reply(subscription)

    def renew(self, id: str, *, success: bool = True) -> None:
        """Charge a subscription's next period; a failed charge makes it past due.

        A subscription that is cancelled at the end of its period ends instead.
        """
        subscription = self.subscriptions[id]
        if subscription["cancel_at_period_end"]:
            self._end(subscription)
            return
        if success:
            subscription["status"] = "active"
            self._charge(subscription)
        else:
            subscription["status"] = "past_due"
            invoice = self._invoice(subscription)
            invoice |= {"status": "open", "next_payment_attempt": int(self._account.now()) + _DAY}
            self._account.emit_event("invoice.payment_failed", invoice)
        self._account.emit_event("customer.subscription.updated", subscription)

    def _end(self, subscription: dict[str, Any]) -> None:
        now = int(self._account.now())
        subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
        self._account.emit_event("customer.subscription.deleted", subscription)

    def _charge(self, subscription: dict[str, Any]) -> None:
        item = subscription["items"]["data"][0]
        recurring = item["price"]["recurring"]
        days = _DAYS[recurring["interval"]] * recurring["interval_count"]
        item["current_period_start"] = item["current_period_end"]
        item["current_period_end"] += days * _DAY
        invoice = self._invoice(subscription)
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"]}
        self._account.emit_event("invoice.paid", invoice)

    def _invoice(self, subscription: dict[str, Any]) -> dict[str, Any]:
        item = subscription["items"]["data"][0]
        details = {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
        }
        return {
            "id": f"in_{self._account.number():08d}",
            "object": "invoice",
            "amount_due": item["price"]["unit_amount"] * item["quantity"],
            "amount_paid": 0,
            "billing_reason": "subscription_cycle",
            "created": int(self._account.now()),
            "currency": item["price"]["currency"],
            "customer": subscription["customer"],
            "next_payment_attempt": None,
            "parent": {"type": "subscription_details", "subscription_details": details},
        }

    def _price(self, fields: Mapping[str, str]) -> dict[str, Any]:
        name = "items[0][price_data]"
        unit = fields.get(f"{name}[recurring][interval]", "")
        product = resource_in(self.products, fields.get(f"{name}[product]", ""))
        check_currency(fields.get(f"{name}[currency]", ""))
        amount = amount_of(fields, f"{name}[unit_amount]")
        count = amount_of(fields, f"{name}[recurring][interval_count]", 1)
        if amount < 0 or unit not in _DAYS or not 0 < count * _DAYS[unit] <= 3 * 366:
            raise refusal(400, "invalid_request_error", "Invalid price.", param="items")
        return {
            "id": f"price_{self._account.number():08d}",
            "object": "price",
            "created": int(self._account.now()),
            "currency": fields.get(f"{name}[currency]", ""),
            "product": product["id"],
            "recurring": {"interval": unit, "interval_count": count, "usage_type": "licensed"},
            "unit_amount": amount,
        }


def _quantity(fields: Mapping[str, str], default: int = 1) -> int:
    count = amount_of(fields, "items[0][quantity]", default)
    if count < 1:
        raise refusal(400, "invalid_request_error", "Invalid quantity.", param="items")
    return count
