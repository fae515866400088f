"""Checks of pickups, manifests and service points."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import ManifestState, PickupState, ShippingCapability
from moorage.errors import IdempotencyConflict
from moorage.testing.kits._shipping_harness import Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import Manifest, Pickup, ServicePointResult

Open: TypeAlias = Callable[[], Harness]


async def a_pickup_is_scheduled_once(make: Open) -> None:
    """A pickup is scheduled once per idempotency key, and can be cancelled if supported."""
    async with make() as harness:
        if ShippingCapability.PICKUP not in harness.capabilities:
            return
        shipment = await harness("create_shipment", harness.shipment(), idempotency_key="k-1")
        request = harness.pickup(shipment.ref)
        schedule = partial(harness, "schedule_pickup", idempotency_key="k-2")
        scheduled: Pickup = await schedule(request)
        is_expected = scheduled.state in {PickupState.SCHEDULED, PickupState.PENDING}
        require(is_expected and scheduled.raw, "The pickup is not scheduled.")
        require(Ref.parse(str(scheduled.ref)) == scheduled.ref, "A reference changes as text.")
        harness.check_hides(repr(scheduled), "A pickup")
        count = _change_count(harness)
        require(await schedule(request) == scheduled, "A repeat has another pickup.")
        require(_change_count(harness) == count, "A repeat was sent.")
        changed_request = attrs.evolve(request, instructions="At the other door.")
        await harness.refused(
            IdempotencyConflict, schedule(changed_request), "A key for another pickup"
        )
        for _ in range(2 if ShippingCapability.CANCEL_PICKUP in harness.capabilities else 0):
            cancelled: Pickup = await harness("cancel_pickup", str(scheduled.ref))
            require(cancelled.state is PickupState.CANCELED, "The pickup is not cancelled.")
            require(
                cancelled.ref == scheduled.ref and cancelled.raw,
                "The cancelled pickup is another pickup.",
            )


async def a_manifest_is_created_once(make: Open) -> None:
    """A manifest is created once per key, with a printable form, and can be read again."""
    async with make() as harness:
        if ShippingCapability.MANIFEST not in harness.capabilities:
            return
        shipments = [
            await harness(
                "create_shipment", harness.shipment(number), idempotency_key=f"k-{number}"
            )
            for number in (1, 2)
        ]
        refs = [str(shipment.ref) for shipment in shipments]
        create = partial(harness, "create_manifest", idempotency_key="k-3")
        created: Manifest = await create(refs)
        require(created.state is ManifestState.CREATED, f"The manifest is {created.state}.")
        require(created.documents and created.raw, "There is no form to print.")
        require(
            not any(url in repr(created) for url in created.documents),
            "The repr of a manifest shows the URL of its form.",
        )
        count = _change_count(harness)
        require(await create(refs) == created, "A repeat has another manifest.")
        require(_change_count(harness) == count, "A repeat was sent.")
        await harness.refused(IdempotencyConflict, create(refs[:1]), "A key for another manifest")
        read_manifest: Manifest = await harness("get_manifest", str(created.ref))
        require(
            (read_manifest.ref, read_manifest.documents) == (created.ref, created.documents),
            "The looked-up manifest is another manifest.",
        )


async def service_points_are_offered(make: Open) -> None:
    """Service points are sorted by distance, and rates can be got for a shipment to one of them."""
    async with make() as harness:
        if ShippingCapability.SERVICE_POINTS not in harness.capabilities:
            return
        result: ServicePointResult = await harness("find_service_points", harness.address())
        points = result.points
        require(points and result.raw, "There are no service points.")
        distances = [point.distance for point in points if point.distance is not None]
        require(distances == sorted(distances), "A farther service point comes first.")
        require(all(point.carrier == point.carrier.lower() for point in points), "A vendor's word.")
        nearest: ServicePointResult = await harness(
            "find_service_points", harness.address(), limit=1
        )
        require(nearest.points == points[:1], "The page has more entries than its limit.")
        offers = await harness.offers(harness.request(service_point=points[0].id))
        require(offers, "There is no rate for delivery to a service point.")
        bodies = b"".join(request.body for request in harness.sandbox.requests)
        require(points[0].id.encode() in bodies, "The service point is not sent.")
        remote_address = harness.address(postal_code=harness.subject.no_rates)
        remote_points: ServicePointResult = await harness("find_service_points", remote_address)
        require(
            not remote_points.points and remote_points.messages,
            "The result has service points, or no message that explains their absence.",
        )


def _change_count(harness: Harness) -> int:
    """Return the number of requests that could have changed something."""
    return sum(request.method == "POST" for request in harness.sandbox.requests)


HANDOVERS: Final = (
    a_pickup_is_scheduled_once,
    a_manifest_is_created_once,
    service_points_are_offered,
)
