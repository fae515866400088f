"""An order's addresses and lines, in the form that each payment vendor receives."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import Account, Hub
from moorage.contracts.address import Address
from moorage.contracts.payments import Charge, Customer, LineItem, LinkRequest, Money
from moorage.errors import ConnectorError, InvalidData, InvalidRequest, UnsupportedByVendor
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendor_sdk import Answer
from moorage.vendors.payments._adyen_order import order_fields as adyen_fields
from moorage.vendors.payments._mollie_order import order_fields as mollie_fields
from moorage.vendors.payments._order_details import TaxedLine, taxed_line
from moorage.vendors.payments._paypal_requests import order_body
from moorage.vendors.payments._square_order import order_fields as square_fields
from moorage.vendors.payments._stripe_intents import confirmed_body, intent_body
from moorage.vendors.payments._stripe_links import sum_of_lines
from tests.vendors.payments_subjects import adyen, stripe
from tests.vendors.subjects.checkout_com import checkout_com
from tests.vendors.subjects.mollie import mollie
from tests.vendors.subjects.paypal import paypal

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.kits.payments_conformance import PaymentsSubject

ADDRESS: Final = Address(
    name="Ada M. Byron",
    company="Engines Ltd",
    line1="Skalitzer Str. 12a",
    line2="Back house",
    line3="2nd floor",
    city="Berlin",
    region="BE",
    postal_code="10999",
    country="DE",
    phone="+493012345",
    email="ada@erp.example",
)
LINES: Final = (
    LineItem(
        "Chair",
        Money("10.00", "EUR"),
        quantity=2,
        tax=Money("3.80", "EUR"),
        tax_rate=Decimal(19),
        sku="CH-1",
    ),
    LineItem("Table", Money("30.00", "EUR"), discount=Money("5.00", "EUR")),
)
TOTAL: Final = Money("48.80", "EUR")


def order(source: str | None = "tok_visa", **fields: Any) -> Charge:
    """Return a charge with both addresses and two lines."""
    fields = {
        "billing_address": ADDRESS,
        "shipping_address": ADDRESS,
        "lines": LINES,
        **fields,
    }
    return Charge(TOTAL, source, reference="INV-1", **fields)


def sent_by(subject: PaymentsSubject, charge: Charge) -> Any:
    """Return the request body that a vendor gets for a charge with addresses and lines."""
    settings = {"volatile_keys": True}
    account = Account("main", subject.vendor, settings=settings)
    with Hub([account], http=SandboxHttpClient(subject.sandbox)) as hub:
        hub.payments().charge(charge, idempotency_key="1")
    return subject.sandbox.requests[-1].json()


STRIPE_ADDRESS: Final = {
    "line1": "Skalitzer Str. 12a",
    "line2": "Back house, 2nd floor",
    "city": "Berlin",
    "state": "BE",
    "postal_code": "10999",
    "country": "DE",
}


def test_stripe_gets_address_net_prices_and_billing_details() -> None:
    """Stripe gets the delivery address, lines with net prices, and billing details."""
    body = confirmed_body(order(), capture_method="automatic")

    assert {"name": "Ada M. Byron", "phone": "+493012345", "address": STRIPE_ADDRESS} == body[
        "shipping"
    ]
    assert {
        "line_items": [
            {
                "product_name": "Chair",
                "product_code": "CH-1",
                "quantity": 2,
                "unit_cost": 1000,
                "tax": {"total_tax_amount": 380},
            },
            {"product_name": "Table", "quantity": 1, "unit_cost": 3000, "discount_amount": 500},
        ]
    } == body["amount_details"]
    details = body["payment_method_data"]["billing_details"]
    assert {
        "name": "Ada M. Byron",
        "email": "ada@erp.example",
        "phone": "+493012345",
        "address": STRIPE_ADDRESS,
    } == details


def test_stripe_prefers_the_customers_details() -> None:
    """Stripe gets the customer's name, not the name in the address."""
    body = intent_body(order(customer=Customer(name="Grace Hopper")))
    bare_body = intent_body(order(billing_address=None))

    details = body["payment_method_data"]["billing_details"]
    assert ("Grace Hopper", "ada@erp.example") == (details["name"], details["email"])
    assert "billing_details" not in bare_body["payment_method_data"]


