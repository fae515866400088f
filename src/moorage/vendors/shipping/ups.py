"""UPS: rates, labels, tracking, voids and address checks.

The OAuth API, in JSON, in version 2409 of rating and shipping. UPS takes no idempotency key and
stores no rates. A purchase with an unknown outcome is searched by the mark that was sent as a
reference, and never repeated. Labels in PDF are bought as images, and immediately recovered as
PDF.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, ShippingCapability
from moorage.contracts.shipping.shipments import CancelResult, CancelState, ShipmentState
from moorage.contracts.shipping.tracking import TrackingStatus
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    send_dated_request,
    state_refusal,
)
from moorage.vendors.shipping._ups_answers import (
    NO_OFFER,
    bought_shipment,
    classify,
    no_rates,
    read_address,
    read_cancel,
    read_rates,
    read_shipment,
    read_track,
    recovered,
)
from moorage.vendors.shipping._ups_duties import duties_body, read_duties
from moorage.vendors.shipping._ups_requests import (
    CARRIER,
    CHECKED,
    address_body,
    by_mark,
    rates_body,
    recovery_body,
    shipment_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.duties import DutiesEstimate
    from moorage.contracts.shipping.rates import RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking

_NOT_FOUND: Final = 404


@attrs.frozen(kw_only=True)
class Ups(sdk.OAuthVendor):
    """An account at UPS.

    Attributes:
        account_number: number of the paying account.
        client_id: client id of the application.
        client_secret: client secret of the application; without both, the credential provider
            supplies a token.
        goods: description of the goods of shipments without a customs declaration.
        base_url: URL of UPS; its test system is https://wwwcie.ups.com.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v2409"
    capabilities = sdk.members_of(
        ShippingCapability,
        "rates find_lost_label multi_parcel customs insurance signature saturday_delivery"
        " label_zpl label_epl label_again convert_label track cancel validate_address duties",
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 200}

    headers: ClassVar[Mapping[str, str]] = {"transactionSrc": "moorage"}
    oauth_path = "/security/v1/oauth/token"
    modes = sdk.url_modes(live="https://onlinetools.ups.com", test="https://wwwcie.ups.com")
    refusals = staticmethod(classify)

    account_number: str = attrs.field(repr=False)
    goods: str = "Merchandise"
    base_url: str = "https://onlinetools.ups.com"

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""
        body = rates_body(request, self.account_number)
        quote = sdk.Request.post(f"/api/rating/{self.api_version}/Shop", json=body)
        try:
            parse = partial(read_rates, wire)
            return await wire.send(quote.evolve(idempotent=True), key=key, parse=parse)
        except sdk.VendorRejected as error:
            if error.vendor_code not in NO_OFFER:
                raise
            return no_rates(error)

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy a shipment; if the response is lost, search for it."""
        request, shipment_mark = required_request(rate_request), search_mark(wire, key)

        def buying(day: date) -> sdk.Request:
            body = shipment_body(
                request,
                rate,
                account=self.account_number,
                goods=self.goods,
                marked=shipment_mark,
                day=day,
            )
            return sdk.Request.post(f"/api/shipments/{self.api_version}/ship", json=body)

        def parse(response: sdk.Response) -> Shipment:
            return read_shipment(wire, response, rate)

        today = wire.now().date()
        try:
            shipment = await send_dated_request(wire, request, today, buying, key=key, parse=parse)
        except sdk.OutcomeUnknown as unknown_outcome:
            earlier_pair = await _try_recovery(
                wire, request.label, by_mark(shipment_mark, self.account_number)
            )
            if earlier_pair is None:
                raise unknown_outcome from None
            return bought_shipment(wire, *earlier_pair, rate)
        if request.label is not LabelFormat.PDF:
            return shipment
        return await _with_pdf_labels(wire, shipment)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment; a voided shipment has no labels."""
        label_format = LabelFormat(ref.other("label") or LabelFormat.PDF)
        try:
            tracking = await self.track_shipment(wire, ref)
        except sdk.VendorRejected as error:
            if error.status != _NOT_FOUND:
                raise
            # The tracking knows a label only some time after the purchase.
            return bought_shipment(wire, ref.id, await self.get_labels(wire, ref, None))
        void = tracking.status is TrackingStatus.CANCELED
        recovered_label = (
            None if void else await _try_recovery(wire, label_format, {"TrackingNumber": ref.id})
        )
        return attrs.evolve(
            bought_shipment(wire, ref.id, () if recovered_label is None else recovered_label[1]),
            state=ShipmentState.CANCELED if void else ShipmentState.BOUGHT,
            vendor_status=tracking.vendor_status,
            raw=tracking.raw,
        )

    async def get_labels(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Recover the labels, in another format if requested."""
        label_format = label or LabelFormat(ref.other("label") or LabelFormat.PDF)
        try:
            _, labels = await _recovered_shipment(wire, label_format, {"TrackingNumber": ref.id})
        except sdk.VendorRejected as error:
            raise state_refusal(error) from None
        return labels

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        request = sdk.Request.get(
            f"/api/track/v1/details/{quote(number, safe='')}",
            query={"locale": "en_US", "returnSignature": "false"},
            headers={"transId": wire.new_id()[:32]},
        )
        return read_track(await wire.send(request), number)

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track the first parcel of a shipment bought with this account."""
        return await self.track(wire, ref.id, CARRIER)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Void a shipment; a repeat has no further effect."""
        path = f"/api/shipments/{self.api_version}/void/cancel/{quote(ref.id, safe='')}"
        try:
            return read_cancel(ref, await wire.send(sdk.Request.delete(path)))
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

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check whether an address exists and is residential."""
        if address.country not in CHECKED:
            raise sdk.UnsupportedByVendor("UPS checks only addresses in the US and in Puerto Rico.")
        request = sdk.Request.post("/api/addressvalidation/v2/3", json=address_body(address))
        return read_address(await wire.send(request.evolve(idempotent=True)), address)

    async def estimate_duties(
        self, wire: sdk.Wire, shipment: RateRequest, /, *, freight: sdk.Money | None
    ) -> DutiesEstimate:
        """Estimate the duties, taxes and fees on the import of a shipment."""
        number = wire.new_id()[:32]
        request = sdk.Request.post(
            "/api/landedcost/v1/quotes",
            json=duties_body(shipment, freight, number),
            headers={"transId": number},
        )
        response = await wire.send(request.evolve(idempotent=True))
        return read_duties(response, shipment, freight)


async def _recovered_shipment(
    wire: sdk.Wire, label: LabelFormat, identification: dict[str, Any]
) -> tuple[str | None, tuple[Label, ...]]:
    """A bought shipment's number and labels."""
    request = sdk.Request.post("/api/labels/v1/recovery", json=recovery_body(label, identification))
    return recovered(await wire.send(request.evolve(idempotent=True)))


async def _try_recovery(
    wire: sdk.Wire, label: LabelFormat, identification: dict[str, Any]
) -> tuple[str, tuple[Label, ...]] | None:
    """The shipment's number and labels; None if there are none or the recovery failed."""
    try:
        number, labels = await _recovered_shipment(wire, label, identification)
    except sdk.ConnectorError:
        return None
    return None if number is None else (number, labels)


async def _with_pdf_labels(wire: sdk.Wire, bought: Shipment) -> Shipment:
    """The shipment with PDF labels, or with image labels if UPS returns no PDF."""
    recovered_label = await _try_recovery(wire, LabelFormat.PDF, {"TrackingNumber": bought.ref.id})
    if recovered_label is None or not recovered_label[1]:
        return bought
    ref = bought.ref.with_related(label=LabelFormat.PDF.value)
    return attrs.evolve(bought, ref=ref, labels=recovered_label[1])
