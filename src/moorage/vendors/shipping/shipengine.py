"""ShipEngine: rates, labels, tracking and address checks.

Version 1 of its API, in JSON, with the key in `API-Key`. It takes no idempotency key. A purchase
with an unknown outcome is searched among the labels of the rate by the mark that was sent with the
purchase, and never repeated.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import LabelFormat, ShippingCapability
from moorage.contracts.shipping.shipments import CancelResult, Label, Shipment
from moorage.contracts.shipping.tracking import ShippingEvent
from moorage.vendors.shipping import _shipengine_handovers as handovers
from moorage.vendors.shipping._common import (
    LABELS,
    by_carrier_word,
    carrier_word,
    fetched_label,
    filled,
    label_service,
    service_word,
    texts,
)
from moorage.vendors.shipping._shipengine_answers import (
    BUYING,
    classify,
    price,
    read_address,
    read_cancellation,
    read_format,
    read_rates,
    read_state,
    read_tracking,
)
from moorage.vendors.shipping._shipengine_requests import address_body, layout_of, rates_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.handovers import (
        ServicePointResult,
    )
    from moorage.contracts.shipping.rates import RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult
    from moorage.contracts.shipping.tracking import Tracking

_CARRIERS: Final = by_carrier_word(
    "australia_post canada_post dhl_ecommerce purolator_canada royal_mail rr_donnelley stamps_com"
)
_VOIDED_ALREADY: Final = "label_already_voided"
_LABEL: Final = re.compile(r".*/v1/labels/(se-[A-Za-z0-9-]+)")
_LONGEST_MARK: Final = 100
_MARK: Final = "shipment.advanced_options.custom_field1"


@attrs.frozen(kw_only=True)
class ShipEngine(sdk.ApiVendor):
    """An account at ShipEngine.

    Attributes:
        credentials: API key; by default the credential provider supplies `Credentials` that send
            the key in `API-Key`.
        carriers: ids of the carrier accounts to ask for rates; by default all, which are listed
            again for each request.
        insurer: "carrier", "shipsurance" or "third_party".
        base_url: URL of ShipEngine.
        label_hosts: hosts that labels may be downloaded from.
    """

    name = "shipengine"
    kinds = ("shipping",)
    api_version = "v1"
    capabilities = frozenset(ShippingCapability) - sdk.members_of(
        ShippingCapability, "label_epl duties paperless_customs invoice_upload"
    )
    modes = sdk.key_modes(test=("TEST_",))
    webhook = "shipengine"

    auth = sdk.api_key("API-Key")
    refusals = staticmethod(classify)
    ping_path = "/v1/carriers"

    carriers: tuple[str, ...] = attrs.field(default=(), converter=texts)
    insurer: str = sdk.choice(
        "carrier",
        "carrier",
        "shipsurance",
        "third_party",
        problem="ShipEngine does not have this insurer.",
    )
    base_url: str = "https://api.shipengine.com"
    label_hosts: tuple[str, ...] = attrs.field(
        default=("https://api.shipengine.com",), converter=texts
    )

    def services(self) -> Mapping[str, sdk.Service]:
        """The service of the API, and the service that downloads label files."""
        return {**super().services(), LABELS: label_service(self.name, self.label_hosts)}

    async def get_rates(
        self, wire: sdk.Wire, request: RateRequest, /, *, key: str | None
    ) -> RateResult:
        """Get the rates for a shipment."""
        # moorage's own checks refuse before any request is sent.
        layout_of(request)
        rates_body(request, (), self.insurer)
        carriers = request.carrier_accounts or self.carriers or await _every_carrier(wire)
        quote = sdk.Request.post("/v1/rates", json=rates_body(request, carriers, self.insurer))

        def parse(response: sdk.Response) -> RateResult:
            return read_rates(wire, response, request)

        return await wire.send(quote.evolve(idempotent=True), key=key, parse=parse)

    async def buy(
        self,
        wire: sdk.Wire,
        rate: sdk.Ref,
        rate_request: RateRequest | None,  # noqa: ARG002 - ShipEngine knows it
        /,
        *,
        key: str,
    ) -> Shipment:
        """Buy a label; if the response is lost, search for it."""
        if rate.other("file") is None:
            raise sdk.InvalidData(
                "The reference does not identify a rate of ShipEngine.",
                field="ref",
                remedy="Pass the `ref` of a rate that get_rates returned.",
            )
        mark = sdk.key_for_vendor(wire, key, _LONGEST_MARK)
        body = {
            "label_format": rate.other("file"),
            "label_layout": rate.other("layout"),
            "label_download_type": "url",
            "validate_address": "no_validation",
            "custom_field1": mark,
        }
        path = f"{BUYING}{quote(rate.id, safe='')}"
        try:
            buying = sdk.Request.post(path, json=filled(body.items()))
            bought_answer = await wire.send(buying, key=key, parse=_identified_answer)
        except sdk.OutcomeUnknown as unknown_outcome:
            earlier_answer = await _marked_label(wire, rate.id, mark)
            if earlier_answer is None:
                raise unknown_outcome from None
            bought_answer = earlier_answer
        return await _shipment(wire, bought_answer)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a bought label."""
        return await _shipment(
            wire, _identified_answer(await wire.send(sdk.Request.get(_path(ref))))
        )

    async def get_labels(
        self, wire: sdk.Wire, ref: sdk.Ref, label: LabelFormat | None, /
    ) -> tuple[Label, ...]:
        """Fetch the labels, in another format if requested and available."""
        if label is LabelFormat.EPL:
            raise sdk.UnsupportedByVendor("ShipEngine does not print EPL labels.")
        label_answer = _identified_answer(await wire.send(sdk.Request.get(_path(ref))))
        return await _labels(wire, label_answer, label)

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track any sender's shipment with a carrier that ShipEngine supports."""
        query = {"carrier_code": _CARRIERS.get(carrier, carrier), "tracking_number": number}
        return read_tracking(
            sdk.read_answer(await wire.send(sdk.Request.get("/v1/tracking", query=query)))
        )

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        return read_tracking(
            sdk.read_answer(await wire.send(sdk.Request.get(f"{_path(ref)}/track")))
        )

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Void a label, also repeatedly, and return the state of its refund."""
        status = "approved"
        try:
            response = await wire.send(sdk.Request.put(f"{_path(ref)}/void"))
        except sdk.VendorRejected as error:
            if error.vendor_code != _VOIDED_ALREADY or error.response is None:
                raise
            response, status = error.response, _VOIDED_ALREADY
        body = sdk.read_answer(response)
        if body.flag("approved") is None:
            raise sdk.malformed(response, "approved")
        # The response states that the label is void, but not that the carrier refunds it.
        voided = await wire.send(sdk.Request.get(_path(ref)), parse=_identified_answer)
        return read_cancellation(ref, voided, status)

    schedule_pickup = staticmethod(handovers.schedule_pickup)
    cancel_pickup = staticmethod(handovers.cancel_pickup)
    create_manifest = staticmethod(handovers.create_manifest)
    get_manifest = staticmethod(handovers.get_manifest)

    async def find_service_points(
        self, wire: sdk.Wire, address: Address, /, *, limit: int
    ) -> ServicePointResult:
        """Find service points near an address."""
        carriers = self.carriers or await _every_carrier(wire)
        return await handovers.find_service_points(wire, address, carriers, limit)

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check an address."""
        request = sdk.Request.post("/v1/addresses/validate", json=[address_body(address)])
        return read_address(await wire.send(request.evolve(idempotent=True)), address)

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ShippingEvent, ...]:
        """Convert a webhook to an event of a shipment."""
        if event.vendor_type != "API_TRACK":
            return ()
        tracking = read_tracking(sdk.as_answer(event.data))
        label = _LABEL.fullmatch(sdk.as_answer(event.data).text("label_url") or "")
        return (
            ShippingEvent(
                id=event.id,
                ref=ref(label[1]) if label else None,
                tracking=tracking,
                vendor_status=tracking.vendor_status,
                at=event.time,
                raw=sdk.as_answer(event.data).raw,
            ),
        )


