"""FedEx: rates, labels, tracking and address checks, by its REST APIs.

Version 1 of its APIs, in JSON, with access tokens of the account's client. FedEx takes no
idempotency key and stores no rates. A purchase with an unknown outcome is searched by the mark
that was sent as a reference, and never repeated. A label is returned only with its purchase.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.contracts.shipping.shipments import CancelResult, CancelState
from moorage.contracts.shipping.tracking import TrackingStatus
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    search_mark,
    state_refusal,
)
from moorage.vendors.shipping._fedex_answers import (
    classify,
    no_rates,
    read_address,
    read_cancel,
    read_rates,
    read_shipment,
)
from moorage.vendors.shipping._fedex_requests import (
    CARRIER,
    MARK,
    account_body,
    address_body,
    rates_body,
    shipment_body,
)
from moorage.vendors.shipping._fedex_tracking import (
    is_unheard_of,
    read_tracking,
    read_tracks,
    recovered_shipment,
    tracked_shipment,
    tracking_number,
    unheard_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import LabelFormat, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking

_TRACKING: Final = "tracking"
_NO_SERVICE: Final = ("NOSERVICE", "NOT.AVAILABLE", "NOTSERVED", "NOT.SERVICED")
_PICKUPS: Final = (
    "DROPOFF_AT_FEDEX_LOCATION",
    "USE_SCHEDULED_PICKUP",
    "CONTACT_FEDEX_TO_SCHEDULE",
)
_LONGEST_ID: Final = 40
_DAY: Final = timedelta(days=1)
_SEARCH_PERIOD: Final = 3 * _DAY
"""Seconds for which a purchase with a lost response is searched."""


@attrs.frozen(kw_only=True)
class FedEx(sdk.Vendor):
    """An account at FedEx.

    Attributes:
        account_number: number of the paying account.
        client_id: API key of the project at FedEx.
        credentials: secret key of the project; without both, the credential provider supplies
            tokens.
        tracking_client_id, tracking_credentials: key and secret of a separate project for tracking.
        pickup: FedEx's type of pickup.
        sandbox: True for FedEx's test system.
        base_url: URL of another system.
    """

    name: ClassVar[str] = CARRIER
    kinds: ClassVar[tuple[str, ...]] = ("shipping",)
    api_version: ClassVar[str | None] = "v1"
    capabilities: ClassVar[frozenset[str]] = frozenset(ShippingCapability) - sdk.members_of(
        ShippingCapability,
        "insurance label_paper label_again convert_label buy_by_reference pickup pickup_several"
        " cancel_pickup manifest service_points duties invoice_upload",
    )

    account_number: str = attrs.field(repr=False)
    client_id: str | None = attrs.field(default=None, repr=False)
    credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    tracking_client_id: str | None = attrs.field(default=None, repr=False)
    tracking_credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    pickup: str = sdk.choice(
        _PICKUPS[0], *_PICKUPS, problem="FedEx does not have this pickup type."
    )
    sandbox: bool = False
    base_url: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a key without its secret, and a secret without its key."""
        pairs = {
            "client_id": (self.client_id, self.credentials),
            "tracking_client_id": (self.tracking_client_id, self.tracking_credentials),
        }
        for name, (client, secret) in pairs.items():
            if (client is None) is not (secret is None):
                raise sdk.ConfigurationError(
                    "FedEx needs an API key and a secret key, but only one of them is set.",
                    path=name,
                    remedy="Set both the project's API key and its secret key, or remove both.",
                )

    @property
    def _api_url(self) -> str:
        default_url = "https://apis-sandbox.fedex.com" if self.sandbox else "https://apis.fedex.com"
        return self.base_url or default_url

    @property
    def _tracker(self) -> str:
        return "" if self.tracking_client_id is None else _TRACKING

    def mode(self) -> sdk.Mode | None:
        """Return live or test mode, according to the options; None if unknown."""
        return sdk.mode_of_url(
            self._api_url, live="https://apis.fedex.com", test="https://apis-sandbox.fedex.com"
        )

    def services(self) -> Mapping[str, sdk.Service]:
        """The APIs' services; tracking has its own if another project is configured for it."""
        api = sdk.Service(
            CARRIER,
            self._api_url,
            needs_credentials=True,
            headers={"x-locale": "en_US"},
            classify=classify,
        )
        return {"": api, self._tracker: api}

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The OAuth clients, one for each configured FedEx project."""
        pairs = {
            "": (self.client_id, self.credentials),
            _TRACKING: (self.tracking_client_id, self.tracking_credentials),
        }
        return {
            name: sdk.OAuthClient(
                server=f"{self._api_url.rstrip('/')}/oauth/token",
                client_id=client,
                secret=secret,
                authentication=sdk.ClientAuthentication.POST,
            )
            for name, (client, secret) in pairs.items()
            if client is not None
        }

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""
        body = rates_body(request, self.account_number, self.pickup)
        quote = sdk.Request.post("/rate/v1/rates/quotes", json=body).evolve(idempotent=True)
        try:
            return await wire.send(quote, key=key, parse=partial(read_rates, wire))
        except sdk.VendorRejected as error:
            code = error.vendor_code or ""
            if not any(word in code for word in _NO_SERVICE):
                raise
            return no_rates(wire, error)

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy a shipment; if the response is lost, search for it."""
        shipment_mark = search_mark(wire, key)
        body = shipment_body(
            required_request(rate_request),
            rate.id,
            account=self.account_number,
            pickup=self.pickup,
            marked=shipment_mark,
        )
        buying = sdk.Request.post("/ship/v1/shipments", json=body)
        transaction_id = sdk.key_for_vendor(wire, key, _LONGEST_ID)[:_LONGEST_ID]
        buying = buying.with_header("x-customer-transaction-id", transaction_id)
        try:
            return await wire.send(buying, key=key, parse=partial(read_shipment, wire))
        except sdk.OutcomeUnknown as unknown_outcome:
            tracks = await self._parcels_with_mark(
                wire, shipment_mark, required_request(rate_request).ship_date
            )
            if not tracks:
                raise unknown_outcome from None
            return recovered_shipment(wire, tracks, rate.id)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment's state, without its label."""
        return tracked_shipment(ref, await self.track_shipment(wire, ref))

    async def get_labels(
        self,
        wire: sdk.Wire,  # noqa: ARG002 - nothing is sent
        ref: sdk.Ref,  # noqa: ARG002 - nothing is sent
        label: LabelFormat | None,  # noqa: ARG002 - nothing is sent
        /,
    ) -> tuple[Label, ...]:
        """Raise an error, because FedEx returns labels only in the response to the purchase."""
        raise sdk.UnsupportedByVendor("FedEx returns a label only in the response to the purchase.")

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        track, response = await self._fetch_tracking(wire, number)
        error = unheard_of(track, response)
        if error is not None:
            raise error
        return read_tracking(track, number)

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account, which FedEx may not know yet."""
        track, response = await self._fetch_tracking(wire, ref.id)
        tracking = read_tracking(track, ref.id)
        error = unheard_of(track, response)
        if error is not None and not is_unheard_of(tracking):
            raise error
        return tracking

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Cancel all parcels of a shipment; if they are cancelled already, report that."""
        body = {
            "accountNumber": account_body(self.account_number),
            "trackingNumber": ref.id,
            "deletionControl": "DELETE_ALL_PACKAGES",
        }
        raw_answer: Any
        try:
            response = await wire.send(sdk.Request.put("/ship/v1/shipments/cancel", json=body))
            status, raw_answer = read_cancel(response), response.json()
        except sdk.VendorRejected as error:
            tracking = await self.track_shipment(wire, ref)
            if tracking.status is not TrackingStatus.CANCELED:
                raise state_refusal(error) from None
            status, raw_answer = tracking.vendor_status or "", tracking.raw
        return CancelResult(
            ref=ref, state=CancelState.APPROVED, vendor_status=status, raw=raw_answer
        )

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check an address."""
        fields = address_body(address)
        fields.pop("residential", None)
        request = sdk.Request.post(
            "/address/v1/addresses/resolve", json={"addressesToValidate": [{"address": fields}]}
        )
        return read_address(await wire.send(request.evolve(idempotent=True)), address)

    async def _fetch_tracking(self, wire: sdk.Wire, number: str) -> tuple[sdk.Answer, sdk.Response]:
        body = {
            "includeDetailedScans": True,
            "trackingInfo": [{"trackingNumberInfo": {"trackingNumber": number}}],
        }
        request = sdk.Request.post("/track/v1/trackingnumbers", json=body).evolve(idempotent=True)
        response = await wire.send(request, to=self._tracker)
        tracks = read_tracks(response)
        if not tracks:
            raise sdk.malformed(response, "trackResults")
        return tracks[0], response

    async def _parcels_with_mark(
        self, wire: sdk.Wire, marked: str, planned: date | None
    ) -> list[sdk.Answer]:
        """The parcels with this search mark; empty if there are none or the search failed."""
        today = wire.now().date()
        body = {
            "includeDetailedScans": False,
            "referencesInformation": {
                "type": MARK,
                "value": marked,
                "accountNumber": self.account_number,
                "shipDateBegin": str(today - _SEARCH_PERIOD),
                "shipDateEndDate": str(max(today, planned or today) + _DAY),
            },
        }
        request = sdk.Request.post("/track/v1/referencenumbers", json=body).evolve(idempotent=True)
        try:
            tracks = read_tracks(await wire.send(request, to=self._tracker))
        except sdk.ConnectorError:
            return []
        return [track for track in tracks if tracking_number(track)]
