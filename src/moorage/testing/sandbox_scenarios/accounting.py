"""Example calls to accounting vendors."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

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
)
from moorage.contracts.ref import Ref
from moorage.domain.values.money import Money

if TYPE_CHECKING:
    from moorage.testing.sandbox_scenarios.runner import Scenario, ScenarioVendor

DAY: Final = date(2031, 5, 6)
DUE: Final = date(2031, 6, 5)
ADA: Final = Contact(name="Ada Lovelace", email="ada@example.com")
MILL: Final = Contact(name="Mill Ltd", role=ContactRole.SUPPLIER)
_PRICE: Final = Decimal("49.95")
_TAX: Final = Decimal("19.98")
_QUANTITY: Final = Decimal(2)
_PDF: Final = b"%PDF-1.7 an invoice"


def line(vendor: ScenarioVendor, use: str) -> BookInvoiceLine:
    """Return an invoice line for the purpose "sale", "item" or "purchase"."""
    values = vendor.fixture.vendor_values.get(use, {"account": "1"})
    return BookInvoiceLine(
        description="Bolts", quantity=_QUANTITY, unit_price=_PRICE, tax=_TAX, **values
    )


def sale(vendor: ScenarioVendor, use: str = "sale", **fields: Any) -> BookInvoice:
    """Return a sales invoice with these fields."""
    return BookInvoice(currency="EUR", date=DAY, due=DUE, lines=[line(vendor, use)], **fields)


async def _contact(vendor: ScenarioVendor, contact: Contact) -> Ref:
    if not vendor.is_supported:
        return Ref.parse(f"{vendor.name}:{vendor.name}:1?type={contact.role}")
    return await vendor.ref("create_contact", contact)


async def _create_sale(vendor: ScenarioVendor, use: str = "sale", **fields: Any) -> Any:
    return await vendor("create_invoice", await _contact(vendor, ADA), sale(vendor, use, **fields))


async def _create_bill(vendor: ScenarioVendor) -> Any:
    bill = sale(vendor, "purchase", kind=InvoiceKind.BILL, number="R-17")
    return await vendor("create_invoice", await _contact(vendor, MILL), bill)


async def contact(vendor: ScenarioVendor, **fields: Any) -> Any:
    """Create a contact with these fields."""
    return (await vendor("create_contact", Contact(name="Ada Lovelace", **fields))).name


async def changed_contact(vendor: ScenarioVendor) -> Any:
    """Change the email address of a contact."""
    ref = await _contact(vendor, ADA)
    new_contact = Contact(name="Ada Lovelace", email="lovelace@example.com")
    return (await vendor("update_contact", ref, new_contact)).email


async def found_contacts(vendor: ScenarioVendor) -> Any:
    """Find a contact by its name."""
    await _contact(vendor, ADA)
    return len(await vendor("find_contacts", ContactQuery(name=ADA.name)))


async def chart(vendor: ScenarioVendor) -> Any:
    """Get the chart of accounts."""
    return len(await vendor("accounts"))


async def taxes(vendor: ScenarioVendor) -> Any:
    """Get the taxes."""
    return len(await vendor("tax_rates"))


async def create_invoice(vendor: ScenarioVendor) -> Any:
    """Create a sales invoice."""
    return (await _create_sale(vendor)).state


async def looked_up(vendor: ScenarioVendor) -> Any:
    """Create a bill, and look it up."""
    return (await vendor("get_invoice", (await _create_bill(vendor)).ref)).total


async def void_invoice(vendor: ScenarioVendor) -> Any:
    """Void a sales invoice."""
    return (await vendor("void_invoice", (await _create_sale(vendor)).ref)).state


async def voided_bill(vendor: ScenarioVendor) -> Any:
    """Void a bill."""
    ref = Ref.parse(f"{vendor.name}:{vendor.name}:1?type=bill")
    if vendor.is_supported:
        ref = (await _create_bill(vendor)).ref
    return (await vendor("void_invoice", ref)).state


async def record_payment(vendor: ScenarioVendor) -> Any:
    """Record a partial payment of a sales invoice."""
    record = await _create_sale(vendor)
    bank = vendor.fixture.vendor_values["bank"]
    payment = InvoicePayment(amount=Money("50.00", "EUR"), account=bank, date=DAY)
    return (await vendor("record_payment", record.ref, payment)).amount


async def post_journal(vendor: ScenarioVendor) -> Any:
    """Post a journal entry."""
    first, second = vendor.fixture.vendor_values["ledger"]
    lines = [
        JournalLine(account=first, debit=Decimal("12.50")),
        JournalLine(account=second, credit=Decimal("12.50")),
    ]
    journal = Journal(date=DAY, narration="Correction of May", lines=lines)
    return (await vendor("post_journal", journal)).state


async def attach_file(vendor: ScenarioVendor) -> Any:
    """Attach a file to a sales invoice."""
    record = await _create_sale(vendor)
    document = BookDocument(name="invoice.pdf", content=_PDF)
    return (await vendor("attach", record.ref, document)).name


async def draft(vendor: ScenarioVendor) -> Any:
    """Create a draft invoice."""
    return (await _create_sale(vendor, "sale", final=False)).state


async def with_account(vendor: ScenarioVendor) -> Any:
    """Create a sales invoice with an account for its line."""
    lines = [
        BookInvoiceLine(
            description="Bolts",
            unit_price=_PRICE,
            account=vendor.fixture.vendor_values.get("sale", {}).get("account", "1"),
        )
    ]
    invoice = BookInvoice(currency="EUR", date=DAY, due=DUE, lines=lines)
    return (await vendor("create_invoice", await _contact(vendor, ADA), invoice)).total


async def with_item(vendor: ScenarioVendor) -> Any:
    """Create a sales invoice with a product."""
    return (await _create_sale(vendor, "item")).state


async def create_numbered_invoice(vendor: ScenarioVendor) -> Any:
    """Create a sales invoice with a number chosen by the caller."""
    return (await _create_sale(vendor, "sale", number="RE-1042")).number


async def numbered_contact(vendor: ScenarioVendor) -> Any:
    """Create a contact with a number chosen by the caller."""
    return await contact(vendor, number="C-1042")


BASIC: Final[dict[str, Scenario]] = {
    "create_contact": contact,
    "update_contact": changed_contact,
    "find_contacts": found_contacts,
    "accounts": chart,
    "tax_rates": taxes,
    "create_invoice": create_invoice,
    "get_invoice": looked_up,
    "void_invoice": void_invoice,
    "record_payment": record_payment,
    "post_journal": post_journal,
    "attach": attach_file,
}

BY_CAPABILITY: Final[dict[str, Scenario]] = {
    AccountingCapability.DRAFTS: draft,
    AccountingCapability.SALES_ACCOUNTS: with_account,
    AccountingCapability.ITEMS: with_item,
    AccountingCapability.INVOICE_NUMBERS: create_numbered_invoice,
    AccountingCapability.VOID_BILLS: voided_bill,
    AccountingCapability.CONTACT_NUMBERS: numbered_contact,
}
