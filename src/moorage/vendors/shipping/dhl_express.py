"""DHL Express: rates, labels, tracking and address checks, by its MyDHL API.

Version 3 of the API, in JSON, with key and secret as user and password. DHL takes no idempotency
key and stores no rates. A purchase with an unknown outcome is searched by the mark that was sent as
a reference, and never repeated. A label is returned only with its purchase.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    send_dated_request,
)
from moorage.vendors.shipping._dhl_express_answers import (
    NO_OFFER,
    address_query,
    classify,
    no_rates,
    read_address,
    read_duties,
    read_rates,
    read_shipment,
    read_track,
    recovered_shipment,
    refused_address,
    tracked_shipment,
)
from moorage.vendors.shipping._dhl_express_requests import (
    CARRIER,
    duties_body,
    handover_time,
    rates_body,
    shipment_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.duties import DutiesEstimate
    from moorage.contracts.shipping.rates import LabelFormat, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import (
        AddressResult,
        Label,
        Shipment,
    )
    from moorage.contracts.shipping.tracking import Tracking

_OFFSET: Final = re.compile(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])")
_NOT_FOUND: Final = 404
_DAY: Final = timedelta(days=1)


def _checked_offset(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _OFFSET.fullmatch(value) is None:
        raise sdk.ConfigurationError(
            f"{str(value)[:40]!r} is not an offset from UTC.",
            path=attribute.name,
            remedy="Set hours and minutes, such as '+01:00'.",
        )


def _as_time_of_day(value: time | str) -> time:
    try:
        return value if isinstance(value, time) else time.fromisoformat(value)
    except (TypeError, ValueError):
        raise sdk.ConfigurationError(
            f"{str(value)[:40]!r} is not a time of day.",
            path="ready",
            remedy="Set hours and minutes, such as '17:00'.",
        ) from None


@attrs.frozen(kw_only=True)
class DhlExpress(sdk.ApiVendor):
    """An account at DHL Express.

    Attributes:
        account_number: number of the paying account.
        username: API key.
        credentials: API secret; by default the credential provider supplies `Credentials`.
        goods: description of the goods of shipments without a customs declaration.
        ready: time of day at which shipments are handed over, in the sender's local time.
        utc_offset: offset of that local time from UTC.
        base_url: URL of DHL; its test system is below `/test`.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "3.1.0"
    capabilities = sdk.members_of(
        ShippingCapability,
        "rates find_lost_label multi_parcel customs insurance signature saturday_delivery"
        " label_zpl label_epl label_paper track validate_address duties"
        " paperless_customs invoice_upload",
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 999}

    headers: ClassVar[Mapping[str, str]] = {"x-version": api_version}
    modes = sdk.url_modes(
        live="https://express.api.dhl.com/mydhlapi",
        test="https://express.api.dhl.com/mydhlapi/test",
    )
    auth = sdk.basic("username")
    refusals = staticmethod(classify)

    account_number: str = attrs.field(repr=False)
    username: str | None = attrs.field(default=None, repr=False)
    goods: str = "Merchandise"
    ready: time = attrs.field(default=time(17), converter=_as_time_of_day)
    utc_offset: str = attrs.field(default="+00:00", validator=_checked_offset)
    base_url: str = "https://express.api.dhl.com/mydhlapi"

    def __attrs_post_init__(self) -> None:
        """Refuse a key without its secret, and a secret without its key."""
        if (self.username is None) is not (self.credentials is None):
            raise sdk.ConfigurationError(
                "DHL Express needs an API key and an API secret, but only one of them is set.",
                path="username",
                remedy="Set the API key as `username` and its secret as `credentials`, or"
                " remove both.",
            )

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""

        def request_for(day: date) -> sdk.Request:
            body = rates_body(request, self.account_number, self._planned_time(day))
            return sdk.Request.post("/rates", json=body).evolve(idempotent=True)

        try:
            today, parse = self._today(wire), partial(read_rates, wire)
            return await send_dated_request(wire, request, today, request_for, key=key, parse=parse)
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
                planned=self._planned_time(day),
                goods=self.goods,
                marked=shipment_mark,
            )
            return sdk.Request.post("/shipments", json=body)

        def parse(response: sdk.Response) -> Shipment:
            return read_shipment(wire, response, rate, request)

        today = self._today(wire)
        try:
            return await send_dated_request(wire, request, today, buying, key=key, parse=parse)
        except sdk.OutcomeUnknown as unknown_outcome:
            earlier_answer = await self._shipment_with_mark(wire, shipment_mark)
            if earlier_answer is None:
                raise unknown_outcome from None
            return recovered_shipment(wire, earlier_answer, rate)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment without its label, which DHL returns only once."""
        return tracked_shipment(wire, await _track_shipment(wire, ref.id))

    async def get_labels(
        self,
        wire: sdk.Wire,  # noqa: ARG002 - nothing is sent
        ref: sdk.Ref,  # noqa: ARG002 - nothing is sent
        label: LabelFormat | None,  # noqa: ARG002 - nothing is sent
        /,
    ) -> tuple[Label, ...]:
        """Raise an error, because DHL returns the label only in the response to the purchase."""
        raise sdk.UnsupportedByVendor(
            "DHL Express returns a label only in the response to the purchase."
        )

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a shipment, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        return read_track(await _track_shipment(wire, number), number)

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return read_track(await _track_shipment(wire, ref.id), ref.id)

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check whether DHL delivers to a place; streets are not checked."""
        request = sdk.Request.get("/address-validate", query=address_query(address))
        try:
            return read_address(await wire.send(request), address)
        except sdk.VendorRejected as error:
            if error.status != _NOT_FOUND:
                raise
            return refused_address(address, error)

    async def estimate_duties(
        self, wire: sdk.Wire, shipment: RateRequest, /, *, freight: sdk.Money | None
    ) -> DutiesEstimate:
        """Estimate the duties, taxes and fees on the import of a shipment."""
        body = duties_body(shipment, self.account_number, freight)
        request = sdk.Request.post("/landed-cost", json=body).evolve(idempotent=True)
        return read_duties(await wire.send(request), shipment, freight)

    def _today(self, wire: sdk.Wire) -> date:
        """Today's date at the place where shipments are handed over to DHL."""
        timezone = datetime.strptime(self.utc_offset, "%z").tzinfo or UTC
        return wire.now().astimezone(timezone).date()

    def _planned_time(self, day: date) -> str:
        """The time on a date at which DHL gets the shipment."""
        return handover_time(day, self.ready, self.utc_offset)

    async def _shipment_with_mark(self, wire: sdk.Wire, marked: str) -> sdk.Answer | None:
        """The shipment with this search mark; None if there is none or the search failed."""
        today = self._today(wire)
        query = {
            "shipmentReference": marked,
            "shipmentReferenceType": "CU",
            "shipperAccountNumber": self.account_number,
            "dateRangeFrom": str(today - 2 * _DAY),
            "dateRangeTo": str(today + _DAY),
            "trackingView": "advance-shipment",
            "levelOfDetail": "all",
        }
        try:
            body = sdk.read_answer(await wire.send(sdk.Request.get("/tracking", query=query)))
        except sdk.ConnectorError:
            return None
        return next(
            (shipment for shipment in body.objects("shipments") if _tracking_number(shipment)), None
        )


