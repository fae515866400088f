"""Webhooks that a shop receives, and its handlers for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.payments.events import PaymentEvent
from moorage.hub.inbox import EntryState

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import Notice
    from tests.entries.shop import Shop


class FlakyHandler:
    """A webhook handler that fails a given number of times, and then succeeds."""

    def __init__(self, shop: Shop, kind: type | str = "payments", *, fails: int = 0) -> None:
        self.fails = fails
        self.seen: list[str] = []
        shop.inbox.on(kind)(self)

    def __call__(self, event: Any, entry: Any) -> None:
        """Handle the event, or fail as often as the test wants."""
        assert entry.state is EntryState.CLAIMED
        if self.fails:
            self.fails -= 1
            raise RuntimeError("a secret of the host's")
        self.seen.append(reference(event) if isinstance(event, PaymentEvent) else event.type)


def reference(event: PaymentEvent) -> str:
    """Return the shop's reference of the payment in an event."""
    assert event.payment is not None
    return event.payment.reference or ""


def receive_notice(shop: Shop, notice: Notice) -> Any:
    """Receive a Stripe webhook in the inbox of a shop."""
    return shop.do(shop.inbox.receive, "stripe", **notice.arguments())
