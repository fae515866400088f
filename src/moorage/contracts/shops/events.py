"""Events of shops."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref


class ShopTopic(StrEnum):
    """The kind of change that a shop reports."""

    ORDER_CREATED = "order_created"
    ORDER_UPDATED = "order_updated"
    ORDER_CANCELED = "order_canceled"
    ORDER_DELETED = "order_deleted"


@frozen(kw_only=True)
class ShopEvent:
    """A change of an order that a shop reports; get the order to learn its current state.

    Attributes:
        id: unique id of the event.
        ref: reference of the order at the vendor.
        topic: kind of the change.
        at: time of the order's last change, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    topic: ShopTopic
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)