def _path(ref: sdk.Ref) -> str:
    return f"/v1/labels/{quote(ref.id, safe='')}"


async def _every_carrier(wire: sdk.Wire) -> Sequence[str]:
    account = sdk.read_answer(await wire.send(sdk.Request.get("/v1/carriers")))
    # In sorted order, so that a repeat sends the same request.
    carrier_ids = sorted(
        carrier_id
        for carrier in account.objects("carriers")
        if (carrier_id := carrier.text("carrier_id"))
    )
    if not carrier_ids:
        raise sdk.VendorRejected(
            "The ShipEngine account has no carrier account connected to it.",
            remedy="Connect a carrier account in ShipEngine's dashboard.",
        )
    return carrier_ids


def _identified_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("label_id") is None:
        raise sdk.malformed(response, "label_id")
    return body


async def _marked_label(wire: sdk.Wire, rate: str, mark: str) -> sdk.Answer | None:
    """The label of a rate with this search mark; None if there is none or the search failed."""
    query = {"rate_id": rate, "page_size": "100", "sort_by": "created_at", "sort_dir": "desc"}
    try:
        listing = sdk.read_answer(await wire.send(sdk.Request.get("/v1/labels", query=query)))
    except sdk.ConnectorError:
        return None
    return next(
        (
            label
            for label in listing.objects("labels")
            if label.text(_MARK) == mark
            and label.text("label_id")
            and label.text("status") != "error"
        ),
        None,
    )


