"""Example calls to shipping vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.address import Address
from moorage.contracts.payments import Money
from moorage.contracts.shipping import (
    Choice,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    PickupRequest,
    RateRequest,
    ShipmentRequest,
    ShippingCapability,
    Signature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.contracts.ref import Ref
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

PARCEL: Final = Parcel(weight="1.5", length="30", width="20", height="10")
SHOP: Final = Address(
    name="ACME",
    line1="417 Montgomery Street",
    city="San Francisco",
    region="CA",
    postal_code="94104",
    country="US",
    phone="+14153334445",
    email="shop@acme.example",
)
ADA: Final = Address(
    name="Ada Lovelace",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    phone="+14155559999",
    email="ada@example.com",
)
ABROAD: Final = attrs.evolve(
    ADA, line1="1 Bloor Street", city="Toronto", region="ON", postal_code="M4W1A8", country="CA"
)
_PEN: Final = CustomsItem(
    description="A pen",
    quantity=1,
    value=Money("10.00", "USD"),
    weight="1.0",
    hs_code="960810",
    origin="US",
)
DECLARED: Final[dict[str, Any]] = {
    "customs": Customs(items=[_PEN], signer="Ada"),
    "recipient": ABROAD,
}
"""Fields of a shipment abroad."""


def parcel(vendor: ScenarioVendor, **fields: Any) -> RateRequest:
    """Return a request for the rates of a shipment."""
    default_fields: dict[str, Any] = {"sender": SHOP, "recipient": ADA, "parcels": [PARCEL]}
    return RateRequest(
        **{**default_fields, **vendor.fixture.vendor_values.get("parcel", {}), **fields}
    )


async def rates(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Return the rates of a shipment."""
    return (await vendor("get_rates", parcel(vendor, **fields))).rates


def purchase(vendor: ScenarioVendor, request: RateRequest, **fields: Any) -> ShipmentRequest:
    """Return a purchase of the cheapest rate, or of a fixed service if the vendor has no rates."""
    service = vendor.fixture.vendor_values.get("service")
    choice = Choice() if service is None else Choice(services=[service])
    return ShipmentRequest(rate_request=request, choose=choice, **fields)


