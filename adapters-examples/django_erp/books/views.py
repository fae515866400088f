"""The ERP's pages; they call vendors through `vendor_calls`, outside transactions."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, render
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from books import vendor_calls
from books.models import (
    Attempt,
    Company,
    Customer,
    Invoice,
    Parcel,
    SentDocument,
    in_words,
    row_number,
)
from moorage import LogQuery
from moorage.errors import ConnectorError
from moorage_django import integration_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

_logger: Final = logging.getLogger(__name__)

ERP: Final = "The Django ERP"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none';"
    " frame-ancestors 'none'"
)
_BROKEN: Final = (
    "Something went wrong on our side. If you were paying, we do not know yet whether you were"
    " charged. Please do not pay again: the page of the invoice shows the outcome."
)


def set_security_headers(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., Any]:
    """Forbid pages to load scripts, or anything from other hosts."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return middleware


def page_variables(request: HttpRequest) -> dict[str, Any]:
    """Return the template variables of every page."""
    token = format_html(
        '<input type="hidden" name="csrfmiddlewaretoken" value="{}">', get_token(request)
    )
    return {"erp": ERP, "csrf": token}


# --- reading -----------------------------------------------------------------


@require_GET
def companies(request: HttpRequest) -> HttpResponse:
    """Show all companies."""
    return render(request, "companies.html", {"companies": Company.objects.order_by("slug")})


