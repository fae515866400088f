"""The shipping operations for users, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.runtime.bridge import awaited, blocking
from moorage.services.contracts.live_configuration import CurrentOperations, on_current_dispatcher
from moorage.services.contracts.shipping import ShippingFlows

if TYPE_CHECKING:
    from moorage.services.contracts.live_configuration import FindDispatcher


class Shipping:
    """Buys and tracks shipments through whichever vendor the configuration names."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShippingFlows, find_dispatcher, tenant)

    get_rates = blocking(on_current_dispatcher(ShippingFlows.get_rates))
    create_shipment = blocking(on_current_dispatcher(ShippingFlows.create_shipment))
    create_many = blocking(on_current_dispatcher(ShippingFlows.create_many))
    get_shipment = blocking(on_current_dispatcher(ShippingFlows.get_shipment))
    get_label = blocking(on_current_dispatcher(ShippingFlows.get_label))
    track = blocking(on_current_dispatcher(ShippingFlows.track))
    track_shipment = blocking(on_current_dispatcher(ShippingFlows.track_shipment))
    cancel = blocking(on_current_dispatcher(ShippingFlows.cancel))
    validate_address = blocking(on_current_dispatcher(ShippingFlows.validate_address))


class AsyncShipping:
    """The asynchronous version of `Shipping`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShippingFlows, find_dispatcher, tenant)

    get_rates = awaited(on_current_dispatcher(ShippingFlows.get_rates))
    create_shipment = awaited(on_current_dispatcher(ShippingFlows.create_shipment))
    create_many = awaited(on_current_dispatcher(ShippingFlows.create_many))
    get_shipment = awaited(on_current_dispatcher(ShippingFlows.get_shipment))
    get_label = awaited(on_current_dispatcher(ShippingFlows.get_label))
    track = awaited(on_current_dispatcher(ShippingFlows.track))
    track_shipment = awaited(on_current_dispatcher(ShippingFlows.track_shipment))
    cancel = awaited(on_current_dispatcher(ShippingFlows.cancel))
    validate_address = awaited(on_current_dispatcher(ShippingFlows.validate_address))
