"""The operations on shipments for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.shipping import ShippingFlows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.address import Address
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping.duties import DutiesEstimate
    from moorage.contracts.shipping.handovers import (
        Manifest,
        Pickup,
        PickupRequest,
        ServicePointResult,
    )
    from moorage.contracts.shipping.rates import LabelFormat, Rate, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import (
        AddressResult,
        CancelResult,
        Label,
        Shipment,
        ShipmentRequest,
    )
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.domain.values.money import Money
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher


class Shipping(Uncopyable):
    """Buys and tracks shipments by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShippingFlows, find_dispatcher, tenant)

    def get_rates(
        self,
        request: RateRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> RateResult:
        """Get the carriers' rates for a shipment without buying one.

        Args:
            request: the shipment.
            idempotency_key: identifies this request: a repeat returns the same rates.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.get_rates, request, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def create_shipment(
        self,
        what: ShipmentRequest | Rate | Ref | str,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Shipment:
        """Buy a shipment with its labels.

        Args:
            what: a shipment with the rule that chooses the rate; or a rate, or its reference if the
                vendor stores rates.
            idempotency_key: identifies this shipment: a repeat returns the same labels, and never
                buys a second one.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: no rate fits, with the carriers' messages; or the vendor refuses to
                sell.
            OutcomeUnknown: the shipment may have been bought, and the vendor cannot report it.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.create_shipment,
                what,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def create_many(
        self,
        items: Sequence[ShipmentRequest | Rate | Ref | str],
        *,
        idempotency_key: str,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[Shipment]]:
        """Buy many shipments, and return the results in order.

        Each shipment has its own key, derived from the batch's key and the shipment's position: a
        repeat after an interruption buys only the missing shipments.

        Args:
            items: arguments for `create_shipment`.
            idempotency_key: identifies this batch.
            timeout: seconds for each shipment.
            at_once: maximum number of concurrent purchases.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.create_many,
                items,
                idempotency_key=idempotency_key,
                timeout=timeout,
                at_once=at_once,
            )
        )

    def get_label(
        self,
        ref: Ref | str,
        label: LabelFormat | str | None = None,
        *,
        parcel: int = 1,
        timeout: float | None = None,
    ) -> Label:
        """Fetch a label of a bought shipment.

        Args:
            ref: reference of the shipment.
            label: format of the label; by default the format in which it was bought.
            parcel: number of the parcel, from one.
            timeout: seconds for the whole operation.

        Raises:
            UnsupportedByVendor: the vendor returns labels only at the purchase, or does not convert
                them to another format.
            VendorRejected: the label does not exist, or not yet.
        """
        return run_now(
            self._flows.run(ShippingFlows.get_label, ref, label, parcel=parcel, timeout=timeout)
        )

    def schedule_pickup(
        self, pickup: PickupRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> Pickup:
        """Schedule a carrier's pickup of bought shipments.

        Args:
            pickup: the shipments, the place and the time.
            idempotency_key: identifies this pickup: a repeat returns the same pickup, and never
                schedules a second one.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the carrier does not offer a pickup at this time or place.
            OutcomeUnknown: the pickup may have been scheduled, and the vendor cannot report it.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.schedule_pickup,
                pickup,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def create_manifest(
        self, shipments: Sequence[Ref | str], *, idempotency_key: str, timeout: float | None = None
    ) -> Manifest:
        """Create a manifest, with which a driver accepts many shipments at the end of a day.

        Args:
            shipments: references of bought shipments, all of one account.
            idempotency_key: identifies this manifest: a repeat returns the same manifest.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: a shipment is not of this day, or is on another manifest already.
            OutcomeUnknown: the manifest may have been created, and the vendor cannot report it.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.create_manifest,
                shipments,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def get_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Shipment:
        """Get the current state of a shipment."""
        return run_now(self._flows.run(ShippingFlows.get_shipment, ref, timeout=timeout))

    def track(self, number: str, carrier: str, *, timeout: float | None = None) -> Tracking:
        """Get the progress of a shipment, including one that was bought elsewhere.

        Args:
            number: tracking number.
            carrier: name of the carrier, such as "usps".
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(ShippingFlows.track, number, carrier, timeout=timeout))

    def track_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Tracking:
        """Get the progress of a shipment that was bought here."""
        return run_now(self._flows.run(ShippingFlows.track_shipment, ref, timeout=timeout))

    def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> CancelResult:
        """Cancel a shipment and request a refund; most vendors take days to approve it."""
        return run_now(self._flows.run(ShippingFlows.cancel, ref, timeout=timeout))

    def cancel_pickup(self, ref: Ref | str, *, timeout: float | None = None) -> Pickup:
        """Cancel a scheduled pickup; its shipments stay bought."""
        return run_now(self._flows.run(ShippingFlows.cancel_pickup, ref, timeout=timeout))

    def get_manifest(self, ref: Ref | str, *, timeout: float | None = None) -> Manifest:
        """Get the current state of a manifest, with its forms once they exist."""
        return run_now(self._flows.run(ShippingFlows.get_manifest, ref, timeout=timeout))

    def find_service_points(
        self, address: Address, *, limit: int = 10, timeout: float | None = None
    ) -> ServicePointResult:
        """Find shops and lockers near an address where a recipient can collect a parcel.

        Args:
            address: address near which to search.
            limit: maximum number of service points.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.find_service_points, address, limit=limit, timeout=timeout
            )
        )

    def estimate_duties(
        self, shipment: RateRequest, *, freight: Money | None = None, timeout: float | None = None
    ) -> DutiesEstimate:
        """Estimate the duties, taxes and fees on the import of a shipment; nothing is bought.

        Args:
            shipment: the shipment, with a customs declaration.
            freight: price of the transport, because most countries charge duties and taxes on it.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                ShippingFlows.estimate_duties, shipment, freight=freight, timeout=timeout
            )
        )

    def validate_address(self, address: Address, *, timeout: float | None = None) -> AddressResult:
        """Ask the vendor if it can deliver to an address, and for its official spelling."""
        return run_now(self._flows.run(ShippingFlows.validate_address, address, timeout=timeout))