@pytest.mark.parametrize("source", ["pm_1", "ctoken_1", None])
def test_stripe_refuses_a_billing_address_that_it_would_drop(source: str | None) -> None:
    """A billing address for a stored Stripe payment method is refused, as Stripe would drop it."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        intent_body(order(source))
    assert ("billing_address",) == excinfo.value.capabilities


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"shipping_address": Address(country="DE")}, "shipping_address.name"),
        ({"lines": [LineItem("Chair", TOTAL, sku="x" * 13)]}, "lines.sku"),
    ],
)
def test_delivery_without_recipient_and_long_item_number_are_refused_before_sending(
    fields: dict[str, Any], field: str
) -> None:
    """A delivery without a recipient and a long item number are refused before sending."""
    with pytest.raises(InvalidData) as excinfo:
        intent_body(order(**fields))
    assert field == excinfo.value.field


def test_stripe_ships_to_a_company() -> None:
    """A delivery without a person's name is addressed to the company."""
    address = Address(company="Engines Ltd", country="DE")

    shipping = intent_body(order(shipping_address=address))["shipping"]
    assert {"name": "Engines Ltd", "address": {"country": "DE"}} == shipping


def test_stripe_link_has_the_sum_of_its_lines() -> None:
    """A payment link's amount is the sum of its lines, or None if not all lines are known."""
    items: list[dict[str, Any]] = [
        {"amount_total": 2380, "currency": "eur"},
        {"amount_total": 2500, "currency": "eur"},
    ]

    assert TOTAL == sum_of_lines(Answer({"line_items": {"data": items, "has_more": False}}))
    rests: list[dict[str, Any]] = [
        {"data": items, "has_more": True},
        {"data": [*items, {}]},
        {"data": []},
    ]
    for rest in rests:
        assert sum_of_lines(Answer({"line_items": rest})) is None


def test_adyen_gets_house_number_separately() -> None:
    """Adyen gets the house number separately, and prices with and without tax."""
    fields = adyen_fields(order())

    address = {
        "street": "Skalitzer Str., Back house, 2nd floor",
        "houseNumberOrName": "12a",
        "city": "Berlin",
        "postalCode": "10999",
        "stateOrProvince": "BE",
        "country": "DE",
    }
    assert address == fields["billingAddress"]
    assert address | {"firstName": "Ada M.", "lastName": "Byron"} == fields["deliveryAddress"]
    assert [
        {
            "id": "CH-1",
            "sku": "CH-1",
            "description": "Chair",
            "quantity": 2,
            "amountIncludingTax": 1190,
            "amountExcludingTax": 1000,
            "taxAmount": 190,
            "taxPercentage": 1900,
        },
        {
            "description": "Table",
            "quantity": 1,
            "amountIncludingTax": 2500,
            "amountExcludingTax": 2500,
        },
    ] == fields["lineItems"]


@pytest.mark.parametrize(
    "line1, street, number",
    [
        ("12 Main Street", "Main Street", "12"),
        ("Skalitzer Str. 12", "Skalitzer Str.", "12"),
        ("Rose Cottage", "Rose Cottage", "N/A"),
        ("1" * 501, "1" * 501, "N/A"),
    ],
)
def test_adyen_gets_house_number_from_anywhere_in_line(
    line1: str, street: str, number: str
) -> None:
    """Adyen gets the house number from anywhere in the line, or N/A if there is none."""
    address = Address(line1=line1, city="Berlin", postal_code="10999", country="DE")
    fields = adyen_fields(order(shipping_address=address))["deliveryAddress"]

    assert (street, number) == (fields["street"], fields["houseNumberOrName"])


@pytest.mark.parametrize("name", ["line1", "city", "postal_code"])
def test_adyen_refuses_an_incomplete_address(name: str) -> None:
    """If an address lacks a field that Adyen requires, the error names that field."""
    fields: dict[str, Any] = {"line1": "Main Street 1", "city": "Berlin", "postal_code": "10999"}
    address = Address(country="DE", **{**fields, name: None})
    with pytest.raises(InvalidData) as excinfo:
        adyen_fields(LinkRequest(TOTAL, reference="1", billing_address=address))
    assert f"billing_address.{name}" == excinfo.value.field


