"""The operations of an accounting vendor."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from moorage.contracts.accounting.chart import LedgerAccount, TaxRate
    from moorage.contracts.accounting.contacts import Contact, ContactQuery, ContactRecord
    from moorage.contracts.accounting.documents import BookDocument, DocumentRecord
    from moorage.contracts.accounting.invoices import BookInvoice, InvoiceRecord
    from moorage.contracts.accounting.journals import Journal, JournalRecord
    from moorage.contracts.accounting.payments import InvoicePayment, PaymentRecord
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire

KIND: Final = "accounting"


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


class AccountingVendor(Protocol):
    """The operations of an accounting vendor; its `capabilities` list the optional ones."""

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
