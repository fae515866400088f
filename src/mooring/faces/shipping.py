"""Shipping, plain and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mooring._bridge import awaited, blocking
from mooring.services.shipping import ShippingFlows

if TYPE_CHECKING:
    from mooring.services.desk import Desk


class Shipping:
    """Buys and tracks shipments through whichever vendor the configuration names."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = ShippingFlows(desk, tenant)

    get_rates = blocking(ShippingFlows.get_rates)
    create_shipment = blocking(ShippingFlows.create_shipment)
    create_many = blocking(ShippingFlows.create_many)
    get_shipment = blocking(ShippingFlows.get_shipment)
    get_label = blocking(ShippingFlows.get_label)
    track = blocking(ShippingFlows.track)
    track_shipment = blocking(ShippingFlows.track_shipment)
    cancel = blocking(ShippingFlows.cancel)
    validate_address = blocking(ShippingFlows.validate_address)


class AsyncShipping:
    """As `Shipping`, awaited."""

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._flows = ShippingFlows(desk, tenant)

    get_rates = awaited(ShippingFlows.get_rates)
    create_shipment = awaited(ShippingFlows.create_shipment)
    create_many = awaited(ShippingFlows.create_many)
    get_shipment = awaited(ShippingFlows.get_shipment)
    get_label = awaited(ShippingFlows.get_label)
    track = awaited(ShippingFlows.track)
    track_shipment = awaited(ShippingFlows.track_shipment)
    cancel = awaited(ShippingFlows.cancel)
    validate_address = awaited(ShippingFlows.validate_address)
