"""DPD: labels of the group's companies in Europe, by its META-API.

The META-API quotes no prices, takes no idempotency key, and has no search for a label: the outcome
of a purchase whose response was lost stays unknown. Each operation begins with a login.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, LabelSize, ShippingCapability
from moorage.vendors.shipping._common import (
    filled,
    required_request,
    service_code,
    service_word,
    state_refusal,
)
from moorage.vendors.shipping._dpd import (
    CARRIER,
    bearer_header,
    bought_shipment,
    classify,
    label_body,
    label_query,
    read_labels,
    read_shipment,
    shipment_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.shipping.rates import RateRequest
    from moorage.contracts.shipping.shipments import Label, Shipment

_LIVE: Final = "https://api.dpdgroup.com"
_LOGIN: Final = "login"


@attrs.frozen(kw_only=True)
class Dpd(sdk.ApiVendor):
    """An account at a company of the DPD group.

    Attributes:
        credentials: the password of the login; by default the credential provider supplies it.
        login: the user name that the company gave.
        business_unit: the company's number, such as "001" for DPD Germany.
        account_number: the company's number of the customer's account; None if it needs none.
        customer_id: the company's id of the customer; None if it needs none.
        base_url: URL of the META-API; its test system is
            https://api-preprod.dpsin.dpdgroup.com:8443.
    """

    name = CARRIER
    kinds = ("shipping",)
    api_version = "v1"
    capabilities = sdk.members_of(
        ShippingCapability, "label_zpl label_epl label_paper label_again convert_label"
    )
    limits: ClassVar[Mapping[str, int]] = {"parcels": 1}
    modes = sdk.url_modes(live=_LIVE, test="https://api-preprod.dpsin.dpdgroup.com")
    auth = sdk.api_key("X-DPD-PASSWORD")
    refusals = staticmethod(classify)

    login: str = attrs.field(repr=False)
    business_unit: str = attrs.field(
        validator=sdk.matches(
            r"\d{3}",
            problem="The business_unit is not the number of a DPD company.",
            remedy="Set its three digits as a string, such as '001' for DPD Germany.",
        )
    )
    account_number: str | None = attrs.field(default=None, repr=False)
    customer_id: str | None = attrs.field(default=None, repr=False)
    base_url: str = _LIVE

    def services(self) -> Mapping[str, sdk.Service]:
        """The service for labels, which needs a token, and the login service that grants it."""
        labels = sdk.Service(
            self.name, self.base_url, credentials=sdk.Credentials.none(), classify=classify
        )
        return {"": labels, _LOGIN: super().services()[""]}

    def settings(self) -> Mapping[str, Any]:
        """The request headers that contain the login data."""
        return {"headers": {"X-DPD-LOGIN": self.login, "X-DPD-BUCODE": self.business_unit}}

    def customer(self) -> dict[str, str]:
        """The customer's numbers, named as DPD names them."""
        numbers = {"customerAccountNumber": self.account_number, "customerID": self.customer_id}
        return filled(numbers.items())

    async def buy(
        self, wire: sdk.Wire, rate: sdk.Ref, rate_request: RateRequest | None, /, *, key: str
    ) -> Shipment:
        """Buy a label of a service."""
        request, code = required_request(rate_request), service_code(CARRIER, rate.id)
        body = shipment_body(request, code, self.customer())
        query = label_query(request.label, request.label_size)
        headers = await self._sign_in(wire)
        buying = sdk.Request.post("/shipping/v1/shipment", query=query, json=body, headers=headers)
        parse = partial(read_shipment, wire, service_word(CARRIER, code), request)
        return await wire.send(buying, key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment with its label."""
        response = await self._retrieve(wire, ref, None)
        labels = read_labels(ref.id, _label_format(ref, None), response)
        return bought_shipment(ref, labels, raw=sdk.read_answer(response).raw)

    async def get_labels(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Retrieve a label again, in another format if requested."""
        response = await self._retrieve(wire, ref, label)
        labels = read_labels(ref.id, _label_format(ref, label), response)
        return sdk.required(labels or None, response, "label.base64Data")

    async def _retrieve(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None
    ) -> sdk.Response:
        label_format, size = _label_format(ref, label), ref.other("size")
        # The paper format applies to a label in PDF.
        paper = LabelSize(size) if size and label_format is LabelFormat.PDF else None
        query = label_query(label_format, paper)
        request = sdk.Request.post(
            "/shipping/v1/label",
            query=query,
            json=label_body(ref, self.customer()),
            headers=await self._sign_in(wire),
        )
        try:
            return await wire.send(request.evolve(idempotent=True))
        except sdk.VendorRejected as error:
            raise state_refusal(error) from None

    async def _sign_in(self, wire: sdk.Wire) -> dict[str, str]:
        """Get the header with a token, which DPD grants for a day.

        Raises:
            AuthenticationFailed: DPD refuses the login.
        """
        request = sdk.Request.post("/shipping/v1/login").evolve(idempotent=True)
        return bearer_header(await wire.send(request, to=_LOGIN))


def _label_format(ref: sdk.Ref, label: LabelFormat | None) -> LabelFormat:
    return label or LabelFormat(ref.other("label") or LabelFormat.PDF)
