"""Values of accounting: exact amounts, balanced entries, and the capabilities that they need."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import InvalidData, Money
from moorage.contracts.accounting import (
    AccountingCapability,
    BookDocument,
    BookInvoice,
    BookInvoiceLine,
    Contact,
    ContactQuery,
    ContactRole,
    InvoiceKind,
    InvoicePayment,
    Journal,
    JournalLine,
    check_fits,
)
from tests.contracts import books

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "quantity, price, currency, net",
    [
        ("2.5", "39.956", "EUR", "99.89"),
        ("1", "0.005", "EUR", "0.01"),
        ("1", "-0.005", "EUR", "-0.01"),
        ("3", "0.3333", "EUR", "1.00"),
        ("3", "333.5", "JPY", "1001"),
        ("0", "5", "EUR", "0.00"),
        ("999999999.9999", "999999999.9999", "EUR", "999999999999800000.00"),
    ],
)
def test_line_amount_is_rounded_half_up(quantity: str, price: str, currency: str, net: str) -> None:
    """The amount of a line is quantity times price, rounded half up to minor units."""
    line = attrs.evolve(books.LINE, quantity=Decimal(quantity), unit_price=Decimal(price))
    assert Money(net, currency) == line.net(currency)


def test_totals_are_those_of_the_lines() -> None:
    """Net, tax and total of an invoice are the sums of its lines."""
    first = attrs.evolve(books.LINE, quantity=Decimal(2), tax=Decimal("19.98"))
    second = attrs.evolve(books.LINE, unit_price=Decimal(-10), tax=Decimal(-2))
    invoice = attrs.evolve(books.INVOICE, lines=[first, second])
    assert Money("89.90", "EUR") == invoice.net
    assert Money("17.98", "EUR") == invoice.tax
    assert Money("107.88", "EUR") == invoice.total


@pytest.mark.parametrize(
    "make, field",
    [
        (lambda: BookInvoiceLine(description="x", unit_price=Decimal(1)), "account"),
        (lambda: attrs.evolve(books.LINE, unit_price=Decimal("0.00001")), "unit_price"),
        (lambda: attrs.evolve(books.LINE, unit_price=Decimal("NaN")), "unit_price"),
        (lambda: attrs.evolve(books.LINE, unit_price=Decimal(10**9)), "unit_price"),
        (lambda: attrs.evolve(books.LINE, quantity=Decimal(-1)), "quantity"),
        (lambda: attrs.evolve(books.LINE, description="  "), "description"),
        (lambda: attrs.evolve(books.INVOICE, lines=[]), "lines"),
        (lambda: attrs.evolve(books.INVOICE, due=date(2031, 5, 5)), "due"),
        (lambda: attrs.evolve(books.INVOICE, currency="EURO"), "currency"),
        (lambda: _invoice_with(tax=Decimal("0.001")), "tax"),
        (lambda: _invoice_with(unit_price=Decimal(-1)), "lines"),
        (ContactQuery, "name"),
        (lambda: ContactQuery(name="a", email="b"), "name"),
        (lambda: Contact(name=""), "name"),
        (lambda: Contact(name="a", role="friend"), "role"),
        (lambda: attrs.evolve(books.PAYMENT, amount=Money(0, "EUR")), "amount"),
        (lambda: JournalLine(account="1"), "debit"),
        (lambda: JournalLine(account="1", debit=Decimal(1), credit=Decimal(1)), "debit"),
        (lambda: attrs.evolve(books.JOURNAL, lines=[]), "lines"),
        (lambda: attrs.evolve(books.JOURNAL, lines=books.JOURNAL_LINES[:1]), "lines"),
        (lambda: BookDocument(name="a/b.pdf", content=b"x"), "name"),
        (lambda: BookDocument(name="..", content=b"x"), "name"),
        (lambda: BookDocument(name="a.pdf", content=b""), "content"),
    ],
)
def test_bad_values_are_refused_by_name(make: Callable[[], Any], field: str) -> None:
    """A value that is invalid in accounting is refused with its field and a remedy."""
    with pytest.raises(InvalidData) as excinfo:
        make()
    assert field == excinfo.value.field
    assert excinfo.value.remedy


def _invoice_with(**fields: Any) -> BookInvoice:
    return attrs.evolve(books.INVOICE, lines=[attrs.evolve(books.LINE, **fields)])


def test_trailing_zeros_do_not_count() -> None:
    """Zeros after the fourth decimal of a price do not count as decimals."""
    line = attrs.evolve(books.LINE, unit_price=Decimal("1.500000"))
    assert Money("1.50", "EUR") == line.net("EUR")


def test_invoice_needs_what_its_fields_need() -> None:
    """Drafts, items, sales accounts and invoice numbers need capabilities; bills need fewer."""
    item_line = BookInvoiceLine(description="x", unit_price=Decimal(1), item="10")
    sale = attrs.evolve(books.INVOICE, lines=[item_line])
    assert frozenset({AccountingCapability.ITEMS}) == sale.needs
    draft = attrs.evolve(books.INVOICE, final=False, number="1")
    expected_needs = {
        AccountingCapability.DRAFTS,
        AccountingCapability.ITEMS,
        AccountingCapability.SALES_ACCOUNTS,
        AccountingCapability.INVOICE_NUMBERS,
    }
    assert expected_needs == draft.needs
    account_line = BookInvoiceLine(description="x", unit_price=Decimal(1), account="200")
    bill = BookInvoice(
        kind=InvoiceKind.BILL,
        currency="EUR",
        date=books.DAY,
        due=books.DAY,
        lines=[account_line],
        number="R-17",
    )
    assert frozenset() == bill.needs


def test_numbers_of_contacts_need_a_capability() -> None:
    """A contact's number, and a search by number, need a vendor that stores numbers."""
    needs = frozenset({AccountingCapability.CONTACT_NUMBERS})
    assert needs == Contact(name="Mill Ltd", number="C-1").needs
    assert needs == ContactQuery(number="C-1").needs
    assert frozenset() == ContactQuery(email="a@b.example", role=ContactRole.SUPPLIER).needs


def test_long_number_is_refused() -> None:
    """An invoice number that is longer than the vendor allows is refused."""
    invoice = attrs.evolve(books.INVOICE, number="R" * 22)
    check_fits(invoice, {})
    check_fits(invoice, {"invoice_number": 22})
    with pytest.raises(InvalidData, match="22 characters, but the vendor accepts at most 21"):
        check_fits(invoice, {"invoice_number": 21})


def test_personal_data_is_not_shown() -> None:
    """No repr shows a contact's name, a line's text or a file's content."""
    values = (
        Contact(name="Discreet", email="discreet", phone="discreet", tax_number="discreet"),
        ContactQuery(name="Discreet"),
        attrs.evolve(books.LINE, description="Discreet"),
        InvoicePayment(**books.PAYMENT_FIELDS | dict[str, Any](reference="discreet")),
        Journal(**books.JOURNAL_FIELDS | dict[str, Any](narration="discreet")),
        BookDocument(name="discreet", content=b"discreet"),
    )
    assert "iscreet" not in repr(values)
