"""The shipping operations that need more than one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from moorage.contracts.declared.shipping import ShippingContract
from moorage.contracts.ref import Ref
from moorage.contracts.shipping.handovers import PickupRequest, shipment_refs
from moorage.contracts.shipping.rates import LabelFormat, Rate, RateRequest, ShippingCapability
from moorage.contracts.shipping.shipments import ShipmentRequest
from moorage.contracts.validators import as_list, check_kind
from moorage.contracts.vendor import part_key
from moorage.domain.idempotency.claims import checked_key
from moorage.errors import InvalidData, OutcomeUnknown, VendorRejected
from moorage.services.contracts.batches import call_for_each
from moorage.services.contracts.flows import Flows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.shipping.handovers import Manifest, Pickup
    from moorage.contracts.shipping.rates import RateResult
    from moorage.contracts.shipping.shipments import Label, Shipment
    from moorage.contracts.shipping.vendor import ShippingVendor
    from moorage.contracts.wire import Wire
    from moorage.domain.values.result import Result


class ShippingFlows(Flows, ShippingContract):
    """The shipping operations of one tenant."""

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

        async def call_vendor(vendor: ShippingVendor, wire: Wire) -> RateResult:
            offered_result = await vendor.get_rates(wire, request, key=idempotency_key)
            rates = tuple(attrs.evolve(rate, rate_request=request) for rate in offered_result.rates)
            return attrs.evolve(offered_result, rates=rates)

        check_kind(request, RateRequest, "request")
        needs = request.needs | {ShippingCapability.RATES}
        operation = self._request("get_rates", needs, request.recipient.country)
        return await self._dispatcher.execute(
            operation, call_vendor, key=idempotency_key, timeout=timeout
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
        checked_key(idempotency_key)
        if isinstance(what, ShipmentRequest):
            return await self._buy_best(what, idempotency_key, timeout)
        rate, rate_request = (
            (what.ref, what.rate_request) if isinstance(what, Rate) else (what, None)
        )

        async def call_vendor(vendor: ShippingVendor, wire: Wire, ref: Ref) -> Shipment:
            return await _bought_shipment(vendor, wire, ref, rate_request, key=idempotency_key)

        needed_capabilities = (
            {ShippingCapability.BUY_BY_REFERENCE} if rate_request is None else rate_request.needs
        )
        operation = self._request("create_shipment", needed_capabilities)
        return await self._dispatcher.execute_at(
            rate, operation, call_vendor, key=idempotency_key, timeout=timeout
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
        checked_key(idempotency_key)
        # First, because a stored call is checked only until the first use of the hub.
        batch = as_list(items, "items")
        return await call_for_each(
            self._dispatcher.calling.core,
            self.create_shipment,
            batch,
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
        ref = Ref.parse(ref)
        label_format = None if label is None else LabelFormat(label)
        if type(parcel) is not int:
            raise InvalidData(
                "The parcel number is not a whole number of at least one.",
                field="parcel",
                remedy="Pass the position of the parcel. The first parcel is 1.",
            )
        is_same = label_format is None or label_format.value == ref.other("label")
        capability = ShippingCapability.LABEL_AGAIN if is_same else ShippingCapability.CONVERT_LABEL

        async def call_vendor(vendor: ShippingVendor, wire: Wire, ref: Ref) -> Label:
            labels = await vendor.get_labels(wire, ref, None if is_same else label_format)
            if not 0 < parcel <= len(labels):
                raise VendorRejected(
                    f"The shipment has {len(labels)} labels, but the label of parcel {parcel}"
                    " was requested.",
                    retryable=not labels,
                    remedy="Call again after the shipment is bought, with the number of one"
                    " of its parcels.",
                )
            return labels[parcel - 1]

        operation = self._request("get_label", {capability})
        return await self._dispatcher.execute_at(ref, operation, call_vendor, timeout=timeout)

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
        check_kind(pickup, PickupRequest, "pickup")
        checked_key(idempotency_key)

        async def call_vendor(vendor: ShippingVendor, wire: Wire, _: Ref) -> Pickup:
            return await vendor.schedule_pickup(wire, pickup, key=idempotency_key)

        operation = self._request("schedule_pickup", pickup.needs)
        return await self._dispatcher.execute_at(
            pickup.shipments[0], operation, call_vendor, key=idempotency_key, timeout=timeout
        )

    async def create_manifest(
        self,
        shipments: Sequence[Ref | str],
        *,
        idempotency_key: str,
        timeout: float | None = None,
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
        refs = shipment_refs(shipments)
        checked_key(idempotency_key)

        async def call_vendor(vendor: ShippingVendor, wire: Wire, _: Ref) -> Manifest:
            return await vendor.create_manifest(wire, refs, key=idempotency_key)

        operation = self._request("create_manifest", {ShippingCapability.MANIFEST})
        return await self._dispatcher.execute_at(
            refs[0], operation, call_vendor, key=idempotency_key, timeout=timeout
        )

    async def _buy_best(
        self, request: ShipmentRequest, key: str, timeout: float | None
    ) -> Shipment:
        rate_request, service = request.rate_request, request.choose.only_service

        async def call_vendor(vendor: ShippingVendor, wire: Wire) -> Shipment:
            if service is not None and ShippingCapability.RATES not in vendor.capabilities:
                ref = wire.ref(service)
            else:
                result = await vendor.get_rates(wire, rate_request, key=part_key(key, "rates"))
                chosen_rate = request.choose.of(result.rates)
                if chosen_rate is None:
                    raise _no_rate_error(result)
                ref = chosen_rate.ref
            return await _bought_shipment(vendor, wire, ref, rate_request, key=key)

        country = rate_request.recipient.country
        operation = self._request("create_shipment", request.needs, country)
        return await self._dispatcher.execute(operation, call_vendor, key=key, timeout=timeout)


async def _bought_shipment(
    vendor: ShippingVendor, wire: Wire, rate: Ref, request: RateRequest | None, *, key: str
) -> Shipment:
    """Buy a shipment; for an unknown outcome, the error says whether the label can be found.

    Raises:
        OutcomeUnknown: the response was lost, and the vendor did not find a label.
    """
    try:
        return await vendor.buy(wire, rate, request, key=key)
    except OutcomeUnknown as error:
        if ShippingCapability.FIND_LOST_LABEL not in vendor.capabilities:
            error.remedy = (
                f"{vendor.name} does not find the label of a purchase with a lost response."
                f" {error.remedy}"
            )
        raise


def _no_rate_error(rate_result: RateResult) -> VendorRejected:
    messages = [message for message in rate_result.messages if message.text]
    message = messages[0] if messages else None
    return VendorRejected(
        f"None of the {len(rate_result.rates)} offered rates matches the choice.",
        vendor_code=message.code if message else None,
        vendor_message=message.text if message else None,
        remedy="Change the shipment or the choice, and use a new idempotency key.",
    )
