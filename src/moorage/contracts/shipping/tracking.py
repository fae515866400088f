"""Where a shipment is, and news of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.shipments import ShipmentState


class TrackingStatus(StrEnum):
    """How far a shipment has come."""

    PRE_TRANSIT = "pre_transit"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERY_ATTEMPTED = "delivery_attempted"
    DELIVERED = "delivered"
    RETURNED = "returned"
    ON_HOLD = "on_hold"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Place:
    """Where something happened, as far as a carrier says."""

    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


@attrs.frozen(kw_only=True)
class TrackingEvent:
    """One thing that happened on the way.

    Attributes:
        status: how far the shipment had come.
        vendor_status: the same in the vendor's word.
        code: more exactly, in the vendor's words.
        at: when.
        text: what happened, in the carrier's words.
        location: where, if the carrier says.
    """

    status: TrackingStatus
    vendor_status: str | None = None
    code: str | None = None
    at: datetime | None = None
    text: str | None = None
    location: Place | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Tracking:
    """Where a shipment is.

    Attributes:
        number: what it is followed by.
        carrier: who carries it, in a word that is the same for every vendor.
        status: how far it has come.
        vendor_status: the same in the vendor's word.
        code: more exactly, in the vendor's words.
        events: what happened on the way, the first first.
        estimated_delivery: when it should arrive.
        delivered_at: when it arrived, if it has.
        signed_by: who signed for it.
        url: where people can follow it.
        raw: all that the vendor said.
    """

    number: str | None
    carrier: str | None
    status: TrackingStatus
    vendor_status: str | None = None
    code: str | None = None
    events: tuple[TrackingEvent, ...] = ()
    estimated_delivery: datetime | None = None
    delivered_at: datetime | None = None
    signed_by: str | None = attrs.field(default=None, repr=False)
    url: str | None = attrs.field(default=None, repr=False)
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class ShippingEvent:
    """News of a shipment.

    Attributes:
        id: what tells this news from any other.
        ref: the shipment at the vendor; None if it was not bought there.
        tracking: where it is, if that is the news.
        state: what became of buying it or of calling it back, if that is the news.
        vendor_status: the same in the vendor's word.
        at: when, if the vendor says.
        raw: all that the vendor said.
    """

    id: str | None
    ref: Ref | None = None
    tracking: Tracking | None = None
    state: ShipmentState | None = None
    vendor_status: str | None = None
    at: datetime | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)
