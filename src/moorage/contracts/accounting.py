"""Books of a business: contacts, invoices, bills, payments, journal entries and their results."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.contracts.address import Address
from moorage.contracts.replays import replay_field
from moorage.contracts.validators import (
    OneOf,
    are_all,
    as_tuple,
    is_a,
    is_day,
    is_filled,
    is_maybe,
    is_maybe_filled,
)
from moorage.contracts.vendor import no_options
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "accounting"

_DECIMALS: Final = 4
_BOUND: Final = Decimal(10**9)
_EXACT: Final = decimal.Context(prec=64, traps=[decimal.Inexact, decimal.InvalidOperation])
_ZERO: Final = Decimal(0)


class AccountingCapability(StrEnum):
    """An optional feature of an accounting vendor.

    `sales_accounts`: lines of sales invoices name an account. `invoice_numbers`: the number of a
    sales invoice can be chosen. `contact_numbers`: contacts have a number of your own.
    """

    DRAFTS = "drafts"
    SALES_ACCOUNTS = "sales_accounts"
    ITEMS = "items"
    INVOICE_NUMBERS = "invoice_numbers"
    VOID_BILLS = "void_bills"
    CONTACT_NUMBERS = "contact_numbers"


class ContactRole(OneOf, field="role"):
    """The side of a contact in the books."""

    CUSTOMER = "customer"
    SUPPLIER = "supplier"


class InvoiceKind(OneOf, field="kind"):
    """The direction of an invoice: a sales invoice to a customer, or a bill of a supplier."""

    SALES = "sales"
    BILL = "bill"


class InvoiceState(StrEnum):
    """The state of an invoice or a bill in the books.

    An invoice is paid if payments and credits in the books cover its whole total; an open one may
    be paid in part.
    """

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNKNOWN = "unknown"


class JournalState(StrEnum):
    """The state of a journal entry in the books."""

    DRAFT = "draft"
    POSTED = "posted"
    VOID = "void"
    UNKNOWN = "unknown"


class AccountClass(StrEnum):
    """The part of the chart of accounts that an account belongs to."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"
    UNKNOWN = "unknown"


class BookRecord(StrEnum):
    """A kind of record in the books."""

    INVOICE = "invoice"
    BILL = "bill"
    CONTACT = "contact"
    PAYMENT = "payment"
    JOURNAL = "journal"
    OTHER = "other"


class BookChange(StrEnum):
    """A change of a record in the books."""

    CREATED = "created"
    UPDATED = "updated"
    VOIDED = "voided"
    DELETED = "deleted"
    UNKNOWN = "unknown"


def _check_number(value: object, field: str, *, least: Decimal | None) -> None:
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or abs(value) >= _BOUND
        or int(value.normalize(_EXACT).as_tuple().exponent) < -_DECIMALS
    ):
        raise InvalidData(
            f"The {field} is not an exact number.",
            field=field,
            remedy=f"Give a Decimal below 1,000,000,000 with at most {_DECIMALS} decimals,"
            " such as Decimal('149.90').",
        )
    if least is not None and value < least:
        raise InvalidData(
            f"The {field} is less than {least}.",
            field=field,
            remedy=f"Give {least} or more.",
        )


def _is_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    _check_number(value, attribute.name, least=None)


