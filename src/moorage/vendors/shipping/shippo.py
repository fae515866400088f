"""Shippo: rates, labels, tracking and address checks.

Version 2018-02-08 of its API, in JSON, with numbers as text. Shippo takes no idempotency key. A
purchase with an unknown outcome is searched among the transactions of the rate by the mark that
was sent with the purchase, and never repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.rates import ShippingCapability
from moorage.contracts.shipping.shipments import (
    CancelResult,
    CancelState,
    Label,
    Shipment,
    ShipmentState,
)
from moorage.contracts.shipping.tracking import ShippingEvent, Tracking, TrackingStatus
from moorage.vendors.shipping import _shippo_handovers as handovers
from moorage.vendors.shipping._common import (
    LABELS,
    by_carrier_word,
    fetched_label,
    label_service,
    state_refusal,
    texts,
)
from moorage.vendors.shipping._shippo import (
    REFUNDS,
    STATES,
    address_body,
    classify,
    read_address,
    read_format,
    read_messages,
    read_offer,
    read_rates,
    read_track,
    shipment_body,
    transaction_mark,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.address import Address
    from moorage.contracts.shipping.rates import LabelFormat, RateRequest, RateResult
    from moorage.contracts.shipping.shipments import AddressResult

# docs.goshippo.com/docs/tracking/trackingcarriers, read on 30 November 2026.
_CARRIERS: Final = {
    **by_carrier_word(
        "apc_postal australia_post better_trucks canada_post collect_plus correios_br"
        " correos_espana deutsche_post dhl_benelux dhl_ecommerce dhl_germany dpd_de dpd_uk"
        " fastway_australia gls_us hermes_uk la_poste mondial_relay new_zealand_post"
        " nippon_express pitney_bowes poste_italiane royal_mail rr_donnelley"
    ),
    "asendia": "asendia_us",
    "collect": "collect_plus",
    "correosbr": "correios_br",
    "correosspain": "correos_espana",
    "epostglobal": "rr_donnelley",
    "evriuk": "hermes_uk",
    "nzpost": "new_zealand_post",
}
"""Shippo's names of carriers for tracking, which differ from our words for the carriers."""


def _auth(_: Shippo, secret: sdk.Secret) -> sdk.Credentials:
    """Credentials with the token in Shippo's format."""
    token = sdk.Secret(f"ShippoToken {secret.reveal()}")
    return sdk.Credentials.api_key(token, header="Authorization")


