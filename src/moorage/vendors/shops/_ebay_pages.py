"""The cursor of eBay's order list: a period of changes, and a position in its list.

eBay numbers its pages and does not guarantee a sort order, so an order that changes meanwhile can
move others to a page that was already read. A period in the past only loses orders: an order that
changes moves to a later period. So the first request finds the end of the period, the next
requests read the ended period, and if its total has become smaller, the cursor steps back by the
difference.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final, Self

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.shops._common import nearest_valid_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from moorage.contracts.shops import OrderQuery

_MILLISECOND: Final = timedelta(milliseconds=1)
_USUAL_PERIOD: Final = timedelta(days=90)
"""The age of the oldest orders that eBay lists without a filter."""


@attrs.frozen(kw_only=True)
class OrderCursor:
    """A position in the list of orders that changed within a period.

    Attributes:
        since: first moment of the period; None for the orders that eBay lists without a filter.
        until: last moment of the period; None before it is known.
        offset: number of orders in the period that were read.
        total: number of orders in the period when the previous page was read; None on the first
            page.
    """

    since: datetime | None = None
    until: datetime | None = None
    offset: int = 0
    total: int | None = None

    @classmethod
    def of(cls, query: OrderQuery, after: sdk.Ref | None) -> Self:
        """The cursor for a query, or for the page after an earlier one."""
        if after is None:
            return cls(
                since=None
                if query.updated_since is None
                else nearest_valid_time(query.updated_since)
            )
        offset, total = (after.other(name) or "" for name in ("offset", "total"))
        return cls(
            since=sdk.as_time(after.other("since")),
            until=sdk.as_time(after.other("until")),
            offset=_count(offset) or 0,
            total=_count(total),
        )

    @property
    def filters(self) -> dict[str, str]:
        """The list parameters, without the page size."""
        if self.since is None:
            return {}
        until = "" if self.until is None else _utc_text(self.until)
        filters = {"filter": f"lastmodifieddate:[{_utc_text(self.since)}..{until}]"}
        return {**filters, "offset": str(self.offset)} if self.offset else filters

    @property
    def related(self) -> dict[str, str | None]:
        """The cursor's values, as further ids to be stored in a reference."""
        return {
            "since": None if self.since is None else _utc_text(self.since),
            "until": None if self.until is None else _utc_text(self.until),
            "offset": str(self.offset),
            "total": None if self.total is None else str(self.total),
        }

    def after(self, changes: Iterable[datetime], count: int, total: int) -> OrderCursor | None:
        """The cursor for the next page; None if no more orders exist.

        Args:
            changes: times of the last changes on this page.
            count: number of orders on this page.
            total: number of orders in the period.
        """
        if self.until is None:
            latest_change = max(changes, default=None)
            if latest_change is None or count >= total:
                return None
            since = (
                nearest_valid_time(latest_change) - _USUAL_PERIOD
                if self.since is None
                else self.since
            )
            return OrderCursor(since=since, until=latest_change)
        orders_left = max(0, (total if self.total is None else self.total) - total)
        offset = max(0, self.offset - orders_left) if orders_left else self.offset + count
        if offset >= total:
            return OrderCursor(since=nearest_valid_time(self.until) + _MILLISECOND)
        return attrs.evolve(self, offset=offset, total=total)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _utc_text(at: datetime) -> str:
    """A UTC time in eBay's format, to the millisecond."""
    in_utc = nearest_valid_time(at).astimezone(UTC).replace(tzinfo=None)
    return f"{in_utc.isoformat(timespec='milliseconds')}Z"