def test_mollie_gets_addresses_with_names() -> None:
    """Mollie gets addresses with names, and prices that include tax."""
    fields = mollie_fields(order())

    assert {
        "givenName": "Ada M.",
        "familyName": "Byron",
        "organizationName": "Engines Ltd",
        "streetAndNumber": "Skalitzer Str. 12a",
        "streetAdditional": "Back house, 2nd floor",
        "postalCode": "10999",
        "email": "ada@erp.example",
        "phone": "+493012345",
        "city": "Berlin",
        "region": "BE",
        "country": "DE",
    } == fields["billingAddress"]
    assert fields["billingAddress"] == fields["shippingAddress"]
    assert [
        {
            "description": "Chair",
            "sku": "CH-1",
            "quantity": 2,
            "unitPrice": {"currency": "EUR", "value": "11.90"},
            "totalAmount": {"currency": "EUR", "value": "23.80"},
            "vatRate": "19.00",
            "vatAmount": {"currency": "EUR", "value": "3.80"},
        },
        {
            "description": "Table",
            "quantity": 1,
            "unitPrice": {"currency": "EUR", "value": "25.00"},
            "totalAmount": {"currency": "EUR", "value": "25.00"},
        },
    ] == fields["lines"]


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"billing_address": Address(country="DE", line1="Street 1")}, "billing_address"),
        ({"shipping_address": Address(country="DE", city="Berlin")}, "shipping_address"),
        ({"lines": [LineItem("Chair", TOTAL, tax=TOTAL * 0)]}, "lines.tax_rate"),
        ({"lines": [LineItem("Chair", TOTAL, sku="x" * 65)]}, "lines.sku"),
    ],
)
def test_mollie_refuses_what_it_cannot_take(fields: dict[str, Any], field: str) -> None:
    """Incomplete addresses, taxes without a rate and long item numbers are not sent to Mollie."""
    with pytest.raises(InvalidData) as excinfo:
        mollie_fields(order(**fields))
    assert field == excinfo.value.field


def test_address_needs_no_name() -> None:
    """An address without a name is sent without name fields."""
    address = Address(country="DE", email="ada@erp.example")
    charge = order(billing_address=address, shipping_address=address)

    assert {"email": "ada@erp.example", "country": "DE"} == mollie_fields(charge)["billingAddress"]
    assert {"country": "DE"} == square_fields(charge)["billing_address"]
    assert {} == square_fields(order(billing_address=None, shipping_address=None))


PAYPAL_ADDRESS: Final = {
    "address_line_1": "Skalitzer Str. 12a",
    "address_line_2": "Back house, 2nd floor",
    "admin_area_2": "Berlin",
    "admin_area_1": "BE",
    "postal_code": "10999",
    "country_code": "DE",
}


def euros(value: str) -> dict[str, str]:
    """Return an amount in PayPal's format."""
    return {"currency_code": "EUR", "value": value}


def test_paypal_gets_items_with_net_prices_sums_and_address() -> None:
    """PayPal gets items with net prices, their sums, and the delivery address."""
    body = order_body(order("paypal"), "CAPTURE", "https://erp.example/back")

    (unit,) = body["purchase_units"]
    assert {
        **euros("48.80"),
        "breakdown": {
            "item_total": euros("50.00"),
            "tax_total": euros("3.80"),
            "discount": euros("5.00"),
        },
    } == unit["amount"]
    assert [
        {"name": "Chair", "sku": "CH-1", "quantity": "2", "unit_amount": euros("10.00")},
        {"name": "Table", "quantity": "1", "unit_amount": euros("30.00")},
    ] == unit["items"]
    assert {"name": {"full_name": "Ada M. Byron"}, "address": PAYPAL_ADDRESS} == unit["shipping"]
    wallet = body["payment_source"]["paypal"]
    assert PAYPAL_ADDRESS == wallet["address"]
    assert "SET_PROVIDED_ADDRESS" == wallet["experience_context"]["shipping_preference"]


