"""The cursor of WooCommerce's order list: a time in seconds, and the read orders of that time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.shops._common import nearest_valid_time, written_time

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.shops import OrderQuery, ShopOrder

_SECOND: Final = timedelta(seconds=1)


@attrs.frozen(kw_only=True)
class OrderCursor:
    """A position in the orders, sorted by last change.

    WooCommerce keeps times to the second, so many orders may have the same time. Orders that were
    already read are excluded by id, and the following second has a separate page. So an excluded
    order that changes meanwhile is found on that page.

    Attributes:
        since: earliest time of an order's last change, inclusive; None for all orders.
        seen: ids of orders that are excluded.
        latest: latest change on an earlier page.
    """

    since: datetime | None = None
    seen: tuple[str, ...] = ()
    latest: datetime | None = None

    @classmethod
    def of(cls, query: OrderQuery, after: sdk.Ref | None) -> Self:
        """The cursor for a query, or for the page after an earlier one."""
        if after is None:
            return cls(since=query.updated_since)
        return cls(
            since=sdk.as_time(after.other("since")),
            seen=tuple((after.other("seen") or "").split(",")) if after.other("seen") else (),
            latest=sdk.as_time(after.other("latest")),
        )

    @property
    def filters(self) -> dict[str, str]:
        """The list parameters; `modified_after` excludes the second that it contains."""
        filters = {"exclude": ",".join(self.seen)} if self.seen else {}
        if self.since is not None:
            filters["modified_after"] = written_time(nearest_valid_time(self.since) - _SECOND)
        return filters

    @property
    def related(self) -> dict[str, str | None]:
        """The cursor's values, as further ids to be stored in a reference."""
        return {
            "since": None if self.since is None else self.since.isoformat(),
            "seen": ",".join(self.seen),
            "latest": None if self.latest is None else self.latest.isoformat(),
        }

    def resume_at(self, orders: tuple[ShopOrder, ...]) -> datetime | None:
        """The time of the latest change that was read, or the start if nothing was read."""
        times = [order.updated_at for order in orders if order.updated_at is not None]
        if self.latest is not None:
            times.append(self.latest)
        return max(times) if times else self.since

    def after(self, orders: tuple[ShopOrder, ...], *, is_last: bool) -> OrderCursor | None:
        """The cursor for the next page; None if no more orders exist."""
        latest_change = self.resume_at(orders)
        if latest_change is None or (is_last and not self.seen):
            return None
        if is_last:
            return OrderCursor(
                since=nearest_valid_time(latest_change) + _SECOND, latest=latest_change
            )
        ids = tuple(order.ref.id for order in orders if order.updated_at == latest_change)
        earlier_ids = self.seen if latest_change == self.since else ()
        return OrderCursor(since=latest_change, seen=earlier_ids + ids, latest=latest_change)
