"""The operations of a shipping vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.duties import DutiesEstimate
    from moorage.contracts.shipping.handovers import (
        Manifest,
        Pickup,
        PickupRequest,
        ServicePointResult,
    )
    from moorage.contracts.shipping.rates import LabelFormat, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult, CancelResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.contracts.wire import Wire
    from moorage.domain.values.money import Money


class ShippingVendor(Protocol):
    """The operations of a shipping vendor; its `capabilities` list the optional ones.

    Requesting rates is free, so it may be repeated. `buy` costs money: a repeat with the same key
    returns the first label or raises `OutcomeUnknown`, and never buys a second. A vendor with the
    capability `FIND_LOST_LABEL` returns the first label, if it was bought. For a vendor without
    the capability `RATES`, the id of `rate` is the name of a service. A bought shipment is
    returned even if its label cannot be fetched. A repeated pickup or manifest of the same key
    returns the first one or raises `OutcomeUnknown`. `rate_request` is the shipment, or None
    if only the reference is known; that needs the capability `BUY_BY_REFERENCE`.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[str]: ...

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult: ...

    async def buy(
        self, wire: Wire, rate: Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment: ...

    async def get(self, wire: Wire, ref: Ref, /) -> Shipment: ...

    async def get_labels(
        self,
        wire: Wire,
        ref: Ref,
        label: LabelFormat | None,
        /,
    ) -> tuple[Label, ...]: ...

    async def track(self, wire: Wire, number: str, carrier: str, /) -> Tracking: ...

    async def track_shipment(self, wire: Wire, ref: Ref, /) -> Tracking: ...

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelResult: ...

    async def schedule_pickup(
        self, wire: Wire, request: PickupRequest, /, *, key: str
    ) -> Pickup: ...

    async def cancel_pickup(self, wire: Wire, ref: Ref, /) -> Pickup: ...

    async def create_manifest(
        self, wire: Wire, shipments: tuple[Ref, ...], /, *, key: str
    ) -> Manifest: ...

    async def get_manifest(self, wire: Wire, ref: Ref, /) -> Manifest: ...

    async def find_service_points(
        self, wire: Wire, address: Address, /, *, limit: int
    ) -> ServicePointResult: ...

    async def estimate_duties(
        self, wire: Wire, shipment: RateRequest, /, *, freight: Money | None
    ) -> DutiesEstimate: ...

    async def validate_address(self, wire: Wire, address: Address, /) -> AddressResult: ...