class AsyncShipping(Uncopyable):
    """The asynchronous version of `Shipping`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(ShippingFlows, find_dispatcher, tenant)

    async def get_rates(
        self,
        request: RateRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> RateResult:
        """Get the carriers' rates for a shipment without buying one.

        Args:
            request: the shipment.
            idempotency_key: identifies this request: a repeat returns the same rates.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShippingFlows.get_rates, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def create_shipment(
        self,
        what: ShipmentRequest | Rate | Ref | str,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Shipment:
        """Buy a shipment with its labels.

        Args:
            what: a shipment with the rule that chooses the rate; or a rate, or its reference if the
                vendor stores rates.
            idempotency_key: identifies this shipment: a repeat returns the same labels, and never
                buys a second one.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: no rate fits, with the carriers' messages; or the vendor refuses to
                sell.
            OutcomeUnknown: the shipment may have been bought, and the vendor cannot report it.
        """
        return await self._flows.run(
            ShippingFlows.create_shipment, what, idempotency_key=idempotency_key, timeout=timeout
        )

    async def create_many(
        self,
        items: Sequence[ShipmentRequest | Rate | Ref | str],
        *,
        idempotency_key: str,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[Shipment]]:
        """Buy many shipments, and return the results in order.

        Each shipment has its own key, derived from the batch's key and the shipment's position: a
        repeat after an interruption buys only the missing shipments.

        Args:
            items: arguments for `create_shipment`.
            idempotency_key: identifies this batch.
            timeout: seconds for each shipment.
            at_once: maximum number of concurrent purchases.
        """
        return await self._flows.run(
            ShippingFlows.create_many,
            items,
            idempotency_key=idempotency_key,
            timeout=timeout,
            at_once=at_once,
        )

    async def get_label(
        self,
        ref: Ref | str,
        label: LabelFormat | str | None = None,
        *,
        parcel: int = 1,
        timeout: float | None = None,
    ) -> Label:
        """Fetch a label of a bought shipment.

        Args:
            ref: reference of the shipment.
            label: format of the label; by default the format in which it was bought.
            parcel: number of the parcel, from one.
            timeout: seconds for the whole operation.

        Raises:
            UnsupportedByVendor: the vendor returns labels only at the purchase, or does not convert
                them to another format.
            VendorRejected: the label does not exist, or not yet.
        """
        return await self._flows.run(
            ShippingFlows.get_label, ref, label, parcel=parcel, timeout=timeout
        )

    async def schedule_pickup(
        self, pickup: PickupRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> Pickup:
        """Schedule a carrier's pickup of bought shipments.

        Args:
            pickup: the shipments, the place and the time.
            idempotency_key: identifies this pickup: a repeat returns the same pickup, and never
                schedules a second one.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the carrier does not offer a pickup at this time or place.
            OutcomeUnknown: the pickup may have been scheduled, and the vendor cannot report it.
        """
        return await self._flows.run(
            ShippingFlows.schedule_pickup, pickup, idempotency_key=idempotency_key, timeout=timeout
        )

    async def create_manifest(
        self, shipments: Sequence[Ref | str], *, idempotency_key: str, timeout: float | None = None
    ) -> Manifest:
        """Create a manifest, with which a driver accepts many shipments at the end of a day.

        Args:
            shipments: references of bought shipments, all of one account.
            idempotency_key: identifies this manifest: a repeat returns the same manifest.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: a shipment is not of this day, or is on another manifest already.
            OutcomeUnknown: the manifest may have been created, and the vendor cannot report it.
        """
        return await self._flows.run(
            ShippingFlows.create_manifest,
            shipments,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def get_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Shipment:
        """Get the current state of a shipment."""
        return await self._flows.run(ShippingFlows.get_shipment, ref, timeout=timeout)

    async def track(self, number: str, carrier: str, *, timeout: float | None = None) -> Tracking:
        """Get the progress of a shipment, including one that was bought elsewhere.

        Args:
            number: tracking number.
            carrier: name of the carrier, such as "usps".
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(ShippingFlows.track, number, carrier, timeout=timeout)

    async def track_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Tracking:
        """Get the progress of a shipment that was bought here."""
        return await self._flows.run(ShippingFlows.track_shipment, ref, timeout=timeout)

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> CancelResult:
        """Cancel a shipment and request a refund; most vendors take days to approve it."""
        return await self._flows.run(ShippingFlows.cancel, ref, timeout=timeout)

    async def cancel_pickup(self, ref: Ref | str, *, timeout: float | None = None) -> Pickup:
        """Cancel a scheduled pickup; its shipments stay bought."""
        return await self._flows.run(ShippingFlows.cancel_pickup, ref, timeout=timeout)

    async def get_manifest(self, ref: Ref | str, *, timeout: float | None = None) -> Manifest:
        """Get the current state of a manifest, with its forms once they exist."""
        return await self._flows.run(ShippingFlows.get_manifest, ref, timeout=timeout)

    async def find_service_points(
        self, address: Address, *, limit: int = 10, timeout: float | None = None
    ) -> ServicePointResult:
        """Find shops and lockers near an address where a recipient can collect a parcel.

        Args:
            address: address near which to search.
            limit: maximum number of service points.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShippingFlows.find_service_points, address, limit=limit, timeout=timeout
        )

    async def estimate_duties(
        self, shipment: RateRequest, *, freight: Money | None = None, timeout: float | None = None
    ) -> DutiesEstimate:
        """Estimate the duties, taxes and fees on the import of a shipment; nothing is bought.

        Args:
            shipment: the shipment, with a customs declaration.
            freight: price of the transport, because most countries charge duties and taxes on it.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            ShippingFlows.estimate_duties, shipment, freight=freight, timeout=timeout
        )

    async def validate_address(
        self, address: Address, *, timeout: float | None = None
    ) -> AddressResult:
        """Ask the vendor if it can deliver to an address, and for its official spelling."""
        return await self._flows.run(ShippingFlows.validate_address, address, timeout=timeout)
