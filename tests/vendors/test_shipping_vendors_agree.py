"""Each shipping operation has the same vendor-neutral result at all vendors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import pytest

from moorage.contracts.shipping import (
    AddressVerdict,
    CancelState,
    LabelFormat,
    ShipmentState,
    TrackingStatus,
)
from moorage.errors import ConnectorError, UnsupportedByVendor, VendorRejected
from moorage.testing import name_of
from moorage.testing.kits._shipping_harness import sync_harness
from tests.vendors.shipping_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping import Shipment
    from moorage.testing.kits._shipping_harness import Harness
    from moorage.testing.kits.shipping_conformance import Factory

Scenario: TypeAlias = Callable[["Harness"], Coroutine[Any, Any, object]]

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "shipping.md"


async def _bought_label(harness: Harness) -> Shipment:
    shipment: Shipment = await harness("create_shipment", harness.shipment(), idempotency_key="k-1")
    return shipment


def _unknown_ref(ref: Ref) -> Ref:
    """Return a reference that has the vendor's form, but belongs to nothing that exists."""
    digits = "".join("9" if letter.isdigit() else letter for letter in ref.id)
    return attrs.evolve(ref, id=digits)


async def _delivered_shipment(harness: Harness) -> Shipment:
    shipment = await _bought_label(harness)
    harness.subject.move(shipment.tracking_numbers[0], harness.subject.delivered)
    return shipment


async def purchase(harness: Harness) -> object:
    """A bought shipment has a tracking number and a label."""
    shipment = await _bought_label(harness)
    formats = [label.format for label in shipment.labels]
    return shipment.state, len(shipment.tracking_numbers), formats


async def shipment_after_delivery(harness: Harness) -> object:
    """After its delivery a shipment still has the state bought."""
    return (await harness("get_shipment", (await _delivered_shipment(harness)).ref)).state


async def tracking_before_the_first_scan(harness: Harness) -> object:
    """A parcel that was not scanned yet has the tracking status of an announced parcel."""
    return (await harness("track_shipment", (await _bought_label(harness)).ref)).status


async def tracking_after_delivery(harness: Harness) -> object:
    """A delivered parcel has the time of its delivery."""
    tracking = await harness("track_shipment", (await _delivered_shipment(harness)).ref)
    return tracking.status, tracking.delivered_at is not None


async def tracking_of_an_unknown_number(harness: Harness) -> object:
    """A number that the vendor does not know is not tracked."""
    return await harness("track", "0000000000", (await _bought_label(harness)).carrier)


async def tracking_of_an_unknown_shipment(harness: Harness) -> object:
    """A shipment that the vendor does not know is not tracked."""
    return (
        await harness("track_shipment", _unknown_ref((await _bought_label(harness)).ref))
    ).status


async def unknown_shipment(harness: Harness) -> object:
    """A shipment that the vendor does not know is not returned."""
    return (await harness("get_shipment", _unknown_ref((await _bought_label(harness)).ref))).state


async def label_of_an_unknown_shipment(harness: Harness) -> object:
    """The label of a shipment that the vendor does not know is refused."""
    return await harness("get_label", _unknown_ref((await _bought_label(harness)).ref))


async def cancellation_of_an_unknown_shipment(harness: Harness) -> object:
    """A shipment that the vendor does not know is not cancelled."""
    return (await harness("cancel", _unknown_ref((await _bought_label(harness)).ref))).state


async def cancellation_after_delivery(harness: Harness) -> object:
    """A delivered shipment is not cancelled."""
    return await harness("cancel", (await _delivered_shipment(harness)).ref)


async def second_cancellation(harness: Harness) -> object:
    """A shipment is cancelled once, and a repeat is not an error."""
    ref = (await _bought_label(harness)).ref
    first, second = await harness("cancel", ref), await harness("cancel", ref)
    decided = {CancelState.REQUESTED, CancelState.APPROVED}
    return first.state == second.state, first.state in decided


async def shipment_after_its_cancellation(harness: Harness) -> object:
    """A cancelled shipment is reported as cancelled, or as being cancelled."""
    ref = (await _bought_label(harness)).ref
    approved = (await harness("cancel", ref)).state is CancelState.APPROVED
    state = (await harness("get_shipment", ref)).state
    return state is (ShipmentState.CANCELED if approved else ShipmentState.CANCELING)


async def tracking_after_the_cancellation(harness: Harness) -> object:
    """The tracking status of a parcel does not change when its shipment is cancelled."""
    ref = (await _bought_label(harness)).ref
    await harness("cancel", ref)
    return (await harness("track_shipment", ref)).status


async def label_after_the_cancellation(harness: Harness) -> object:
    """After its cancellation a shipment can still return its label."""
    ref = (await _bought_label(harness)).ref
    await harness("cancel", ref)
    return (await harness("get_label", ref)).format


async def purchase_of_an_unknown_rate(harness: Harness) -> object:
    """A rate that the vendor does not know is not bought."""
    rate = (await harness("get_rates", harness.request())).rates[0]
    return await harness("create_shipment", str(_unknown_ref(rate.ref)), idempotency_key="k-1")


