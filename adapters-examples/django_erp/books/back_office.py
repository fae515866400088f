"""The Django ERP's back-office calls, built on code shared with the Flask ERP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from back_office import calls

from books.models import BankLine, Company, Invoice, Order, SentDocument
from moorage_django import hub, on

if TYPE_CHECKING:
    from books.models import Customer
    from moorage.contracts.shops import ShopEvent, ShopOrder
    from moorage.contracts.signatures import SignatureEvent


def send_invoice(invoice: Invoice) -> None:
    """Send an invoice once to the customer's electronic address."""
    row = SentDocument.begin(invoice.company, "einvoices", invoice.number)
    if row is not None:
        row.store_outcome(calls.send_invoice(hub(), row.key, invoice, row.day))


def send_contract(customer: Customer) -> None:
    """Send a contract once for signature to the customer."""
    row = SentDocument.begin(customer.company, "signatures", str(customer.pk))
    if row is not None:
        row.store_outcome(calls.send_contract(hub(), row.key, customer.company, customer))


def check_vat_number(customer: Customer, number: str) -> None:
    """Check a customer's VAT number, and store the result with its proof."""
    row = SentDocument.begin(customer.company, "tax", str(customer.pk))
    if row is not None:
        row.store_outcome(calls.check_vat_number(hub(), customer.company.slug, number))


def draft_reply(company: Company, message: str) -> None:
    """Store a language model's draft of a reply to a customer's message."""
    row = SentDocument.begin(company, "inference", "message")
    if row is not None:
        row.store_outcome(calls.draft_reply(hub(), row.key, company, message))


def tokens_left(company: Company) -> int | None:
    """Return how many of today's tokens are left; None if it is not known."""
    return calls.tokens_left(hub(), company.slug)


def connect_bank(company: Company, ip_address: str | None) -> str:
    """Ask the bank account's owner for consent; return the URL where the owner continues."""
    row = SentDocument.begin(company, "bank", "account")
    if row is None:
        return ""
    outcome = calls.connect_bank(hub(), row.key, company.slug, ip_address)
    row.store_outcome(outcome)
    return outcome.link


def follow(row: SentDocument | None) -> None:
    """Fetch the current state of a sent document or consent from the vendor, and store it."""
    if row is not None and row.ref:
        row.store_outcome(calls.follow(hub(), row.kind, row.company.slug, row.ref))


def read_account(row: SentDocument) -> None:
    """Read the bank account, and mark every invoice as paid that its transactions pay."""
    company = row.company
    due_invoices = Invoice.objects.filter(company=company).select_related("company")
    open_invoices = [invoice for invoice in due_invoices if invoice.following]
    paying_lines = BankLine.objects.filter(company=company).exclude(invoices="")
    used_lines = set(paying_lines.values_list("line_id", flat=True))
    lines = calls.read_account(hub(), company.slug, row.ref, open_invoices, used_lines)
    if lines is None:
        follow(row)
        return
    for line in lines:
        BankLine.store(company, line)


def import_orders(company: Company) -> None:
    """Import the shop's changed orders."""
    latest_order = Order.objects.filter(company=company).order_by("updated_at").last()
    since = latest_order and latest_order.updated_at
    for order in calls.orders(hub(), company.slug, since):
        _store(company, order)


@on("shops")
def store_shop_event(event: ShopEvent, entry: object) -> None:
    """Import the order named by an event of the shop."""
    for company in Company.objects.all():
        if event.ref.account in calls.accounts(hub(), "shops", company.slug):
            _store(company, hub().shops(company.slug).get_order(event.ref))


@on("signatures")
def store_signature_event(event: SignatureEvent, entry: object) -> None:
    """Update the contract named by an event of the signature vendor."""
    rows = SentDocument.objects.filter(kind="signatures", ref=str(event.ref))
    follow(rows.select_related("company").first())


def is_connected(company: Company, kind: str) -> bool:
    """Return whether a company has a vendor account for a contract."""
    return bool(calls.accounts(hub(), kind, company.slug))


def signed_contract(row: SentDocument) -> bytes:
    """Return the signed contract as a PDF."""
    return calls.signed_contract(hub(), row.company.slug, row.ref)


def _store(company: Company, order: ShopOrder) -> None:
    fields = {"company": company, **calls.order_fields(order)}
    Order.objects.update_or_create(ref=str(order.ref), defaults=fields)
