"""Products, plans and subscriptions in PayPal's sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import Refusal, reply
from moorage.testing.sandboxes.payments._paypal_rules import (
    AMOUNT,
    amount_fields,
    amount_of,
    checked_body,
    refusal,
    unprocessable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.payments._paypal_rules import Rule

_PRICE: Final[Rule] = {"fixed_price!": AMOUNT}
_PRODUCT: Final[Rule] = {
    "name!": 127,
    "description": 256,
    "type!": ("PHYSICAL", "DIGITAL", "SERVICE"),
}
_PLAN: Final[Rule] = {
    "product_id!": 50,
    "name!": 127,
    "description": 127,
    "billing_cycles!": [
        {
            "frequency!": {
                "interval_unit!": ("DAY", "WEEK", "MONTH", "YEAR"),
                "interval_count": int,
            },
            "tenure_type!": ("REGULAR", "TRIAL"),
            "sequence!": int,
            "total_cycles": int,
            "pricing_scheme": _PRICE,
        }
    ],
    "payment_preferences!": {"auto_bill_outstanding": bool, "payment_failure_threshold": int},
    "quantity_supported": bool,
}
_CONTEXT: Final[Rule] = {
    "brand_name": 127,
    "locale": 10,
    "shipping_preference": ("GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"),
    "user_action": ("CONTINUE", "SUBSCRIBE_NOW"),
    "return_url!": 4_000,
    "cancel_url!": 4_000,
}
_OVERRIDE: Final[Rule] = {"billing_cycles": [{"sequence!": int, "pricing_scheme": _PRICE}]}
_SUBSCRIPTION: Final[Rule] = {
    "plan_id!": 50,
    "start_time": 64,
    "quantity": 32,
    "subscriber": {"email_address": 254},
    "custom_id": 127,
    "application_context": _CONTEXT,
    "plan": _OVERRIDE,
}
_CHANGE: Final[Rule] = {
    "plan_id": 50,
    "quantity": 32,
    "application_context": _CONTEXT,
    "plan": _OVERRIDE,
}
_MAX_INTERVALS: Final = {"DAY": 365, "WEEK": 52, "MONTH": 12, "YEAR": 1}
_DAYS: Final = {"DAY": 1, "WEEK": 7, "MONTH": 30, "YEAR": 365}
_PAGE: Final = 20
_FILTERS: Final = frozenset({"created_after", "created_before", "page", "page_size"})
_HOST: Final = "https://api-m.sandbox.paypal.com"


class PayPalSubscriptions:
    """Subscriptions to plans, which buyers approve; months have 30 days.

    Args:
        time: takes a number of seconds, and returns the time that many seconds from now, in
            PayPal's format.
        notify: sends a webhook about an object.

    Attributes:
        products, plans, subscriptions: all objects of each kind, by id, the oldest first.
    """

    def __init__(
        self, time: Callable[..., str], notify: Callable[[str, str, dict[str, Any]], object]
    ) -> None:
        self._time = time
        self._notify = notify
        self._requested_changes: dict[str, dict[str, Any]] = {}
        self.products: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}

    # --- requests -----------------------------------------------------------

    def create_product(self, request: SandboxRequest) -> Response:
        """Create a product."""
        body = checked_body(request.json(), _PRODUCT)
        key = f"PROD-{len(self.products) + 1:08d}"
        self.products[key] = {"id": key, **body, "create_time": self._time()}
        return reply(self.products[key], 201)

    def create_plan(self, request: SandboxRequest) -> Response:
        """Create an active plan for a known product."""
        body = checked_body(request.json(), _PLAN)
        if body["product_id"] not in self.products:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        for cycle in body["billing_cycles"]:
            frequency = cycle["frequency"]
            count = frequency.setdefault("interval_count", 1)
            if not 1 <= count <= _MAX_INTERVALS[frequency["interval_unit"]]:
                raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", "/x"))
            amount_of(cycle["pricing_scheme"]["fixed_price"])
        key = f"P-{len(self.plans) + 1:022d}"
        self.plans[key] = {"id": key, **body, "status": "ACTIVE", "create_time": self._time()}
        return reply(self.plans[key], 201)

    def create(self, request: SandboxRequest) -> Response:
        """Create a subscription that waits for the buyer's approval."""
        body = checked_body(request.json(), _SUBSCRIPTION)
        if body["plan_id"] not in self.plans:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        if not str(body.get("quantity", "1")).isdecimal():
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", "/quantity"))
        now, start = self._time(), body.get("start_time")
        if start is not None and start < now:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE", "/start_time"))
        key = f"I-{len(self.subscriptions) + 1:012d}"
        body.pop("application_context", None)
        subscription: dict[str, Any] = {
            "id": key,
            "plan_overridden": False,
            "start_time": now,
            **body,
            "status": "APPROVAL_PENDING",
            "create_time": now,
            "links": [_approval(key), _link(key, "self", "GET")],
        }
        self.subscriptions[key] = subscription
        self._notify("BILLING.SUBSCRIPTION.CREATED", "subscription", subscription)
        return reply(subscription, 201)

    def show(self, request: SandboxRequest, id: str) -> Response:
        """Return a subscription, with its plan if requested."""
        subscription = self._subscription(id)
        if dict(request.query).get("fields") != "plan":
            return reply(subscription)
        return reply({**subscription, "plan": self._plan_of(subscription)})

    def change(self, request: SandboxRequest, id: str) -> Response:
        """Ask the buyer of an active subscription to approve a change."""
        body = checked_body(request.json(), _CHANGE)
        subscription = self._subscription(id)
        if subscription["status"] not in {"ACTIVE", "SUSPENDED"}:
            raise unprocessable("SUBSCRIPTION_STATUS_INVALID")
        sequences = {cycle["sequence"] for cycle in self._plan_of(subscription)["billing_cycles"]}
        for cycle in body.get("plan", {}).get("billing_cycles", []):
            if cycle["sequence"] not in sequences:
                raise unprocessable("INVALID_BILLING_CYCLE_SEQUENCE")
            amount_of(cycle["pricing_scheme"]["fixed_price"])
        body.pop("application_context", None)
        self._requested_changes[id] = body
        links = [_approval(id), _link(id, "self", "GET")]
        change_fields = {"plan_overridden": "plan" in body, "links": links}
        return reply({"plan_id": subscription["plan_id"], **body, **change_fields})

    def cancel(self, request: SandboxRequest, id: str) -> Response:
        """Cancel a subscription that was approved."""
        checked_body(request.json(), {"reason!": 128})
        subscription = self._subscription(id)
        if subscription["status"] not in {"ACTIVE", "SUSPENDED"}:
            raise unprocessable("SUBSCRIPTION_STATUS_INVALID")
        self._requested_changes.pop(id, None)
        subscription["billing_info"].pop("next_billing_time", None)
        subscription |= {"status": "CANCELLED", "status_update_time": self._time()}
        self._notify("BILLING.SUBSCRIPTION.CANCELLED", "subscription", subscription)
        return Response(204)

    def list(self, request: SandboxRequest) -> Response:
        """Return a page of subscriptions, newest first."""
        query = dict(request.query)
        size, page = int(query.get("page_size", "10")), int(query.get("page", "1"))
        if not query.keys() <= _FILTERS or page < 1 or not 1 <= size <= _PAGE:
            raise Refusal(refusal(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE"))
        earliest, latest_time = query.get("created_after", ""), query.get("created_before", "9")
        matches = [
            item
            for item in reversed(self.subscriptions.values())
            if earliest <= item["create_time"] <= latest_time
        ]
        return reply({"subscriptions": matches[(page - 1) * size : page * size]})

    # --- what happens besides requests --------------------------------------

    def approve(self, id: str) -> None:
        """Approve a subscription, or a change of it, as the buyer."""
        subscription = self.subscriptions[id]
        if id in self._requested_changes:
            change = self._requested_changes.pop(id)
            subscription |= {**change, "plan_overridden": "plan" in change}
            self._notify("BILLING.SUBSCRIPTION.UPDATED", "subscription", subscription)
        if subscription["status"] != "APPROVAL_PENDING":
            return
        subscription |= {
            "status": "ACTIVE",
            "status_update_time": self._time(),
            "subscriber": {**subscription.get("subscriber", {}), "payer_id": "QYR5Z8XDVJNXQ"},
            "billing_info": {
                "outstanding_balance": self._zero_amount(subscription),
                "failed_payments_count": 0,
                "next_billing_time": subscription["start_time"],
            },
            "links": [_link(id, "self", "GET"), _link(f"{id}/cancel", "cancel", "POST")],
        }
        self._notify("BILLING.SUBSCRIPTION.ACTIVATED", "subscription", subscription)
        if subscription["start_time"] <= self._time():
            self.renew(id)

    def renew(self, id: str, *, success: bool = True) -> None:
        """Charge a subscription's next period, successfully or not."""
        subscription = self.subscriptions[id]
        info, plan = subscription["billing_info"], self._plan_of(subscription)
        cycle, price = plan["billing_cycles"][0], self._price(subscription)
        amount = amount_fields(amount_of(price) * int(subscription.get("quantity", "1")))
        if not success:
            info["failed_payments_count"] += 1
            info["last_failed_payment"] = {
                "amount": amount,
                "time": self._time(),
                "reason_code": "PAYMENT_DENIED",
                "next_payment_retry_time": self._time(5 * 86_400),
            }
            self._notify("BILLING.SUBSCRIPTION.PAYMENT.FAILED", "subscription", subscription)
            return
        frequency = cycle["frequency"]
        days = _DAYS[frequency["interval_unit"]] * frequency["interval_count"]
        due = datetime.fromisoformat(info["next_billing_time"]).astimezone(UTC)
        info["next_billing_time"] = (due + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        info |= {
            "failed_payments_count": 0,
            "last_payment": {"amount": amount, "time": self._time()},
        }
        sale = {
            "id": f"{id[2:]}S{info['next_billing_time'][:10].replace('-', '')}",
            "billing_agreement_id": id,
            "amount": {"total": amount["value"], "currency": amount["currency_code"]},
            "custom": subscription.get("custom_id"),
            "state": "completed",
            "create_time": self._time(),
        }
        self._notify("PAYMENT.SALE.COMPLETED", "sale", sale)

    # --- helpers ------------------------------------------------------------

    def _subscription(self, id: str) -> dict[str, Any]:
        if id not in self.subscriptions:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        return self.subscriptions[id]

    def _plan_of(self, subscription: dict[str, Any]) -> dict[str, Any]:
        """Return a subscription's plan, with the subscription's own terms."""
        plan = self.plans[subscription["plan_id"]]
        overrides = {
            cycle["sequence"]: cycle
            for cycle in subscription.get("plan", {}).get("billing_cycles", [])
        }
        cycles = [cycle | overrides.get(cycle["sequence"], {}) for cycle in plan["billing_cycles"]]
        return {**plan, "billing_cycles": cycles}

    def _price(self, subscription: dict[str, Any]) -> dict[str, Any]:
        price: dict[str, Any] = self._plan_of(subscription)["billing_cycles"][0]["pricing_scheme"]
        fixed: dict[str, Any] = price["fixed_price"]
        return fixed

    def _zero_amount(self, subscription: dict[str, Any]) -> dict[str, str]:
        return {"currency_code": self._price(subscription)["currency_code"], "value": "0.0"}


def _approval(id: str) -> dict[str, str]:
    url = f"https://www.sandbox.paypal.com/webapps/billing/subscriptions?ba_token=BA-{id[2:]}"
    return {"href": url, "rel": "approve", "method": "GET"}


def _link(path: str, rel: str, method: str) -> dict[str, str]:
    return {"href": f"{_HOST}/v1/billing/subscriptions/{path}", "rel": rel, "method": method}
