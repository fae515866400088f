"""Shipping, by whoever the configuration names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.contracts.address import Address
from moorage.contracts.kinds import check_kind, check_text, several
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Asked
from moorage.contracts.shipping.rates import (
    KIND,
    LabelFormat,
    Rate,
    RateRequest,
    ShippingCapability,
)
from moorage.contracts.shipping.shipments import ShipmentRequest
from moorage.domain.durations import count, maybe_seconds
from moorage.domain.idempotency import checked_key
from moorage.domain.result import Result
from moorage.errors import InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from moorage.contracts.shipping.rates import RateResult
    from moorage.contracts.shipping.shipments import AddressResult, CancelResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.contracts.shipping.vendor import ShippingVendor
    from moorage.contracts.wire import Wire
    from moorage.services.desk import Desk


class ShippingFlows:
    """The operations of shipping, for one tenant.

    Args:
        desk: hands operations to vendors.
        tenant: whose operations they are.
    """

    def __init__(self, desk: Desk, tenant: str | None) -> None:
        self._desk = desk
        self._tenant = tenant

    async def get_rates(
        self,
        request: RateRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> RateResult:
        """Ask carriers what they would take a shipment for; nothing is bought.

        Args:
            request: the shipment.
            idempotency_key: names this one question: a repeat gets the same offers.
            timeout: seconds for the whole of it.
        """

        async def deed(vendor: ShippingVendor, wire: Wire) -> RateResult:
            offered = await vendor.get_rates(wire, request, key=idempotency_key)
            rates = tuple(attrs.evolve(rate, asked=request) for rate in offered.rates)
            return attrs.evolve(offered, rates=rates)

        asked = self._asked_for("get_rates", request)
        return await self._desk.ask(asked, deed, key=idempotency_key, timeout=timeout)

    async def create_shipment(
        self,
        what: ShipmentRequest | Rate | Ref | str,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Shipment:
        """Buy a shipment and its labels.

        Args:
            what: a shipment, with which offer to take; or an offer, or its reference, where the
                vendor keeps its offers.
            idempotency_key: names this one shipment: a repeat gets the same labels, and none is
                ever bought twice.
            timeout: seconds for the whole of it.

        Raises:
            VendorRejected: no offer fits, and this says what the carriers said; or the vendor
                refuses to sell.
            OutcomeUnknown: it may have been bought, and the vendor cannot tell.
        """
        checked_key(idempotency_key)
        if isinstance(what, ShipmentRequest):
            return await self._buy_best(what, idempotency_key, timeout)
        rate, known = (what.ref, what.asked) if isinstance(what, Rate) else (what, None)

        async def deed(vendor: ShippingVendor, wire: Wire, found: Ref) -> Shipment:
            return await vendor.buy(wire, found, known, key=idempotency_key)

        needs = {ShippingCapability.BUY_BY_REFERENCE} if known is None else known.needs
        asked = self._asked("create_shipment", needs)
        return await self._desk.at(rate, asked, deed, key=idempotency_key, timeout=timeout)

    async def create_many(
        self,
        items: Sequence[ShipmentRequest | Rate | Ref | str],
        *,
        idempotency_key: str,
        timeout: float | None = None,
        at_once: int = 4,
    ) -> list[Result[Shipment]]:
        """Buy many shipments, and tell of each what became of it, in their order.

        Each has a key of its own under the batch's, by its place: who was cut off repeats all of
        it, and only what is missing is bought.

        Args:
            items: what `create_shipment` takes.
            idempotency_key: names this one batch.
            timeout: seconds for each shipment.
            at_once: how many may be under way at once.
        """
        every = several(items, "items")
        maybe_seconds(timeout, "timeout")
        checked_key(f"{checked_key(idempotency_key)}/{len(every)}")

        def step(number: int, item: Any) -> Callable[[], Awaitable[Result[Shipment]]]:
            return partial(self._told, item, f"{idempotency_key}/{number}", timeout)

        steps = [step(number, item) for number, item in enumerate(every, 1)]
        return await self._desk.calling.core.every(steps, at_once=count(at_once, "at_once"))

    async def get_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Shipment:
        """Ask what became of a shipment."""

        async def deed(vendor: ShippingVendor, wire: Wire, found: Ref) -> Shipment:
            return await vendor.get(wire, found)

        return await self._desk.at(ref, self._asked("get_shipment"), deed, timeout=timeout)

    async def get_label(
        self,
        ref: Ref | str,
        label: LabelFormat | str | None = None,
        *,
        parcel: int = 1,
        timeout: float | None = None,
    ) -> Label:
        """Fetch a label of a shipment that was bought.

        Args:
            ref: the shipment.
            label: what it is to be written in; as it was bought, unless given.
            parcel: whose label, counted from one.
            timeout: seconds for the whole of it.

        Raises:
            UnsupportedByVendor: the vendor gives labels only once; or it was bought in another
                format, and the vendor converts none.
            VendorRejected: there is no label, or not yet.
        """
        ref = Ref.parse(ref)
        wanted = None if label is None else LabelFormat(label)
        if type(parcel) is not int:
            raise InvalidData(
                "The parcel is no whole number.",
                field="parcel",
                remedy="Give its place among the parcels, counted from one.",
            )
        same = wanted is None or wanted.value == ref.other("label")
        need = ShippingCapability.LABEL_AGAIN if same else ShippingCapability.CONVERT_LABEL

        async def deed(vendor: ShippingVendor, wire: Wire, found: Ref) -> Label:
            labels = await vendor.get_labels(wire, found, None if same else wanted)
            if not 0 < parcel <= len(labels):
                raise VendorRejected(
                    f"There is no label {parcel} of {len(labels)}.",
                    retryable=not labels,
                    remedy="Ask again once the shipment is bought.",
                )
            return labels[parcel - 1]

        asked = self._asked("get_label", {need})
        return await self._desk.at(ref, asked, deed, timeout=timeout)

    async def track(self, number: str, carrier: str, *, timeout: float | None = None) -> Tracking:
        """Ask where a shipment is, whoever bought it.

        Args:
            number: its tracking number.
            carrier: who carries it, such as "usps".
            timeout: seconds for the whole of it.
        """
        for field, value in (("number", number), ("carrier", carrier)):
            check_text(value, field)
            if not value or not value.isprintable():
                raise InvalidData(
                    f"This is no {field} to track by.",
                    field=field,
                    remedy="Give the tracking number, and the carrier's name.",
                )

        async def deed(vendor: ShippingVendor, wire: Wire) -> Tracking:
            return await vendor.track(wire, number, carrier)

        asked = self._asked("track", {ShippingCapability.TRACK})
        return await self._desk.ask(asked, deed, timeout=timeout)

    async def track_shipment(self, ref: Ref | str, *, timeout: float | None = None) -> Tracking:
        """Ask where a shipment is that was bought here."""

        async def deed(vendor: ShippingVendor, wire: Wire, found: Ref) -> Tracking:
            return await vendor.track_shipment(wire, found)

        asked = self._asked("track_shipment", {ShippingCapability.TRACK})
        return await self._desk.at(ref, asked, deed, timeout=timeout)

    async def cancel(self, ref: Ref | str, *, timeout: float | None = None) -> CancelResult:
        """Call a shipment back, and its money; most vendors take days to say whether they may."""

        async def deed(vendor: ShippingVendor, wire: Wire, found: Ref) -> CancelResult:
            return await vendor.cancel(wire, found)

        asked = self._asked("cancel", {ShippingCapability.CANCEL})
        return await self._desk.at(ref, asked, deed, timeout=timeout)

    async def validate_address(
        self, address: Address, *, timeout: float | None = None
    ) -> AddressResult:
        """Ask whether something can be delivered to an address, and how the post writes it."""
        check_kind(address, Address, "address")

        async def deed(vendor: ShippingVendor, wire: Wire) -> AddressResult:
            return await vendor.validate_address(wire, address)

        asked = self._asked(
            "validate_address", {ShippingCapability.VALIDATE_ADDRESS}, address.country
        )
        return await self._desk.ask(asked, deed, timeout=timeout)

    async def _buy_best(
        self, request: ShipmentRequest, key: str, timeout: float | None
    ) -> Shipment:
        async def deed(vendor: ShippingVendor, wire: Wire) -> Shipment:
            offered = await vendor.get_rates(wire, request.asked, key=f"{key}/rates")
            chosen = request.choose.of(offered.rates)
            if chosen is None:
                raise _nothing_fits(offered)
            return await vendor.buy(wire, chosen.ref, request.asked, key=key)

        asked = self._asked_for("create_shipment", request.asked)
        return await self._desk.ask(asked, deed, key=key, timeout=timeout)

    async def _told(
        self, item: ShipmentRequest | Rate | Ref | str, key: str, timeout: float | None
    ) -> Result[Shipment]:
        try:
            return Result(await self.create_shipment(item, idempotency_key=key, timeout=timeout))
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)

    def _asked_for(self, operation: str, request: RateRequest) -> Asked:
        check_kind(request, RateRequest, "request")
        return self._asked(operation, request.needs, request.recipient.country)

    def _asked(self, operation: str, needs: Any = (), country: str | None = None) -> Asked:
        return Asked(
            kind=KIND,
            operation=operation,
            tenant=self._tenant,
            needs=frozenset(needs),
            country=country,
        )


def _nothing_fits(offered: RateResult) -> VendorRejected:
    said = [message for message in offered.messages if message.text]
    first = said[0] if said else None
    return VendorRejected(
        f"None of {len(offered.rates)} offers fits.",
        vendor_code=first.code if first else None,
        vendor_message=first.text if first else None,
        remedy="Change the shipment or what is chosen by, and take another key.",
    )
