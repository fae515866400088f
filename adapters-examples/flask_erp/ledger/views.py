"""The ERP's pages; they call vendors through `vendor_calls`."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flask import (
    Blueprint,
    Response,
    abort,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from flask import (
    session as cookie,
)
from markupsafe import Markup
from sqlalchemy import select, update

from ledger import vendor_calls
from ledger.models import (
    Attempt,
    Company,
    Customer,
    Invoice,
    Parcel,
    SentDocument,
    in_words,
    row_number,
    session,
)
from moorage import LogQuery
from moorage.errors import ConnectorError
from moorage_flask import current_moorage

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse

ERP: Final = "The Flask ERP"
PAGES: Final = Path(__file__).parents[2] / "erp_pages"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none';"
    " frame-ancestors 'none'"
)
_BROKEN: Final = (
    "Something went wrong on our side. If you were paying, we do not know yet whether you were"
    " charged. Please do not pay again: the page of the invoice shows the outcome."
)

pages: Final = Blueprint("pages", __name__)


# --- every page --------------------------------------------------------------


@pages.before_request
def check_path() -> None:
    """Respond with 404 to a URL with the character NUL, because PostgreSQL cannot compare it."""
    if "\0" in request.path:
        abort(HTTPStatus.NOT_FOUND)


@pages.before_request
def check_form() -> None:
    """Refuse form submissions that come from other sites."""
    if request.method == "POST":
        token = cookie.get("token", "")
        form_token = request.form.get("token", "").encode()
        if not token or not secrets.compare_digest(token.encode(), form_token):
            abort(HTTPStatus.FORBIDDEN)


@pages.after_request
def set_security_headers(response: Response) -> Response:
    """Forbid pages to load scripts, or anything from other hosts."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@pages.app_context_processor
def page_variables() -> dict[str, Any]:
    """Return the template variables of every page."""
    token = cookie.setdefault("token", secrets.token_urlsafe(32))
    field = Markup('<input type="hidden" name="token" value="{}">').format(token)
    return {"erp": ERP, "csrf": field}


# --- reading -----------------------------------------------------------------


@pages.get("/static/erp.css")
def style() -> Response:
    """Return the style sheet."""
    return send_from_directory(PAGES / "static", "erp.css")


@pages.get("/")
def companies() -> str:
    """Show all companies."""
    all_companies = session.scalars(select(Company).order_by(Company.slug)).all()
    return render_template("companies.html", companies=all_companies)


@pages.get("/<slug>/")
def invoices(slug: str) -> str:
    """Show a company's invoices."""
    company_invoices = _invoices(company_slug=slug)
    context = {"company": company_of(slug), "invoices": company_invoices, "here": "invoices"}
    return render_template("invoices.html", **context)


@pages.get("/<slug>/customers/")
def customers(slug: str) -> str:
    """Show a company's customers."""
    customers_query = select(Customer).filter_by(company_slug=slug).order_by(Customer.name)
    company_customers = session.scalars(customers_query).all()
    context = {"company": company_of(slug), "customers": company_customers, "here": "customers"}
    return render_template("customers.html", **context)


@pages.get("/<slug>/customers/<int(max=999999999):key>/")
def customer(slug: str, key: int) -> str:
    """Show a customer and the customer's unpaid invoices."""
    buyer = session.scalar(select(Customer).filter_by(company_slug=slug, id=key)) or abort(404)
    contract = SentDocument.last(slug, "signatures", str(key))
    context = {
        "company": buyer.company,
        "customer": buyer,
        "contract": contract,
        "vat_check": SentDocument.last(slug, "tax", str(key)),
        "here": "customers",
    }
    return render_template("customer.html", invoices=_invoices(customer_id=key), **context)


@pages.get("/<slug>/log/")
def log(slug: str) -> str:
    """Show the vendor calls made for a company."""
    page = current_moorage.log.find(LogQuery(tenant=slug, limit=50))
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
    return render_template("log.html", company=company_of(slug), entries=entries, here="log")


@pages.get("/<slug>/invoices/<number>/")
def invoice(slug: str, number: str) -> str:
    """Show an invoice with the possible actions."""
    invoice_row = invoice_of(slug, number)
    next_number = invoice_row.following
    context = {
        "company": invoice_row.company,
        "invoice": invoice_row,
        "attempt": invoice_row.last,
        "number": next_number,
        "means": vendor_calls.means(invoice_row) if next_number else (),
        "parcel": session.query(Parcel).filter_by(invoice_id=invoice_row.id).first(),
        "einvoice": SentDocument.last(slug, "einvoices", number),
        "here": "invoices",
    }
    return render_template("invoice.html", **context)


# --- paying ------------------------------------------------------------------


@pages.post("/<slug>/invoices/<number>/pay")
def pay(slug: str, number: str) -> BaseResponse:
    """Pay an invoice only once, even if its form is submitted repeatedly."""
    invoice = invoice_of(slug, number)
    attempt = _start_attempt(invoice)
    if attempt is not None and attempt.state in {"open", "unknown"}:
        vendor_calls.pay(attempt)
    if attempt is not None and attempt.state == "waiting":
        return redirect_to(attempt.next_url)
    return redirect_to(home_page(invoice))


