"""Pickups and manifests at Shippo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.handovers import Manifest, ManifestState, Pickup, PickupState
from moorage.contracts.shipping.rates import CarrierMessage
from moorage.vendors.shipping._common import filled, listed_texts
from moorage.vendors.shipping._shippo import address_body, transaction_mark

if TYPE_CHECKING:
    from moorage.contracts.shipping.handovers import PickupRequest

_PICKUPS: Final = {
    "PENDING": PickupState.PENDING,
    "CONFIRMED": PickupState.SCHEDULED,
    "ERROR": PickupState.FAILED,
    "CANCELLED": PickupState.CANCELED,
}
_MANIFESTS: Final = {
    "QUEUED": ManifestState.PENDING,
    "SUCCESS": ManifestState.CREATED,
    "ERROR": ManifestState.FAILED,
}


def pickup_body(request: PickupRequest, carrier_account: str, key: str) -> dict[str, Any]:
    """The request for a pickup."""
    location = {
        "address": address_body(request.address),
        "building_location_type": "Front Door",
        "instructions": request.instructions,
    }
    body = {
        "carrier_account": carrier_account,
        "location": filled(location.items()),
        "requested_start_time": request.earliest.isoformat(),
        "requested_end_time": request.latest.isoformat(),
        "transactions": [ref.id for ref in request.shipments],
        "metadata": transaction_mark(key) if request.reference is None else request.reference,
    }
    return sdk.merged(body, sdk.extra_for("shippo", request.extra))


async def schedule_pickup(wire: sdk.Wire, request: PickupRequest, /, *, key: str) -> Pickup:
    """Schedule a pickup; Shippo lists no pickups, so a lost response leaves the outcome unknown."""
    offers = [await _offer(wire, ref) for ref in request.shipments]
    body = pickup_body(request, _common_text(offers, "carrier_account"), key)
    booked = await wire.send(
        sdk.Request.post("/pickups", json=body), key=key, parse=_identified_answer
    )
    texts = listed_texts(booked, "messages")
    status = booked.text("status")
    state = _PICKUPS.get(status or "", PickupState.UNKNOWN)
    if state is PickupState.FAILED:
        raise sdk.VendorRejected(
            "Shippo could not schedule the pickup.",
            vendor_code=status,
            vendor_message=texts[0] if texts else None,
            remedy="Change the time or the place, and use another idempotency key.",
        )
    return Pickup(
        ref=wire.ref(booked.text("object_id") or ""),
        state=state,
        vendor_status=status,
        confirmation=booked.text("confirmation_code"),
        earliest=sdk.as_time(booked.text("confirmed_start_time")),
        latest=sdk.as_time(booked.text("confirmed_end_time")),
        messages=tuple(CarrierMessage(text=text) for text in texts),
        raw=booked.raw,
    )


async def create_manifest(
    wire: sdk.Wire, shipments: tuple[sdk.Ref, ...], /, *, key: str
) -> Manifest:
    """Create a manifest; if the response is lost, look for the manifest of these labels."""
    offers = [await _offer(wire, ref) for ref in shipments]
    response = await wire.send(sdk.Request.get(_path("shipments", _text(offers[0], "shipment"))))
    shipment = sdk.read_answer(response)
    transactions = [ref.id for ref in shipments]
    body = {
        "carrier_account": _common_text(offers, "carrier_account"),
        "shipment_date": sdk.required(shipment.text("shipment_date"), response, "shipment_date"),
        "address_from": sdk.required(
            shipment.text("address_from.object_id"), response, "address_from.object_id"
        ),
        "transactions": transactions,
        "async": False,
    }
    try:
        new_manifest = await wire.send(
            sdk.Request.post("/manifests", json=body), key=key, parse=_identified_answer
        )
    except sdk.OutcomeUnknown as unknown_outcome:
        existing_manifest = await _manifest_of(wire, set(transactions))
        if existing_manifest is None:
            raise unknown_outcome from None
        new_manifest = existing_manifest
    manifest = _manifest(wire, new_manifest)
    if manifest.state is ManifestState.FAILED:
        texts = [message.text for message in manifest.messages]
        raise sdk.VendorRejected(
            "Shippo could not create the manifest.",
            vendor_code=manifest.vendor_status,
            vendor_message=texts[0] if texts else None,
            remedy="Leave out the shipments that the vendor's message names, and use another"
            " idempotency key.",
        )
    return manifest


async def get_manifest(wire: sdk.Wire, ref: sdk.Ref, /) -> Manifest:
    """Get a manifest."""
    return _manifest(
        wire, _identified_answer(await wire.send(sdk.Request.get(_path("manifests", ref.id))))
    )


async def _offer(wire: sdk.Wire, ref: sdk.Ref) -> sdk.Answer:
    """The rate of a bought label, with its shipment and carrier account."""
    transaction = sdk.read_answer(await wire.send(sdk.Request.get(_path("transactions", ref.id))))
    rate = transaction.text("rate")
    if rate is None:
        return transaction.object("rate")
    return sdk.read_answer(await wire.send(sdk.Request.get(_path("rates", rate))))


def _text(offer: sdk.Answer, field: str) -> str:
    text = offer.text(field)
    if text is None:
        raise sdk.VendorRejected(
            f"Shippo's response does not contain the {field} of a shipment.",
            remedy="Hand the shipment over on the carrier's own website.",
        )
    return text


def _common_text(offers: list[sdk.Answer], field: str) -> str:
    """The text that all these rates have in a field; raise an error if the texts differ.

    Raises:
        InvalidData: the texts differ.
    """
    values = {_text(offer, field) for offer in offers}
    if len(values) > 1:
        raise sdk.InvalidData(
            "The shipments were bought with several carrier accounts.",
            field="shipments",
            remedy="Hand over the shipments of each carrier account separately.",
        )
    return values.pop()


async def _manifest_of(wire: sdk.Wire, transactions: set[str]) -> sdk.Answer | None:
    """The manifest of exactly these labels; None if there is none or the search failed."""
    number = 1
    while True:
        query = {"page": number, "results": 100}
        try:
            listing = sdk.read_answer(await wire.send(sdk.Request.get("/manifests", query=query)))
        except sdk.ConnectorError:
            return None
        manifests = list(listing.objects("results"))
        for item in manifests:
            is_made = item.text("object_id") and item.text("status") != "ERROR"
            if is_made and set(listed_texts(item, "transactions")) == transactions:
                return item
        if not manifests or listing.text("next") is None:
            return None
        number += 1


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _identified_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("object_id") is None:
        raise sdk.malformed(response, "object_id")
    return body


def _manifest(wire: sdk.Wire, body: sdk.Answer) -> Manifest:
    status = body.text("status")
    return Manifest(
        ref=wire.ref(body.text("object_id") or ""),
        state=_MANIFESTS.get(status or "", ManifestState.UNKNOWN),
        vendor_status=status,
        documents=listed_texts(body, "documents"),
        messages=tuple(CarrierMessage(text=text) for text in listed_texts(body, "errors")),
        raw=body.raw,
    )
