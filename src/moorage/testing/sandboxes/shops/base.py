"""The base of sandboxes for shops, with the merchant's view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

from moorage.testing.sandboxes.base import Sandbox, state_field

if TYPE_CHECKING:
    from collections.abc import Sequence

BUYER: Final = "Ada Quayle"
"""The name of every buyer."""

SKU: Final = "ROPE-10"
"""The number of an item that each sandbox has; its stock is 12, its price 19.90 in euros."""

_FIRST: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class SeenParcel:
    """A parcel as the merchant sees it.

    Attributes:
        order: id of the order.
        tracking_number: number of the parcel.
        quantity: items in it.
        notified: True if the shop notified the buyer at the request of the caller.
    """

    order: str
    tracking_number: str | None
    quantity: int
    notified: bool


class ShopSandbox(Sandbox, ABC):
    """A local sandbox that imitates a shop.

    Attributes:
        clock: time of the next change; each change advances it by a second.
        still: True to have all changes happen in the same second.
        cancels_later: True to have cancellations take effect later; None if the vendor cancels
            immediately.
    """

    cancels_later: bool | None = state_field(lambda: None)
    clock: datetime = state_field(lambda: _FIRST)
    still: bool = state_field(bool)

    def tick(self) -> datetime:
        """Advance the clock, and return the time for a change."""
        if not self.still:
            self.clock += timedelta(seconds=1)
        return self.clock

    @abstractmethod
    def add_order(self, *quantities: int) -> str:
        """Add a paid order with one line for each given quantity; return the order's id."""

    @abstractmethod
    def touch(self, order: str) -> None:
        """Change an order, such as by a merchant's note."""

    @abstractmethod
    def parcels(self) -> Sequence[SeenParcel]:
        """Return all orders' parcels."""

    @abstractmethod
    def canceled(self) -> Sequence[str]:
        """Return the ids of cancelled orders."""

    @abstractmethod
    def refunds(self) -> Sequence[tuple[str, str]]:
        """Return each refund's order and amount."""

    @abstractmethod
    def stock(self) -> int:
        """Return the item's stock."""

    @abstractmethod
    def price(self) -> str:
        """Return the item's price."""


__all__ = ["BUYER", "SKU", "SeenParcel", "ShopSandbox"]