def _is_positive_or_zero(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    _check_number(value, attribute.name, least=_ZERO)


def _is_currency(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or value not in EXPONENTS:
        raise InvalidData(
            "The currency is not a currency code.",
            field=attribute.name,
            remedy="Give a code of ISO 4217 in capitals, such as 'EUR'.",
        )


def _is_positive_money(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_a(Money)(_, attribute, value)
    if isinstance(value, Money) and value.minor <= 0:
        raise InvalidData(
            f"The {attribute.name} is not positive.",
            field=attribute.name,
            remedy=f"Give a positive {attribute.name}.",
        )


def _has_content(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_a(bytes)(_, attribute, value)
    if not value:
        raise InvalidData(
            "The document is empty.", field=attribute.name, remedy="Give the bytes of a file."
        )


def _is_file_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_filled(_, attribute, value)
    name = str(value)
    if name in {".", ".."} or any(letter in '/\\"<>' or letter < " " for letter in name):
        raise InvalidData(
            "This is not the name of a file.",
            field=attribute.name,
            remedy="Give a name without folders, quotes and angle brackets, such as invoice.pdf.",
        )


@frozen(kw_only=True)
class Contact:
    """A customer or supplier. Its repr hides personal data.

    Attributes:
        name: name of the person or business, under which the books list it.
        role: customer or supplier.
        number: your own number of it, such as a customer number.
        email: email address.
        phone: telephone number.
        tax_number: VAT or tax number.
        address: postal address; only lines, city, region, postal code and country are used.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    name: str = attrs.field(repr=False, validator=is_filled)
    role: ContactRole = attrs.field(default=ContactRole.CUSTOMER, converter=ContactRole)
    number: str | None = attrs.field(default=None, validator=is_maybe_filled)
    email: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    phone: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    tax_number: str | None = attrs.field(default=None, repr=False, validator=is_maybe(str))
    address: Address | None = attrs.field(default=None, repr=False, validator=is_maybe(Address))
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this contact."""
        return frozenset([AccountingCapability.CONTACT_NUMBERS] if self.number else [])


@frozen(kw_only=True)
class ContactQuery:
    """A search for contacts by exactly one of their details, which must be equal.

    Attributes:
        role: customers or suppliers; some vendors do not distinguish them.
        name: name of the contact.
        email: email address.
        number: your own number of the contact.
    """

    role: ContactRole = attrs.field(default=ContactRole.CUSTOMER, converter=ContactRole)
    name: str | None = attrs.field(default=None, repr=False, validator=is_maybe_filled)
    email: str | None = attrs.field(default=None, repr=False, validator=is_maybe_filled)
    number: str | None = attrs.field(default=None, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a search by no detail, or by several."""
        if sum(detail is not None for detail in (self.name, self.email, self.number)) != 1:
            raise InvalidData(
                "The search has no detail, or several.",
                field="name",
                remedy="Give a name, an email address or a number, and only one of these.",
            )

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that a vendor needs for this search."""
        return frozenset([AccountingCapability.CONTACT_NUMBERS] if self.number else [])


@frozen(kw_only=True)
class ContactRecord:
    """A contact in the books.

    Attributes:
        ref: reference of the contact.
        name: name of the contact.
        number: your own number of the contact, if the vendor keeps one.
        email: email address, if known.
        active: False if the contact is archived; None if the vendor does not state it.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    name: str | None = attrs.field(default=None, repr=False)
    number: str | None = None
    email: str | None = attrs.field(default=None, repr=False)
    active: bool | None = None
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class LedgerAccount:
    """An account of the chart of accounts.

    Attributes:
        id: the text by which lines and payments name the account.
        name: name of the account.
        code: number of the account in the chart, if it has one.
        account_class: part of the chart that the account belongs to.
        vendor_type: the vendor's own word for the type of the account.
        currency: ISO 4217 code of the currency, if the account has its own.
        raw: the vendor's complete answer about the account.
    """

    id: str
    name: str
    code: str | None = None
    account_class: AccountClass = AccountClass.UNKNOWN
    vendor_type: str | None = None
    currency: str | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class TaxRate:
    """A tax that lines can name.

    Attributes:
        id: the text by which lines name the tax.
        name: name of the tax.
        percent: rate in percent; None if the tax is not a percentage, or if several rates apply.
        on_sales: True if sales invoices can have it; None if unknown.
        on_purchases: True if bills can have it; None if unknown.
        active: False if new lines cannot have it.
        raw: the vendor's complete answer about the tax.
    """

    id: str
    name: str
    percent: Decimal | None = None
    on_sales: bool | None = None
    on_purchases: bool | None = None
    active: bool = True
    raw: Any = attrs.field(default=None, repr=False, eq=False)


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

    description: str = attrs.field(repr=False, validator=is_filled)
    quantity: Decimal = attrs.field(default=Decimal(1), validator=_is_positive_or_zero)
    unit_price: Decimal = attrs.field(validator=_is_number)
    tax: Decimal = attrs.field(default=_ZERO, validator=_is_number)
    account: str | None = attrs.field(default=None, validator=is_maybe_filled)
    item: str | None = attrs.field(default=None, validator=is_maybe_filled)
    tax_rate: str | None = attrs.field(default=None, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a line that belongs nowhere."""
        if self.account is None and self.item is None:
            raise InvalidData(
                "The line has no account and no item.",
                field="account",
                remedy="Give the `id` of an account from accounts(), or the id of an item.",
            )

    def net(self, currency: str) -> Money:
        """The amount without tax: quantity times price, rounded half up to minor units."""
        product = _EXACT.multiply(self.quantity, self.unit_price)
        return Money(1, currency).times(product, rounding=decimal.ROUND_HALF_UP)


@frozen(kw_only=True)
class BookInvoice:
    """A sales invoice or a bill to write into the books, with exact totals.

    Attributes:
        kind: sales invoice or bill.
        currency: ISO 4217 code of its currency.
        date: date of the invoice.
        due: date when it is due.
        lines: its lines; at least one.
        number: number of the invoice; by default the vendor gives one. A bill has the number of
            the supplier.
        final: False to write a draft that somebody approves later.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    kind: InvoiceKind = attrs.field(default=InvoiceKind.SALES, converter=InvoiceKind)
    currency: str = attrs.field(validator=_is_currency)
    date: dt.date = attrs.field(validator=is_day)
    due: dt.date = attrs.field(validator=is_day)
    lines: tuple[BookInvoiceLine, ...] = attrs.field(
        converter=as_tuple, validator=are_all(BookInvoiceLine)
    )
    number: str | None = attrs.field(default=None, validator=is_maybe_filled)
    final: bool = attrs.field(default=True, validator=is_a(bool))
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an invoice without lines, one that is due too early, and one with a bad total."""
        if not self.lines:
            raise InvalidData(
                "The invoice has no lines.", field="lines", remedy="Give at least one line."
            )
        if self.due < self.date:
            raise InvalidData(
                "The invoice is due before its date.",
                field="due",
                remedy="Give the date of the invoice, or a later day.",
            )
        if self.total.minor < 0:
            raise InvalidData(
                "The total of the invoice is negative.",
                field="lines",
                remedy="Write a credit note at the vendor; moorage does not write credit notes.",
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
        """The total with tax, which the vendor's total must equal."""
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
        return frozenset(need for need, applies in conditions.items() if applies)


def check_fits(invoice: BookInvoice, limits: Mapping[str, int]) -> None:
    """Refuse an invoice whose number is longer than the vendor takes.

    Args:
        invoice: invoice to create.
        limits: limits of the vendor; only "invoice_number" is read.
    """
    size = len(invoice.number or "")
    if size > limits.get("invoice_number", size):
        raise InvalidData(
            f"The number has {size} characters, but the vendor takes"
            f" {limits['invoice_number']} at most.",
            field="number",
            remedy="Give a shorter number.",
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
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
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
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class InvoicePayment:
    """A payment of an invoice or a bill, which was made elsewhere, to record in the books.

    Attributes:
        amount: amount that was paid, in the currency of the invoice.
        account: bank or cash account, by the `id` of a `LedgerAccount`.
        date: date of the payment.
        reference: text that names the payment, such as that of the bank statement.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    amount: Money = attrs.field(validator=_is_positive_money)
    account: str = attrs.field(validator=is_filled)
    date: dt.date = attrs.field(validator=is_day)
    reference: str | None = attrs.field(default=None, repr=False, validator=is_maybe_filled)
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )


@frozen(kw_only=True)
class PaymentRecord:
    """A payment in the books.

    Attributes:
        ref: reference of the payment.
        invoice: reference of the invoice or bill that it pays.
        amount: amount of the payment.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    invoice: Ref
    amount: Money
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class JournalLine:
    """A line of a journal entry, with either a debit or a credit.

    Attributes:
        account: the account, by the `id` of a `LedgerAccount`.
        debit: amount on the debit side, in the currency of the books.
        credit: amount on the credit side, in the currency of the books.
        description: text of the line.
    """

    account: str = attrs.field(validator=is_filled)
    debit: Decimal = attrs.field(default=_ZERO, validator=_is_positive_or_zero)
    credit: Decimal = attrs.field(default=_ZERO, validator=_is_positive_or_zero)
    description: str | None = attrs.field(default=None, repr=False, validator=is_maybe_filled)

    def __attrs_post_init__(self) -> None:
        """Refuse a line with both sides, or with neither."""
        if bool(self.debit) is bool(self.credit):
            raise InvalidData(
                "The line has both a debit and a credit, or neither.",
                field="debit",
                remedy="Give the amount as a debit or as a credit, and leave the other out.",
            )


@frozen(kw_only=True)
class Journal:
    """A journal entry, whose debits equal its credits.

    Attributes:
        date: date of the entry.
        narration: text of the entry.
        lines: its lines; at least two.
        extra: options of single vendors, by the vendor's name, in the vendor's own terms.
    """

    date: dt.date = attrs.field(validator=is_day)
    narration: str = attrs.field(repr=False, validator=is_filled)
    lines: tuple[JournalLine, ...] = attrs.field(converter=as_tuple, validator=are_all(JournalLine))
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=no_options, repr=False, validator=is_a(Mapping)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an entry that does not balance."""
        debits = sum([line.debit for line in self.lines], _ZERO)
        credits_ = sum([line.credit for line in self.lines], _ZERO)
        if debits != credits_ or not self.lines:
            raise InvalidData(
                f"The debits of the entry are {debits}, and its credits are {credits_}.",
                field="lines",
                remedy="Give lines whose debits and credits are equal.",
            )


@frozen(kw_only=True)
class JournalRecord:
    """A journal entry in the books.

    Attributes:
        ref: reference of the entry.
        state: state of the entry.
        vendor_state: the vendor's own word for the state, if it has one.
        number: number of the entry, if the vendor gives one.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    state: JournalState
    vendor_state: str | None = None
    number: str | None = None
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class BookDocument:
    """A file to attach to an invoice, a bill or a journal entry.

    Attributes:
        name: name of the file.
        content: bytes of the file.
        content_type: media type of the file.
    """

    name: str = attrs.field(repr=False, validator=_is_file_name)
    content: bytes = attrs.field(repr=False, validator=_has_content)
    content_type: str = attrs.field(default="application/pdf", validator=is_filled)


@frozen(kw_only=True)
class DocumentRecord:
    """A file that is attached to a record in the books.

    Attributes:
        ref: reference of the file.
        name: name of the file, as the vendor stores it.
        replayed: True if this is the stored answer of an earlier call with the same key.
        raw: the vendor's complete answer.
    """

    ref: Ref
    name: str | None = attrs.field(default=None, repr=False)
    replayed: bool = replay_field()
    raw: Any = attrs.field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class AccountingEvent:
    """A change in the books that the vendor reports; look the record up for its content.

    Attributes:
        id: unique id of the event.
        ref: reference of the record.
        record: kind of the record. Xero reports bills as invoices.
        change: change of the record.
        vendor_type: the vendor's own word for the event.
        at: time of the change, if the vendor states it.
        raw: the vendor's complete event.
    """

    id: str | None
    ref: Ref
    record: BookRecord
    change: BookChange
    vendor_type: str | None = None
    at: dt.datetime | None = None
    raw: Any = attrs.field(default=None, repr=False, eq=False)


class AccountingVendor(Protocol):
    """The operations of an accounting vendor; its capabilities name the optional ones."""

    async def create_contact(
        self, wire: Wire, contact: Contact, /, *, key: str | None
    ) -> ContactRecord: ...

    async def update_contact(self, wire: Wire, ref: Ref, contact: Contact, /) -> ContactRecord: ...

    async def find_contacts(
        self, wire: Wire, query: ContactQuery, /
    ) -> tuple[ContactRecord, ...]: ...

    async def accounts(self, wire: Wire, /) -> tuple[LedgerAccount, ...]: ...

    async def tax_rates(self, wire: Wire, /) -> tuple[TaxRate, ...]: ...

    async def create_invoice(
        self, wire: Wire, contact: Ref, invoice: BookInvoice, /, *, key: str | None
    ) -> InvoiceRecord: ...

    async def get_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord: ...

    async def void_invoice(self, wire: Wire, ref: Ref, /) -> InvoiceRecord: ...

    async def record_payment(
        self, wire: Wire, ref: Ref, payment: InvoicePayment, /, *, key: str | None
    ) -> PaymentRecord: ...

    async def post_journal(
        self, wire: Wire, journal: Journal, /, *, key: str | None
    ) -> JournalRecord: ...

    async def attach(
        self, wire: Wire, ref: Ref, document: BookDocument, /, *, key: str | None
    ) -> DocumentRecord: ...
