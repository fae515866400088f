"""USPS: rates, labels, tracking and address checks within the United States.

Version 3 of its REST APIs, in JSON, with access tokens of an application. A label takes two
requests: one authorizes the payment, the other buys. USPS stores no rates. It takes a UUID as the
idempotency key of a label, and returns the same label again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote
from uuid import UUID

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, RateResult, ShippingCapability
from moorage.contracts.shipping.shipments import ShipmentState
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    send_dated_request,
)
from moorage.vendors.shipping._usps_answers import (
    UNKNOWN_NUMBER,
    bought_shipment,
    classify,
    read_address,
    read_rates,
    read_shipment,
    read_token,
    read_track,
    unknown_address,
)
from moorage.vendors.shipping._usps_requests import (
    CARRIER,
    SIGNATURES,
    address_query,
    label_body,
    payment_body,
    rates_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.shipping.shipments import AddressResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking

_NOT_FOUND: Final = 404
_PRICES: Final = ("COMMERCIAL", "RETAIL")
_MAIL_CLASSES: Final = ("USPS_GROUND_ADVANTAGE", "PRIORITY_MAIL", "PRIORITY_MAIL_EXPRESS")
_KEYS: Final = sdk.VendorKeys(
    # USPS publishes no retention time; an hour covers the usual repeats.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://developers.usps.com/domesticlabelsv3",),
)


@attrs.frozen(kw_only=True)
class Usps(sdk.OAuthVendor):
    """An account at USPS.

    Attributes:
        client_id: consumer key of the application.
        client_secret: consumer secret of the application; without both, the credential provider
            supplies a token.
        crid: customer registration id of the business.
        mid: mailer id that owns the labels.
        manifest_mid: mailer id of the manifest, if it is another.
        account_number: number of the account at the Enterprise Payment System that pays.
        mail_classes: USPS's names of the mail classes that are offered.
        price_type: USPS's prices: commercial or retail.
        base_url: URL of USPS; its test system is https://apis-tem.usps.com.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v3"
    capabilities = sdk.members_of(
        ShippingCapability,
        "rates find_lost_label signature label_zpl track validate_address",
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    modes = sdk.url_modes(live="https://apis.usps.com", test="https://apis-tem.usps.com")
    idempotency = _KEYS

    oauth_path = "/oauth2/v3/token"
    oauth_authentication = sdk.ClientAuthentication.POST
    refusals = staticmethod(classify)

    crid: str = attrs.field(repr=False)
    mid: str = attrs.field(repr=False)
    manifest_mid: str | None = attrs.field(default=None, repr=False)
    account_number: str = attrs.field(repr=False)
    mail_classes: tuple[str, ...] = attrs.field(default=_MAIL_CLASSES, converter=tuple)
    price_type: str = sdk.choice(
        _PRICES[0], *_PRICES, problem="USPS does not have prices of this type."
    )
    base_url: str = "https://apis.usps.com"

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""
        body = rates_body(request, request.ship_date or wire.now().date(), self.price_type)
        search = sdk.Request.post("/shipments/v3/options/search", json=body).evolve(idempotent=True)
        signature = None if request.signature is None else SIGNATURES[request.signature]
        parse = partial(read_rates, wire, self.mail_classes, signature)
        return await wire.send(search, key=key, parse=parse)

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Authorize the payment and buy a label."""
        request = required_request(rate_request)
        roles = payment_body(
            self.crid, self.mid, self.manifest_mid or self.mid, self.account_number
        )
        payment = sdk.Request.post("/payments/v3/payment-authorization", json=roles)
        token = read_token(await wire.send(payment.evolve(idempotent=True)))
        headers = {
            "Accept": "application/vnd.usps.labels+json",
            "X-Payment-Authorization-Token": token,
            "X-Idempotency-Key": str(UUID(hex=search_mark(wire, key), version=4)),
        }

        def buying(day: date) -> sdk.Request:
            body = label_body(request, rate, day)
            label = sdk.Request.post("/labels/v3/label", json=body, headers=headers)
            return label.evolve(idempotent=True)

        parse = partial(read_shipment, wire, rate, request.label)
        today = wire.now().date()
        return await send_dated_request(wire, request, today, buying, key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment's state, without its label."""
        try:
            tracking = await self.track_shipment(wire, ref)
        except sdk.VendorRejected as error:
            if error.vendor_code != UNKNOWN_NUMBER:
                raise
            # The tracking knows a label only some time after the purchase.
            return attrs.evolve(bought_shipment(ref), state=ShipmentState.UNKNOWN)
        return attrs.evolve(
            bought_shipment(ref), vendor_status=tracking.vendor_status, raw=tracking.raw
        )

    async def get_labels(
        self,
        wire: sdk.Wire,  # noqa: ARG002 - nothing is sent
        ref: sdk.Ref,  # noqa: ARG002 - nothing is sent
        label: LabelFormat | None,  # noqa: ARG002 - nothing is sent
        /,
    ) -> tuple[Label, ...]:
        """Raise an error, because USPS allows few reprints and moorage uses none of them."""
        raise sdk.UnsupportedByVendor("USPS returns a label only in the response to the purchase.")

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        path = f"/tracking/v3/tracking/{quote(number, safe='')}"
        return read_track(
            await wire.send(sdk.Request.get(path, query={"expand": "DETAIL"})), number
        )

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return await self.track(wire, ref.id, CARRIER)

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check whether USPS delivers to an address."""
        request = sdk.Request.get("/addresses/v3/address", query=address_query(address))
        try:
            return read_address(await wire.send(request), address)
        except sdk.VendorRejected as error:
            if error.status != _NOT_FOUND:
                raise
            return unknown_address(address, error)
