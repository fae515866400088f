"""The shipping operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.counter import Counter, current
from moorage.services.contracts.shipping import ShippingFlows

if TYPE_CHECKING:
    from moorage.services.contracts.counter import FindDesk


class Shipping:
    """Buys and tracks shipments through whichever vendor the configuration names."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(ShippingFlows, desk, tenant)

    get_rates = blocking(current(ShippingFlows.get_rates))
    create_shipment = blocking(current(ShippingFlows.create_shipment))
    create_many = blocking(current(ShippingFlows.create_many))
    get_shipment = blocking(current(ShippingFlows.get_shipment))
    get_label = blocking(current(ShippingFlows.get_label))
    track = blocking(current(ShippingFlows.track))
    track_shipment = blocking(current(ShippingFlows.track_shipment))
    cancel = blocking(current(ShippingFlows.cancel))
    validate_address = blocking(current(ShippingFlows.validate_address))


class AsyncShipping:
    """The asynchronous version of `Shipping`."""

    def __init__(self, desk: FindDesk, tenant: str | None) -> None:
        self._flows = Counter(ShippingFlows, desk, tenant)

    get_rates = awaited(current(ShippingFlows.get_rates))
    create_shipment = awaited(current(ShippingFlows.create_shipment))
    create_many = awaited(current(ShippingFlows.create_many))
    get_shipment = awaited(current(ShippingFlows.get_shipment))
    get_label = awaited(current(ShippingFlows.get_label))
    track = awaited(current(ShippingFlows.track))
    track_shipment = awaited(current(ShippingFlows.track_shipment))
    cancel = awaited(current(ShippingFlows.cancel))
    validate_address = awaited(current(ShippingFlows.validate_address))
