"""Pickups and manifests at EasyPost, where a manifest is called a scan form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.handovers import Manifest, ManifestState, Pickup, PickupState
from moorage.contracts.shipping.rates import CarrierMessage
from moorage.vendors.shipping._common import filled, state_refusal
from moorage.vendors.shipping._easypost import address_body, read_messages

if TYPE_CHECKING:
    from moorage.contracts.shipping.handovers import PickupRequest

_PICKUPS: Final = {"scheduled": PickupState.SCHEDULED, "canceled": PickupState.CANCELED}
_MANIFESTS: Final = {
    "creating": ManifestState.PENDING,
    "created": ManifestState.CREATED,
    "failed": ManifestState.FAILED,
}


def pickup_body(request: PickupRequest) -> dict[str, Any]:
    """The request for pickup prices."""
    body = {
        "address": address_body(request.address),
        "shipment": {"id": request.shipments[0].id},
        "min_datetime": request.earliest.isoformat(),
        "max_datetime": request.latest.isoformat(),
        "instructions": request.instructions,
        "reference": request.reference,
        "is_account_address": False,
    }
    return {"pickup": sdk.merged(filled(body.items()), sdk.extra_for("easypost", request.extra))}


async def schedule_pickup(wire: sdk.Wire, request: PickupRequest, /, *, key: str) -> Pickup:
    """Schedule the cheapest pickup; if the response is lost, look up whether it is scheduled."""
    pickup_request = sdk.Request.post("/v2/pickups", json=pickup_body(request)).evolve(
        idempotent=True
    )
    offered = await wire.send(
        pickup_request, key=sdk.part_key(key, "rates"), parse=_identified_answer
    )
    rate = _cheapest_rate(offered)
    path = _path("pickups", offered.text("id") or "")
    body = {"carrier": rate.text("carrier"), "service": rate.text("service")}
    try:
        booking = sdk.Request.post(f"{path}/buy", json=body)
        booked = await wire.send(booking, key=key, parse=_scheduled_pickup)
    except sdk.OutcomeUnknown as unknown_outcome:
        try:
            booked = _scheduled_pickup(await wire.send(sdk.Request.get(path)))
        except sdk.ConnectorError:
            raise unknown_outcome from None
    return _pickup(wire, booked, _price(rate))


async def cancel_pickup(wire: sdk.Wire, ref: sdk.Ref, /) -> Pickup:
    """Cancel a pickup; a pickup that is already cancelled is returned."""
    path = _path("pickups", ref.id)
    try:
        response = await wire.send(
            sdk.Request.post(f"{path}/cancel", json={}).evolve(idempotent=True)
        )
    except sdk.VendorRejected as error:
        response = await wire.send(sdk.Request.get(path))
        if sdk.read_answer(response).text("status") != "canceled":
            raise state_refusal(error) from None
    return _pickup(wire, _identified_answer(response), None)


async def create_manifest(
    wire: sdk.Wire, shipments: tuple[sdk.Ref, ...], /, *, key: str
) -> Manifest:
    """Create a scan form; if the response is lost, look for the form of the first shipment."""
    body = {"scan_form": {"shipments": [{"id": ref.id} for ref in shipments]}}
    try:
        form = await wire.send(
            sdk.Request.post("/v2/scan_forms", json=body), key=key, parse=_identified_answer
        )
    except sdk.OutcomeUnknown as unknown_outcome:
        match = await _form_of(wire, shipments)
        if match is None:
            raise unknown_outcome from None
        form = match
    return _manifest(wire, form)


async def get_manifest(wire: sdk.Wire, ref: sdk.Ref, /) -> Manifest:
    """Get a scan form."""
    response = await wire.send(sdk.Request.get(_path("scan_forms", ref.id)))
    return _manifest(wire, _identified_answer(response))


async def _form_of(wire: sdk.Wire, shipments: tuple[sdk.Ref, ...]) -> sdk.Answer | None:
    """The scan form of all these shipments; None if there is none or the search failed."""
    try:
        answers = [
            sdk.read_answer(await wire.send(sdk.Request.get(_path("shipments", ref.id))))
            for ref in shipments
        ]
    except sdk.ConnectorError:
        return None
    forms = [answer.object("scan_form") for answer in answers]
    form_ids = {form.text("id") for form in forms}
    return forms[0] if len(form_ids) == 1 and None not in form_ids else None


def _path(kind: str, id: str) -> str:
    return f"/v2/{kind}/{quote(id, safe='')}"


def _identified_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("id") is None:
        raise sdk.malformed(response, "id")
    return body


def _scheduled_pickup(response: sdk.Response) -> sdk.Answer:
    body = _identified_answer(response)
    if body.text("status") != "scheduled":
        raise sdk.malformed(response, "status")
    return body


def _price(rate: sdk.Answer) -> sdk.Money | None:
    return sdk.as_money(rate.value("rate"), rate.value("currency"))


def _cheapest_rate(offered: sdk.Answer) -> sdk.Answer:
    """The cheapest rate of a pickup.

    Raises:
        VendorRejected: there are no rates, or their currencies differ.
    """
    rates = [
        (price, rate)
        for rate in offered.objects("pickup_rates")
        if (price := _price(rate)) is not None
    ]
    if len({price.currency for price, _ in rates}) != 1:
        messages = [message for message in read_messages(offered) if message.text]
        raise sdk.VendorRejected(
            "No carrier can pick the shipment up at this time and place.",
            vendor_code=messages[0].code if messages else None,
            vendor_message=messages[0].text if messages else None,
            remedy="Change the time or the place, and use another idempotency key.",
        )
    return min(rates, key=lambda item: item[0].minor)[1]


def _pickup(wire: sdk.Wire, body: sdk.Answer, cost: sdk.Money | None) -> Pickup:
    return Pickup(
        ref=wire.ref(body.text("id") or ""),
        state=_PICKUPS.get(body.text("status") or "", PickupState.UNKNOWN),
        vendor_status=body.text("status"),
        confirmation=body.text("confirmation"),
        earliest=sdk.as_time(body.text("min_datetime")),
        latest=sdk.as_time(body.text("max_datetime")),
        cost=cost,
        messages=read_messages(body),
        raw=body.raw,
    )


def _manifest(wire: sdk.Wire, body: sdk.Answer) -> Manifest:
    status, text, url = body.text("status"), body.text("message"), body.text("form_url")
    return Manifest(
        ref=wire.ref(body.text("id") or ""),
        state=_MANIFESTS.get(status or "", ManifestState.UNKNOWN),
        vendor_status=status,
        documents=() if url is None else (url,),
        messages=() if text is None else (CarrierMessage(text=text),),
        raw=body.raw,
    )