def test_paypal_delivery_needs_no_recipient() -> None:
    """PayPal needs no recipient for a delivery, and neither tax nor discount for a line."""
    charge = order(
        "card:1", shipping_address=Address(country="DE"), lines=[LineItem("Chair", TOTAL)]
    )
    body = order_body(charge, "CAPTURE", None)

    (unit,) = body["purchase_units"]
    assert {"address": {"country_code": "DE"}} == unit["shipping"]
    assert {"item_total": euros("48.80")} == unit["amount"]["breakdown"]
    assert {"vault_id": "1", "billing_address": PAYPAL_ADDRESS} == body["payment_source"]["card"]


@pytest.mark.parametrize("source", ["venmo:1", "paypal:1"])
def test_paypal_refuses_a_billing_address_that_it_would_drop(source: str) -> None:
    """For a stored PayPal account a billing address is refused, as PayPal has its own."""
    with pytest.raises(UnsupportedByVendor) as excinfo:
        order_body(order(source), "CAPTURE", None)
    assert ("billing_address",) == excinfo.value.capabilities


@pytest.mark.parametrize("fields", [{"name": "x" * 128}, {"name": "x", "sku": "x" * 128}])
def test_paypal_refuses_long_texts(fields: dict[str, Any]) -> None:
    """A name or number that is too long for PayPal is refused before sending."""
    line = LineItem(unit_price=TOTAL, **fields)
    with pytest.raises(InvalidData, match="at most 127"):
        order_body(order("card:1", lines=[line]), "CAPTURE", None)


@pytest.mark.parametrize(
    "line, taxed",
    [
        (
            LineItem("Chair", Money("10.00", "EUR"), quantity=3, tax=Money("3.00", "EUR")),
            TaxedLine("Chair", 3, Money("11.00", "EUR"), Money("1.00", "EUR")),
        ),
        (
            LineItem("Chair", Money("10.00", "EUR"), quantity=3, tax=Money("1.00", "EUR")),
            TaxedLine("3 × Chair", 1, Money("31.00", "EUR"), Money("1.00", "EUR")),
        ),
        (
            LineItem("Chair", Money("10.00", "EUR"), quantity=3, discount=Money("3.00", "EUR")),
            TaxedLine("3 × Chair", 1, Money("27.00", "EUR"), None),
        ),
    ],
    ids=["divisible", "not divisible", "discount"],
)
def test_unit_price_includes_tax_that_can_be_divided(line: LineItem, taxed: TaxedLine) -> None:
    """Unit prices include tax; a line whose total does not divide exactly is sent as one item."""
    assert taxed == taxed_line(line)


def test_square_gets_both_addresses() -> None:
    """Square gets both addresses, with all their lines."""
    fields = square_fields(order())

    assert {
        "first_name": "Ada M.",
        "last_name": "Byron",
        "address_line_1": "Skalitzer Str. 12a",
        "address_line_2": "Back house",
        "address_line_3": "2nd floor",
        "locality": "Berlin",
        "administrative_district_level_1": "BE",
        "postal_code": "10999",
        "country": "DE",
    } == fields["shipping_address"]
    assert fields["shipping_address"] == fields["billing_address"]


CHECKOUT_ADDRESS: Final = {
    "address_line1": "Skalitzer Str. 12a",
    "address_line2": "Back house, 2nd floor",
    "city": "Berlin",
    "state": "BE",
    "zip": "10999",
    "country": "DE",
}


def test_checkout_com_order() -> None:
    """Checkout.com gets the card's address, the delivery address, and prices that include tax."""
    subject = checkout_com()
    body = sent_by(subject, order(subject.pays))

    assert CHECKOUT_ADDRESS == body["source"]["billing_address"]
    assert {
        "first_name": "Ada M.",
        "last_name": "Byron",
        "email": "ada@erp.example",
        "address": CHECKOUT_ADDRESS,
    } == body["shipping"]
    assert [
        {
            "name": "Chair",
            "reference": "CH-1",
            "quantity": 2,
            "unit_price": 1190,
            "tax_amount": 380,
            "total_amount": 2380,
        },
        {"name": "Table", "quantity": 1, "unit_price": 2500, "total_amount": 2500},
    ] == body["items"]


