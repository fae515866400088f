"""Plans and subscriptions in Razorpay's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments._razorpay_rules import (
    CHANGE_SUBSCRIPTION,
    ITEM,
    PLAN,
    SUBSCRIPTION,
    check_amount,
    check_fields,
    invalid_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_DAYS: Final = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 90, "yearly": 365}
_LONGEST_DAYS: Final = 36_500
_ENDED_STATUSES: Final = frozenset({"cancelled", "completed", "expired"})
_CHANGEABLE: Final = frozenset({"authenticated", "active"})


class RazorpaySubscriptions:
    """Subscriptions to plans; months have 30 days.

    Args:
        moment: returns the time in whole seconds since 1970.
        number: returns the number of a new plan or subscription.
        notify: sends a webhook about a subscription and, if there is one, a payment.

    Attributes:
        plans, subscriptions: all objects, by id, the oldest first.
    """

    def __init__(
        self,
        moment: Callable[[], int],
        number: Callable[[], int],
        notify: Callable[..., None],
    ) -> None:
        self._moment = moment
        self._number = number
        self._notify = notify
        self._scheduled: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}

    # --- requests -----------------------------------------------------------

    def create_plan(self, request: SandboxRequest) -> Response:
        """Create a plan, which is unchangeable."""
        fields = check_fields(request.json(), PLAN)
        item = check_fields(fields.get("item"), ITEM)
        check_amount(item)
        period, interval = fields.get("period", ""), fields.get("interval", 0)
        if period not in _DAYS or interval < 1 or (period == "daily" and interval < 7):
            raise invalid_request("The interval is invalid.", "interval")
        if not item.get("name"):
            raise invalid_request("The item.name field is required.", "item.name")
        number, now = self._number(), self._moment()
        plan: dict[str, Any] = {
            "id": f"plan_{number:014d}",
            "entity": "plan",
            "interval": interval,
            "period": period,
            "item": {
                "id": f"item_{number:014d}",
                "active": True,
                "name": item["name"],
                "description": item.get("description"),
                "amount": item["amount"],
                "unit_amount": item["amount"],
                "currency": item["currency"],
                "type": "plan",
                "created_at": now,
            },
            "notes": fields.get("notes") or [],
            "created_at": now,
        }
        self.plans[plan["id"]] = plan
        return reply(plan)

    def show_plan(self, _: SandboxRequest, id: str) -> Response:
        """Return a plan."""
        return reply(_object_of_id(self.plans, id))

    def create(self, request: SandboxRequest) -> Response:
        """Create a subscription that waits for the buyer's approval."""
        fields = check_fields(request.json(), SUBSCRIPTION)
        plan = _object_of_id(self.plans, fields.get("plan_id", ""))
        count, start = fields.get("total_count", 0), fields.get("start_at")
        if count < 1 or count * _days(plan) > _LONGEST_DAYS:
            raise invalid_request("The total count is invalid.", "total_count")
        if start is not None and start < self._moment():
            raise invalid_request(
                "The start_at cannot be lesser than the current time.", "start_at"
            )
        number = self._number()
        subscription: dict[str, Any] = {
            "id": f"sub_{number:014d}",
            "entity": "subscription",
            "plan_id": plan["id"],
            "customer_id": None,
            "status": "created",
            "current_start": None,
            "current_end": None,
            "ended_at": None,
            "quantity": fields.get("quantity", 1),
            "notes": fields.get("notes") or [],
            "charge_at": start,
            "start_at": start,
            "end_at": None,
            "auth_attempts": 0,
            "total_count": count,
            "paid_count": 0,
            "customer_notify": fields.get("customer_notify", True),
            "created_at": self._moment(),
            "expire_by": fields.get("expire_by"),
            "short_url": f"https://rzp.io/i/{number:07d}",
            "has_scheduled_changes": False,
            "change_scheduled_at": None,
            "source": "api",
            "remaining_count": count,
        }
        self.subscriptions[subscription["id"]] = subscription
        return reply(subscription)

    def show(self, _: SandboxRequest, id: str) -> Response:
        """Return a subscription's current state."""
        return reply(_object_of_id(self.subscriptions, id))

    def show_scheduled(self, _: SandboxRequest, id: str) -> Response:
        """Return a subscription's state after its scheduled change."""
        subscription = _object_of_id(self.subscriptions, id)
        if id not in self._scheduled:
            raise invalid_request("There are no scheduled changes for this subscription.")
        return reply(subscription | self._scheduled[id])

    def change(self, request: SandboxRequest, id: str) -> Response:
        """Change a subscription now or at the end of its period."""
        fields = check_fields(request.json(), CHANGE_SUBSCRIPTION)
        subscription = _object_of_id(self.subscriptions, id)
        if subscription["status"] not in _CHANGEABLE:
            raise invalid_request(
                f"Subscription cannot be updated in {subscription['status']} status."
            )
        terms = {name: item for name, item in fields.items() if name in {"plan_id", "quantity"}}
        _object_of_id(self.plans, terms.get("plan_id", subscription["plan_id"]))
        if terms.get("quantity", 1) < 1:
            raise invalid_request("The quantity is invalid.", "quantity")
        if fields.get("schedule_change_at", "now") == "cycle_end":
            self._scheduled[id] = terms
            subscription |= {
                "has_scheduled_changes": True,
                "change_scheduled_at": subscription["charge_at"],
            }
        else:
            subscription |= terms
        self._notify("subscription.updated", subscription=subscription)
        return reply(subscription)

    def cancel(self, request: SandboxRequest, id: str) -> Response:
        """Cancel an unfinished subscription."""
        fields = check_fields(request.json(), {"cancel_at_cycle_end": bool})
        subscription = _object_of_id(self.subscriptions, id)
        if subscription["status"] in _ENDED_STATUSES:
            raise invalid_request(
                f"Subscription is not cancellable in {subscription['status']} status."
            )
        if not fields.get("cancel_at_cycle_end", False):
            self._scheduled.pop(id, None)
            subscription |= {
                "status": "cancelled",
                "ended_at": self._moment(),
                "charge_at": None,
                "has_scheduled_changes": False,
                "change_scheduled_at": None,
            }
            self._notify("subscription.cancelled", subscription=subscription)
        return reply(subscription)

    # --- what happens besides requests --------------------------------------

    def due(self, id: str) -> dict[str, Any]:
        """Return the amount and currency of the next charge, after scheduled changes."""
        subscription = self.subscriptions[id]
        subscription |= self._scheduled.pop(id, {})
        subscription |= {"has_scheduled_changes": False, "change_scheduled_at": None}
        item = self.plans[subscription["plan_id"]]["item"]
        amount = item["amount"] * subscription["quantity"]
        return {"amount": amount, "currency": item["currency"]}

    def authenticate(self, id: str, customer: str) -> None:
        """Store a buyer's consent; the first charge comes later."""
        subscription = self.subscriptions[id]
        subscription |= {"customer_id": customer, "status": "authenticated"}
        self._notify("subscription.authenticated", subscription=subscription)

    def charged(self, id: str, payment: dict[str, Any]) -> None:
        """Start the next period after a payment, and send the webhooks."""
        subscription = self.subscriptions[id]
        begin = subscription["charge_at"] or self._moment()
        end = begin + _days(self.plans[subscription["plan_id"]]) * 86_400
        is_new = subscription["status"] != "active"
        subscription |= {
            "status": "active",
            "customer_id": payment["customer_id"] or subscription["customer_id"],
            "start_at": subscription["start_at"] or begin,
            "current_start": begin,
            "current_end": end,
            "charge_at": end,
            "paid_count": subscription["paid_count"] + 1,
            "remaining_count": subscription["remaining_count"] - 1,
        }
        if is_new:
            self._notify("subscription.activated", subscription=subscription)
        self._notify("subscription.charged", subscription=subscription, payment=payment)

    def failed(self, id: str, payment: dict[str, Any]) -> None:
        """Record a failed charge, which Razorpay will retry, and send the webhook."""
        subscription = self.subscriptions[id]
        subscription["status"] = "pending"
        self._notify("subscription.pending", subscription=subscription, payment=payment)


def _object_of_id(objects: dict[str, dict[str, Any]], id: str) -> dict[str, Any]:
    if id not in objects:
        raise invalid_request("The id provided does not exist")
    return objects[id]


def _days(plan: dict[str, Any]) -> int:
    return int(_DAYS[plan["period"]] * plan["interval"])
