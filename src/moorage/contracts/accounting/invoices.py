"""Sales invoices and bills, with exact totals."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from moorage.contracts.accounting.amounts import EXACT, ZERO, is_number, is_positive_or_zero
from moorage.contracts.accounting.vendor import AccountingCapability
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    is_a,
    is_day,
    is_filled,
    is_maybe_filled,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    import attrs

    from moorage.contracts.ref import Ref


class InvoiceKind(OneOf, field="kind"):
    """The direction of an invoice: a sales invoice to a customer, or a bill of a supplier."""

    SALES = "sales"
    BILL = "bill"


class InvoiceState(StrEnum):
    """The state of an invoice or a bill in the books.

    An invoice is paid if payments and credits in the books cover its whole total; an open invoice
    may be paid in part.
    """

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNKNOWN = "unknown"


def _is_currency(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in EXPONENTS:
        raise InvalidData(
            "The currency must be a currency code of three capital letters.",
            field=attribute.name,
            remedy="Give a code of ISO 4217 in capitals, such as 'EUR'.",
        )


@frozen(kw_only=True)
class BookInvoiceLine:
    """A line of an invoice or a bill; its prices are without tax.

    Attributes:
        description: text of the line.
        quantity: number of units.
        unit_price: price of one unit without tax; negative for a discount.
        tax: amount of tax on the whole line.
        account: the account, by the `id` of a `LedgerAccount`.
        item: the vendor's id of a product or service; a line needs an account or an item.
        tax_rate: the tax, by the `id` of a `TaxRate`.
    """

    description: str = field(repr=False, validator=is_filled)
    quantity: Decimal = field(default=Decimal(1), validator=is_positive_or_zero)
    unit_price: Decimal = field(validator=is_number)
    tax: Decimal = field(default=ZERO, validator=is_number)
    account: str | None = field(default=None, validator=is_maybe_filled)
    item: str | None = field(default=None, validator=is_maybe_filled)
    tax_rate: str | None = field(default=None, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a line with neither an account nor an item."""
        if self.account is None and self.item is None:
            raise InvalidData(
                "The invoice line must have an account or an item.",
                field="account",
                remedy="Give the `id` of an account from accounts(), or the id of an item.",
            )

    def net(self, currency: str) -> Money:
        """The amount without tax: quantity times price, rounded half up to minor units."""
        product = EXACT.multiply(self.quantity, self.unit_price)
        return Money(1, currency).times(product, rounding=decimal.ROUND_HALF_UP)


@frozen(kw_only=True)
class BookInvoice:
    """A sales invoice or a bill to write into the books, with exact totals.

    Attributes:
        kind: sales invoice or bill.
        currency: ISO 4217 code of its currency.
        date: date of the invoice.
        due: date when it is due.
        lines: the invoice's lines; at least one.
        number: number of the invoice; by default the vendor gives one. A bill has the number of
            the supplier.
        final: False to write a draft that a person approves later.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    kind: InvoiceKind = field(default=InvoiceKind.SALES, converter=InvoiceKind)
    currency: str = field(validator=_is_currency)
    date: dt.date = field(validator=is_day)
    due: dt.date = field(validator=is_day)
    lines: tuple[BookInvoiceLine, ...] = field(
        converter=as_tuple, validator=are_all(BookInvoiceLine)
    )
    number: str | None = field(default=None, validator=is_maybe_filled)
    final: bool = field(default=True, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an invoice without lines, with a due date before its date, or a negative total."""
        if not self.lines:
            raise InvalidData(
                "The invoice has no lines.", field="lines", remedy="Give at least one line."
            )
        if self.due < self.date:
            raise InvalidData(
                "The due date of the invoice is before its invoice date.",
                field="due",
                remedy="Give a due date on or after the invoice date.",
            )
        if self.total.minor < 0:
            raise InvalidData(
                "The total of the invoice is negative.",
                field="lines",
                remedy="Write the credit note in the vendor's own system; moorage cannot write"
                " credit notes.",
            )

    @property
    def net(self) -> Money:
        """The total without tax."""
        return _sum([line.net(self.currency) for line in self.lines], self.currency)

    @property
    def tax(self) -> Money:
        """The total of tax."""
        return _sum([_tax_of(line, self.currency) for line in self.lines], self.currency)

    @property
    def total(self) -> Money:
        """The total with tax; the total that the vendor computes must equal it."""
        return self.net + self.tax

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this invoice."""
        is_sale = self.kind is InvoiceKind.SALES
        conditions = {
            AccountingCapability.DRAFTS: not self.final,
            AccountingCapability.ITEMS: any(line.item for line in self.lines),
            AccountingCapability.SALES_ACCOUNTS: is_sale
            and any(line.account for line in self.lines),
            AccountingCapability.INVOICE_NUMBERS: is_sale and self.number is not None,
        }
        return frozenset(capability for capability, applies in conditions.items() if applies)


def check_fits(invoice: BookInvoice, limits: Mapping[str, int]) -> None:
    """Refuse an invoice whose number is longer than the vendor accepts.

    Args:
        invoice: invoice to create.
        limits: limits of the vendor; only "invoice_number" is read.
    """
    size = len(invoice.number or "")
    if size > limits.get("invoice_number", size):
        raise InvalidData(
            f"The invoice number has {size} characters, but the vendor accepts at most"
            f" {limits['invoice_number']}.",
            field="number",
            remedy="Give a shorter invoice number.",
        )


def _tax_of(line: BookInvoiceLine, currency: str) -> Money:
    try:
        return Money(line.tax, currency)
    except InvalidData as error:
        error.field = "tax"
        raise


def _sum(amounts: Iterable[Money], currency: str) -> Money:
    total = Money(0, currency)
    for amount in amounts:
        total += amount
    return total


@frozen(kw_only=True)
class InvoiceRecord:
    """An invoice or a bill in the books.

    Attributes:
        ref: reference of the invoice or bill.
        kind: sales invoice or bill; None if the vendor's word for it is unknown.
        state: state of the invoice or bill.
        vendor_state: the vendor's own word for the state, if it has one.
        number: number of the invoice or bill; drafts may have none.
        total: total with tax; None if the vendor does not state its currency.
        due_amount: amount that is still to be paid; None if the vendor does not state it.
        updated_at: time of its last change, if the vendor states it.
        replayed: True if this is the stored response of an earlier call with the same key.
        raw: the vendor's complete response.
    """

    ref: Ref
    kind: InvoiceKind | None
    state: InvoiceState
    vendor_state: str | None = None
    number: str | None = None
    total: Money | None = None
    due_amount: Money | None = None
    updated_at: dt.datetime | None = None
    replayed: bool = replay_field()
    raw: Any = field(default=None, repr=False, eq=False)
