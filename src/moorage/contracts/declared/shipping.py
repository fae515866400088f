"""The contract of shipments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.contracts import address as addresses
from moorage.contracts.address import Address
from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.shipping import duties, handovers, parcels, rates, shipments, tracking, units
from moorage.contracts.shipping.rates import RateRequest, ShippingCapability
from moorage.contracts.shipping.tracking import ShippingEvent
from moorage.contracts.validators import check_kind, check_text
from moorage.domain.values.durations import count
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.duties import DutiesEstimate
    from moorage.contracts.shipping.handovers import Manifest, Pickup, ServicePointResult
    from moorage.contracts.shipping.shipments import AddressResult, CancelResult, Shipment
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.domain.values.money import Money


_NO_REQUIREMENTS: Final[Requirements[Shipment]] = Requirements()
_TRACK: Final[Requirements[Tracking]] = Requirements()
_CANCEL_PICKUP: Final[Requirements[Pickup]] = Requirements()
_MANIFEST: Final[Requirements[Manifest]] = Requirements()
_CANCEL: Final[Requirements[CancelResult]] = Requirements()


class ShippingContract(Contract):
    """Buys and tracks shipments by the vendor that the configuration chooses."""

    kind = "shipping"
    capabilities = ShippingCapability
    event = ShippingEvent
    values = (
        addresses,
        duties,
        handovers,
        parcels,
        rates,
        shipments,
        tracking,
        units,
    )
    flows = {
        "get_rates": Effect.NONE,
        "create_shipment": Effect.DEFERRABLE,
        "create_many": Effect.DEFERRABLE,
        "get_label": Effect.NONE,
        "schedule_pickup": Effect.DEFERRABLE,
        "create_manifest": Effect.DEFERRABLE,
    }
    flow_verbs = {
        "get_rates": ShippingCapability.RATES,
        "schedule_pickup": ShippingCapability.PICKUP,
        "create_manifest": ShippingCapability.MANIFEST,
    }

    @reads(target=Target.REFERENCE, verb="get")
    def get_shipment(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[Shipment]:
        """Get the current state of a shipment."""
        return _NO_REQUIREMENTS

    @reads(needs=ShippingCapability.TRACK)
    def track(
        self, number: str, carrier: str, *, timeout: float | None = None
    ) -> Requirements[Tracking]:
        """Get the progress of a shipment, including one that was bought elsewhere.

        Args:
            number: tracking number.
            carrier: name of the carrier, such as "usps".
            timeout: seconds for the whole operation.
        """
        for field, value in (("number", number), ("carrier", carrier)):
            check_text(value, field)
            if not value or not value.isprintable():
                raise InvalidData(
                    f"The {field} must be a string that is not empty.",
                    field=field,
                    remedy="Give the tracking number, and the carrier's name.",
                )
        return _TRACK

    @reads(target=Target.REFERENCE, needs=ShippingCapability.TRACK)
    def track_shipment(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[Tracking]:
        """Get the progress of a shipment that was bought here."""
        return _TRACK

    @changes(target=Target.REFERENCE, needs=ShippingCapability.CANCEL)
    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[CancelResult]:
        """Cancel a shipment and request a refund; most vendors take days to approve it."""
        return _CANCEL

    @changes(target=Target.REFERENCE, needs=ShippingCapability.CANCEL_PICKUP)
    def cancel_pickup(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[Pickup]:
        """Cancel a scheduled pickup; its shipments stay bought."""
        return _CANCEL_PICKUP

    @reads(target=Target.REFERENCE, needs=ShippingCapability.MANIFEST)
    def get_manifest(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[Manifest]:
        """Get the current state of a manifest, with its forms once they exist."""
        return _MANIFEST

    @reads(needs=ShippingCapability.SERVICE_POINTS)
    def find_service_points(
        self, address: Address, *, limit: int = 10, timeout: float | None = None
    ) -> Requirements[ServicePointResult]:
        """Find shops and lockers near an address where a recipient can collect a parcel.

        Args:
            address: address near which to search.
            limit: maximum number of service points.
            timeout: seconds for the whole operation.
        """
        check_kind(address, Address, "address")
        count(limit, "limit")
        return Requirements(country=address.country)

    @reads(needs=ShippingCapability.DUTIES)
    def estimate_duties(
        self,
        shipment: RateRequest,
        *,
        freight: Money | None = None,
        timeout: float | None = None,
    ) -> Requirements[DutiesEstimate]:
        """Estimate the duties, taxes and fees on the import of a shipment; nothing is bought.

        Args:
            shipment: the shipment, with a customs declaration.
            freight: price of the transport, because most countries charge duties and taxes on it.
            timeout: seconds for the whole operation.
        """
        check_kind(shipment, RateRequest, "shipment")
        goods = duties.declared_goods(shipment).value
        if freight is not None:
            parcels.check_amount(freight, "freight")
            if freight.currency != goods.currency:
                raise InvalidData(
                    "The price of the transport is not in the currency of the goods.",
                    field="freight",
                    remedy="Convert the price of the transport to the currency of the goods.",
                )
        return Requirements(country=shipment.recipient.country)

    @reads(needs=ShippingCapability.VALIDATE_ADDRESS)
    def validate_address(
        self, address: Address, *, timeout: float | None = None
    ) -> Requirements[AddressResult]:
        """Ask the vendor if it can deliver to an address, and for its official spelling."""
        check_kind(address, Address, "address")
        return Requirements(country=address.country)
