"""The pages of the back office; they call vendors through `back_office`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from back_office.calls import LONGEST_MESSAGE
from flask import Response, abort, render_template, request
from sqlalchemy import select

from ledger import back_office
from ledger.models import BankLine, Customer, Order, SentDocument, session
from ledger.views import company_of, home_page, invoice_of, pages, redirect_to

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse


@pages.post("/<slug>/invoices/<number>/e-invoice")
def send_invoice(slug: str, number: str) -> BaseResponse:
    """Send an electronic invoice once, even if the form is submitted repeatedly."""
    invoice = invoice_of(slug, number)
    if invoice.customer.endpoint:
        back_office.send_invoice(invoice)
    return redirect_to(home_page(invoice))


@pages.post("/<slug>/invoices/<number>/e-invoice/state")
def follow_invoice(slug: str, number: str) -> BaseResponse:
    """Update an electronic invoice's state."""
    invoice = invoice_of(slug, number)
    back_office.follow(SentDocument.last(slug, "einvoices", number))
    return redirect_to(home_page(invoice))


@pages.post("/<slug>/customers/<int(max=999999999):key>/contract")
def send_contract(slug: str, key: int) -> BaseResponse:
    """Send a contract for signature once, even if the form is submitted repeatedly."""
    back_office.send_contract(_customer(slug, key))
    return redirect_to(f"/{slug}/customers/{key}/")


@pages.post("/<slug>/customers/<int(max=999999999):key>/contract/state")
def follow_contract(slug: str, key: int) -> BaseResponse:
    """Update a contract's state."""
    back_office.follow(SentDocument.last(_customer(slug, key).company_slug, "signatures", str(key)))
    return redirect_to(f"/{slug}/customers/{key}/")


@pages.post("/<slug>/customers/<int(max=999999999):key>/vat-number")
def check_vat_number(slug: str, key: int) -> BaseResponse:
    """Check the VAT number that somebody typed for a customer."""
    back_office.check_vat_number(_customer(slug, key), request.form.get("number", ""))
    return redirect_to(f"/{slug}/customers/{key}/")


@pages.get("/<slug>/customers/<int(max=999999999):key>/contract.pdf")
def signed_contract(slug: str, key: int) -> Response:
    """Return the signed contract as a download."""
    row = SentDocument.last(slug, "signatures", str(key))
    if row is None or row.state != "completed":
        abort(404)
    return Response(back_office.signed_contract(row), mimetype="application/pdf")


@pages.get("/<slug>/bank/")
def bank(slug: str) -> str:
    """Show a company's bank account, and the invoices that its transactions pay."""
    lines_query = select(BankLine).filter_by(company_slug=slug)
    lines_query = lines_query.order_by(BankLine.day.desc(), BankLine.line_id)
    consent = SentDocument.last(slug, "bank", "account")
    lines = session.scalars(lines_query).all()
    return _page(slug, "bank", "bank", consent=consent, lines=lines)


@pages.post("/<slug>/bank/connect")
def connect_bank(slug: str) -> BaseResponse:
    """Redirect the account's owner to the bank."""
    return redirect_to(
        back_office.connect_bank(company_of(slug), request.remote_addr) or f"/{slug}/bank/"
    )


@pages.get("/<slug>/bank/back")
def bank_back(slug: str) -> BaseResponse:
    """Receive the account's owner from the bank, and get the owner's decision from the bank."""
    company = company_of(slug)
    back_office.follow(SentDocument.last(company.slug, "bank", "account"))
    return redirect_to(f"/{slug}/bank/")


@pages.post("/<slug>/bank/read")
def read_account(slug: str) -> BaseResponse:
    """Read the bank account's new transactions."""
    row = SentDocument.last(company_of(slug).slug, "bank", "account")
    if row is not None and row.state == "granted":
        back_office.read_account(row)
    return redirect_to(f"/{slug}/bank/")


@pages.get("/<slug>/orders/")
def orders(slug: str) -> str:
    """Show the shop's orders."""
    orders_query = select(Order).filter_by(company_slug=slug).order_by(Order.number)
    return _page(slug, "orders", "shops", orders=session.scalars(orders_query).all())


@pages.post("/<slug>/orders/import")
def import_orders(slug: str) -> BaseResponse:
    """Import the shop's changed orders."""
    back_office.import_orders(company_of(slug))
    return redirect_to(f"/{slug}/orders/")


@pages.get("/<slug>/messages/")
def messages(slug: str) -> str:
    """Show the last draft of a reply, a form for the next message, and the tokens that are left."""
    return _page(
        slug,
        "messages",
        "inference",
        draft=SentDocument.last(slug, "inference", "message"),
        tokens_left=back_office.tokens_left(slug),
        longest=LONGEST_MESSAGE,
    )


@pages.post("/<slug>/messages/draft")
def draft_reply(slug: str) -> BaseResponse:
    """Draft a reply to the customer's message that somebody entered."""
    company, message = company_of(slug), request.form.get("message", "").strip()
    if message:
        back_office.draft_reply(company, message)
    return redirect_to(f"/{slug}/messages/")


def _customer(slug: str, key: int) -> Customer:
    return session.scalar(select(Customer).filter_by(company_slug=slug, id=key)) or abort(404)


def _page(slug: str, name: str, contract: str, **context: object) -> str:
    """Show a page of the back office, which needs a vendor of a contract."""
    company, is_connected = company_of(slug), back_office.is_connected(slug, contract)
    common = {"company": company, "connected": is_connected, "here": name}
    return render_template(f"{name}.html", **common, **context)
