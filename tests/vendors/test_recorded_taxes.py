"""Responses from the tests of tax vendors' own libraries are read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.tax_calculation import (
    LineTax,
    ReversedAmount,
    TaxableSale,
    TaxCalculation,
    TaxLine,
    TaxReversal,
)
from moorage.errors import ConnectorError, InvalidRequest, VendorFailed
from moorage.testing.sandbox_scenarios.tax import sale
from moorage.testing.sandboxes.base import reply
from tests.vendors.tax_calculation_subjects import (
    PIZZA,
    dollars,
    pizza_answer,
    stripe_tax,
    taxjar,
    taxjar_error,
)
from tests.vendors.test_tax_calculation_vendors import hub_of

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

DAY: Final = date(2015, 5, 14)
ORDER: Final[dict[str, Any]] = {
    "transaction_id": "123",
    "user_id": 10649,
    "transaction_date": "2015-05-14T00:00:00Z",
    "provider": "api",
    "exemption_type": "non_exempt",
    "from_country": "US",
    "from_zip": "93107",
    "from_state": "CA",
    "from_city": "SANTA BARBARA",
    "from_street": "1281 State St",
    "to_country": "US",
    "to_zip": "90002",
    "to_state": "CA",
    "to_city": "LOS ANGELES",
    "to_street": "123 Palm Grove Ln",
    "amount": "17.45",
    "shipping": "1.5",
    "sales_tax": "0.95",
    "line_items": [
        {
            "id": "1",
            "quantity": 1,
            "product_identifier": "12-34243-9",
            "description": "Fuzzy Widget",
            "product_tax_code": "20010",
            "unit_price": "15.0",
            "discount": "0.0",
            "sales_tax": "0.95",
        }
    ],
}
"""The order in the tests of taxjar-ruby; its lines do not add up to its amount."""
COMPLETE_ORDER: Final = {
    **ORDER,
    "line_items": [{**ORDER["line_items"][0], "unit_price": "15.95"}],
}
"""The order with a price of its line that adds up to its amount."""
REFUND: Final = {**ORDER, "transaction_id": "321", "transaction_reference_id": "123"}
"""The refund in the same tests, with positive amounts."""
TAKEN: Final = taxjar_error(
    422, "Unprocessable Entity", "Provider tranx already imported for your user account"
)
"""TaxJar's response to an id in use, from the recorded tests of the library solidus_taxjar."""


def order_sale(**fields: Any) -> TaxableSale:
    """Return the sale in TaxJar's recorded order."""
    lines = [TaxLine(id="1", amount=dollars("15.95"), tax_code="20010")]
    defaults = {"reference": "123", "day": DAY, "lines": lines, "shipping": dollars("1.50")}
    return sale(**{**defaults, **fields})


def order_calculation(**fields: Any) -> TaxCalculation:
    """Return the tax calculation of the recorded order, for a TaxJar account."""
    sold = order_sale(**fields)
    line = LineTax(id="1", net=sold.lines[0].amount, tax=dollars("0.95"))
    ref = Ref("taxjar", "taxjar", "taxes")
    return TaxCalculation(ref=ref, sale=sold, lines=(line,), tax=dollars("0.95"))


def test_a_recorded_order_of_taxjar_is_read() -> None:
    """Amounts given as texts, and a date without a fraction of seconds, are read."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        sandbox.fail(reply({"order": ORDER}, 201))
        record = hub.tax().record(order_calculation(), idempotency_key="k")
    assert ("123", dollars("0.95"), None) == (record.reference, record.tax, record.reverses)


def test_order_with_a_used_taxjar_id_must_be_the_same_sale() -> None:
    """If TaxJar reports a used id, the existing order is returned if it is the same sale."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        sandbox.fail(TAKEN, reply({"order": COMPLETE_ORDER}))
        record = hub.tax().record(order_calculation(), idempotency_key="k")
        assert ("123", dollars("0.95")) == (record.reference, record.tax)
        other_records: list[dict[str, Any]] = [
            {"shipping": dollars("1.49")},
            {"day": date(2015, 5, 15)},
            {"reference": "124"},
        ]
        for number, other in enumerate(other_records):
            sandbox.fail(TAKEN, reply({"order": COMPLETE_ORDER}))
            with pytest.raises(InvalidRequest):
                hub.tax().record(order_calculation(**other), idempotency_key=f"k{number}")
        sandbox.fail(TAKEN, reply({"order": ORDER}))
        with pytest.raises(InvalidRequest):
            hub.tax().record(order_calculation(), idempotency_key="other lines")