async def two_purchases_of_a_rate(harness: Harness) -> object:
    """A rate can be bought twice with two keys."""
    rate = (await harness("get_rates", harness.request())).rates[0]
    shipments = [
        await harness("create_shipment", rate, idempotency_key=key) for key in ("k-1", "k-2")
    ]
    return [shipment.state for shipment in shipments]


async def nobody_carries_there(harness: Harness) -> object:
    """If no carrier serves a place, there are no rates but messages from the carriers."""
    result = await harness(
        "get_rates", harness.request(harness.address(postal_code=harness.subject.no_rates))
    )
    return result.rates, [bool(message.carrier and message.text) for message in result.messages]


async def valid_address_in_other_letters(harness: Harness) -> object:
    """An address in different letter case is valid, and the carrier's spelling is suggested."""
    result = await harness("validate_address", harness.address(city="redondo beach"))
    return result.verdict, result.suggested is not None


async def address_of_nowhere(harness: Harness) -> object:
    """An address that does not exist is invalid, and nothing is suggested."""
    result = await harness("validate_address", harness.address(city=harness.subject.nowhere))
    return result.verdict, result.suggested, bool(result.messages)


SCENARIOS: Final[dict[Scenario, object]] = {
    purchase: (ShipmentState.BOUGHT, 1, [LabelFormat.PDF]),
    shipment_after_delivery: ShipmentState.BOUGHT,
    tracking_before_the_first_scan: TrackingStatus.PRE_TRANSIT,
    tracking_after_delivery: (TrackingStatus.DELIVERED, True),
    tracking_of_an_unknown_number: VendorRejected,
    tracking_of_an_unknown_shipment: VendorRejected,
    unknown_shipment: VendorRejected,
    label_of_an_unknown_shipment: VendorRejected,
    cancellation_of_an_unknown_shipment: VendorRejected,
    cancellation_after_delivery: VendorRejected,
    second_cancellation: (True, True),
    shipment_after_its_cancellation: True,
    tracking_after_the_cancellation: TrackingStatus.PRE_TRANSIT,
    label_after_the_cancellation: LabelFormat.PDF,
    purchase_of_an_unknown_rate: VendorRejected,
    two_purchases_of_a_rate: [ShipmentState.BOUGHT, ShipmentState.BOUGHT],
    nobody_carries_there: ((), [True]),
    valid_address_in_other_letters: (AddressVerdict.VALID, True),
    address_of_nowhere: (AddressVerdict.INVALID, None, True),
}
"""Scenarios of all vendors, each with its result or the class of its error."""

DIFFERENCES: Final[dict[Scenario, dict[str, object]]] = {
    unknown_shipment: {
        "colissimo": ShipmentState.UNKNOWN,
        "dhl_parcel": ShipmentState.CANCELED,
        "fedex": ShipmentState.UNKNOWN,
        "postnord": ShipmentState.UNKNOWN,
        "royalmail": ShipmentState.CANCELED,
        "usps": ShipmentState.UNKNOWN,
    },
    tracking_of_an_unknown_shipment: {"fedex": TrackingStatus.UNKNOWN},
    cancellation_of_an_unknown_shipment: dict.fromkeys(
        ("dhl_parcel", "royalmail"), CancelState.APPROVED
    ),
    tracking_after_the_cancellation: {
        "dhl_parcel": VendorRejected,
        **dict.fromkeys(("fedex", "gls", "ups"), TrackingStatus.CANCELED),
    },
    label_after_the_cancellation: dict.fromkeys(("dhl_parcel", "royalmail", "ups"), VendorRejected),
    valid_address_in_other_letters: dict.fromkeys(
        ("ups", "usps"), (AddressVerdict.CORRECTED, True)
    ),
}
"""The vendors with another result for a scenario, which the page about parcels lists."""


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
def test_result_is_the_same_at_every_vendor(scenario: Scenario, subject: Factory) -> None:
    """Each scenario has the same result at every shipping vendor, except listed differences."""
    subject_ = subject()

    async def run() -> object:
        async with sync_harness(lambda: subject_) as harness:
            try:
                return await scenario(harness)
            except ConnectorError as error:
                return error

    expected = DIFFERENCES.get(scenario, {}).get(name_of(subject), SCENARIOS[scenario])
    outcome = asyncio.run(run())
    if isinstance(outcome, UnsupportedByVendor):
        assert set(outcome.capabilities) - subject_.vendor.capabilities
    elif isinstance(outcome, ConnectorError):
        assert expected is type(outcome)
    else:
        assert expected == outcome


def test_page_has_a_row_for_each_difference() -> None:
    """The page about parcels has a table row for each difference between vendors."""
    section = PAGE.read_text("utf-8").partition("## Know the differences")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    vendors_by_row = [
        {name for name in map(name_of, SUBJECTS) if f"`{name}`" in row.split("|")[2]}
        for row in rows
    ]

    assert [set(vendors) for vendors in DIFFERENCES.values()] == vendors_by_row
