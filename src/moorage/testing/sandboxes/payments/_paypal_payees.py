"""Payouts to payees in PayPal's sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Refusal, reply
from moorage.testing.sandboxes.payments._paypal_rules import checked_body, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.payments._paypal_rules import Rule

_BATCH: Final[Rule] = {
    "sender_batch_header!": {"sender_batch_id!": 256, "email_subject": 255},
    "items!": [
        {
            "recipient_type!": ("EMAIL", "PAYPAL_ID", "PHONE"),
            "receiver!": 127,
            "amount!": {"currency!": 3, "value!": 32},
            "note": 4_000,
            "sender_item_id": 63,
        }
    ],
}


class PayPalPayees:
    """Payout batches, each with items.

    Args:
        time: returns the time in PayPal's format.

    Attributes:
        batches: all batches, by id.
    """

    def __init__(self, time: Callable[[], str]) -> None:
        self._time = time
        self.batches: dict[str, dict[str, Any]] = {}

    def create(self, request: SandboxRequest) -> Response:
        """Accept a batch, to be processed later; refuse a reused batch id."""
        body = checked_body(request.json(), _BATCH)
        header = body["sender_batch_header"]
        if any(
            batch["batch_header"]["sender_batch_header"] == header
            for batch in self.batches.values()
        ):
            raise Refusal(refusal(400, "USER_BUSINESS_ERROR", "DUPLICATE_SENDER_BATCH_ID"))
        key = f"PB{len(self.batches) + 1:08d}"
        batch_header = {
            "payout_batch_id": key,
            "batch_status": "PENDING",
            "time_created": self._time(),
            "sender_batch_header": header,
        }
        items = [
            {
                "payout_item_id": f"{key}-{number}",
                "payout_batch_id": key,
                "transaction_status": "SUCCESS",
                "payout_item_fee": {"currency": "USD", "value": "0.25"},
                "payout_item": item,
            }
            for number, item in enumerate(body["items"])
        ]
        self.batches[key] = {"batch_header": batch_header, "items": items}
        return reply({"batch_header": batch_header}, 201)

    def show(self, _: SandboxRequest, id: str) -> Response:
        """Return a processed batch with its items."""
        if id not in self.batches:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        batch = self.batches[id]
        header = {**batch["batch_header"], "batch_status": "SUCCESS"}
        return reply({"batch_header": header, "items": batch["items"]})
