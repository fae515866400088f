"""PostNord: labels and tracking in the Nordic countries.

PostNord quotes no prices, takes no idempotency key, and has no search for a label: the outcome of a
purchase whose response was lost stays unknown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    send_dated_request,
    service_code,
    service_word,
)
from moorage.vendors.shipping._postnord import (
    CARRIER,
    classify,
    label_request,
    read_booking,
    read_tracking,
    shipment_body,
    tracked_shipment,
    unknown_parcel,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.shipping.shipments import Shipment
    from moorage.contracts.shipping.tracking import Tracking

_LIVE: Final = "https://api2.postnord.com"
_ISSUERS: Final = ("Z12", "Z11", "Z13", "Z14")


@attrs.frozen(kw_only=True)
class PostNord(sdk.ApiVendor):
    """An account at PostNord.

    Attributes:
        credentials: the API key; by default the credential provider supplies it.
        customer_number: PostNord's number of the sender's contract.
        application_id: PostNord's number of the application.
        issuer: PostNord's code of the country of the contract: Z11 for Denmark, Z12 for Sweden,
            Z13 for Norway, Z14 for Finland.
        base_url: URL of PostNord; its test system is https://atapi2.postnord.com.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v3"
    capabilities = frozenset(
        {ShippingCapability.LABEL_ZPL, ShippingCapability.LABEL_PAPER, ShippingCapability.TRACK}
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    modes = sdk.url_modes(live=_LIVE, test="https://atapi2.postnord.com")
    auth = sdk.query_key(
        "apikey", documentation="https://developer.postnord.com/docs/general-information"
    )
    refusals = staticmethod(classify)

    customer_number: str = attrs.field(repr=False)
    application_id: int
    issuer: str = sdk.choice(
        _ISSUERS[0], *_ISSUERS, problem="PostNord does not operate in a country with this code."
    )
    base_url: str = _LIVE

    def agreement(self) -> dict[str, Any]:
        """The ids of the application and of the sender's contract, named as PostNord names them."""
        return {
            "application": {"applicationId": self.application_id, "name": "moorage"},
            "issuerCode": self.issuer,
            "partyId": self.customer_number,
        }

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Book a shipment of a service with its label."""
        request, code = required_request(rate_request), service_code(CARRIER, rate.id)
        mark, agreement = search_mark(wire, key), self.agreement()

        def buying(day: date) -> sdk.Request:
            return label_request(request, shipment_body(request, code, mark, day, agreement))

        parse = partial(read_booking, wire, service_word(CARRIER, code), request.label)
        today = wire.now().date()
        return await send_dated_request(wire, request, today, buying, key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment's state, without its label."""
        # The tracking knows a label only some time after the purchase.
        return tracked_shipment(ref, read_tracking(ref.id, await self._track(wire, ref.id)))

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        response = await self._track(wire, number)
        tracking = read_tracking(number, response)
        if tracking is None:
            raise unknown_parcel(response)
        return tracking

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return await self.track(wire, ref.id, CARRIER)

    async def _track(self, wire: sdk.Wire, number: str) -> sdk.Response:
        path = f"/rest/shipment/v7/trackandtrace/id/{quote(number, safe='')}/public"
        return await wire.send(sdk.Request.get(path))