def test_an_order_of_taxjar_has_a_date_with_slashes() -> None:
    """The date of an order may have slashes, as in the requests of TaxJar's documentation."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        sandbox.fail(TAKEN, reply({"order": {**COMPLETE_ORDER, "transaction_date": "2015/05/14"}}))
        record = hub.tax().record(order_calculation(), idempotency_key="k")

    assert "123" == record.reference


def test_a_recorded_refund_of_taxjar_is_read() -> None:
    """A refund sends TaxJar negative amounts, and the refund's tax is read as negative."""
    hub, sandbox = hub_of(taxjar)
    reversal = TaxReversal(reference="321", day=DAY)
    with hub:
        sandbox.fail(reply({"order": ORDER}), reply({"refund": REFUND}, 201))
        ref = Ref("taxjar", "taxjar", "123", {"currency": "USD"})
        record = hub.tax().reverse(ref, reversal, idempotency_key="k")
    assert (dollars("-0.95"), ref) == (record.tax, record.reverses)
    body = sandbox.requests[-1].json()
    assert {
        "transaction_id": "321",
        "transaction_reference_id": "123",
        "transaction_date": "2015-05-14",
        "from_zip": "93107",
        "to_street": "123 Palm Grove Ln",
        "exemption_type": "non_exempt",
        "amount": -17.45,
        "shipping": -1.5,
        "sales_tax": -0.95,
    }.items() <= body.items()
    assert [
        {
            "id": "1",
            "quantity": 1,
            "product_tax_code": "20010",
            "unit_price": -15,
            "discount": 0,
            "sales_tax": -0.95,
        }
    ] == body["line_items"]


TRANSACTION: Final[dict[str, Any]] = {
    "created": 1234567890,
    "currency": "usd",
    "customer": None,
    "customer_details": {"tax_ids": [], "taxability_override": "none"},
    "id": "tax_1Pgc7AB7WZ01zgkW5XONRnmb",
    "line_items": {
        "data": [
            {
                "amount": 1499,
                "amount_tax": 148,
                "id": "tax_li_QXhWXb3MbhgP1Q",
                "livemode": False,
                "metadata": None,
                "object": "tax.transaction_line_item",
                "product": None,
                "quantity": 1,
                "reference": "Pepperoni Pizza",
                "reversal": {"original_line_item": "original_line_item"},
                "tax_behavior": "exclusive",
                "tax_code": "txcd_40060003",
                "type": "transaction",
            }
        ],
        "has_more": False,
        "object": "list",
        "url": "/v1/tax/transactions/tax_1Pgc7AB7WZ01zgkW5XONRnmb/line_items",
    },
    "livemode": False,
    "metadata": None,
    "object": "tax.transaction",
    "posted_at": 1234567890,
    "reference": "myOrder_123",
    "reversal": {"original_transaction": None},
    "shipping_cost": {
        "amount": 300,
        "amount_tax": 0,
        "tax_behavior": "exclusive",
        "tax_code": "txcd_92010001",
    },
    "tax_date": 1234567890,
    "type": "transaction",
}
"""The transaction in Stripe's published fixtures."""


def test_a_published_transaction_of_stripe_is_read() -> None:
    """A Stripe transaction whose reversal names no original is a sale."""
    hub, sandbox = hub_of(stripe_tax)
    with hub:
        calculation = hub.tax().calculate(sale(reference="myOrder_123"))
        sandbox.fail(reply(TRANSACTION))
        record = hub.tax().record(calculation, idempotency_key="k")
    assert "tax_1Pgc7AB7WZ01zgkW5XONRnmb" == record.ref.id
    assert ("myOrder_123", dollars("1.48"), None) == (
        record.reference,
        record.tax,
        record.reverses,
    )
    assert datetime.fromtimestamp(1234567890, UTC) == record.recorded_at


