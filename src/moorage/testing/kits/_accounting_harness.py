"""A test environment for an accounting vendor: the vendor, its sandbox and a hub."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.accounting import (
    AccountingCapability,
    BookDocument,
    BookInvoice,
    BookInvoiceLine,
    Contact,
    ContactRole,
    InvoiceKind,
    InvoicePayment,
    InvoiceState,
    Journal,
    JournalLine,
)
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money
from moorage.testing.kits._recorded_harness import RecordedHarness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.accounting.base import AccountingSandbox
    from moorage.testing.sandboxes.base import Notice

ACCOUNT: Final = "books"
DAY: Final = date(2031, 5, 6)
DUE: Final = date(2031, 6, 5)
NAME: Final = "O'Neil & Söhne"
TOTAL: Final = Money("119.88", "EUR")
PART: Final = Money("50.00", "EUR")


@attrs.frozen(kw_only=True)
class AccountingSubject:
    """An accounting vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox, whose books are in euros.
        sandbox: the sandbox, which counts the records in the books.
        sale: fields of a line of a sales invoice: account or item, and a tax of 20%.
        purchase: fields of a line of a bill: account or item, and a tax of 20%.
        bank: the bank account, as payments name it.
        ledger: two accounts, as journal lines name them.
        positions: number of requests before the one that creates a record, by operation; by default
            none.
        refusals: error responses to a contact, each with the class of the error that it must raise
            and the vendor's code that the error must keep.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause; None
            for the seconds if the vendor states none.
        strange: a response about an invoice in an unknown state; None if its responses name no
            states.
        states: responses about an invoice in states that no call of the kit leads to, such as one
            that waits for an approval, each with the state that the invoice must have.
        option: an option of invoices in the vendor's own words, and its value.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        webhook_secret: secret of the vendor's webhooks; None if it sends none.
        report: makes the webhook of a change of the invoice with an id.
    """

    vendor: Vendor
    sandbox: AccountingSandbox
    sale: Mapping[str, str]
    purchase: Mapping[str, str]
    bank: str
    ledger: tuple[str, str]
    positions: Mapping[str, int] = attrs.field(factory=dict[str, int])
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    pause: tuple[Response, float | None]
    strange: Response | None = None
    states: tuple[tuple[Response, InvoiceState], ...] = ()
    option: tuple[str, Any]
    secrets: tuple[str, ...] = attrs.field(repr=False)
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    report: Callable[[str], Notice] | None = None


class Harness(RecordedHarness[AccountingSubject]):
    """An accounting vendor under test, with its hub and integration log."""

    contract = "accounting"
    account_name = ACCOUNT
    logs_content = True

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: the secrets, and a contact's name."""
        return (*self.subject.secrets, NAME)

    def count(self, name: str) -> int:
        """Return the number of records of one kind, such as invoices, in the books."""
        return self.subject.sandbox.counts()[name]

    def invoice(self, kind: InvoiceKind = InvoiceKind.SALES, **fields: Any) -> BookInvoice:
        """Return an invoice or bill of 119.88 euros with these fields."""
        uses = {InvoiceKind.SALES: self.subject.sale, InvoiceKind.BILL: self.subject.purchase}
        first = BookInvoiceLine(
            description="Bolts",
            quantity=Decimal("2.5"),
            unit_price=Decimal("39.956"),
            tax=Decimal("19.98"),
            **uses[kind],
        )
        second = attrs.evolve(
            first, description="Discount", quantity=Decimal(1), unit_price=Decimal("0.01")
        )
        lines = [first, attrs.evolve(second, tax=Decimal(0))]
        values: dict[str, Any] = {"currency": "EUR", "date": DAY, "due": DUE, "lines": lines}
        return BookInvoice(kind=kind, **{**values, **fields})

    def payment(self, amount: Money = PART) -> InvoicePayment:
        """Return a payment of an invoice that arrived on the bank account."""
        return InvoicePayment(amount=amount, account=self.subject.bank, date=DAY, reference="B-7")

    def journal(self, amount: str = "12.50") -> Journal:
        """Return a journal entry."""
        first, second = self.subject.ledger
        lines = [
            JournalLine(account=first, debit=Decimal(amount), description="Correction"),
            JournalLine(account=second, credit=Decimal(amount)),
        ]
        return Journal(date=DAY, narration="Correction of May", lines=lines)

    async def contact(self, role: ContactRole = ContactRole.CUSTOMER) -> Ref:
        """Create a contact, and return its reference."""
        ref: Ref = (await self("create_contact", Contact(name=f"{NAME} {role}", role=role))).ref
        return ref

    async def sold(self, **fields: Any) -> Any:
        """Create a sales invoice for a new customer, and return it."""
        return await self("create_invoice", await self.contact(), self.invoice(**fields))


