"""Subscriptions in Mollie's sandbox."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.payments._mollie_rules import (
    API,
    CHANGE_SUBSCRIPTION,
    DOCUMENTATION,
    SUBSCRIPTION,
    amount_fields,
    amount_of,
    check_fields,
    link,
    missing_resource,
    unprocessable_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_INTERVAL: Final = re.compile(r"([1-9][0-9]*) (day|week|month)s?")
_DAYS: Final = {"day": 1, "week": 7, "month": 30}
_MAX_DAYS: Final = 365


class MollieSubscriptions:
    """Subscriptions of customers; months have 30 days.

    Args:
        now: returns the time, in seconds since 1970.
        mandates: customers of the mandates, by id.
        number: returns the number of a new subscription.

    Attributes:
        subscriptions: all subscriptions, by id.
    """

    def __init__(
        self, now: Callable[[], float], mandates: dict[str, str], number: Callable[[], int]
    ) -> None:
        self._now = now
        self._mandates = mandates
        self._number = number
        self.subscriptions: dict[str, dict[str, Any]] = {}

    def create(self, request: SandboxRequest, customer: str) -> Response:
        """Create a subscription of a customer with a mandate."""
        fields = check_fields(request.json(), SUBSCRIPTION)
        for name in ("amount", "description", "interval"):
            if name not in fields:
                raise unprocessable_request(f"The {name} is missing", name)
        if self._mandates.get(fields.get("mandateId", "")) != customer:
            raise unprocessable_request("The mandate is invalid", "mandateId")
        _days(fields["interval"])
        now = datetime.fromtimestamp(self._now(), UTC)
        start = date.fromisoformat(fields.get("startDate", now.date().isoformat()))
        if start < now.date():
            raise unprocessable_request("The startDate is in the past", "startDate")
        if any(
            item["description"] == fields["description"] and item["status"] == "active"
            for item in self.subscriptions.values()
            if item["customerId"] == customer
        ):
            raise unprocessable_request(
                "A subscription with this description exists already", "description"
            )
        key = f"sub_{self._number():08d}"
        self.subscriptions[key] = {
            "resource": "subscription",
            "id": key,
            "mode": "test",
            "amount": amount_fields(amount_of(fields["amount"])),
            "createdAt": now.isoformat(timespec="seconds"),
            "customerId": customer,
            "description": fields["description"],
            "interval": fields["interval"],
            "mandateId": fields["mandateId"],
            "metadata": fields.get("metadata"),
            "method": fields.get("method"),
            "nextPaymentDate": start.isoformat(),
            "startDate": start.isoformat(),
            "status": "active",
            "times": fields.get("times"),
            "timesRemaining": fields.get("times"),
            "webhookUrl": fields.get("webhookUrl"),
            "_links": {
                "self": link(f"{API}/v2/customers/{customer}/subscriptions/{key}"),
                "customer": link(f"{API}/v2/customers/{customer}"),
                "profile": link(f"{API}/v2/profiles/pfl_sandbox"),
            },
        }
        return _subscription_answer(self.subscriptions[key], "create", 201)

    def show(self, _: SandboxRequest, customer: str, id: str) -> Response:
        """Return a subscription of a customer."""
        return _subscription_answer(self._subscription(customer, id), "get")

    def change(self, request: SandboxRequest, customer: str, id: str) -> Response:
        """Change the amount of an active subscription."""
        fields = check_fields(request.json(), CHANGE_SUBSCRIPTION)
        subscription = self._open_subscription(customer, id)
        amount = amount_of(fields["amount"], subscription["amount"]["currency"])
        subscription["amount"] = amount_fields(amount)
        return _subscription_answer(subscription, "update")

    def cancel(self, _: SandboxRequest, customer: str, id: str) -> Response:
        """Cancel an active subscription."""
        subscription = self._open_subscription(customer, id)
        canceled_at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        subscription |= {"status": "canceled", "canceledAt": canceled_at, "nextPaymentDate": None}
        return _subscription_answer(subscription, "cancel")

    def advance(self, id: str) -> dict[str, Any]:
        """Move a subscription to its next period, and return it."""
        subscription = self.subscriptions[id]
        day = date.fromisoformat(subscription["nextPaymentDate"])
        later_time = day + timedelta(days=_days(subscription["interval"]))
        subscription["nextPaymentDate"] = later_time.isoformat()
        return subscription

    def _open_subscription(self, customer: str, id: str) -> dict[str, Any]:
        subscription = self._subscription(customer, id)
        if subscription["status"] != "active":
            raise unprocessable_request("The subscription is not active")
        return subscription

    def _subscription(self, customer: str, id: str) -> dict[str, Any]:
        subscription = self.subscriptions.get(id)
        if subscription is None or subscription["customerId"] != customer:
            raise missing_resource(id)
        return subscription


def _subscription_answer(
    subscription: dict[str, Any], operation: str, status: int = 200
) -> Response:
    """Return the response with a subscription, including a link to documentation."""
    documentation = link(f"{DOCUMENTATION}/{operation}-subscription", "text/html")
    links = {**subscription["_links"], "documentation": documentation}
    return reply({**subscription, "_links": links}, status)


def _days(interval: str) -> int:
    match = _INTERVAL.fullmatch(interval)
    days = 0 if match is None else int(match[1]) * _DAYS[match[2]]
    if not 0 < days <= _MAX_DAYS:
        raise unprocessable_request("The interval is invalid", "interval")
    return days