def test_parts_of_a_published_transaction_are_reversed() -> None:
    """The caller's references select the lines to reverse; Stripe gets its own line ids."""
    hub, sandbox = hub_of(stripe_tax)
    ref = Ref("stripe_tax", "stripe_tax", "tax_1", {"currency": "USD"})
    part = ReversedAmount(amount=dollars("14.99"), tax=dollars("1.48"))
    reversal = TaxReversal(
        reference="myOrder_123-refund_1",
        day=DAY,
        lines={"Pepperoni Pizza": part},
        shipping=attrs.evolve(part, amount=dollars("3.00"), tax=dollars("0.00")),
    )
    answer = {
        **TRANSACTION,
        "type": "reversal",
        "reference": "myOrder_123-refund_1",
        "reversal": {"original_transaction": "tax_1"},
        "shipping_cost": None,
        "line_items": {"data": [], "has_more": False},
    }
    with hub:
        sandbox.fail(reply(TRANSACTION["line_items"]), reply(answer))
        record = hub.tax().reverse(ref, reversal, idempotency_key="k")
    assert ref == record.reverses
    assert {
        "mode": "partial",
        "original_transaction": "tax_1",
        "reference": "myOrder_123-refund_1",
        "line_items[0][original_line_item]": "tax_li_QXhWXb3MbhgP1Q",
        "line_items[0][reference]": "myOrder_123-refund_1/Pepperoni Pizza",
        "line_items[0][amount]": "-1499",
        "line_items[0][amount_tax]": "-148",
        "shipping_cost[amount]": "-300",
        "shipping_cost[amount_tax]": "0",
        "expand[0]": "line_items",
    } == dict(sandbox.requests[-1].form)


@pytest.mark.parametrize(
    "fields",
    [
        {"reference": "another"},
        {"currency": "moon"},
        {"id": None},
        {"line_items": None},
        {"line_items": {"data": [{"amount_tax": "1.48"}], "has_more": False}},
    ],
)
def test_a_malformed_transaction_of_stripe_is_no_record(fields: dict[str, Any]) -> None:
    """A Stripe transaction without its content, or of another sale, is an error."""
    hub, sandbox = hub_of(stripe_tax)
    with hub:
        calculation = hub.tax().calculate(sale(reference="myOrder_123"))
        sandbox.fail(reply({**TRANSACTION, **fields}))
        with pytest.raises(ConnectorError):
            hub.tax().record(calculation, idempotency_key="k")


@pytest.mark.parametrize(
    "answer",
    [
        pizza_answer(currency="eur"),
        pizza_answer(amount_total=1948),
        pizza_answer(tax_amount_exclusive=149),
        pizza_answer(tax_amount_inclusive=None),
        pizza_answer(shipping_cost=None),
        pizza_answer(shipping_cost={"amount": 299, "amount_tax": 0}),
        pizza_answer(id=None),
    ],
)
def test_a_calculation_of_stripe_is_about_its_sale(answer: Response) -> None:
    """A calculation with another amount, currency or total than the sale's is an error."""
    hub, sandbox = hub_of(stripe_tax)
    with hub:
        sandbox.fail(pizza_answer())
        assert dollars("1.48") == hub.tax().calculate(PIZZA).tax
        sandbox.fail(answer)
        with pytest.raises(VendorFailed):
            hub.tax().calculate(PIZZA)


@pytest.mark.parametrize(
    "answers",
    [
        [reply({"order": {**ORDER, "transaction_id": "124"}})],
        [reply({"order": {**ORDER, "amount": None}})],
        [reply({"order": ORDER}), reply({"refund": {**REFUND, "transaction_id": "322"}}, 201)],
        [reply({"order": ORDER}), reply({"refund": {**REFUND, "sales_tax": "?"}}, 201)],
    ],
)
def test_a_refund_of_taxjar_is_about_its_order(answers: list[Response]) -> None:
    """A TaxJar response about another order or refund than requested is an error."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        sandbox.fail(*answers)
        ref = Ref("taxjar", "taxjar", "123", {"currency": "USD"})
        with pytest.raises(ConnectorError):
            hub.tax().reverse(ref, TaxReversal(reference="321", day=DAY), idempotency_key="k")
    assert {} == sandbox.refunds
