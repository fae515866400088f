"""Requests to TaxJar: the fields of a sale, and orders and refunds created once."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.tax_calculation import TaxExemption, TaxRecord
from moorage.vendors.tax._calculations import CURRENCY, exact_number, street_of, unknown_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.address import Address
    from moorage.contracts.tax_calculation import (
        TaxableSale,
        TaxCalculation,
        TaxLine,
        TaxReversal,
    )

_TAKEN_STATUS: Final = 422
_TAKEN_WORDS: Final = "already imported"
_ZERO: Final = Decimal(0)
_PLACE: Final = ("country", "zip", "state", "city", "street")
_EXEMPTIONS: Final = {
    TaxExemption.RESALE: "wholesale",
    TaxExemption.GOVERNMENT: "government",
    TaxExemption.OTHER: "other",
}


class Records(NamedTuple):
    """A type of record at TaxJar (orders or refunds), with its path and its name in responses."""

    path: str
    name: str

    def record_path(self, id_: str) -> str:
        """The path of one record."""
        return f"{self.path}/{quote(id_, safe='')}"


ORDERS: Final = Records("/v2/transactions/orders", "order")
REFUNDS: Final = Records("/v2/transactions/refunds", "refund")


def _place_of(direction: str, address: Address | None) -> dict[str, Any]:
    if address is None:
        return {}
    parts = {
        "country": address.country,
        "zip": address.postal_code,
        "state": address.region,
        "city": address.city,
        "street": street_of(address),
    }
    return {f"{direction}_{name}": value for name, value in parts.items() if value}


def _line_fields(line: TaxLine) -> dict[str, Any]:
    """A line's fields: a unit price, and a discount if the total is not divisible evenly."""
    quantity, minor = line.quantity, line.amount.minor
    price = -(-minor // quantity)
    currency = line.amount.currency
    fields: dict[str, Any] = {
        "id": line.id,
        "quantity": quantity,
        "unit_price": exact_number(sdk.Money.from_minor(price, currency)),
        "discount": exact_number(sdk.Money.from_minor(price * quantity - minor, currency)),
    }
    return fields if line.tax_code is None else {**fields, "product_tax_code": line.tax_code}


def sale_body(sale: TaxableSale) -> dict[str, Any]:
    """The fields that a calculation and a recorded order of a sale have in common."""
    body = {
        **_place_of("from", sale.ship_from),
        **_place_of("to", sale.ship_to),
        "amount": exact_number(sale.amount),
        "shipping": exact_number(sale.shipping or sdk.Money(0, sale.currency)),
        "line_items": [_line_fields(line) for line in sale.lines],
    }
    if sale.exemption is not None:
        body["exemption_type"] = _EXEMPTIONS[sale.exemption]
    return sdk.merged(body, sdk.extra_for("taxjar", sale.extra))


def order_body(calculation: TaxCalculation) -> dict[str, Any]:
    """An order's fields, with the calculated tax."""
    sale = calculation.sale
    body = sale_body(sale)
    for fields, line in zip(body["line_items"], calculation.lines, strict=False):
        fields["sales_tax"] = exact_number(line.tax)
    return {
        "transaction_id": sale.reference,
        "transaction_date": sale.day.isoformat(),
        **body,
        "sales_tax": exact_number(calculation.tax),
    }


def refund_body(
    response: sdk.Response, ref: sdk.Ref, reversal: TaxReversal, currency: str
) -> dict[str, Any]:
    """A refund's fields, with negative amounts.

    Raises:
        InvalidData: the order does not have a line of the reversal.
        VendorFailed: the response is not about the order.
    """
    order = sdk.read_answer(response).object(ORDERS.name)
    if order.text("transaction_id") != ref.id:
        raise sdk.malformed(response, "order with the requested transaction_id")
    amounts = _whole_refund(response, order)
    if reversal.parts:
        amounts = _partial_refund(order, reversal, currency)
    places = (f"{direction}_{part}" for direction in ("from", "to") for part in _PLACE)
    names = (*places, "exemption_type")
    return {
        "transaction_id": reversal.reference,
        "transaction_reference_id": ref.id,
        "transaction_date": reversal.day.isoformat(),
        **{name: text for name in names if (text := order.text(name)) is not None},
        **amounts,
    }


async def create(
    wire: sdk.Wire, records: Records, body: Mapping[str, Any], currency: str, key: str
) -> TaxRecord:
    """Create an order or refund, only once per id.

    TaxJar accepts an id once. So the same request may be sent again: if the existing record with
    the id is the same, it is returned.
    """
    read = partial(_read_record, wire, records.name, body, currency)
    try:
        return await wire.send(sdk.Request.post(records.path, json=body), key=key, parse=read)
    except sdk.VendorRejected as refusal:
        return read(await _existing_record(wire, records, body, refusal))


async def _existing_record(
    wire: sdk.Wire, records: Records, body: Mapping[str, Any], refusal: sdk.VendorRejected
) -> sdk.Response:
    """The existing record with this id if its content is the same; otherwise raise the error."""
    is_taken = _TAKEN_WORDS in (refusal.vendor_message or "").lower()
    if refusal.status != _TAKEN_STATUS or not is_taken:
        raise refusal
    response = await wire.send(sdk.Request.get(records.record_path(body["transaction_id"])))
    if not _is_same(sdk.read_answer(response).object(records.name), body):
        raise refusal
    return response


def _is_same(record: sdk.Answer, body: Mapping[str, Any]) -> bool:
    """True if a record has the amounts, date and lines of a request, ignoring signs.

    The ids of the lines are not compared.
    """
    day = (record.text("transaction_date") or "")[:10].replace("/", "-")
    original = body.get("transaction_reference_id")
    return (
        all(_size(record.value(name)) == _size(body[name]) for name in ("amount", "sales_tax"))
        and _size(record.value("shipping")) == _size(body["shipping"])
        and day == body["transaction_date"]
        and record.text("transaction_reference_id") == original
        and record.text("transaction_id") == body["transaction_id"]
        and _line_amounts(record) == _line_amounts(sdk.as_answer(body))
    )


def _line_amounts(record: sdk.Answer) -> list[tuple[Decimal, ...]]:
    """The quantities and amounts of all lines in ascending order, ignoring signs."""
    names = ("quantity", "unit_price", "discount", "sales_tax")
    return sorted(
        tuple(_size(line.value(name)) or _ZERO for name in names)
        for line in record.objects("line_items")
    )


def _size(value: object) -> Decimal | None:
    number = sdk.as_decimal(value)
    return None if number is None else abs(number)


def _read_record(
    wire: sdk.Wire, name: str, body: Mapping[str, Any], currency: str, response: sdk.Response
) -> TaxRecord:
    answer = sdk.read_answer(response)
    record = answer.object(name)
    id_ = sdk.required(record.text("transaction_id"), response, "transaction_id")
    if id_ != body["transaction_id"]:
        raise sdk.malformed(response, "transaction_id equal to the one that was sent")
    tax = sdk.as_money(_size(record.value("sales_tax")), currency)
    tax = sdk.required(tax, response, "sales_tax")
    original = body.get("transaction_reference_id")
    return TaxRecord(
        ref=wire.ref(id_, **{CURRENCY: currency}),
        reference=id_,
        reverses=None if original is None else wire.ref(original, **{CURRENCY: currency}),
        tax=tax if original is None else -tax,
        raw=answer.raw,
    )


def _negated_number(response: sdk.Response, order: sdk.Answer, name: str) -> int | float:
    value = sdk.required(_size(order.value(name)), response, name)
    return exact_number(-value)


def _whole_refund(response: sdk.Response, order: sdk.Answer) -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    for line in order.objects("line_items"):
        amounts = ("unit_price", "discount", "sales_tax")
        texts = {name: line.text(name) for name in ("id", "product_tax_code")}
        lines.append(
            {
                **{name: value for name, value in texts.items() if value is not None},
                "quantity": sdk.required(line.integer("quantity"), response, "quantity"),
                **{name: _negated_number(response, line, name) for name in amounts},
            }
        )
    totals = ("amount", "shipping", "sales_tax")
    return {
        **{name: _negated_number(response, order, name) for name in totals},
        "line_items": lines,
    }


def _partial_refund(order: sdk.Answer, reversal: TaxReversal, currency: str) -> dict[str, Any]:
    zero = sdk.Money(0, currency)
    codes = {line.text("id"): line.text("product_tax_code") for line in order.objects("line_items")}
    lines: list[dict[str, Any]] = []
    for id_, part in reversal.lines.items():
        if id_ not in codes:
            raise unknown_line(id_)
        fields = {
            "id": id_,
            "quantity": 1,
            "unit_price": exact_number(-part.amount),
            "sales_tax": exact_number(-part.tax),
        }
        code = codes[id_]
        lines.append(fields if code is None else {**fields, "product_tax_code": code})
    shipping = zero if reversal.shipping is None else reversal.shipping.amount
    return {
        "amount": exact_number(-sum((part.amount for part in reversal.parts), zero)),
        "shipping": exact_number(-shipping),
        "sales_tax": exact_number(-sum((part.tax for part in reversal.parts), zero)),
        "line_items": lines,
    }
