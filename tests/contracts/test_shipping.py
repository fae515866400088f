"""The value types of the shipping contract, and the accounts for its operations."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.state.sqlite import SqliteStorage
from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.contracts.shipping import (
    Choice,
    Customs,
    CustomsItem,
    Label,
    LabelFormat,
    LabelSize,
    LengthUnit,
    Parcel,
    Rate,
    RateCriterion,
    RateRequest,
    Shipment,
    ShipmentRequest,
    ShipmentState,
    ShippingCapability,
    Signature,
    WeightUnit,
    convert_measure,
)
from moorage.contracts.shipping.units import measure_text
from moorage.domain.values.money import Money
from moorage.errors import ConfigurationError, InvalidData, UnsupportedByVendor
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.vendors.shipping.easypost import EasyPost
from moorage.vendors.shipping.shippo import Shippo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.testing.sandboxes.base import Sandbox

HOME = Address(name="Jack Sparrow", line1="388 Townsend St", postal_code="94107", country="US")
FAR_ADDRESS = Address(
    name="Elizabeth Swan", line1="179 N Harbor Dr", postal_code="90277", country="US"
)
BOX = Parcel(weight=1, length=10, width=10, height=10)
REQUEST = RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=[BOX])


def rate(service: str, price: str, days: int | None = None, currency: str = "USD") -> Rate:
    """Return a shipping rate."""
    carrier = service.partition("_")[0]
    return Rate(
        ref=Ref("easypost", "easypost", service),
        carrier=carrier,
        service=service,
        total=Money(price, currency),
        vendor_carrier=carrier.upper(),
        vendor_service=service.partition("_")[2].title(),
        delivery_days=days,
    )


OFFERS = [
    rate("usps_ground", "6.07", 5),
    rate("usps_priority", "7.42", 2),
    rate("ups_ground", "6.07", 4),
    rate("ups_air", "20.00", 1),
    rate("fedex_air", "19.00", 1),
    rate("dhl_slow", "5.00"),
]


@pytest.mark.parametrize(
    "choice, expected",
    [
        (Choice(), "dhl_slow"),
        (Choice(by=RateCriterion.SPEED), "fedex_air"),
        (Choice(carriers=["usps"]), "usps_ground"),
        (Choice(carriers=["USPS", "UPS"], within_days=4), "ups_ground"),
        (Choice(services=["usps_priority"]), "usps_priority"),
        (Choice(services=["Air"]), "fedex_air"),
        (Choice(within_days=5), "usps_ground"),
        (Choice(most=Money("6", "USD"), by="speed"), "dhl_slow"),
        (Choice(most=Money("6", "EUR")), None),
        (Choice(within_days=0), None),
    ],
)
def test_best_rate_is_chosen(choice: Choice, expected: str | None) -> None:
    """A rate is chosen by price or speed, and may be limited by carrier, service, days or price."""
    chosen_rate = choice.of(OFFERS)

    assert expected == (None if chosen_rate is None else chosen_rate.service)


def test_prices_in_two_currencies_are_not_compared() -> None:
    """Comparing shipping rates in different currencies raises an error."""
    offers = [rate("usps_ground", "6.07"), rate("dhl_air", "6.00", currency="EUR")]
    with pytest.raises(InvalidData):
        Choice().of(offers)
    chosen_rate = Choice(most=Money("7", "EUR")).of(offers)
    assert "dhl_air" == (chosen_rate and chosen_rate.service)


_GRAMS = {"g": Fraction(1), "kg": Fraction(1000), "oz": Fraction("28.349523125")}


@given(
    st.decimals("0.001", 100_000, places=3),
    st.sampled_from(["g", "kg", "oz"]),
    st.sampled_from(["g", "kg", "oz"]),
    st.integers(0, 4),
)
def test_converted_weights_are_never_smaller(
    value: Decimal, unit: str, to: str, places: int
) -> None:
    """A weight converted to another unit is rounded up at its last decimal place."""
    result = convert_measure(value, WeightUnit(unit), WeightUnit(to), decimals=places)
    exact_fraction = Fraction(value) * _GRAMS[unit] / _GRAMS[to]

    assert 0 <= Fraction(result) - exact_fraction < Fraction(1, 10**places)


@pytest.mark.parametrize(
    "value, unit, to, places, expected",
    [
        ("1", LengthUnit.INCH, LengthUnit.CENTIMETRE, 2, "2.54"),
        ("10", LengthUnit.CENTIMETRE, LengthUnit.INCH, 2, "3.94"),
        ("1", LengthUnit.METRE, LengthUnit.FOOT, 3, "3.281"),
        ("25.4", LengthUnit.MILLIMETRE, LengthUnit.INCH, 0, "1"),
        ("16", WeightUnit.OUNCE, WeightUnit.POUND, 4, "1"),
        ("1000", WeightUnit.GRAM, WeightUnit.KILOGRAM, 0, "1"),
    ],
)
def test_measures_are_converted_exactly(
    value: str, unit: LengthUnit, to: LengthUnit, places: int, expected: str
) -> None:
    """A length is converted exactly where possible."""
    assert expected == measure_text(convert_measure(Decimal(value), unit, to, decimals=places))


def test_weight_is_not_a_length() -> None:
    """A weight cannot be converted to a length."""
    with pytest.raises(InvalidData):
        convert_measure(Decimal(1), WeightUnit.GRAM, LengthUnit.INCH, decimals=1)


@pytest.mark.parametrize(
    "value", [0, -1, 0.5, True, "heavy", "NaN", "Infinity", None, "1e-10", 10**9, []], ids=repr
)
def test_invalid_weights_are_refused(value: object) -> None:
    """The weight of a parcel must be an exact number above zero."""
    with pytest.raises(InvalidData):
        Parcel(weight=value)


def test_parcel_with_only_one_or_two_of_its_three_dimensions_is_refused() -> None:
    """A parcel with only one or two of its three dimensions is refused."""
    assert None is Parcel(weight=1).sides
    assert (Decimal(1), Decimal(2), Decimal("3.5")) == (
        Parcel(weight=1, length=1, width=2, height="3.5").sides
    )
    with pytest.raises(InvalidData):
        Parcel(weight=1, length=1)


def test_empty_declaration_is_refused() -> None:
    """A customs declaration without goods, or with goods without a quantity, is refused."""
    with pytest.raises(InvalidData):
        Customs(items=[], signer="Steve Brule")
    for quantity in (0, True, "2"):
        with pytest.raises(InvalidData):
            CustomsItem(
                description="Shirts",
                quantity=quantity,  # type: ignore[arg-type]  # as a caller might
                value=Money("1", "USD"),
                weight=1,
                origin="DE",
            )


def test_negative_amounts_are_refused() -> None:
    """Goods of a negative value, and a negative insurance, are refused; zero is not."""
    goods = CustomsItem(
        description="Sample", quantity=1, value=Money("0", "JPY"), weight=1, origin="JP"
    )
    with pytest.raises(InvalidData) as value_error:
        attrs.evolve(goods, value=Money("-0.001", "KWD"))
    with pytest.raises(InvalidData) as insurance_error:
        RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=BOX, insurance=Money("-1", "USD"))

    assert ("value", "insurance") == (value_error.value.field, insurance_error.value.field)
    assert "negative: -0.001 KWD" in str(value_error.value)


def test_invalid_shipments_are_refused() -> None:
    """A shipment without parcels, or with an unknown label format, is refused."""
    with pytest.raises(InvalidData):
        RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=[])
    with pytest.raises(InvalidData):
        RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=BOX, label="unknown")
    with pytest.raises(InvalidData):
        RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=BOX, label="zpl", label_size="A6")


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, set()),
        ({"label_size": LabelSize.INCHES_4X6}, set()),
        ({"parcels": [BOX, BOX]}, {"multi_parcel"}),
        ({"signature": Signature.ADULT, "saturday": True}, {"signature", "saturday_delivery"}),
        ({"insurance": Money("1", "USD"), "is_return": True}, {"insurance", "returns"}),
        ({"label": LabelFormat.ZPL}, {"label_zpl"}),
        ({"label": LabelFormat.EPL}, {"label_epl"}),
        ({"label_size": "A4"}, {"label_paper"}),
    ],
    ids=["plain", "4x6", "two", "signed", "insured", "zpl", "epl", "a4"],
)
def test_needed_capabilities_of_a_shipment(fields: dict[str, Any], expected: set[str]) -> None:
    """The capabilities that a shipment needs follow from its fields."""
    options: dict[str, Any] = {"sender": HOME, "recipient": FAR_ADDRESS, "parcels": BOX, **fields}
    request = RateRequest(**options)

    assert expected == request.needs
    assert {*expected, "rates"} == ShipmentRequest(rate_request=request).needs


@pytest.mark.parametrize(
    "choice, service",
    [
        ({}, None),
        ({"services": ["a"]}, "a"),
        ({"services": ["a"], "by": "speed"}, "a"),
        ({"services": ["a", "b"]}, None),
        ({"services": ["a"], "carriers": ["b"]}, None),
        ({"services": ["a"], "most": Money("1", "USD")}, None),
        ({"services": ["a"], "within_days": 0}, None),
    ],
    ids=["all", "one", "fastest", "two", "carrier", "price", "days"],
)
def test_purchase_needs_no_rates_if_its_rule_names_one_service_and_no_other_limit(
    choice: dict[str, Any], service: str | None
) -> None:
    """A purchase needs no rates if its rule has a single service and no other condition."""
    choose = Choice(**choice)
    request = RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=BOX)
    needs = ShipmentRequest(rate_request=request, choose=choose).needs

    assert (service, service is None) == (choose.only_service, "rates" in needs)


def test_recoverable_purchase_needs_a_vendor_that_finds_it() -> None:
    """A purchase that must be found again later needs a vendor with the capability for that."""
    request = RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=BOX)

    assert {"rates", "find_lost_label"} == (
        ShipmentRequest(rate_request=request, recoverable=True).needs
    )


@pytest.mark.parametrize("country", ["USA", "u", "", None, 7, "1A"], ids=repr)
def test_country_of_address_must_be_two_letter_code(country: object) -> None:
    """The country of an address must be a two-letter code."""
    with pytest.raises(InvalidData):
        Address(country=country)


def test_repr_of_an_address_shows_only_its_country() -> None:
    """The repr of an address shows only its country."""
    assert "Address(country='US')" == repr(HOME)
    assert "DE" == Address(country="de").country


def test_tracking_state_that_may_still_change_is_not_settled() -> None:
    """A tracking state that may still change is not settled."""
    working_states = {ShipmentState.PENDING, ShipmentState.CANCELING, ShipmentState.UNKNOWN}

    assert working_states == {state for state in ShipmentState if not state.settled}


class ShippingHubs:
    """Hubs with two shipping vendors, and routes to them."""

    def __init__(self, *routes: Route) -> None:
        self.easypost, self.shippo = EasyPostSandbox(), ShippoSandbox()
        self.accounts = [
            Account("easypost", EasyPost(credentials=self.easypost.api_key)),
            Account("shippo", Shippo(credentials=self.shippo.token)),
        ]
        self.hub = Hub(self.accounts, routes, http=SandboxHttpClient(self.easypost, self.shippo))


def test_route_swaps_vendors() -> None:
    """One script returns the same results with either shipping vendor."""
    reports = []
    for vendor in ("easypost", "shippo"):
        shipping = ShippingHubs(Route("shipping", vendor)).hub.shipping()
        rates = shipping.get_rates(REQUEST)
        request = ShipmentRequest(rate_request=REQUEST, choose=Choice(services=["usps_priority"]))
        bought_shipment = shipping.create_shipment(request, idempotency_key="order-1")
        tracking = shipping.track(bought_shipment.tracking_numbers[0], "usps")
        reports.append(
            (
                [
                    (rate.carrier, rate.service, rate.total, rate.delivery_days)
                    for rate in rates.rates
                ],
                (
                    bought_shipment.state,
                    bought_shipment.carrier,
                    bought_shipment.service,
                    bought_shipment.cost,
                ),
                [label.format for label in bought_shipment.labels],
                [bool(label.content) for label in bought_shipment.labels],
                (tracking.status, tracking.carrier, len(tracking.events)),
                shipping.cancel(bought_shipment.ref).state,
                shipping.validate_address(FAR_ADDRESS).verdict,
            )
        )

    assert reports[0] == reports[1]


def test_first_able_vendor_is_used() -> None:
    """A shipment goes to the first vendor of the route that has the capabilities."""
    two = ShippingHubs(Route("shipping", ["easypost", "shippo"]))
    shipping = two.hub.shipping()
    several_request = RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=[BOX, BOX])

    offers = [shipping.get_rates(item) for item in (REQUEST, several_request)]
    assert ["easypost", "shippo"] == [offer.ref and offer.ref.vendor for offer in offers]
    rate_request = RateRequest(sender=HOME, recipient=FAR_ADDRESS, parcels=[BOX, BOX], label="epl")
    with pytest.raises(UnsupportedByVendor):
        shipping.get_rates(rate_request)
    only_shipping = ShippingHubs(Route("shipping", "easypost")).hub.shipping()
    with pytest.raises(UnsupportedByVendor) as excinfo:
        only_shipping.get_rates(several_request)
    assert (ShippingCapability.MULTI_PARCEL,) == excinfo.value.capabilities
    assert {"shippo"} == {"easypost", "shippo"}.intersection(excinfo.value.supported_by)


def test_countries_choose_the_vendor() -> None:
    """A route with a country as its condition decides the vendor of a shipment."""
    two = ShippingHubs(
        Route("shipping", "shippo", countries="DE"),
        Route("shipping", "easypost"),
    )
    foreign_address = Address(line1="Unter den Linden 1", postal_code="10117", country="DE")
    two.hub.shipping().validate_address(foreign_address)

    assert [0, 1] == [len(two.easypost.requests), len(two.shippo.requests)]


def test_rate_is_bought_at_its_vendor() -> None:
    """A rate is bought at the vendor that offered it, even if the routes change."""
    two = ShippingHubs(Route("shipping", "easypost"))
    offer = two.hub.shipping().get_rates(REQUEST).rates[0]
    later_hub = Hub(
        two.accounts,
        [Route("shipping", "shippo")],
        http=SandboxHttpClient(two.easypost, two.shippo),
    )
    bought_shipment = later_hub.shipping().create_shipment(
        str(offer.ref), idempotency_key="order-1"
    )

    assert "easypost" == bought_shipment.ref.vendor
    with pytest.raises(InvalidData):
        later_hub.shipping().create_shipment(
            str(offer.ref).replace("easypost", "shippo", 1), idempotency_key="order-2"
        )


def test_failure_in_a_batch_of_shipments_affects_no_other_item() -> None:
    """A batch can mix requests, rates and references, and one failure affects no other item."""
    two = ShippingHubs(Route("shipping", "easypost"))
    shipping = two.hub.shipping()
    offer = shipping.get_rates(REQUEST).rates[0]
    items: list[ShipmentRequest | Rate | str] = [
        ShipmentRequest(rate_request=REQUEST),
        offer,
        "nonsense",
    ]
    results = shipping.create_many(items, idempotency_key="batch")

    assert [True, True, False] == [result.ok for result in results]
    assert isinstance(results[2].error, InvalidData)
    with pytest.raises(InvalidData):
        shipping.create_many(items, idempotency_key=" ")
    (longest_result,) = shipping.create_many(items[:1], idempotency_key="k" * 255)
    assert longest_result.ok


def test_buying_needs_a_key() -> None:
    """Buying a label without an idempotency key is refused."""
    two = ShippingHubs(Route("shipping", "easypost"))
    with pytest.raises(InvalidData):
        two.hub.shipping().create_shipment(
            ShipmentRequest(rate_request=REQUEST), idempotency_key=""
        )
    assert [] == two.easypost.requests


def test_rates_are_repeated_by_key() -> None:
    """Requesting rates again with the same idempotency key returns the same rates."""
    two = ShippingHubs(Route("shipping", "easypost"))
    shipping = two.hub.shipping()
    first = shipping.get_rates(REQUEST, idempotency_key="q-1")

    assert first == shipping.get_rates(REQUEST, idempotency_key="q-1")
    assert 1 == len(two.easypost.shipments)


def test_labels_are_bought_over_a_real_connection() -> None:
    """Labels are bought over a real connection.

    The label files are fetched from another address.
    """
    sandbox = ShippoSandbox()
    with sandbox.serving() as api, sandbox.serving() as files:
        sandbox.files = files.url
        vendor = Shippo(credentials=sandbox.token, base_url=api.url, label_hosts=(files.url,))
        with Hub([Account("shippo", vendor)]) as hub:
            request = ShipmentRequest(rate_request=REQUEST)
            bought_shipment = hub.shipping().create_shipment(request, idempotency_key="order-1")

        async def get_label_later() -> Label:
            async with AsyncHub([Account("shippo", vendor)]) as later_hub:
                return await later_hub.shipping().get_label(bought_shipment.ref)

        assert bought_shipment.labels[0] == asyncio.run(get_label_later())
    assert bought_shipment.labels[0].content is not None


def test_shipment_of_a_tenant_uses_the_account_of_the_tenant() -> None:
    """A tenant's shipments use the tenant's account, and no other tenant can get the labels."""
    sandbox = EasyPostSandbox()
    fields: dict[str, Any] = {"tenants": ["acme"]}
    account = Account("acme", EasyPost(credentials=sandbox.api_key), **fields)
    hub = Hub([account], http=SandboxHttpClient(sandbox))
    request = ShipmentRequest(rate_request=REQUEST)
    bought_shipment = hub.shipping(tenant="acme").create_shipment(
        request, idempotency_key="order-1"
    )

    with pytest.raises(InvalidData):
        hub.shipping(tenant="globex").get_label(bought_shipment.ref)
    with pytest.raises(ConfigurationError):
        hub.shipping().get_rates(REQUEST)


def test_asynchronous_hub_buys() -> None:
    """An asynchronous hub buys labels like a synchronous one."""

    async def run() -> tuple[Shipment, Shipment]:
        sandbox = EasyPostSandbox()
        account = Account("easypost", EasyPost(credentials=sandbox.api_key))
        async with AsyncHub([account], http=AsyncSandboxHttpClient(sandbox)) as hub:
            request = ShipmentRequest(rate_request=REQUEST)
            bought_shipment = await hub.shipping().create_shipment(
                request, idempotency_key="order-1"
            )
            return bought_shipment, await hub.shipping().create_shipment(
                request, idempotency_key="order-1"
            )

    first, second = asyncio.run(run())
    assert first == second


class ProcessKilled(BaseException):
    """The exception that is raised where a real process would be killed."""


class KillingClient(SandboxHttpClient):
    """An HTTP client that raises ProcessKilled after a given number of labels was sold."""

    def __init__(self, sold: Callable[[], int], last: int, *sandboxes: Sandbox) -> None:
        super().__init__(*sandboxes)
        self._sold, self._last = sold, last

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send the request, and raise ProcessKilled after the last sale that is allowed."""
        response = super().send(request, url, timeouts)
        if self._sold() >= self._last:
            raise ProcessKilled
        return response


