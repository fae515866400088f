"""Checks of the weights and the direction of shipments in the requests to a vendor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.shipping import Parcel, ShippingCapability, WeightUnit
from moorage.contracts.shipping.units import convert_measure
from moorage.testing.kits._sent_requests import nested_values
from moorage.testing.kits._shipping_harness import Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import RateRequest
    from moorage.testing.sandboxes.base import SandboxRequest

Open: TypeAlias = Callable[[], Harness]

_WEIGHTS: Final = (
    (Decimal("7.3"), WeightUnit.KILOGRAM),
    (Decimal(7300), WeightUnit.GRAM),
    (Decimal("16.1"), WeightUnit.POUND),
    (Decimal("257.6"), WeightUnit.OUNCE),
)
_UNIT_WORDS: Final = {
    **dict.fromkeys(("g", "gram", "grams", "grm", "gr"), WeightUnit.GRAM),
    **dict.fromkeys(("kg", "kgs", "kilogram", "kilograms", "kgm", "metric"), WeightUnit.KILOGRAM),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds", "lbr", "imperial"), WeightUnit.POUND),
    **dict.fromkeys(("oz", "ozs", "ounce", "ounces", "onz"), WeightUnit.OUNCE),
}
"""The units of weight, by the words with which vendors name them."""
_MOST_DECIMALS: Final = 6
_LARGEST_ROUNDING: Final = Decimal("1.02")
"""A weight that was rounded up, as a multiple of the exact one, is at most this."""


async def a_weight_keeps_its_unit(make: Open) -> None:
    """A weight in any unit arrives as the same weight, in the unit that the vendor expects."""
    for weight, unit in _WEIGHTS:
        async with make() as harness:
            parcel = Parcel(weight=weight, weight_unit=unit, length=25, width=20, height=10)
            values = await _values_of_purchase(harness, harness.request(parcels=parcel))
            numbers = {number for _, value in values if (number := _number_of(value)) is not None}
            names = {_UNIT_WORDS.get(value.lower()) for _, value in values}
            known_unit = harness.subject.weight_unit
            units = names - {None} if known_unit is None else {known_unit}
            require(units, "The requests name no unit of weight, and the subject has none.")
            is_sent = any(
                not numbers.isdisjoint(_roundings(weight, unit, sent_unit))
                for sent_unit in units
                if sent_unit is not None
            )
            require(is_sent, f"A weight of {weight} {unit} was sent as another one.")


async def a_return_goes_back(make: Open) -> None:
    """The requests for a customer's return differ from those for the same shipment to the customer.

    Values that also differ between two equal shipments, such as a request's id, do not count.
    """
    async with make() as harness:
        if ShippingCapability.RETURNS not in harness.capabilities:
            return
        shipments = [harness.request(is_return=is_return) for is_return in (False, False, True)]
        first, second, back = [await _values_of_purchase(harness, item) for item in shipments]
        changing = {path for path, _ in {*first} ^ {*second}}
        differing = {path for path, _ in {*first} ^ {*back}}
        require(differing - changing, "A return is sent like a shipment to the customer.")


async def _values_of_purchase(harness: Harness, request: RateRequest) -> list[tuple[str, str]]:
    """Buy a shipment, and return the paths and values in the requests for it."""
    request_count = len(harness.sandbox.requests)
    await harness(
        "create_shipment", harness.purchase(request), idempotency_key=f"k-{request_count}"
    )
    values = _sent_values(harness.sandbox.requests[request_count:])
    return [(path, str(value)) for path, value in values]


def _sent_values(requests: Sequence[SandboxRequest]) -> list[tuple[str, Any]]:
    values: list[tuple[str, Any]] = []
    for request in requests:
        kind = request.headers.get("content-type") or ""
        if "json" in kind:
            values += nested_values("", request.json())
        values += [*request.query, *(request.form if "form" in kind else ())]
    return values


def _number_of(value: str) -> Decimal | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number.normalize() if number.is_finite() else None


def _roundings(weight: Decimal, unit: WeightUnit, to: WeightUnit) -> set[Decimal]:
    """Return a weight in another unit, rounded up to each number of decimals that keeps it."""
    exact = convert_measure(weight, unit, to, decimals=_MOST_DECIMALS)
    roundings = [
        convert_measure(weight, unit, to, decimals=decimals) for decimals in range(_MOST_DECIMALS)
    ]
    close_values = {value for value in roundings if value <= exact * _LARGEST_ROUNDING}
    return {value.normalize() for value in (*close_values, exact)}


MEASURES: Final = (a_weight_keeps_its_unit, a_return_goes_back)
