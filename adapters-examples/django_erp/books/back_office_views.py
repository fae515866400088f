"""The pages of the back office; they call vendors through `back_office`, outside transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from back_office.calls import LONGEST_MESSAGE
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from books import back_office
from books.models import BankLine, Company, Customer, Order, SentDocument
from books.views import home_page, invoice_of, redirect_to

if TYPE_CHECKING:
    from django.http import HttpRequest


@require_POST
@transaction.non_atomic_requests
def send_invoice(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Send an electronic invoice once, even if the form is submitted repeatedly."""
    invoice = invoice_of(slug, number)
    if invoice.customer.endpoint:
        back_office.send_invoice(invoice)
    return redirect_to(home_page(invoice))


@require_POST
@transaction.non_atomic_requests
def follow_invoice(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Update an electronic invoice's state."""
    invoice = invoice_of(slug, number)
    back_office.follow(SentDocument.last(invoice.company, "einvoices", number))
    return redirect_to(home_page(invoice))


@require_POST
@transaction.non_atomic_requests
def send_contract(request: HttpRequest, slug: str, key: int) -> HttpResponse:
    """Send a contract for signature once, even if the form is submitted repeatedly."""
    back_office.send_contract(_customer(slug, key))
    return redirect_to(f"/{slug}/customers/{key}/")


@require_POST
@transaction.non_atomic_requests
def follow_contract(request: HttpRequest, slug: str, key: int) -> HttpResponse:
    """Update a contract's state."""
    back_office.follow(SentDocument.last(_customer(slug, key).company, "signatures", str(key)))
    return redirect_to(f"/{slug}/customers/{key}/")


@require_POST
@transaction.non_atomic_requests
def check_vat_number(request: HttpRequest, slug: str, key: int) -> HttpResponse:
    """Check the VAT number that somebody typed for a customer."""
    back_office.check_vat_number(_customer(slug, key), request.POST.get("number", ""))
    return redirect_to(f"/{slug}/customers/{key}/")


@require_GET
@transaction.non_atomic_requests
def signed_contract(request: HttpRequest, slug: str, key: int) -> HttpResponse:
    """Return the signed contract as a download."""
    rows = SentDocument.objects.filter(company=slug, kind="signatures", subject=str(key))
    row = get_object_or_404(rows, state="completed")
    return HttpResponse(back_office.signed_contract(row), content_type="application/pdf")


@require_GET
@transaction.non_atomic_requests
def bank(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a company's bank account, and the invoices that its transactions pay."""
    company = get_object_or_404(Company, slug=slug)
    consent = SentDocument.last(company, "bank", "account")
    lines = BankLine.objects.filter(company=company).order_by("-day", "line_id")
    return _page(request, company, "bank", "bank", consent=consent, lines=lines)


@require_POST
@transaction.non_atomic_requests
def connect_bank(request: HttpRequest, slug: str) -> HttpResponse:
    """Redirect the account's owner to the bank."""
    company = get_object_or_404(Company, slug=slug)
    link = back_office.connect_bank(company, request.META.get("REMOTE_ADDR"))
    return redirect_to(link or f"/{slug}/bank/")


@require_GET
@transaction.non_atomic_requests
def bank_back(request: HttpRequest, slug: str) -> HttpResponse:
    """Receive the account's owner from the bank, and get the owner's decision from the bank."""
    company = get_object_or_404(Company, slug=slug)
    back_office.follow(SentDocument.last(company, "bank", "account"))
    return redirect_to(f"/{slug}/bank/")


@require_POST
@transaction.non_atomic_requests
def read_account(request: HttpRequest, slug: str) -> HttpResponse:
    """Read the bank account's new transactions."""
    row = SentDocument.last(get_object_or_404(Company, slug=slug), "bank", "account")
    if row is not None and row.state == "granted":
        back_office.read_account(row)
    return redirect_to(f"/{slug}/bank/")


@require_GET
@transaction.non_atomic_requests
def orders(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the shop's orders."""
    company = get_object_or_404(Company, slug=slug)
    orders = Order.objects.filter(company=company).order_by("number")
    return _page(request, company, "orders", "shops", orders=orders)


@require_POST
@transaction.non_atomic_requests
def import_orders(request: HttpRequest, slug: str) -> HttpResponse:
    """Import the shop's changed orders."""
    back_office.import_orders(get_object_or_404(Company, slug=slug))
    return redirect_to(f"/{slug}/orders/")


@require_GET
@transaction.non_atomic_requests
def messages(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the last draft of a reply, a form for the next message, and the tokens that are left."""
    company = get_object_or_404(Company, slug=slug)
    return _page(
        request,
        company,
        "messages",
        "inference",
        draft=SentDocument.last(company, "inference", "message"),
        tokens_left=back_office.tokens_left(company),
        longest=LONGEST_MESSAGE,
    )


@require_POST
@transaction.non_atomic_requests
def draft_reply(request: HttpRequest, slug: str) -> HttpResponse:
    """Draft a reply to the customer's message that somebody entered."""
    company = get_object_or_404(Company, slug=slug)
    message = request.POST.get("message", "").strip()
    if message:
        back_office.draft_reply(company, message)
    return redirect_to(f"/{slug}/messages/")


def _page(
    request: HttpRequest, company: Company, name: str, contract: str, **context: object
) -> HttpResponse:
    """Show a page of the back office, which needs a vendor of a contract."""
    is_connected = back_office.is_connected(company, contract)
    common = {"company": company, "connected": is_connected, "here": name}
    return render(request, f"{name}.html", {**common, **context})


def _customer(slug: str, key: int) -> Customer:
    return get_object_or_404(Customer.objects.select_related("company"), company=slug, pk=key)