async def _shipment(wire: sdk.Wire, bought: sdk.Answer) -> Shipment:
    carrier, service = bought.text("carrier_code"), bought.text("service_code")
    word = carrier_word(carrier) if carrier else None
    form = bought.text("form_download.href")
    labels = await _labels(wire, bought, None)
    return Shipment(
        ref=wire.ref(
            bought.text("label_id") or "", label=labels[0].format.value if labels else None
        ),
        state=read_state(bought),
        vendor_status=bought.text("status"),
        tracking_numbers=tuple(
            number
            for item in _tracked_parts(bought)
            if (number := item.text("tracking_number")) is not None
        ),
        tracking_url=bought.text("tracking_url"),
        carrier=word,
        service=service_word(word, service) if word and service else None,
        cost=price(bought, "shipment_cost", "insurance_cost"),
        labels=labels,
        documents=() if form is None else (form,),
        raw=bought.raw,
    )


def _tracked_parts(bought: sdk.Answer) -> list[sdk.Answer]:
    """The objects with a tracking number: the parcels if there are several, or the shipment."""
    label_answers = [
        package for package in bought.objects("packages") if package.text("tracking_number")
    ]
    return label_answers if len(label_answers) > 1 else [bought]


async def _labels(
    wire: sdk.Wire, bought: sdk.Answer, label_format: LabelFormat | None
) -> tuple[Label, ...]:
    parts = _tracked_parts(bought)
    if not any(item.object("label_download") for item in parts):
        parts = [bought] if bought.object("label_download") else []
    return tuple([await _label(wire, bought, part, label_format) for part in parts])


async def _label(
    wire: sdk.Wire, bought: sdk.Answer, part: sdk.Answer, label_format: LabelFormat | None
) -> Label:
    shown_format = label_format or read_format(bought)
    links = part.object("label_download")
    url = links.text(shown_format.value)
    if url is None and label_format is not None:
        raise sdk.VendorRejected(
            f"ShipEngine does not have the label of this shipment in {label_format}.",
            remedy="Request the format in which the label was bought. Not every carrier has"
            " every format.",
        )
    url = url or links.text("href")
    return Label(
        format=shown_format,
        content=None if url is None else await fetched_label(wire, url),
        url=url,
        size=bought.text("label_layout"),
        vendor_format=bought.text("label_format") if label_format is None else shown_format.value,
        tracking_number=part.text("tracking_number"),
    )
