"""The operations on accounting for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.declared.accounting import AccountingContract
from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.accounting import (
        BookDocument,
        BookInvoice,
        Contact,
        ContactQuery,
        ContactRecord,
        DocumentRecord,
        InvoicePayment,
        InvoiceRecord,
        Journal,
        JournalRecord,
        LedgerAccount,
        PaymentRecord,
        TaxRate,
    )
    from moorage.contracts.ref import Ref
    from moorage.services.contracts.live_configuration import FindDispatcher


class AccountingFlows(Flows, AccountingContract):
    """The operations of one tenant."""


class Accounting(Uncopyable):
    """Writes into the books at the vendor that the configuration chooses, and reads them."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(AccountingFlows, find_dispatcher, tenant)

    def create_contact(
        self, contact: Contact, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> ContactRecord:
        """Create a customer or supplier.

        Args:
            contact: contact to create.
            idempotency_key: identifies this contact: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                AccountingFlows.create_contact,
                contact,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def update_contact(
        self, ref: Ref | str, contact: Contact, *, timeout: float | None = None
    ) -> ContactRecord:
        """Replace the details of a contact; repeating this has no further effect.

        Details that are None stay as they are.

        Args:
            ref: reference of the contact.
            contact: new details of the contact.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(AccountingFlows.update_contact, ref, contact, timeout=timeout)
        )

    def find_contacts(
        self, query: ContactQuery, *, timeout: float | None = None
    ) -> tuple[ContactRecord, ...]:
        """Find the contacts with a name, an email address or a number.

        Args:
            query: detail that the contacts must have.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(AccountingFlows.find_contacts, query, timeout=timeout))

    def accounts(self, *, timeout: float | None = None) -> tuple[LedgerAccount, ...]:
        """Get the chart of accounts.

        Args:
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(AccountingFlows.accounts, timeout=timeout))

    def tax_rates(self, *, timeout: float | None = None) -> tuple[TaxRate, ...]:
        """List the tax rates that lines of an invoice can use.

        Args:
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(AccountingFlows.tax_rates, timeout=timeout))

    def create_invoice(
        self,
        ref: Ref | str,
        invoice: BookInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> InvoiceRecord:
        """Create a sales invoice of a customer, or a bill of a supplier.

        If the vendor's total differs from the invoice's, the invoice is voided or deleted again,
        and VendorRejected is raised.

        Args:
            ref: reference of the customer or supplier.
            invoice: invoice or bill to create.
            idempotency_key: identifies this invoice: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                AccountingFlows.create_invoice,
                ref,
                invoice,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def get_invoice(self, ref: Ref | str, *, timeout: float | None = None) -> InvoiceRecord:
        """Get the current state of an invoice or a bill.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(AccountingFlows.get_invoice, ref, timeout=timeout))

    def void_invoice(self, ref: Ref | str, *, timeout: float | None = None) -> InvoiceRecord:
        """Void an invoice or a bill; a void invoice stays void.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        return run_now(self._flows.run(AccountingFlows.void_invoice, ref, timeout=timeout))

    def record_payment(
        self,
        ref: Ref | str,
        payment: InvoicePayment,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PaymentRecord:
        """Record a payment of an invoice or a bill; no money moves.

        Args:
            ref: reference of the invoice or bill.
            payment: payment that was made.
            idempotency_key: identifies this payment: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                AccountingFlows.record_payment,
                ref,
                payment,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def post_journal(
        self, journal: Journal, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> JournalRecord:
        """Post a journal entry.

        Args:
            journal: entry to post.
            idempotency_key: identifies this entry: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                AccountingFlows.post_journal,
                journal,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def attach(
        self,
        ref: Ref | str,
        document: BookDocument,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> DocumentRecord:
        """Attach a file to an invoice, a bill or a journal entry.

        Args:
            ref: reference of the invoice, bill or journal entry.
            document: file to attach.
            idempotency_key: identifies this file: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                AccountingFlows.attach,
                ref,
                document,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )


class AsyncAccounting(Uncopyable):
    """The asynchronous version of `Accounting`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(AccountingFlows, find_dispatcher, tenant)

    async def create_contact(
        self, contact: Contact, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> ContactRecord:
        """Create a customer or supplier.

        Args:
            contact: contact to create.
            idempotency_key: identifies this contact: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            AccountingFlows.create_contact,
            contact,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def update_contact(
        self, ref: Ref | str, contact: Contact, *, timeout: float | None = None
    ) -> ContactRecord:
        """Replace the details of a contact; repeating this has no further effect.

        Details that are None stay as they are.

        Args:
            ref: reference of the contact.
            contact: new details of the contact.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.update_contact, ref, contact, timeout=timeout)

    async def find_contacts(
        self, query: ContactQuery, *, timeout: float | None = None
    ) -> tuple[ContactRecord, ...]:
        """Find the contacts with a name, an email address or a number.

        Args:
            query: detail that the contacts must have.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.find_contacts, query, timeout=timeout)

    async def accounts(self, *, timeout: float | None = None) -> tuple[LedgerAccount, ...]:
        """Get the chart of accounts.

        Args:
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.accounts, timeout=timeout)

    async def tax_rates(self, *, timeout: float | None = None) -> tuple[TaxRate, ...]:
        """List the tax rates that lines of an invoice can use.

        Args:
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.tax_rates, timeout=timeout)

    async def create_invoice(
        self,
        ref: Ref | str,
        invoice: BookInvoice,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> InvoiceRecord:
        """Create a sales invoice of a customer, or a bill of a supplier.

        If the vendor's total differs from the invoice's, the invoice is voided or deleted again,
        and VendorRejected is raised.

        Args:
            ref: reference of the customer or supplier.
            invoice: invoice or bill to create.
            idempotency_key: identifies this invoice: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            AccountingFlows.create_invoice,
            ref,
            invoice,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def get_invoice(self, ref: Ref | str, *, timeout: float | None = None) -> InvoiceRecord:
        """Get the current state of an invoice or a bill.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.get_invoice, ref, timeout=timeout)

    async def void_invoice(self, ref: Ref | str, *, timeout: float | None = None) -> InvoiceRecord:
        """Void an invoice or a bill; a void invoice stays void.

        Args:
            ref: reference of the invoice or bill.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(AccountingFlows.void_invoice, ref, timeout=timeout)

    async def record_payment(
        self,
        ref: Ref | str,
        payment: InvoicePayment,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> PaymentRecord:
        """Record a payment of an invoice or a bill; no money moves.

        Args:
            ref: reference of the invoice or bill.
            payment: payment that was made.
            idempotency_key: identifies this payment: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            AccountingFlows.record_payment,
            ref,
            payment,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def post_journal(
        self, journal: Journal, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> JournalRecord:
        """Post a journal entry.

        Args:
            journal: entry to post.
            idempotency_key: identifies this entry: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            AccountingFlows.post_journal, journal, idempotency_key=idempotency_key, timeout=timeout
        )

    async def attach(
        self,
        ref: Ref | str,
        document: BookDocument,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> DocumentRecord:
        """Attach a file to an invoice, a bill or a journal entry.

        Args:
            ref: reference of the invoice, bill or journal entry.
            document: file to attach.
            idempotency_key: identifies this file: a repeat returns the same record.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            AccountingFlows.attach, ref, document, idempotency_key=idempotency_key, timeout=timeout
        )
