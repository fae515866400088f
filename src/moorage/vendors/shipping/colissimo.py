"""Colissimo of La Poste: labels by its shipping service, and tracking by La Poste's API Suivi.

Colissimo quotes no prices, takes no idempotency key, and has no search for a label: the outcome of
a purchase whose response was lost stays unknown.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.vendors.shipping._colissimo import (
    CARRIER,
    NOT_FOUND,
    classify,
    label_body,
    read_label,
    read_tracking,
    tracked_shipment,
)
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    send_dated_request,
    service_code,
    service_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.shipping.shipments import Shipment
    from moorage.contracts.shipping.tracking import Tracking

_SUIVI: Final = "suivi"
_ZEBRA: Final = ("ZPL_10x15_203dpi", "ZPL_10x15_300dpi", "ZPL_10x10_203dpi", "ZPL_10x10_300dpi")


@attrs.frozen(kw_only=True)
class Colissimo(sdk.ApiVendor):
    """An account at Colissimo.

    Attributes:
        credentials: the API key of the Colissimo contract; by default the credential provider
            supplies it.
        tracking_key: the Okapi key of an application with La Poste's API Suivi; by default the
            credential provider supplies it.
        zebra_format: Colissimo's format of labels in ZPL.
        base_url: URL of Colissimo.
        tracking_url: URL of La Poste's APIs.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "2.0"
    capabilities = frozenset({ShippingCapability.LABEL_ZPL, ShippingCapability.TRACK})
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    auth = sdk.api_key("apiKey")
    refusals = staticmethod(classify)

    tracking_key: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    zebra_format: str = sdk.choice(
        _ZEBRA[0], *_ZEBRA, problem="Colissimo does not have this label format."
    )
    base_url: str = "https://ws.colissimo.fr"
    tracking_url: str = "https://api.laposte.fr"

    def services(self) -> Mapping[str, sdk.Service]:
        """The two services: for labels and for tracking, each with a separate key."""
        key = self.tracking_key
        credentials = None if key is None else sdk.Credentials.api_key(key, header="X-Okapi-Key")
        suivi = sdk.Service(
            f"{CARRIER}-{_SUIVI}",
            self.tracking_url,
            credentials=credentials,
            needs_credentials=credentials is None,
            classify=classify,
        )
        return {**super().services(), _SUIVI: suivi}

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy a label of a service."""
        request, code = required_request(rate_request), service_code(CARRIER, rate.id)

        def buying(day: date) -> sdk.Request:
            body = label_body(request, code, self.zebra_format, day)
            return sdk.Request.post("/sls-ws/SlsServiceWSRest/2.0/generateLabel", json=body)

        parse = partial(read_label, wire, service_word(CARRIER, code), request.label)
        today = wire.now().date()
        return await send_dated_request(wire, request, today, buying, key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment's state, without its label."""
        try:
            return tracked_shipment(ref, await self.track_shipment(wire, ref))
        except sdk.VendorRejected as error:
            if error.status != NOT_FOUND:
                raise
            # The tracking knows a label only some time after the purchase.
            return tracked_shipment(ref, None)

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        path = f"/suivi/v2/idships/{quote(number, safe='')}"
        request = sdk.Request.get(path, query={"lang": "fr_FR"})
        return read_tracking(number, await wire.send(request, to=_SUIVI))

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return await self.track(wire, ref.id, CARRIER)