async def offers(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Return a shipment's rates, or the labels of a purchase if the vendor has no rates."""
    if "service" not in vendor.fixture.vendor_values:
        return await rates(vendor, **fields)
    request = purchase(vendor, parcel(vendor, **fields))
    return (await vendor("create_shipment", request, idempotency_key="1")).labels


async def offers_abroad(vendor: ScenarioVendor) -> Any:
    """Return the offers for a shipment abroad."""
    return await offers(vendor, **DECLARED)


async def electronic_invoice(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Buy a label for a shipment abroad whose invoice is sent electronically."""
    customs = Customs(items=[_PEN], signer="Ada", invoice_number="INV-1", **fields)
    request = purchase(vendor, parcel(vendor, customs=customs, recipient=ABROAD))
    return (await vendor("create_shipment", request, idempotency_key="1")).state


async def estimate_duties(vendor: ScenarioVendor) -> Any:
    """Estimate the duties and taxes on a shipment abroad."""
    return (await vendor("estimate_duties", parcel(vendor, **DECLARED))).total


async def buy_label(vendor: ScenarioVendor, key: str = "1") -> Ref:
    """Buy a label, and return the reference of the shipment."""
    request = purchase(vendor, parcel(vendor))
    return await vendor.ref("create_shipment", request, idempotency_key=key)


async def recoverable_label(vendor: ScenarioVendor) -> Any:
    """Buy a label that can be found if its response is lost."""
    request = purchase(vendor, parcel(vendor), recoverable=True)
    return (await vendor("create_shipment", request, idempotency_key="1")).state


def pickup(shipments: Sequence[Ref]) -> PickupRequest:
    """Return a pickup request for these shipments."""
    return PickupRequest(
        shipments=shipments,
        address=SHOP,
        earliest=datetime(2030, 1, 2, 9, tzinfo=UTC),
        latest=datetime(2030, 1, 2, 17, tzinfo=UTC),
        instructions="At the back door.",
    )


async def label_again(vendor: ScenarioVendor) -> Any:
    """Fetch the label of a shipment again."""
    return (await vendor("get_label", await buy_label(vendor))).content


async def by_reference(vendor: ScenarioVendor) -> Any:
    """Buy a label by a rate's stored reference."""
    offer = (await rates(vendor))[0].ref if vendor.is_supported else await vendor.ref("")
    return (await vendor("create_shipment", str(offer), idempotency_key="1")).state


async def converted_label(vendor: ScenarioVendor) -> Any:
    """Fetch a label in another format."""
    return (await vendor("get_label", await buy_label(vendor), LabelFormat.ZPL)).content


async def track(vendor: ScenarioVendor) -> Any:
    """Return the tracking of a parcel."""
    return (await vendor("track_shipment", await buy_label(vendor))).number


async def cancel(vendor: ScenarioVendor) -> Any:
    """Cancel a shipment."""
    return (await vendor("cancel", await buy_label(vendor))).state


async def validate_address(vendor: ScenarioVendor) -> Any:
    """Validate a postal address."""
    return (await vendor("validate_address", ADA)).verdict


async def schedule_pickup(vendor: ScenarioVendor, shipments: int = 1) -> Any:
    """Schedule a pickup of some shipments."""
    refs = [await buy_label(vendor, f"{number}") for number in range(shipments)]
    if not vendor.is_supported:
        refs = [attrs.evolve(ref, id=f"{number}") for number, ref in enumerate(refs, 1)]
    return (await vendor("schedule_pickup", pickup(refs), idempotency_key="p")).state


async def cancel_pickup(vendor: ScenarioVendor) -> Any:
    """Cancel a pickup."""
    label = await buy_label(vendor)
    ref = await vendor.ref("schedule_pickup", pickup([label]), idempotency_key="p")
    return (await vendor("cancel_pickup", ref)).state


async def manifest(vendor: ScenarioVendor) -> Any:
    """Create a manifest, and get it."""
    label = await buy_label(vendor)
    created = await vendor("create_manifest", [label], idempotency_key="m")
    return (await vendor("get_manifest", created.ref)).documents


async def ship_to_service_point(vendor: ScenarioVendor) -> Any:
    """Find a service point, and return rates for a shipment there."""
    points = (await vendor("find_service_points", ADA)).points
    return await offers(vendor, service_point=points[0].id)


BASIC: Final[dict[str, Scenario]] = {"create_shipment": buy_label}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    ShippingCapability.RATES: rates,
    ShippingCapability.FIND_LOST_LABEL: recoverable_label,
    ShippingCapability.MULTI_PARCEL: partial(offers, parcels=[PARCEL, PARCEL]),
    ShippingCapability.CUSTOMS: offers_abroad,
    ShippingCapability.INSURANCE: partial(offers, insurance=Money("100.00", "USD")),
    ShippingCapability.SIGNATURE: partial(offers, signature=Signature.ADULT),
    ShippingCapability.SATURDAY_DELIVERY: partial(offers, saturday=True),
    ShippingCapability.RETURNS: partial(offers, is_return=True),
    ShippingCapability.LABEL_ZPL: partial(offers, label=LabelFormat.ZPL),
    ShippingCapability.LABEL_EPL: partial(offers, label=LabelFormat.EPL),
    ShippingCapability.LABEL_PAPER: partial(offers, label_size=LabelSize.A6),
    ShippingCapability.LABEL_AGAIN: label_again,
    ShippingCapability.CONVERT_LABEL: converted_label,
    ShippingCapability.BUY_BY_REFERENCE: by_reference,
    ShippingCapability.TRACK: track,
    ShippingCapability.CANCEL: cancel,
    ShippingCapability.VALIDATE_ADDRESS: validate_address,
    ShippingCapability.PICKUP: schedule_pickup,
    ShippingCapability.PICKUP_SEVERAL: partial(schedule_pickup, shipments=2),
    ShippingCapability.CANCEL_PICKUP: cancel_pickup,
    ShippingCapability.MANIFEST: manifest,
    ShippingCapability.DUTIES: estimate_duties,
    ShippingCapability.PAPERLESS_CUSTOMS: partial(electronic_invoice, paperless=True),
    ShippingCapability.INVOICE_UPLOAD: partial(
        electronic_invoice, invoice_file=b"%PDF-1.4 invoice"
    ),
    ShippingCapability.SERVICE_POINTS: ship_to_service_point,
}
