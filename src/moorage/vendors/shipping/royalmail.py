"""Royal Mail: labels by the API of Click & Drop, for business accounts.

Click & Drop quotes no prices and takes no idempotency key. A purchase whose response was lost is
found by the reference of its order, to which moorage adds a mark.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.vendors.shipping._common import (
    required_request,
    search_mark,
    send_dated_request,
    service_code,
    service_word,
)
from moorage.vendors.shipping._royalmail import (
    CARRIER,
    NOT_FOUND,
    ORDERS,
    cancel_result,
    classify,
    created_order,
    deleted_shipment,
    marked_reference,
    order_body,
    order_path,
    pdf_label,
    read_created,
    read_order,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.shipping.rates import LabelFormat, RateRequest
    from moorage.contracts.shipping.shipments import CancelResult, Label, Shipment

_FORMATS: Final = ("parcel", "letter", "largeLetter", "smallParcel", "mediumParcel", "largeParcel")


@attrs.frozen(kw_only=True)
class RoyalMail(sdk.ApiVendor):
    """An account at Royal Mail's Click & Drop.

    Attributes:
        credentials: the authorisation key; by default the credential provider supplies it.
        package_format: Royal Mail's format of each parcel.
        base_url: URL of Click & Drop.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v1"
    capabilities = sdk.members_of(ShippingCapability, "find_lost_label customs label_again cancel")
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    refusals = staticmethod(classify)
    ping_path = ORDERS
    ping_query: ClassVar[Mapping[str, int]] = {"pageSize": 1}

    package_format: str = sdk.choice(
        "parcel", *_FORMATS, problem="Royal Mail does not have this package format."
    )
    base_url: str = "https://api.parcel.royalmail.com"

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Create an order with its label; if the response is lost, search for the order."""
        request, code = required_request(rate_request), service_code(CARRIER, rate.id)
        own_reference = request.parcels[0].reference or request.reference
        reference = marked_reference(own_reference, search_mark(wire, key))

        def buying(day: date) -> sdk.Request:
            body = order_body(request, code, reference, self.package_format, day)
            return sdk.Request.post(ORDERS, json=body)

        service, today = service_word(CARRIER, code), wire.now().date()
        parse = partial(read_created, wire, service)
        try:
            return await send_dated_request(wire, request, today, buying, key=key, parse=parse)
        except sdk.VendorRejected as error:
            order = created_order(error.response)
            if order is not None:
                # An order without a label costs nothing, but a person may print its label by hand.
                with suppress(sdk.ConnectorError):
                    await wire.send(sdk.Request.delete(order_path(order)))
            raise
        except sdk.OutcomeUnknown as unknown_outcome:
            try:
                search = sdk.Request.get(order_path(f'"{reference}"'))
                shipment = await wire.send(search, parse=partial(read_order, wire, service))
                labels = await self.get_labels(wire, shipment.ref, None)
            except sdk.ConnectorError:
                raise unknown_outcome from None
            return attrs.evolve(shipment, labels=labels)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment with its label; Click & Drop no longer knows a cancelled shipment."""
        parse = partial(read_order, wire, ref.other("service"))
        try:
            shipment = await wire.send(sdk.Request.get(order_path(ref.id)), parse=parse)
        except sdk.VendorRejected as error:
            if error.status != NOT_FOUND:
                raise
            return deleted_shipment(ref, error)
        # An order may be known although its label is refused.
        with suppress(sdk.VendorRejected):
            shipment = attrs.evolve(shipment, labels=await self.get_labels(wire, ref, None))
        return shipment

    async def get_labels(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        label: LabelFormat | None,  # noqa: ARG002 - Click & Drop has PDF alone
        /,
    ) -> tuple[Label, ...]:
        """Fetch the label again."""
        query = {"documentType": "postageLabel", "includeReturnsLabel": "false"}
        response = await wire.send(sdk.Request.get(f"{order_path(ref.id)}/label", query=query))
        if not response.body.startswith(b"%PDF"):
            raise sdk.malformed(response, "label")
        return (pdf_label(response.body, ref.other("number")),)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Delete the order of a shipment; a repeat has no further effect."""
        try:
            response = await wire.send(sdk.Request.delete(order_path(ref.id)))
        except sdk.VendorRejected as error:
            if error.status != NOT_FOUND:
                raise
            return cancel_result(ref, error.vendor_code or "404", deleted_shipment(ref, error).raw)
        return cancel_result(ref, "deletedOrders", sdk.read_answer(response).raw)