def _start_attempt(invoice: Invoice) -> Attempt | None:
    """Return the payment attempt that a form starts, and store a new attempt.

    None if the form starts no attempt.
    """
    attempt_number, means_id = (row_number(request.form.get(name)) for name in ("attempt", "means"))
    means = next((value for value in vendor_calls.means(invoice) if value.id == means_id), None)
    session.scalar(select(Invoice).filter_by(id=invoice.id).with_for_update(of=Invoice))
    session.refresh(invoice)
    attempt = session.query(Attempt).filter_by(invoice_id=invoice.id, number=attempt_number).first()
    if means is not None and attempt_number == invoice.following:
        attempt = invoice.begin(means, f"{request.host_url.rstrip('/')}{home_page(invoice)}")
    session.commit()
    return attempt


@pages.get("/<slug>/invoices/<number>/back/<int(max=999999999):attempt>/")
def return_from_bank(slug: str, number: str, attempt: int) -> BaseResponse:
    """Receive the buyer back from the bank."""
    invoice = invoice_of(slug, number)
    attempts = session.query(Attempt).filter_by(invoice_id=invoice.id, number=attempt)
    known_attempt = attempts.first() or abort(404)
    if known_attempt.held and known_attempt.ref:
        vendor_calls.complete(known_attempt, request.args.to_dict())
    return redirect_to(home_page(invoice))


@pages.post("/<slug>/invoices/<number>/look-up")
def look_up(slug: str, number: str) -> BaseResponse:
    """Look up the last attempt's outcome."""
    invoice = invoice_of(slug, number)
    last_attempt = invoice.last
    if last_attempt is not None and last_attempt.held:
        vendor_calls.look_up(last_attempt)
    return redirect_to(home_page(invoice))


# --- shipping and mail ---------------------------------------------------------


@pages.get("/<slug>/invoices/<number>/shipping/")
def shipping(slug: str, number: str) -> str:
    """Show the carriers' rates."""
    invoice = invoice_of(slug, number)
    context = {"company": invoice.company, "invoice": invoice, "here": "invoices"}
    return render_template("shipping.html", offers=_offers(invoice), **context)


@pages.post("/<slug>/invoices/<number>/ship")
def buy_label(slug: str, number: str) -> BaseResponse:
    """Buy a shipping label."""
    invoice = invoice_of(slug, number)
    if session.query(Parcel).filter_by(invoice_id=invoice.id).first() is None:
        vendor_calls.buy_label(invoice, request.form.get("offer", ""))
    session.commit()
    return redirect_to(home_page(invoice))


@pages.post("/<slug>/invoices/<number>/track")
def track(slug: str, number: str) -> BaseResponse:
    """Update the parcel's location."""
    invoice = invoice_of(slug, number)
    vendor_calls.track(session.query(Parcel).filter_by(invoice_id=invoice.id).first() or abort(404))
    session.commit()
    return redirect_to(home_page(invoice))


@pages.get("/<slug>/invoices/<number>/label.pdf")
def label(slug: str, number: str) -> Response:
    """Return the label as a file for printing."""
    parcels = session.query(Parcel).filter_by(invoice_id=invoice_of(slug, number).id)
    parcel = parcels.first() or abort(404)
    return Response(parcel.label, mimetype="application/pdf")


@pages.post("/<slug>/invoices/<number>/mail")
def mail(slug: str, number: str) -> BaseResponse:
    """Mail the invoice when the transaction is committed."""
    invoice = invoice_of(slug, number)
    mark_as_mailed = update(Invoice).where(Invoice.id == invoice.id, Invoice.mailed.is_(False))
    if session.execute(mark_as_mailed.values(mailed=True)).rowcount:
        vendor_calls.mail(invoice, f"Invoice {number}", f"{invoice.title}: {invoice.price}.")
    session.commit()
    return redirect_to(home_page(invoice))


# --- errors -----------------------------------------------------------


@pages.app_errorhandler(404)
def not_found_page(error: Exception) -> tuple[str, int]:
    """Show the page for an unknown URL."""
    text = "No page has this address."
    page = render_template("message.html", title="Page not found", state="failed", text=text)
    return page, HTTPStatus.NOT_FOUND


@pages.app_errorhandler(ConnectorError)
def explain_failure(error: ConnectorError) -> tuple[str, int]:
    """Explain a vendor's failure in plain words."""
    if request.path.endswith(("/pay", "/look-up")) or "/back/" in request.path:
        return error_page(error)
    name = type(error).__name__
    text = f"A vendor could not complete the request ({name}). Please try again later."
    page = render_template(
        "message.html", title="Please try again later", state="unknown", text=text
    )
    return page, HTTPStatus.BAD_GATEWAY


@pages.app_errorhandler(500)
def error_page(error: Exception) -> tuple[str, int]:
    """Show the page for an error of the ERP itself, without details."""
    session.rollback()
    parent_path = request.path.rpartition("/")[0] + "/"
    context = {
        "title": "Something went wrong",
        "state": "unknown",
        "text": _BROKEN,
        "back": parent_path,
    }
    return render_template("message.html", **context), HTTPStatus.INTERNAL_SERVER_ERROR


def company_of(slug: str) -> Company:
    """Return the company with this slug; respond with 404 if there is none."""
    return session.get(Company, slug) or abort(404)


def invoice_of(slug: str, number: str) -> Invoice:
    """Return a company's invoice with this number.

    Respond with 404 if the company has no such invoice.
    """
    invoice_query = select(Invoice).filter_by(company_slug=slug, number=number)
    return session.scalar(invoice_query) or abort(404)


def _invoices(**about: Any) -> Any:
    return session.scalars(select(Invoice).filter_by(**about).order_by(Invoice.number)).all()


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
    return f"/{invoice.company_slug}/invoices/{invoice.number}/"


def redirect_to(url: str) -> BaseResponse:
    """Redirect to another page."""
    return redirect(url, HTTPStatus.SEE_OTHER)
