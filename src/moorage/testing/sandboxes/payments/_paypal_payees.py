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


def _used_id(batch: str) -> Response:
    """Return the response to a batch id that was used before, with a link to the batch."""
    url = f"https://api.sandbox.paypal.com/v1/payments/payouts/{batch}"
    details = {
        "field": "SENDER_BATCH_ID",
        "location": "body",
        "issue": "Batch with given sender_batch_id already exists",
        "link": [{"href": url, "rel": "self", "method": "GET"}],
    }
    body = {"name": "USER_BUSINESS_ERROR", "message": "User business error.", "debug_id": "f0a1"}
    return reply({**body, "details": [details], "links": []}, 400)


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
        """Accept a batch, to be processed later; refuse a reused batch id.

        PayPal replays no response to a payout for its `PayPal-Request-Id`.
        """
        body = checked_body(request.json(), _BATCH)
        header = body["sender_batch_header"]
        for batch in self.batches.values():
            used_header = batch["batch_header"]["sender_batch_header"]
            if used_header["sender_batch_id"] == header["sender_batch_id"]:
                raise Refusal(_used_id(batch["batch_header"]["payout_batch_id"]))
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
