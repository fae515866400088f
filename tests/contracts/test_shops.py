"""Shop values and their fields, and refused arguments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import InvalidData, Money
from moorage.contracts.ref import Ref
from moorage.contracts.shops import (
    FulfilledLine,
    Fulfilment,
    OrderQuery,
    ShopsCapability,
)
from moorage.hub.hub import Hub
from moorage.packing import pack, unpack

REF = Ref("shopify", "shop", "1")
EUROS = Money("5.00", "EUR")


def test_values_survive_a_store() -> None:
    """A query and a fulfilment with all their fields can be packed and read back."""
    query = OrderQuery(updated_since=datetime(2031, 5, 6, tzinfo=UTC), limit=10)
    fulfilment = Fulfilment(
        tracking_number="1Z",
        carrier="UPS",
        tracking_url="https://ups.example/1Z",
        lines=[FulfilledLine(id="1", quantity=2)],
        notify=True,
    )

    assert query == unpack(pack(query))
    assert fulfilment == unpack(pack(fulfilment))


def test_fulfilment_of_some_lines_needs_a_capability() -> None:
    """A fulfilment needs a capability only if it covers just some of an order's lines."""
    line = FulfilledLine(id="1", quantity=1)
    assert frozenset() == Fulfilment(tracking_number="1Z").needs
    assert {ShopsCapability.PARTIAL_FULFILMENT} == Fulfilment(lines=[line]).needs


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"tracking_number": " "}, "tracking_number"),
        ({"tracking_number": 1}, "tracking_number"),
        ({"carrier": ""}, "carrier"),
        ({"tracking_url": "ups.example/1Z"}, "tracking_url"),
        ({"tracking_url": "javascript:alert(1)"}, "tracking_url"),
        ({"tracking_url": "https://["}, "tracking_url"),
        ({"lines": "1"}, "lines"),
        ({"lines": ["1"]}, "lines[0]"),
        ({"lines": [FulfilledLine(id="1", quantity=1)] * 2}, "lines"),
        ({"notify": 1}, "notify"),
    ],
)
def test_wrong_fields_of_a_fulfilment_are_refused(fields: dict[str, Any], field: str) -> None:
    """A fulfilment with a wrong field is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        Fulfilment(**fields)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "kind, fields, field",
    [
        (FulfilledLine, {"id": "", "quantity": 1}, "id"),
        (FulfilledLine, {"id": "1", "quantity": 0}, "quantity"),
        (OrderQuery, {"limit": 0}, "limit"),
        (OrderQuery, {"updated_since": datetime(2031, 5, 6)}, "updated_since"),  # noqa: DTZ001 - is refused
    ],
)
def test_wrong_fields_are_refused(kind: Any, fields: dict[str, Any], field: str) -> None:
    """A line or query with a wrong field is refused; the error contains the field's name."""
    with pytest.raises(InvalidData) as excinfo:
        kind(**fields)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "operation, arguments, options, field",
    [
        ("orders", ["all"], {}, "query"),
        ("orders", [], {"account": 1}, "account"),
        ("fulfil", [REF, "1Z"], {"idempotency_key": "k"}, "fulfilment"),
        ("refund", [REF, Money("0.00", "EUR")], {"idempotency_key": "k"}, "amount"),
        ("refund", [REF, 5], {"idempotency_key": "k"}, "amount"),
        ("refund", [REF, EUROS], {"idempotency_key": "k", "reason": 1}, "reason"),
        ("find_items", [""], {}, "sku"),
        ("find_items", [" A"], {}, "sku"),
        ("find_items", ["A\nB"], {}, "sku"),
        ("find_items", ["A"], {"account": 1}, "account"),
        ("set_stock", [REF, -1], {}, "quantity"),
        ("set_stock", [REF, True], {}, "quantity"),
        ("set_stock", [REF, 1], {"expected": 1.0}, "expected"),
        ("set_stock", [REF, 1], {"location": 1}, "location"),
        ("set_price", [REF, Money("-1.00", "EUR")], {}, "price"),
    ],
)
def test_operations_refuse_wrong_arguments(
    operation: str, arguments: list[Any], options: dict[str, Any], field: str
) -> None:
    """An operation refuses a wrong argument; the error contains its name."""
    with pytest.raises(InvalidData) as excinfo:
        getattr(Hub([]).shops(), operation)(*arguments, **options)
    assert field == excinfo.value.field
