"""DHL Parcel in Germany: labels by the Parcel DE Shipping API, and DHL's tracking of shipments.

DHL Parcel quotes no prices, takes no idempotency key, and has no search for a label: the outcome of
a purchase whose response was lost stays unknown. It forgets a shipment once it is deleted, and may
forget one that was handed over; the tracking tells which.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.vendors.shipping._common import (
    check_carrier,
    required_request,
    service_code,
    service_word,
    state_refusal,
)
from moorage.vendors.shipping._dhl_parcel import (
    CARRIER,
    IS_CUSTOMER_NUMBER,
    ORDERS,
    billing_number,
    bought_shipment,
    classify,
    forgotten_cancel,
    forgotten_shipment,
    label_query,
    label_request,
    read_cancel,
    read_labels,
    read_order,
    shipment_body,
)
from moorage.vendors.shipping._dhl_parcel_tracking import (
    TRACKING,
    fetch_tracking,
    tracking_of_forgotten,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shipping.rates import LabelFormat, RateRequest
    from moorage.contracts.shipping.shipments import CancelResult, Label, Shipment
    from moorage.contracts.shipping.tracking import Tracking

_LIVE: Final = "https://api-eu.dhl.com/parcel/de/shipping/v2"
_KEY: Final = "dhl-api-key"


@attrs.frozen(kw_only=True)
class DhlParcel(sdk.ApiVendor):
    """An account at DHL Parcel in Germany.

    Attributes:
        username: the user name of a system user of DHL's portal for business customers.
        credentials: this user's password; by default the credential provider supplies it.
        api_key: the API key of the application.
        customer_number: the ten characters of the customer number (EKP) of the contract.
        participation: the last two characters of the billing numbers.
        profile: the user group of the portal.
        print_format: DHL's paper of labels, such as "910-300-400"; None for the portal's setting.
        base_url: URL of the shipping API; its sandbox is
            https://api-sandbox.dhl.com/parcel/de/shipping/v2.
        tracking_url: URL of the tracking API.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v2"
    capabilities = sdk.members_of(
        ShippingCapability, "label_zpl label_again convert_label track cancel"
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    modes = sdk.url_modes(live=_LIVE, test="https://api-sandbox.dhl.com/parcel/de/shipping/v2")
    auth = sdk.basic("username")
    refusals = staticmethod(classify)

    username: str = attrs.field(repr=False)
    api_key: sdk.Secret = attrs.field(converter=sdk.as_secret)
    customer_number: str = attrs.field(
        repr=False,
        validator=IS_CUSTOMER_NUMBER,
    )
    participation: str = "01"
    profile: str = "STANDARD_GRUPPENPROFIL"
    print_format: str | None = None
    base_url: str = _LIVE
    tracking_url: str = "https://api-eu.dhl.com"

    def services(self) -> Mapping[str, sdk.Service]:
        """The services for labels and for tracking; the latter needs only the API key."""
        key = sdk.Credentials.api_key(self.api_key, header=_KEY)
        tracking = sdk.Service(
            f"{CARRIER}-{TRACKING}", self.tracking_url, credentials=key, classify=classify
        )
        return {**super().services(), TRACKING: tracking}

    def settings(self) -> Mapping[str, Any]:
        """The header of requests about labels that contains the API key."""
        return {"headers": {_KEY: self.api_key.reveal()}}

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Order a shipment of a product with its label."""
        request, code = required_request(rate_request), service_code(CARRIER, rate.id)
        query = label_query(request.label, self.print_format)
        billed_to = billing_number(self.customer_number, code, self.participation)
        order = {"profile": self.profile, "shipments": [shipment_body(request, code, billed_to)]}
        buying = sdk.Request.post(ORDERS, query=query, json=order)
        parse = partial(read_order, wire, service_word(CARRIER, code), request.label)
        return await wire.send(buying, key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment, with its label until it is handed over."""
        try:
            response = await wire.send(label_request(ref, None, self.print_format))
        except sdk.VendorRejected as error:
            tracking = await tracking_of_forgotten(wire, ref, error)
            return forgotten_shipment(ref, error, tracking)
        return bought_shipment(
            ref, read_labels(ref, None, response), raw=sdk.read_answer(response).raw
        )

    async def get_labels(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Fetch a label again, in another format if requested."""
        try:
            response = await wire.send(label_request(ref, label, self.print_format))
        except sdk.VendorRejected as error:
            raise state_refusal(error) from None
        return sdk.required(read_labels(ref, label, response) or None, response, "items.0.label")

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a parcel, even if it was bought elsewhere."""
        check_carrier(CARRIER, carrier)
        return await fetch_tracking(wire, number)

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return await fetch_tracking(wire, ref.id)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Delete a shipment that was not handed over; a repeat has no further effect."""
        query = {"profile": self.profile, "shipment": ref.id}
        try:
            response = await wire.send(sdk.Request.delete(ORDERS, query=query))
        except sdk.VendorRejected as error:
            if await tracking_of_forgotten(wire, ref, error) is not None:
                raise state_refusal(error) from None
            return forgotten_cancel(ref, error)
        return read_cancel(ref, response)
