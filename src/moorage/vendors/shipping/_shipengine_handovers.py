"""Pickups, manifests and service points at ShipEngine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.address import Address
from moorage.contracts.shipping.handovers import (
    Manifest,
    ManifestState,
    Pickup,
    PickupState,
    ServicePoint,
    ServicePointKind,
    ServicePointResult,
)
from moorage.contracts.shipping.rates import CarrierMessage
from moorage.vendors.shipping._common import carrier_word, country_of, filled, listed_texts
from moorage.vendors.shipping._shipengine_requests import FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.shipping.handovers import PickupRequest

_KINDS: Final = {"pudo": ServicePointKind.SHOP, "locker": ServicePointKind.LOCKER}
_REQUESTED: Final = "request"
_FARTHEST: Final = 100_000_000
_SEARCHED: Final = (
    "address_line1",
    "address_line2",
    "address_line3",
    "city_locality",
    "state_province",
    "postal_code",
    "country_code",
)


def pickup_body(request: PickupRequest) -> dict[str, Any]:
    """The request for a pickup.

    Raises:
        InvalidData: the person whom the driver asks for has no name, email or telephone.
    """
    address = request.address
    contact = {
        "name": address.name or address.company,
        "email": address.email,
        "phone": address.phone,
    }
    for name, value in contact.items():
        if not value:
            raise sdk.InvalidData(
                f"ShipEngine requires the contact's {name} for a pickup.",
                field=f"address.{name}",
                remedy="Set name, email and phone of the person whom the driver asks for.",
            )
    body = {
        "label_ids": [ref.id for ref in request.shipments],
        "contact_details": contact,
        "pickup_notes": request.instructions,
        "pickup_window": {
            "start_at": request.earliest.isoformat(),
            "end_at": request.latest.isoformat(),
        },
    }
    return sdk.merged(filled(body.items()), sdk.extra_for("shipengine", request.extra))


async def schedule_pickup(wire: sdk.Wire, request: PickupRequest, /, *, key: str) -> Pickup:
    """Schedule a pickup; if the response is lost, look for the pickup of these labels."""
    body = pickup_body(request)
    try:
        booked = await wire.send(
            sdk.Request.post("/v1/pickups", json=body), key=key, parse=_booked_pickup
        )
    except sdk.OutcomeUnknown as unknown_outcome:
        existing_pickup = await _pickup_of(wire, set(body["label_ids"]))
        if existing_pickup is None:
            raise unknown_outcome from None
        booked = existing_pickup
    return _pickup(wire, booked)


async def cancel_pickup(wire: sdk.Wire, ref: sdk.Ref, /) -> Pickup:
    """Cancel a pickup; a cancelled pickup is returned."""
    path = f"/v1/pickups/{quote(ref.id, safe='')}"
    try:
        response = await wire.send(sdk.Request.delete(path))
    except sdk.VendorRejected:
        response = await wire.send(sdk.Request.get(path))
        if sdk.read_answer(response).text("cancelled_at") is None:
            raise
    return Pickup(
        ref=ref,
        state=PickupState.CANCELED,
        vendor_status="cancelled",
        raw=_booked_pickup(response).raw,
    )


async def create_manifest(
    wire: sdk.Wire, shipments: tuple[sdk.Ref, ...], /, *, key: str
) -> Manifest:
    """Create manifests; if the response is lost, look for the manifests of these labels."""
    labels = [ref.id for ref in shipments]
    try:
        creating = sdk.Request.post("/v1/manifests", json={"label_ids": labels})
        new_manifest = await wire.send(creating, key=key, parse=_manifest_answer)
    except sdk.OutcomeUnknown as unknown_outcome:
        manifests = await _manifests_of(wire, labels)
        if not manifests:
            raise unknown_outcome from None
        return _read_manifest(wire, manifests, {"manifests": [item.raw for item in manifests]})
    pending = [
        id_
        for item in new_manifest.objects("manifest_requests")
        if item.text("status") != "completed" and (id_ := item.text("manifest_request_id"))
    ]
    if pending:
        return Manifest(
            ref=wire.ref(pending[0], kind=_REQUESTED),
            state=ManifestState.PENDING,
            vendor_status="in_progress",
            raw=new_manifest.raw,
        )
    return _read_manifest(wire, _manifests(new_manifest), new_manifest.raw)


async def get_manifest(wire: sdk.Wire, ref: sdk.Ref, /) -> Manifest:
    """Get a manifest, or the state of the request for one."""
    id_ = quote(ref.id, safe="")
    if ref.other("kind") != _REQUESTED:
        body = sdk.read_answer(await wire.send(sdk.Request.get(f"/v1/manifests/{id_}")))
        return _read_manifest(wire, [body], body.raw)
    response = await wire.send(sdk.Request.get(f"/v1/manifests/requests/{id_}"))
    body = _manifest_answer(response)
    manifests = [item for item in _manifests(body) if item.text("manifest_id")]
    if manifests:
        return _read_manifest(wire, manifests, body.raw)
    return Manifest(ref=ref, state=ManifestState.PENDING, vendor_status="in_progress", raw=body.raw)


def points_body(address: Address, carriers: Sequence[str], limit: int) -> dict[str, Any]:
    """The request that searches service points near an address."""
    fields = {vendor: getattr(address, name) for name, vendor in FIELDS.items()}
    return {
        "address": filled((name, fields[name]) for name in _SEARCHED),
        "providers": [{"carrier_id": carrier} for carrier in carriers],
        "max_results": limit,
    }


async def find_service_points(
    wire: sdk.Wire, address: Address, carriers: Sequence[str], limit: int
) -> ServicePointResult:
    """Search for service points of these carriers."""
    body = points_body(address, carriers, limit)
    request = sdk.Request.post("/v1/service_points/list", json=body).evolve(idempotent=True)
    response = await wire.send(request)
    answer = sdk.read_answer(response)
    if "service_points" not in answer.raw:
        raise sdk.malformed(response, "service_points")
    points = [_point(item, address, response) for item in answer.objects("service_points")]
    points.sort(key=lambda point: (point.distance is None, point.distance or 0))
    return ServicePointResult(
        points=tuple(points[:limit]),
        messages=tuple(
            CarrierMessage(
                carrier=carrier_word(carrier) if (carrier := item.text("carrier_code")) else None,
                code=item.text("error_code"),
                text=item.text("message"),
            )
            for item in answer.objects("errors")
        ),
        raw=answer.raw,
    )


def _point(item: sdk.Answer, searched: Address, response: sdk.Response) -> ServicePoint:
    id_, carrier = item.text("service_point_id"), item.text("carrier_code")
    if id_ is None or carrier is None:
        raise sdk.malformed(response, "service_point_id")
    return ServicePoint(
        id=id_,
        carrier=carrier_word(carrier),
        address=Address(
            company=item.text("company_name"),
            line1=item.text("address_line1"),
            city=item.text("city_locality"),
            region=item.text("state_province"),
            postal_code=item.text("postal_code"),
            country=country_of(item.text("country_code"), searched),
            phone=item.text("phone_number"),
        ),
        kind=_KINDS.get(item.text("type") or "", ServicePointKind.UNKNOWN),
        distance=_metres(item.value("distance_in_meters")),
        raw=item.raw,
    )


def _metres(value: object) -> int | None:
    is_distance = type(value) in {int, float} and 0 <= value < _FARTHEST  # type: ignore[operator]  # a number
    return round(value) if is_distance else None  # type: ignore[call-overload]  # a number


async def _pickup_of(wire: sdk.Wire, labels: set[str]) -> sdk.Answer | None:
    """The pickup of exactly these labels; None if there is none or the search failed."""
    number = 1
    while True:
        query = {"page": str(number), "page_size": "100"}
        try:
            listing = sdk.read_answer(await wire.send(sdk.Request.get("/v1/pickups", query=query)))
        except sdk.ConnectorError:
            return None
        pickups = list(listing.objects("pickups"))
        for item in pickups:
            is_open = item.text("pickup_id") and item.text("cancelled_at") is None
            if is_open and set(listed_texts(item, "label_ids")) == labels:
                return item
        # ShipEngine does not say in which order it lists pickups.
        if not pickups or number >= (listing.integer("pages") or 1):
            return None
        number += 1


async def _manifests_of(wire: sdk.Wire, labels: list[str]) -> list[sdk.Answer]:
    """The manifests that contain these labels; empty if they cannot be looked up."""
    query = {"label_ids": ",".join(labels), "page_size": "100"}
    try:
        listing = sdk.read_answer(await wire.send(sdk.Request.get("/v1/manifests", query=query)))
    except sdk.ConnectorError:
        return []
    manifests = [
        item
        for item in listing.objects("manifests")
        if item.text("manifest_id") and set(listed_texts(item, "label_ids")) <= set(labels)
    ]
    covered = {label for item in manifests for label in listed_texts(item, "label_ids")}
    return manifests if covered == set(labels) else []


def _booked_pickup(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if body.text("pickup_id") is None:
        raise sdk.malformed(response, "pickup_id")
    return body


def _manifest_answer(response: sdk.Response) -> sdk.Answer:
    body = sdk.read_answer(response)
    if not _manifests(body) and not any(body.objects("manifest_requests")):
        raise sdk.malformed(response, "manifest_id")
    return body


def _manifests(body: sdk.Answer) -> list[sdk.Answer]:
    """The manifests in a response, which may be a list or a single manifest."""
    return list(body.objects("manifests")) or ([body] if body.text("manifest_id") else [])


def _pickup(wire: sdk.Wire, body: sdk.Answer) -> Pickup:
    windows = list(body.objects("pickup_windows"))
    return Pickup(
        ref=wire.ref(body.text("pickup_id") or ""),
        state=PickupState.SCHEDULED,
        vendor_status="scheduled",
        confirmation=body.text("confirmation_number"),
        earliest=sdk.as_time(windows[0].text("start_at")) if windows else None,
        latest=sdk.as_time(windows[0].text("end_at")) if windows else None,
        raw=body.raw,
    )


def _read_manifest(wire: sdk.Wire, manifests: list[sdk.Answer], raw: Any) -> Manifest:
    urls = [item.text("manifest_download.href") for item in manifests]
    return Manifest(
        ref=wire.ref(manifests[0].text("manifest_id") or ""),
        state=ManifestState.CREATED,
        documents=tuple(url for url in urls if url is not None),
        raw=raw,
    )