@require_GET
def invoices(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a company's invoices."""
    company = get_object_or_404(Company, slug=slug)
    context = {"company": company, "invoices": _invoices(company=company), "here": "invoices"}
    return render(request, "invoices.html", context)


@require_GET
def customers(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a company's customers."""
    company = get_object_or_404(Company, slug=slug)
    company_customers = Customer.objects.filter(company=company).order_by("name")
    context = {"company": company, "customers": company_customers, "here": "customers"}
    return render(request, "customers.html", context)


@require_GET
def customer(request: HttpRequest, slug: str, key: int) -> HttpResponse:
    """Show a customer and the customer's unpaid invoices."""
    customer_row = get_object_or_404(Customer, company=slug, pk=key)
    context = {
        "company": customer_row.company,
        "customer": customer_row,
        "contract": SentDocument.last(customer_row.company, "signatures", str(key)),
        "vat_check": SentDocument.last(customer_row.company, "tax", str(key)),
        "invoices": _invoices(customer=customer_row),
        "here": "customers",
    }
    return render(request, "customer.html", context)


@require_GET
def log(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the vendor calls made for a company."""
    company = get_object_or_404(Company, slug=slug)
    page = integration_log().find(LogQuery(tenant=slug, limit=50))
    entries = [
        {
            "when": f"{value.started_at:%H:%M:%S}",
            "service": value.service,
            "answer": value.vendor_code or value.error or value.http_status or "",
            "status": value.status.value,
            "attempts": value.attempts,
            "key": (value.idempotency_key or "")[:24],
        }
        for value in page.items
    ]
    context = {"company": company, "entries": entries, "here": "log"}
    return render(request, "log.html", context)


@require_GET
@transaction.non_atomic_requests
def invoice(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Show an invoice with the possible actions."""
    invoice_row = invoice_of(slug, number)
    next_number = invoice_row.following
    context = {
        "company": invoice_row.company,
        "invoice": invoice_row,
        "attempt": invoice_row.last,
        "number": next_number,
        "means": vendor_calls.means(invoice_row) if next_number else (),
        "parcel": Parcel.objects.filter(invoice=invoice_row).first(),
        "einvoice": SentDocument.last(invoice_row.company, "einvoices", number),
        "here": "invoices",
    }
    return render(request, "invoice.html", context)


# --- paying ------------------------------------------------------------------


@require_POST
@transaction.non_atomic_requests
def pay(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Pay an invoice only once, even if its form is submitted repeatedly."""
    invoice = invoice_of(slug, number)
    attempt = _start_attempt(request, invoice)
    if attempt is not None and attempt.state in {"open", "unknown"}:
        vendor_calls.pay(attempt)
    if attempt is not None and attempt.state == "waiting":
        return redirect_to(attempt.next_url)
    return redirect_to(home_page(invoice))


def _start_attempt(request: HttpRequest, invoice: Invoice) -> Attempt | None:
    """Return the payment attempt that a form starts, and store a new attempt.

    None if the form starts no attempt.
    """
    attempt_number, means_id = (row_number(request.POST.get(name)) for name in ("attempt", "means"))
    means = next((value for value in vendor_calls.means(invoice) if value.pk == means_id), None)
    with transaction.atomic():
        locked_invoice = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if means is not None and attempt_number == locked_invoice.following:
            return locked_invoice.begin(means, request.build_absolute_uri(home_page(invoice)))
    return Attempt.objects.filter(invoice=invoice, number=attempt_number).first()


@require_GET
@transaction.non_atomic_requests
def return_from_bank(request: HttpRequest, slug: str, number: str, attempt: int) -> HttpResponse:
    """Receive the buyer back from the bank."""
    invoice = invoice_of(slug, number)
    known_attempt = get_object_or_404(Attempt, invoice=invoice, number=attempt)
    if known_attempt.held and known_attempt.ref:
        vendor_calls.complete(known_attempt, request.GET.dict())
    return redirect_to(home_page(invoice))


@require_POST
@transaction.non_atomic_requests
def look_up(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Look up the last attempt's outcome."""
    invoice = invoice_of(slug, number)
    last_attempt = invoice.last
    if last_attempt is not None and last_attempt.held:
        vendor_calls.look_up(last_attempt)
    return redirect_to(home_page(invoice))


# --- shipping and mail ---------------------------------------------------------


@require_GET
@transaction.non_atomic_requests
def shipping(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Show the carriers' rates."""
    invoice = invoice_of(slug, number)
    context = {"company": invoice.company, "invoice": invoice, "here": "invoices"}
    return render(request, "shipping.html", {**context, "offers": _offers(invoice)})


@require_POST
@transaction.non_atomic_requests
def buy_label(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Buy a shipping label."""
    invoice = invoice_of(slug, number)
    if not Parcel.objects.filter(invoice=invoice).exists():
        vendor_calls.buy_label(invoice, request.POST.get("offer", ""))
    return redirect_to(home_page(invoice))


@require_POST
@transaction.non_atomic_requests
def track(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Update the parcel's location."""
    invoice = invoice_of(slug, number)
    vendor_calls.track(get_object_or_404(Parcel, invoice=invoice))
    return redirect_to(home_page(invoice))


@require_GET
def label(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Return the label as a file for printing."""
    parcel = get_object_or_404(Parcel, invoice=invoice_of(slug, number))
    return HttpResponse(bytes(parcel.label), content_type="application/pdf")


@require_POST
def mail(request: HttpRequest, slug: str, number: str) -> HttpResponse:
    """Mail the invoice when this request is committed."""
    invoice = invoice_of(slug, number)
    if Invoice.objects.filter(pk=invoice.pk, mailed=False).update(mailed=True):
        vendor_calls.mail(invoice, f"Invoice {number}", f"{invoice.title}: {invoice.price}.")
    return redirect_to(home_page(invoice))


# --- errors -----------------------------------------------------------


def explain_failure(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Explain a vendor's failure in plain words."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponse:
            return get_response(request)

        def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
            if not isinstance(error, ConnectorError) or is_paying(request.path):
                return None
            _logger.warning("A vendor call failed: %s", error)
            name = type(error).__name__
            text = f"A vendor could not complete the request ({name}). Please try again later."
            context = {"title": "Please try again later", "state": "unknown", "text": text}
            return render(request, "message.html", context, status=HTTPStatus.BAD_GATEWAY)

    return Middleware()


def is_paying(path: str) -> bool:
    """Return whether a failure of the page at this URL may concern a payment."""
    return path.endswith(("/pay", "/look-up")) or "/back/" in path


def not_found_page(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Show the page for an unknown URL."""
    text = "No page has this address."
    context = {"title": "Page not found", "state": "failed", "text": text}
    return render(request, "message.html", context, status=HTTPStatus.NOT_FOUND)


def error_page(request: HttpRequest) -> HttpResponse:
    """Show the page for an error of the ERP itself, without details."""
    parent_path = request.path.rpartition("/")[0] + "/"
    context = {
        "title": "Something went wrong",
        "state": "unknown",
        "text": _BROKEN,
        "back": parent_path,
    }
    return render(request, "message.html", context, status=HTTPStatus.INTERNAL_SERVER_ERROR)


def invoice_of(slug: str, number: str) -> Invoice:
    """Return a company's invoice with this number.

    Raise Http404 if the company has no such invoice.
    """
    return get_object_or_404(
        Invoice.objects.select_related("company", "customer"), company=slug, number=number
    )


def _invoices(**about: Any) -> Any:
    return Invoice.objects.filter(**about).select_related("company", "customer").order_by("number")


def _offers(invoice: Invoice) -> list[dict[str, Any]]:
    return [
        {
            "ref": str(value.ref),
            "service": in_words(value.service),
            "days": value.delivery_days,
            "total": value.total,
        }
        for value in vendor_calls.offers(invoice)
    ]


def home_page(invoice: Invoice) -> str:
    """Return an invoice's URL."""
    return f"/{invoice.company.slug}/invoices/{invoice.number}/"


def redirect_to(url: str) -> HttpResponse:
    """Redirect to another page."""
    return HttpResponseRedirect(url, status=HTTPStatus.SEE_OTHER)