@attrs.frozen(kw_only=True)
class Shippo(sdk.ApiVendor):
    """An account at Shippo.

    Attributes:
        credentials: API token; by default the credential provider supplies `Credentials` that send
            `ShippoToken …` in `Authorization`.
        base_url: URL of Shippo.
        label_hosts: hosts that labels may be downloaded from.
    """

    name = "shippo"
    kinds = ("shipping",)
    api_version = "2018-02-08"
    capabilities = frozenset(ShippingCapability) - sdk.members_of(
        ShippingCapability,
        "convert_label label_epl cancel_pickup service_points duties paperless_customs"
        " invoice_upload",
    )
    modes = sdk.key_modes(live=("shippo_live_",), test=("shippo_test_",))
    webhook = "shippo"

    auth = _auth
    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"SHIPPO-API-VERSION": api_version}
    ping_path = "/transactions"
    ping_query: ClassVar[Mapping[str, int]] = {"results": 1}

    base_url: str = "https://api.goshippo.com"
    label_hosts: tuple[str, ...] = attrs.field(
        default=(
            "https://deliver.goshippo.com",
            "https://shippo-delivery.s3.amazonaws.com",
            "https://shippo-delivery-east.s3.amazonaws.com",
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
        quote = sdk.Request.post("/shipments", json=shipment_body(request))

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
        """Buy a label; if the response is lost, search for it."""
        if rate.other("file") is None:
            raise sdk.InvalidData(
                "The reference does not identify a rate of Shippo.",
                field="ref",
                remedy="Pass the `ref` of a rate that get_rates returned.",
            )
        offer = sdk.read_answer(await wire.send(sdk.Request.get(_path("rates", rate.id))))
        body = {
            "rate": rate.id,
            "label_file_type": rate.other("file"),
            "async": False,
            "metadata": transaction_mark(key),
        }
        try:
            buying = sdk.Request.post("/transactions", json=body)
            bought_answer = await wire.send(buying, key=key, parse=_identified_answer)
        except sdk.OutcomeUnknown as unknown_outcome:
            earlier_answer = await _marked_transaction(wire, rate.id, transaction_mark(key))
            if earlier_answer is None:
                raise unknown_outcome from None
            bought_answer = earlier_answer
        return await _shipment(wire, bought_answer, offer, rate.other("parcels"))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Shipment:
        """Get a bought label."""
        transaction = await _transaction(wire, ref)
        return await _shipment(
            wire, transaction, await _offer(wire, transaction), ref.other("parcels")
        )

    async def get_labels(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        label: LabelFormat | None,  # noqa: ARG002 - none is converted
        /,
    ) -> tuple[Label, ...]:
        """Fetch the labels in their purchased format."""
        return (await self.get(wire, ref)).labels

    async def track(self, wire: sdk.Wire, number: str, carrier: str, /) -> Tracking:
        """Track a shipment, even if it was bought elsewhere."""
        token = _CARRIERS.get(carrier, carrier)
        return read_track(
            sdk.read_answer(await wire.send(sdk.Request.get(_path("tracks", token, number))))
        )

    async def track_shipment(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Tracking:
        """Track a shipment bought with this account."""
        transaction = await _transaction(wire, ref)
        number, carrier = transaction.text("tracking_number"), ref.other("carrier")
        if number is not None and carrier is None:
            # The events of a shipment name only its transaction.
            carrier = read_offer(await _offer(wire, transaction))[0]
        if number is None or carrier is None:
            return Tracking(
                number=number, carrier=carrier, status=TrackingStatus.UNKNOWN, raw=transaction.raw
            )
        return await self.track(wire, number, carrier)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> CancelResult:
        """Request a refund for every label; for an earlier request, return its state.

        If some of several labels are refused, the result is rejected.
        """
        transaction_ids = [ref.id]
        if ref.other("parcels") is not None:
            parts = _parts_of(ref.id, await _transactions_of(wire, ref.other("rate")))
            transaction_ids = [item.text("object_id") or "" for item in parts] or transaction_ids
        refunds: list[sdk.Answer] = []
        refusal: sdk.VendorRejected | None = None
        for id_ in transaction_ids:
            try:
                refunds.append(await _refund_label(wire, id_))
            except sdk.VendorRejected as error:
                refusal = error
        if refusal is not None and not refunds:
            raise refusal
        raw = refunds[0].raw if len(refunds) == 1 else [item.raw for item in refunds]
        if refusal is not None:
            # Shippo refunds the other labels nevertheless.
            return CancelResult(ref=ref, state=CancelState.REJECTED, raw=raw)
        states = [REFUNDS.get(item.text("status") or "", CancelState.UNKNOWN) for item in refunds]
        worst = min(states, key=_STATES_WORST_FIRST.index)
        return CancelResult(
            ref=ref,
            state=worst,
            vendor_status=refunds[states.index(worst)].text("status"),
            raw=raw,
        )

    schedule_pickup = staticmethod(handovers.schedule_pickup)
    create_manifest = staticmethod(handovers.create_manifest)
    get_manifest = staticmethod(handovers.get_manifest)

    async def validate_address(self, wire: sdk.Wire, address: Address, /) -> AddressResult:
        """Check an address."""
        body = {**address_body(address), "validate": True}
        request = sdk.Request.post("/addresses", json=body).evolve(idempotent=True)
        return read_address(await wire.send(request), address)

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[ShippingEvent, ...]:
        """Convert a webhook to an event of a shipment or a label."""
        fields = sdk.as_answer(event.data)
        tracking = state = None
        status = fields.text("status")
        if event.vendor_type == "track_updated":
            tracking, transaction_id = read_track(fields), fields.text("transaction")
            status = tracking.vendor_status
        elif event.vendor_type in {"transaction_created", "transaction_updated"}:
            state = STATES.get(status or "", ShipmentState.UNKNOWN)
            transaction_id = fields.text("object_id")
        else:
            return ()
        return (
            ShippingEvent(
                id=event.id,
                ref=None if transaction_id is None else ref(transaction_id),
                tracking=tracking,
                state=state,
                vendor_status=status,
                at=event.time,
                raw=fields.raw,
            ),
        )


_STATES_WORST_FIRST = (
    CancelState.REJECTED,
    CancelState.UNKNOWN,
    CancelState.REQUESTED,
    CancelState.APPROVED,
)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


async def _transactions_of(wire: sdk.Wire, rate: str | None) -> list[sdk.Answer]:
    """All transactions of a rate."""
    request = sdk.Request.get("/transactions", query={"rate": rate, "results": 100})
    return list(sdk.read_answer(await wire.send(request)).objects("results"))


def _parts_of(id_: str, listed: Sequence[sdk.Answer]) -> list[sdk.Answer]:
    """The labels that were bought together with a label, including it; empty if it is not listed.

    Failed purchases of the same rate, and others with another search mark, are left out.
    """
    bought = next((item for item in listed if item.text("object_id") == id_), None)
    if bought is None:
        return []
    marks = {None, bought.text("metadata")}
    return [
        item
        for item in listed
        if item is bought or (item.text("status") != "ERROR" and item.text("metadata") in marks)
    ]


async def _marked_transaction(wire: sdk.Wire, rate: str, marked: str) -> sdk.Answer | None:
    """The transaction with this search mark; None if there is none or the search failed."""
    try:
        transactions = await _transactions_of(wire, rate)
    except sdk.ConnectorError:
        return None
    marked_transactions = [item for item in transactions if item.text("metadata") == marked]
    return next((item for item in marked_transactions if item.text("status") != "ERROR"), None)


async def _transaction(wire: sdk.Wire, ref: sdk.Ref) -> sdk.Answer:
    return _identified_answer(await wire.send(sdk.Request.get(_path("transactions", ref.id))))


async def _offer(wire: sdk.Wire, bought: sdk.Answer) -> sdk.Answer:
    """The rate of a transaction, fetched if the transaction only has the rate's id."""
    rate = bought.text("rate")
    if rate is None:
        return bought.object("rate")
    return sdk.read_answer(await wire.send(sdk.Request.get(_path("rates", rate))))


def _identified_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("object_id") is None:
        raise sdk.malformed(response, "object_id")
    return body


async def _refund_label(wire: sdk.Wire, transaction: str) -> sdk.Answer:
    request = sdk.Request.post("/refunds", json={"transaction": transaction, "async": False})
    try:
        return sdk.read_answer(await wire.send(request.evolve(idempotent=True)))
    except sdk.VendorRejected as error:
        refund = sdk.read_answer(
            await wire.send(sdk.Request.get(_path("transactions", transaction)))
        )
        if not (refund.text("status") or "").startswith("REFUND"):
            raise state_refusal(error) from None
        return refund


async def _shipment(
    wire: sdk.Wire, bought: sdk.Answer, offer: sdk.Answer, parcels: str | None
) -> Shipment:
    status = bought.text("status")
    carrier, service, cost = read_offer(offer)
    transactions = [bought]
    if parcels is not None:
        try:
            listed = await _transactions_of(wire, offer.text("object_id"))
        except sdk.ConnectorError:
            listed = []
        transactions = _parts_of(bought.text("object_id") or "", listed) or [bought]
    labels = [
        await _label(wire, item, url)
        for item in transactions
        if (url := item.text("label_url")) is not None
    ]
    numbers = [item.text("tracking_number") for item in transactions]
    label_format = labels[0].format.value if labels else None
    papers = [item.text("commercial_invoice_url") for item in transactions]
    return Shipment(
        ref=wire.ref(
            bought.text("object_id") or "",
            carrier=carrier,
            label=label_format,
            parcels=parcels,
            rate=parcels and offer.text("object_id"),
        ),
        state=STATES.get(status or "", ShipmentState.UNKNOWN),
        vendor_status=status,
        tracking_numbers=tuple(number for number in numbers if number is not None),
        tracking_url=bought.text("tracking_url_provider"),
        carrier=carrier,
        service=service,
        cost=cost,
        labels=tuple(labels),
        documents=tuple(paper for paper in papers if paper is not None),
        warnings=read_messages(bought),
        raw=bought.raw,
    )


async def _label(wire: sdk.Wire, bought: sdk.Answer, url: str) -> Label:
    written_format, size = read_format(bought.text("label_file_type"))
    return Label(
        format=written_format,
        content=await fetched_label(wire, url),
        url=url,
        size=size,
        vendor_format=bought.text("label_file_type"),
        tracking_number=bought.text("tracking_number"),
    )