DOCUMENT: Final = BookDocument(name="Rechnung 7.pdf", content=b"%PDF-1.7 an invoice")
OTHER_DOCUMENT: Final = BookDocument(name="other.pdf", content=b"%PDF-1.7 another")


async def creations(
    harness: Harness,
) -> Mapping[str, tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """Return calls of all operations that create a record in the books.

    Each entry has the kind of the record, a function that makes the call, and a function that makes
    it with other content.
    """
    customer = await harness.contact()
    invoice = await harness("create_invoice", customer, harness.invoice())

    def call(operation: str, *arguments: Any) -> Callable[..., Any]:
        return partial(harness, operation, *arguments)

    small_payment, large_payment = harness.payment(), harness.payment(Money("60.00", "EUR"))
    other_invoice = harness.invoice(due=date(2031, 7, 1))
    return {
        "create_contact": (
            "contacts",
            call("create_contact", Contact(name="Mill Ltd")),
            call("create_contact", Contact(name="Well Ltd")),
        ),
        "create_invoice": (
            "invoices",
            call("create_invoice", customer, harness.invoice()),
            call("create_invoice", customer, other_invoice),
        ),
        "record_payment": (
            "payments",
            call("record_payment", invoice.ref, small_payment),
            call("record_payment", invoice.ref, large_payment),
        ),
        "post_journal": (
            "journals",
            call("post_journal", harness.journal()),
            call("post_journal", harness.journal("13.00")),
        ),
        "attach": (
            "files",
            call("attach", str(invoice.ref), DOCUMENT),
            call("attach", str(invoice.ref), OTHER_DOCUMENT),
        ),
    }


def calls_by_capability(
    harness: Harness,
) -> Mapping[AccountingCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it and no other capability."""
    name = harness.subject.vendor.name
    customer = Ref(name, ACCOUNT, "1", {"type": "customer"})
    bill = Ref(name, ACCOUNT, "1", {"type": "bill"})
    numbered = Contact(name="Mill Ltd", number="C-1")

    def sale(*, account: str | None = None, **fields: Any) -> BookInvoice:
        item = None if account else "1"
        line = BookInvoiceLine(
            description="Bolts", unit_price=Decimal(1), account=account, item=item
        )
        return BookInvoice(currency="EUR", date=DAY, due=DUE, lines=[line], **fields)

    return {
        AccountingCapability.DRAFTS: lambda: harness("create_invoice", customer, sale(final=False)),
        AccountingCapability.SALES_ACCOUNTS: lambda: harness(
            "create_invoice", customer, sale(account="1")
        ),
        AccountingCapability.ITEMS: lambda: harness("create_invoice", customer, sale()),
        AccountingCapability.INVOICE_NUMBERS: lambda: harness(
            "create_invoice", customer, sale(number="RE-1")
        ),
        AccountingCapability.VOID_BILLS: lambda: harness("void_invoice", bill),
        AccountingCapability.CONTACT_NUMBERS: lambda: harness("create_contact", numbered),
    }
