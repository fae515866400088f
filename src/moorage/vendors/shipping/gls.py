"""GLS: labels and tracking in Europe, by the ShipIT and Track And Trace APIs of the GLS Group.

GLS quotes no prices: an account states those of its contract, and GLS says which products it takes
between two postal codes. It has no idempotency key: a purchase whose response was lost is searched
by a reference.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, ShippingCapability
from moorage.contracts.shipping.shipments import CancelResult, CancelState, ShipmentState
from moorage.contracts.shipping.tracking import TrackingStatus
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    state_refusal,
)
from moorage.vendors.shipping._gls_answers import (
    UNKNOWN_NUMBER,
    bought_shipment,
    classify,
    found_parcel,
    read_cancel,
    read_rates,
    read_shipment,
    read_track,
)
from moorage.vendors.shipping._gls_requests import (
    CARRIER,
    cancel_request,
    label_request,
    reprint_request,
    search_request,
    services_request,
    track_request,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shipping.rates import RateRequest, RateResult
    from moorage.contracts.shipping.shipments import Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking
    from moorage.vendor_sdk import Money, Ref, Wire

_LIVE: Final = "https://api.gls-group.net"
_SEARCHED: Final = timedelta(days=31)
_IS_PRICE: Final = sdk.matches(
    r"\d{1,6}(\.\d{1,3})?",
    problem="The value is not a price.",
    remedy="Set the price of one parcel by your contract, such as '4.90'.",
)


@attrs.frozen(kw_only=True)
class Gls(sdk.OAuthVendor):
    """An account at GLS.

    Attributes:
        client_id: client id of the application.
        client_secret: client secret of the application; without both, the credential provider
            supplies a token.
        contact_id: GLS's id of the sender's contract.
        parcel_price: price of a parcel by the contract.
        express_price: price of an express parcel by the contract; None if it has none.
        currency: currency of the prices.
        zebra_template: GLS's layout of labels in ZPL.
        base_url: URL of GLS; its test system is https://api-sandbox.gls-group.net.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v1"
    capabilities = sdk.members_of(
        ShippingCapability, "rates find_lost_label label_zpl label_again convert_label track cancel"
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    oauth_path = "/oauth2/v2/token"
    modes = sdk.url_modes(live=_LIVE, test="https://api-sandbox.gls-group.net")
    refusals = staticmethod(classify)

    contact_id: str = attrs.field(repr=False)
    parcel_price: str = attrs.field(validator=_IS_PRICE)
    express_price: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_IS_PRICE)
    )
    currency: str = attrs.field(
        default="EUR",
        validator=sdk.matches(
            "[A-Z]{3}",
            problem="The value is not a currency code.",
            remedy="Set a code of three letters, such as 'EUR'.",
        ),
    )
    zebra_template: str = sdk.choice(
        "ZPL_200", "ZPL_200", "ZPL_300", problem="GLS does not have this label layout."
    )
    base_url: str = _LIVE

    def prices(self) -> dict[str, Money]:
        """The prices in the sender's contract, by GLS's product names."""
        texts = {"PARCEL": self.parcel_price, "EXPRESS": self.express_price}
        return {
            product: sdk.Money(text, self.currency)
            for product, text in texts.items()
            if text is not None
        }

    async def get_rates(
        self, wire: Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """List the products that GLS offers for a shipment, at the prices of the contract."""
        parse = partial(read_rates, wire, self.prices())
        return await wire.send(services_request(request, self.contact_id), key=key, parse=parse)

    async def buy(
        self, wire: Wire, rate: Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Order a label; if the response is lost, search for it."""
        request, mark = required_request(rate_request), search_mark(wire, key)
        order = label_request(request, rate, self.contact_id, mark, self.zebra_template)
        today = wire.now().date()
        try:
            parse = partial(read_shipment, wire, request.label, today.isoformat())
            shipment = await wire.send(order, key=key, parse=parse)
        except sdk.OutcomeUnknown as unknown_outcome:
            search = search_request(mark, today - _SEARCHED, today + timedelta(days=1))
            try:
                track_id, day = found_parcel(mark, await wire.send(search))
                shipment = await self._reprinted(wire, track_id, day, request.label)
            except sdk.ConnectorError:
                raise unknown_outcome from None
        cost = self.prices().get(rate.id)
        return attrs.evolve(shipment, service=rate.other("service"), cost=cost)

    async def get(self, wire: Wire, ref: Ref, /) -> Shipment:
        """Get a shipment with its label; a cancelled shipment has none."""
        try:
            tracking = await self.track_shipment(wire, ref)
        except sdk.VendorRejected as error:
            if error.vendor_code != UNKNOWN_NUMBER:
                raise
            # The tracking may know a label only some time after the purchase.
            return bought_shipment(ref, await self.get_labels(wire, ref, None))
        is_canceled = tracking.status is TrackingStatus.CANCELED
        labels: tuple[Label, ...] = ()
        # GLS does not document for how long it prints a label again.
        with suppress(sdk.VendorRejected):
            labels = () if is_canceled else await self.get_labels(wire, ref, None)
        return attrs.evolve(
            bought_shipment(ref, labels),
            state=ShipmentState.CANCELED if is_canceled else ShipmentState.BOUGHT,
            vendor_status=tracking.vendor_status,
            raw=tracking.raw,
        )

    async def get_labels(
        self, wire: Wire, ref: Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Print a label again, in another format if requested."""
        label_format = label or LabelFormat(ref.other("label") or LabelFormat.PDF)
        return (await self._reprinted(wire, ref.id, ref.other("day"), label_format)).labels

    async def track(self, wire: Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        return read_track(await wire.send(track_request("trackids", number)), number)

    async def track_shipment(self, wire: Wire, ref: Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        response = await wire.send(track_request("references", ref.id))
        return read_track(response, ref.other("number") or ref.id)

    async def cancel(self, wire: Wire, ref: Ref, /) -> CancelResult:
        """Cancel a shipment; a repeat has no further effect."""
        try:
            return read_cancel(ref, await wire.send(cancel_request(ref.id)))
        except sdk.VendorRejected as error:
            tracking = await self.track_shipment(wire, ref)
            if tracking.status is not TrackingStatus.CANCELED:
                raise state_refusal(error) from None
            return CancelResult(
                ref=ref,
                state=CancelState.APPROVED,
                vendor_status=tracking.vendor_status,
                raw=tracking.raw,
            )

    async def _reprinted(
        self, wire: Wire, track_id: str, day: str | None, label_format: LabelFormat
    ) -> Shipment:
        request = reprint_request(track_id, day, label_format, self.zebra_template)
        try:
            return read_shipment(wire, label_format, day, await wire.send(request))
        except sdk.VendorRejected as error:
            raise state_refusal(error) from None