def _tracking_number(body: sdk.Answer) -> str | None:
    return body.text("shipmentTrackingNumber")


async def _track_shipment(wire: sdk.Wire, number: str) -> sdk.Answer:
    """The tracking of a shipment, with a second request if DHL does not have the shipment yet."""
    try:
        response = await _ask(wire, number, "all-checkpoints")
    except sdk.VendorRejected as error:
        if error.status != _NOT_FOUND:
            raise
        response = await _ask(wire, number, "advance-shipment")
    body = sdk.read_answer(response)
    result = next(
        (shipment for shipment in body.objects("shipments") if _tracking_number(shipment)), None
    )
    if result is None:
        raise sdk.VendorRejected(
            "DHL Express does not know this shipment.",
            status=response.status,
            response=response,
        )
    return result


async def _ask(wire: sdk.Wire, number: str, view: str) -> sdk.Response:
    query = {"trackingView": view, "levelOfDetail": "all"}
    if not number.isdecimal():
        # The number may be the number of a single piece.
        return await wire.send(
            sdk.Request.get("/tracking", query={"pieceTrackingNumber": number, **query})
        )
    query["requestGMTOffsetPerEvent"] = "true"
    return await wire.send(sdk.Request.get(f"/shipments/{quote(number)}/tracking", query=query))
