"""Subscriptions in GoCardless' sandbox."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments._gocardless_payments_rules import (
    CHANGE_SUBSCRIPTION,
    CURRENCIES,
    INACTIVE,
    SUBSCRIPTION,
    check_amount,
    check_fields,
    impossible_step,
    invalid_field,
    missing_object,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_UNITS: Final = {"weekly": (7, 52), "monthly": (30, 12), "yearly": (365, 1)}
"""For each unit of time, its length in days, and the longest interval between two charges in that
unit.
"""
_ENDED: Final = frozenset({"cancelled", "finished", "customer_approval_denied"})
_DAYS_TO_CHARGE: Final = 3
_MOST_CHANGES: Final = 10


class GoCardlessSubscriptions:
    """Subscriptions of mandates; months have 30 days, and years 365.

    Args:
        now: returns the time, in seconds since 1970.
        mandates: all mandates, by id.
        number: returns the number of a new subscription.
        notify: sends a webhook about a subscription, given the name of the event.

    Attributes:
        subscriptions: all subscriptions, by id.
    """

    def __init__(
        self,
        now: Callable[[], float],
        mandates: dict[str, dict[str, Any]],
        number: Callable[[], int],
        notify: Callable[[dict[str, Any], str], None],
    ) -> None:
        self._now = now
        self._mandates = mandates
        self._number = number
        self._notify = notify
        self._changes: dict[str, int] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}

    def create(self, request: SandboxRequest) -> dict[str, Any]:
        """Create a subscription of a chargeable mandate."""
        fields = check_fields(request.json(), "subscriptions", SUBSCRIPTION)
        amount = check_amount(fields)
        mandate = self._mandates.get(fields.get("links", {}).get("mandate"))
        if mandate is None:
            raise invalid_field("links.mandate", "not found")
        if mandate["status"] in INACTIVE:
            raise impossible_step("mandate_is_inactive", "Mandate is cancelled, failed or expired")
        if fields.get("currency") != CURRENCIES[mandate["scheme"]]:
            raise invalid_field("currency", "does not match the scheme of the mandate")
        unit, interval = fields.get("interval_unit"), fields.get("interval", 1)
        if unit not in _UNITS:
            raise invalid_field("interval_unit", "must be one of weekly, monthly, yearly")
        if not 1 <= interval <= _UNITS[unit][1]:
            raise invalid_field("interval", "must result in at least one charge date per year")
        now = datetime.fromtimestamp(self._now(), UTC)
        earliest = now.date() + timedelta(days=_DAYS_TO_CHARGE)
        start = date.fromisoformat(fields.get("start_date", earliest.isoformat()))
        if start < earliest:
            raise invalid_field(
                "start_date", "must be on or after the mandate's next_possible_charge_date"
            )
        key = f"SB{self._number():012d}"
        self.subscriptions[key] = {
            "id": key,
            "created_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "amount": amount,
            "currency": fields["currency"],
            "status": "active",
            "name": fields.get("name"),
            "start_date": start.isoformat(),
            "end_date": fields.get("end_date"),
            "interval": interval,
            "interval_unit": unit,
            "day_of_month": fields.get("day_of_month"),
            "month": fields.get("month"),
            "count": fields.get("count"),
            "metadata": fields.get("metadata", {}),
            "payment_reference": fields.get("payment_reference"),
            "upcoming_payments": [{"charge_date": start.isoformat(), "amount": amount}],
            "app_fee": fields.get("app_fee"),
            "links": {"mandate": mandate["id"]},
            "retry_if_possible": fields.get("retry_if_possible", False),
            "earliest_charge_date_after_resume": None,
            "parent_plan_paused": False,
        }
        self._notify(self.subscriptions[key], "created")
        return self.subscriptions[key]

    def change(self, request: SandboxRequest, id: str) -> Response:
        """Change an active subscription; its amount can be changed ten times."""
        fields = check_fields(request.json(), "subscriptions", CHANGE_SUBSCRIPTION)
        subscription = self._subscription(id)
        if subscription["status"] in _ENDED:
            raise impossible_step("subscription_not_active", "The subscription is not active")
        if "amount" in fields:
            amount = check_amount(fields)
            self._changes[id] = self._changes.get(id, 0) + 1
            if self._changes[id] > _MOST_CHANGES:
                raise impossible_step(
                    "number_of_subscription_amendments_exceeded",
                    "The subscription has already been changed ten times",
                )
            for next_payment in subscription["upcoming_payments"]:
                next_payment["amount"] = amount
        subscription |= fields
        self._notify(subscription, "amended")
        return reply({"subscriptions": subscription})

    def cancel(self, _: SandboxRequest, id: str) -> Response:
        """Cancel an unfinished subscription."""
        subscription = self._subscription(id)
        if subscription["status"] in _ENDED:
            raise impossible_step("cancellation_failed", "This subscription cannot be cancelled")
        self.end(id, "cancelled")
        return reply({"subscriptions": subscription})

    def end(self, id: str, status: str) -> None:
        """End a subscription by setting a status after which it has no more payments."""
        subscription = self.subscriptions[id]
        subscription |= {"status": status, "upcoming_payments": []}
        self._notify(subscription, status)

    def advance(self, id: str) -> dict[str, Any]:
        """Move a subscription to its next period, and return it."""
        subscription = self.subscriptions[id]
        next_payment = subscription["upcoming_payments"][0]
        days = subscription["interval"] * _UNITS[subscription["interval_unit"]][0]
        day = date.fromisoformat(next_payment["charge_date"]) + timedelta(days=days)
        subscription["upcoming_payments"] = [{**next_payment, "charge_date": day.isoformat()}]
        return subscription

    def _subscription(self, id: str) -> dict[str, Any]:
        if id not in self.subscriptions:
            raise missing_object()
        return self.subscriptions[id]
