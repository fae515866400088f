"""Tracking: the progress of a shipment, and its events."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.domain.values.frozen_values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.shipments import ShipmentState


class TrackingStatus(StrEnum):
    """The progress of a shipment."""

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


@frozen(kw_only=True)
class Place:
    """The location of a tracking event, as far as the carrier states it."""

    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


@frozen(kw_only=True)
class TrackingEvent:
    """One event of a shipment's journey.

    Attributes:
        status: progress of the shipment at that time.
        vendor_status: the vendor's own word for the status.
        code: the vendor's more detailed code.
        at: time of the event.
        text: description, in the carrier's words.
        location: place of the event, if the carrier states it.
    """

    status: TrackingStatus
    vendor_status: str | None = None
    code: str | None = None
    at: datetime | None = None
    text: str | None = None
    location: Place | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Tracking:
    """The current progress of a shipment.

    Attributes:
        number: tracking number.
        carrier: carrier, by a name that all vendors share.
        status: progress of the shipment.
        vendor_status: the vendor's own word for the status.
        code: the vendor's more detailed code.
        events: events of the journey, the oldest first.
        estimated_delivery: expected time of delivery.
        delivered_at: time of delivery.
        signed_by: name of the person who signed for it.
        url: page where people can track the shipment.
        raw: the vendor's complete response.
    """

    number: str | None
    carrier: str | None
    status: TrackingStatus
    vendor_status: str | None = None
    code: str | None = None
    events: tuple[TrackingEvent, ...] = ()
    estimated_delivery: datetime | None = None
    delivered_at: datetime | None = None
    signed_by: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class ShippingEvent:
    """An event of a shipment, reported by the vendor's webhook.

    Attributes:
        id: unique id of the event.
        ref: reference of the shipment at the vendor; None if it was not bought there.
        tracking: progress of the delivery, if the event reports it.
        state: state of the purchase or cancellation, if the event reports it.
        vendor_status: the vendor's own word for the status.
        at: time of the event, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref | None = None
    tracking: Tracking | None = None
    state: ShipmentState | None = None
    vendor_status: str | None = None
    at: datetime | None = None
    raw: Any = field(default=None, repr=False, eq=False)