@pytest.mark.parametrize("vendor", ["easypost", "shippo"])
def test_killed_batch_continues_in_another_process(vendor: str, tmp_path: Path) -> None:
    """If a process is killed at the third of five labels, a second run buys the missing labels."""
    two = ShippingHubs(Route("shipping", vendor))
    opened_storages: list[SqliteStorage] = []

    def sold() -> int:
        labels = [
            shipment for shipment in two.easypost.shipments.values() if shipment["postage_label"]
        ]
        return len(labels) + len(two.shippo.transactions)

    def process(http: SandboxHttpClient) -> Hub:
        state = SqliteStorage(tmp_path / "state.db")
        opened_storages.append(state)
        return Hub(two.accounts, [Route("shipping", vendor)], http=http, state=state)

    items = [ShipmentRequest(rate_request=REQUEST) for _ in range(5)]
    with pytest.raises(ProcessKilled):
        process(KillingClient(sold, 3, two.easypost, two.shippo)).shipping().create_many(
            items, idempotency_key="wave-7", at_once=1
        )
    assert 3 == sold()
    alive_hub = process(SandboxHttpClient(two.easypost, two.shippo))
    results = alive_hub.shipping().create_many(items, idempotency_key="wave-7")

    assert [] == [result.error for result in results if not result.ok]
    assert 5 == sold()
    assert 5 == len({result.unwrap().tracking_numbers for result in results})
    for state in opened_storages:
        state.close()
