"""What a vendor of shipping does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.rates import LabelFormat, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult, CancelResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.contracts.wire import Wire


class ShippingVendor(Protocol):
    """What a vendor of shipping does; the optional verbs are named by its capabilities.

    Asking for rates costs nothing, so it may be repeated. `buy` costs: whoever repeats it with its
    key gets the first label, or `OutcomeUnknown`, and never a second. A label that was bought is
    given even if its content cannot be fetched. `asked` is what the offer is for, and None if only
    its reference is known: that is refused before, unless the vendor can `BUY_BY_REFERENCE`.
    """

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult: ...

    async def buy(
        self, wire: Wire, rate: Ref, asked: RateRequest | None, /, *, key: str
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

    async def validate_address(self, wire: Wire, address: Address, /) -> AddressResult: ...
