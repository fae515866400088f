"""The accounting contract."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from moorage.contracts import address
from moorage.contracts.accounting import (
    AccountingCapability,
    AccountingEvent,
    BookDocument,
    BookInvoice,
    Contact,
    ContactQuery,
    InvoicePayment,
    Journal,
    chart,
    check_fits,
    contacts,
    documents,
    events,
    invoices,
    journals,
    payments,
)
from moorage.contracts.declaration import Contract, Requirements, Target, changes, reads
from moorage.contracts.ref import Ref
from moorage.contracts.validators import check_kind

if TYPE_CHECKING:
    from moorage.contracts.accounting import (
        ContactRecord,
        DocumentRecord,
        InvoiceRecord,
        JournalRecord,
        LedgerAccount,
        PaymentRecord,
        TaxRate,
    )

_ACCOUNTS: Final[Requirements[tuple[LedgerAccount, ...]]] = Requirements()
_TAX_RATES: Final[Requirements[tuple[TaxRate, ...]]] = Requirements()
_INVOICE: Final[Requirements[InvoiceRecord]] = Requirements()
_BILL: Final = "bill"


class AccountingContract(Contract):
    """Writes into the books at the vendor that the configuration chooses, and reads them."""

    kind = "accounting"
    capabilities = AccountingCapability
    event = AccountingEvent
    values = (address, chart, contacts, documents, events, invoices, journals, payments)

    @changes()
    def create_contact(
        self,
        contact: Contact,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[ContactRecord]:
        """Create a customer or supplier.

        Args:
            contact: contact to create.
            idempotency_key: identifies this contact: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        check_kind(contact, Contact, "contact")
        return Requirements(needs=contact.needs)

    @changes(target=Target.REFERENCE)
    def update_contact(
        self, ref: Ref | str, contact: Contact, *, timeout: float | None = None
    ) -> Requirements[ContactRecord]:
        """Replace the details of a contact; repeating this has no further effect.

        Details that are None stay as they are.

        Args:
            ref: reference of the contact.
            contact: new details of the contact.
            timeout: seconds for the whole operation.
        """
        check_kind(contact, Contact, "contact")
        return Requirements(needs=contact.needs)

    @reads()
    def find_contacts(
        self, query: ContactQuery, *, timeout: float | None = None
    ) -> Requirements[tuple[ContactRecord, ...]]:
        """Find the contacts with a name, an email address or a number.

        Args:
            query: detail that the contacts must have.
            timeout: seconds for the whole operation.
        """
        check_kind(query, ContactQuery, "query")
        return Requirements(needs=query.needs)

    @reads()
    def accounts(self, *, timeout: float | None = None) -> Requirements[tuple[LedgerAccount, ...]]:
        """Get the chart of accounts.

        Args:
            timeout: seconds for the whole operation.
        """
        return _ACCOUNTS

    @reads()
    def tax_rates(self, *, timeout: float | None = None) -> Requirements[tuple[TaxRate, ...]]:
        """List the tax rates that lines of an invoice can use.

        Args:
            timeout: seconds for the whole operation.
        """
        return _TAX_RATES

    @changes(target=Target.REFERENCE)
    def create_invoice(
        self,
        ref: Ref | str,
        invoice: BookInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[InvoiceRecord]:
        """Create a sales invoice of a customer, or a bill of a supplier.

        If the vendor's total differs from the invoice's, the invoice is voided or deleted again,
        and VendorRejected is raised.

        Args:
            ref: reference of the customer or supplier.
            invoice: invoice or bill to create.
            idempotency_key: identifies this invoice: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        check_kind(invoice, BookInvoice, "invoice")
        return Requirements(
            needs=invoice.needs,
            currency=invoice.currency,
            check_limits=partial(check_fits, invoice),
        )

    @reads(target=Target.REFERENCE)
    def get_invoice(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[InvoiceRecord]:
        """Get the current state of an invoice or a bill.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        return _INVOICE

    @changes(target=Target.REFERENCE)
    def void_invoice(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[InvoiceRecord]:
        """Void an invoice or a bill; a void invoice stays void.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        is_bill = Ref.parse(ref).other("type") == _BILL
        return Requirements(needs={AccountingCapability.VOID_BILLS} if is_bill else ())

    @changes(target=Target.REFERENCE)
    def record_payment(
        self,
        ref: Ref | str,
        payment: InvoicePayment,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[PaymentRecord]:
        """Record a payment of an invoice or a bill; no money moves.

        Args:
            ref: reference of the invoice or bill.
            payment: payment that was made.
            idempotency_key: identifies this payment: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        check_kind(payment, InvoicePayment, "payment")
        return Requirements()

    @changes()
    def post_journal(
        self,
        journal: Journal,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[JournalRecord]:
        """Post a journal entry.

        Args:
            journal: entry to post.
            idempotency_key: identifies this entry: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        check_kind(journal, Journal, "journal")
        return Requirements()

    @changes(target=Target.REFERENCE)
    def attach(
        self,
        ref: Ref | str,
        document: BookDocument,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[DocumentRecord]:
        """Attach a file to an invoice, a bill or a journal entry.

        Args:
            ref: reference of the invoice, bill or journal entry.
            document: file to attach.
            idempotency_key: identifies this file: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        check_kind(document, BookDocument, "document")
        return Requirements()