def test_checkout_com_delivery_needs_no_recipient() -> None:
    """A delivery at Checkout.com needs no recipient."""
    subject = checkout_com()
    body = sent_by(subject, order(subject.pays, shipping_address=Address(country="DE")))

    assert {"address": {"country": "DE"}} == body["shipping"]


def test_checkout_com_refuses_a_billing_address_that_it_would_drop() -> None:
    """A billing address for a method that is not a card is refused before sending."""
    subject = checkout_com()
    with pytest.raises(UnsupportedByVendor, match="no billing address for ideal"):
        sent_by(subject, order("ideal", return_url="https://erp.example/back"))
    assert [] == subject.sandbox.requests


LINE: Final = {"product_name": "Chair", "quantity": 1, "unit_cost": 4880}
LONG_CODE: Final = LINE | {"product_code": "1" * 13}
MOLLIE_TOTAL: Final = {"currency": "EUR", "value": "48.80"}
MOLLIE_LINE: Final = {
    "description": "Chair",
    "quantity": 1,
    "unitPrice": MOLLIE_TOTAL,
    "totalAmount": MOLLIE_TOTAL,
}


def unit(**breakdown: str) -> dict[str, Any]:
    """Return a PayPal order with one item and the given totals."""
    sums = {name: euros(value) for name, value in breakdown.items()}
    item = {"name": "Chair", "quantity": "2", "unit_amount": euros("24.40")}
    return {"purchase_units": [{"amount": {**euros("48.80"), "breakdown": sums}, "items": [item]}]}


@pytest.mark.parametrize(
    "make, extra, problem",
    [
        (stripe, {"amount_details": {"line_items": [LINE, LINE]}}, "do not add up"),
        (
            stripe,
            {"amount_details": {"line_items": [LINE | {"product_code": "1" * 13}]}},
            "line item",
        ),
        (stripe, {"shipping": {"address": {"country": "DE"}}}, r"shipping\[name\]"),
        (adyen, {"lineItems": [{"quantity": 2, "amountIncludingTax": 4880}]}, "do not add up"),
        (mollie, {"shippingAddress": {"city": "Berlin"}}, "not complete"),
        (mollie, {"lines": [MOLLIE_LINE, MOLLIE_LINE]}, "do not add up"),
        (mollie, {"lines": [MOLLIE_LINE | {"quantity": 2}]}, "line is invalid"),
        (mollie, {"lines": [MOLLIE_LINE | {"vatRate": "19.00"}]}, "belong together"),
        (checkout_com, {"items": [{"total_amount": 1}]}, "items_total_amount_invalid"),
        (paypal, unit(item_total="24.40"), "ITEM_TOTAL_MISMATCH"),
        (paypal, unit(item_total="48.80", tax_total="0.01"), "AMOUNT_MISMATCH"),
    ],
)
def test_sandbox_refuses_an_invalid_order(
    make: Callable[[], PaymentsSubject], extra: dict[str, Any], problem: str
) -> None:
    """The sandbox refuses an order that the vendor itself would refuse."""
    subject = make()
    charge = Charge(
        TOTAL,
        subject.pays,
        reference="1",
        return_url="https://erp.example/back",
        extra={subject.vendor.name: extra},
    )
    with pytest.raises(ConnectorError, match=problem):
        sent_by(subject, charge)


def test_stripe_sandbox_refuses_a_link_without_items() -> None:
    """Stripe's sandbox refuses a payment link that sells nothing."""
    subject = stripe()
    account = Account("main", subject.vendor, settings={"volatile_keys": True})
    item = {
        "quantity": 0,
        "price_data": {"currency": "eur", "unit_amount": 1, "product_data": {"name": "Chair"}},
    }
    link = LinkRequest(TOTAL, reference="1", extra={"stripe": {"line_items": [item]}})
    with (
        Hub([account], http=SandboxHttpClient(subject.sandbox)) as hub,
        pytest.raises(InvalidRequest, match="Invalid item"),
    ):
        hub.payments().create_link(link, idempotency_key="1")
