"""EasyPost: rates, labels, tracking and address checks.

Version 2 of its API, in JSON, with the key as the user of basic authentication. EasyPost takes no
idempotency key, but sells a shipment once: a repeated purchase is refused, and then the bought
label is read. Weights are sent in ounces and lengths in inches, rounded up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, ShippingCapability
from moorage.contracts.shipping.shipments import (
    CancelResult,
    CancelState,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import ShippingEvent, Tracking, TrackingStatus
from moorage.vendors.shipping import _easypost_handovers as handovers
from moorage.vendors.shipping._common import (
    LABELS,
    by_carrier_word,
    carrier_word,
    fetched_label,
    label_service,
    service_word,
    state_refusal,
    texts,
)
from moorage.vendors.shipping._easypost import (
    BOUGHT_ALREADY,
    FILES,
    FORMATS,
    REFUNDS,
    address_body,
    classify,
    read_address,
    read_label,
    read_messages,
    read_rates,
    read_tracker,
    shipment_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult, Label

_RATE_PREFIX: Final = "SHIPMENT.RATE."
"""The beginning of the codes by which EasyPost refuses a rate, for example an expired rate."""
_CONVERTED: Final = {
    LabelFormat.PDF: "label_pdf_url",
    LabelFormat.ZPL: "label_zpl_url",
    LabelFormat.EPL: "label_epl2_url",
}
_CARRIERS: Final = by_carrier_word("AustraliaPost CanadaPost DHLExpress FedEx RoyalMail UPS USPS")


def _auth(_: EasyPost, secret: sdk.Secret) -> sdk.Credentials:
    """Basic authentication with the key as user name."""
    return sdk.Credentials.basic(secret.reveal(), "")


@attrs.frozen(kw_only=True)
class EasyPost(sdk.ApiVendor):
    """An account at EasyPost.

    Attributes:
        credentials: API key; by default the credential provider supplies `Credentials`.
        base_url: URL of EasyPost.
        label_hosts: hosts that labels may be downloaded from.
    """

    name = "easypost"
    kinds = ("shipping",)
    api_version = "v2"
    capabilities = frozenset(ShippingCapability) - sdk.members_of(
        ShippingCapability,
        "multi_parcel label_paper pickup_several service_points duties paperless_customs"
        " invoice_upload",
    )
    modes = sdk.key_modes(live=("EZAK",), test=("EZTK",))
    webhook = "easypost"

    auth = _auth
    refusals = staticmethod(classify)
    ping_path = "/v2/shipments"
    ping_query: ClassVar[Mapping[str, int]] = {"page_size": 1}

    base_url: str = "https://api.easypost.com"
    label_hosts: tuple[str, ...] = attrs.field(
        default=(
            "https://easypost-files.s3.us-west-2.amazonaws.com",
            "https://easypost-files.s3-us-west-2.amazonaws.com",
        ),
        converter=texts,
    )

    def services(self) -> Mapping[str, sdk.Service]:
        """The service of the API, and the service that downloads label files."""
        return {**super().services(), LABELS: label_service(self.name, self.label_hosts)}

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""
        quote = sdk.Request.post("/v2/shipments", json=shipment_body(request))

        def parse(response: sdk.Response) -> RateResult:
            return read_rates(wire, response, request)

        return await wire.send(quote.evolve(idempotent=True), key=key, parse=parse)

    async def buy(
        self,
        wire: sdk.Wire,
        rate: sdk.Ref,
        rate_request: RateRequest | None,  # noqa: ARG002 - the offer knows
        /,
        *,
        key: str,
    ) -> Shipment:
        """Buy a shipment; if this rate was bought before, return that shipment.

        The error response and the shipment that was found are stored, so a repeat buys nothing.
        """
        path = _path("shipments", rate.other("shipment"))
        body = {"rate": {"id": rate.id}, "insurance": rate.other("insurance")}
        buying = sdk.Request.post(
            f"{path}/buy", json={name: value for name, value in body.items() if value}
        )
        try:
            bought_answer = await wire.send(
                buying.evolve(idempotent=True), key=key, parse=_buy_rate
            )
        except sdk.VendorRejected as error:
            if (error.vendor_code or "").startswith(_RATE_PREFIX):
                raise state_refusal(error) from None
            if error.vendor_code != BOUGHT_ALREADY:
                raise
            search, part = sdk.Request.get(path), sdk.part_key(key, "found")
            bought_answer = await wire.send(search, key=part, parse=_buy_rate)
            if bought_answer.text("selected_rate.id") != rate.id:
                raise
        return await _with_label(wire, bought_answer)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a shipment."""
        request = sdk.Request.get(_path("shipments", ref.id))
        return await _with_label(wire, await wire.send(request, parse=_identified_answer))

    async def get_labels(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Fetch the label, converted to another format if requested."""
        if label is None:
            return (await self.get(wire, ref)).labels
        location = _CONVERTED.get(label)
        if location is None:
            raise sdk.UnsupportedByVendor(f"EasyPost does not convert labels to {label}.")
        query = {"file_format": FORMATS[label]}
        response = await wire.send(
            sdk.Request.get(f"{_path('shipments', ref.id)}/label", query=query)
        )
        body = sdk.read_answer(response)
        url = sdk.required(body.text(f"postage_label.{location}"), response, location)
        return (read_label(body, label, url, await fetched_label(wire, url)),)

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a shipment, even if it was bought elsewhere."""
        tracker = {"tracking_code": number, "carrier": _CARRIERS.get(carrier, carrier)}
        request = sdk.Request.post("/v2/trackers", json={"tracker": tracker})
        try:
            response = await wire.send(request.evolve(idempotent=True))
        except sdk.VendorRejected as error:
            raise state_refusal(error) from None
        return read_tracker(sdk.read_answer(response))

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        body = sdk.read_answer(await wire.send(sdk.Request.get(_path("shipments", ref.id))))
        if body.object("tracker"):
            return read_tracker(body.object("tracker"))
        rate = body.text("selected_rate.carrier")
        return Tracking(
            number=body.text("tracking_code"),
            carrier=carrier_word(rate) if rate else None,
            status=TrackingStatus.UNKNOWN,
            raw=body.raw,
        )

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Request a refund; if one was requested before, return its state."""
        path = _path("shipments", ref.id)
        try:
            response = await wire.send(sdk.Request.post(f"{path}/refund").evolve(idempotent=True))
        except sdk.VendorRejected as error:
            response = await wire.send(sdk.Request.get(path))
            if sdk.read_answer(response).text("refund_status") is None:
                raise state_refusal(error) from None
        status = sdk.read_answer(response).text("refund_status")
        return CancelResult(
            ref=ref,
            state=REFUNDS.get(status or "", (CancelState.UNKNOWN,))[0],
            vendor_status=status,
            raw=sdk.read_answer(response).raw,
        )

    schedule_pickup = staticmethod(handovers.schedule_pickup)
    cancel_pickup = staticmethod(handovers.cancel_pickup)
    create_manifest = staticmethod(handovers.create_manifest)
    get_manifest = staticmethod(handovers.get_manifest)

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check an address."""
        body = {"address": address_body(address), "verify": True}
        request = sdk.Request.post("/v2/addresses", json=body).evolve(idempotent=True)
        return read_address(await wire.send(request), address)

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ShippingEvent, ...]:
        """Convert a webhook to events of a tracker or a refund."""
        fields = sdk.as_answer(event.data)
        shipment = fields.text("shipment_id")
        tracking = state = None
        status = fields.text("status")
        if fields.text("object") == "Tracker":
            tracking = read_tracker(fields)
        elif fields.text("object") == "Refund":
            state = REFUNDS.get(status or "", (None, ShipmentState.UNKNOWN))[1]
        else:
            return ()
        return (
            ShippingEvent(
                id=event.id,
                ref=None if shipment is None else ref(shipment),
                tracking=tracking,
                state=state,
                vendor_status=status,
                at=event.time,
                raw=fields.raw,
            ),
        )


