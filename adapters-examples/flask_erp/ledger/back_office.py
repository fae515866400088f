"""The Flask ERP's back-office calls, built on code shared with the Django ERP.

No transaction is open during a call; a separate transaction stores the outcome.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from back_office import calls

from ledger.models import BankLine, Company, Invoice, Order, SentDocument, session
from ledger.vendor_calls import moorage

if TYPE_CHECKING:
    from ledger.models import Customer
    from moorage.contracts.shops import ShopEvent
    from moorage.contracts.signatures import SignatureEvent


def send_invoice(invoice: Invoice) -> None:
    """Send an invoice once to the customer's electronic address."""
    row = SentDocument.begin(invoice.company_slug, "einvoices", invoice.number)
    if row is not None:
        row.store_outcome(calls.send_invoice(moorage.hub, row.key, invoice, row.day))


def send_contract(customer: Customer) -> None:
    """Send a contract once for signature to the customer."""
    company = customer.company
    row = SentDocument.begin(company.slug, "signatures", str(customer.id))
    if row is not None:
        row.store_outcome(calls.send_contract(moorage.hub, row.key, company, customer))


def check_vat_number(customer: Customer, number: str) -> None:
    """Check a customer's VAT number, and store the result with its proof."""
    slug = customer.company_slug
    row = SentDocument.begin(slug, "tax", str(customer.id))
    if row is not None:
        row.store_outcome(calls.check_vat_number(moorage.hub, slug, number))


def draft_reply(company: Company, message: str) -> None:
    """Store a language model's draft of a reply to a customer's message."""
    row = SentDocument.begin(company.slug, "inference", "message")
    if row is not None:
        row.store_outcome(calls.draft_reply(moorage.hub, row.key, company, message))


def tokens_left(slug: str) -> int | None:
    """Return how many of today's tokens are left; None if it is not known."""
    session.commit()
    return calls.tokens_left(moorage.hub, slug)


def connect_bank(company: Company, ip_address: str | None) -> str:
    """Ask the bank account's owner for consent; return the URL where the owner continues."""
    row = SentDocument.begin(company.slug, "bank", "account")
    if row is None:
        return ""
    outcome = calls.connect_bank(moorage.hub, row.key, company.slug, ip_address)
    row.store_outcome(outcome)
    return outcome.link


def follow(row: SentDocument | None) -> None:
    """Fetch the current state of a sent document or consent from the vendor, and store it."""
    session.commit()
    if row is not None and row.ref:
        row.store_outcome(calls.follow(moorage.hub, row.kind, row.company_slug, row.ref))


def read_account(row: SentDocument) -> None:
    """Read the bank account, and mark every invoice as paid that its transactions pay."""
    slug = row.company_slug
    invoices = session.query(Invoice).filter_by(company_slug=slug).all()
    open_invoices = [invoice for invoice in invoices if invoice.following]
    stored_lines = session.query(BankLine).filter_by(company_slug=slug).all()
    used_lines = {line.line_id for line in stored_lines if line.invoices}
    session.commit()
    lines = calls.read_account(moorage.hub, slug, row.ref, open_invoices, used_lines)
    if lines is None:
        follow(row)
        return
    for line in lines:
        BankLine.store(slug, line)


def import_orders(company: Company) -> None:
    """Import the shop's changed orders."""
    orders = session.query(Order).filter_by(company_slug=company.slug)
    latest_order = orders.order_by(Order.updated.desc()).first()
    session.commit()
    since = datetime.fromtimestamp(latest_order.updated, UTC) if latest_order else None
    for order in calls.orders(moorage.hub, company.slug, since):
        Order.store(company.slug, str(order.ref), calls.order_fields(order))


@moorage.on("shops")
def store_shop_event(event: ShopEvent, entry: object) -> None:
    """Import the order named by an event of the shop."""
    slugs = [company.slug for company in session.query(Company).all()]
    session.commit()
    for slug in slugs:
        if event.ref.account in calls.accounts(moorage.hub, "shops", slug):
            order = moorage.hub.shops(slug).get_order(event.ref)
            Order.store(slug, str(order.ref), calls.order_fields(order))


@moorage.on("signatures")
def store_signature_event(event: SignatureEvent, entry: object) -> None:
    """Update the contract named by an event of the signature vendor."""
    rows = session.query(SentDocument).filter_by(kind="signatures", ref=str(event.ref))
    follow(rows.first())


def is_connected(slug: str, kind: str) -> bool:
    """Return whether a company has a vendor account for a contract."""
    return bool(calls.accounts(moorage.hub, kind, slug))


def signed_contract(row: SentDocument) -> bytes:
    """Return the signed contract as a PDF."""
    session.commit()
    return calls.signed_contract(moorage.hub, row.company_slug, row.ref)