def _path(kind: str, id: str | None) -> str:
    if id is None:
        raise sdk.InvalidData(
            "The reference does not identify a rate of EasyPost.",
            field="ref",
            remedy="Pass the `ref` of a rate that get_rates returned.",
        )
    return f"/v2/{kind}/{quote(id, safe='')}"


def _identified_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("id") is None:
        raise sdk.malformed(response, "id")
    return body


def _buy_rate(response: sdk.Response) -> sdk.Answer:
    body = _identified_answer(response)
    if not _is_bought(body):
        raise sdk.malformed(response, "postage_label")
    return body


def _is_bought(body: sdk.Answer) -> bool:
    return bool(body.object("postage_label") or body.text("tracking_code"))


async def _with_label(wire: sdk.Wire, body: sdk.Answer) -> Shipment:
    url = body.text("postage_label.label_url")
    label_format = FILES.get(body.text("postage_label.label_file_type") or "", LabelFormat.UNKNOWN)
    refund = body.text("refund_status")
    refund_states = REFUNDS.get(refund or "")
    state = refund_states[1] if refund_states else ShipmentState.BOUGHT
    number, carrier = body.text("tracking_code"), body.text("selected_rate.carrier")
    word = carrier_word(carrier) if carrier else None
    service = body.text("selected_rate.service")
    return Shipment(
        ref=wire.ref(body.text("id") or "", label=label_format.value if url else None),
        state=state if _is_bought(body) else ShipmentState.QUOTED,
        vendor_status=refund or body.text("status"),
        tracking_numbers=() if number is None else (number,),
        tracking_url=body.text("tracker.public_url"),
        carrier=word,
        service=service_word(word, service) if word and service else None,
        cost=sdk.as_money(body.value("selected_rate.rate"), body.value("selected_rate.currency")),
        labels=()
        if url is None
        else (read_label(body, label_format, url, await fetched_label(wire, url)),),
        documents=tuple(
            form for item in body.objects("forms") if (form := item.text("form_url")) is not None
        ),
        warnings=read_messages(body),
        raw=body.raw,
    )
