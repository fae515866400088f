"""The pages. They call vendors by `desk`."""

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

from ledger import desk
from ledger.models import Attempt, Company, Customer, Invoice, Parcel, in_words, session, whole
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
    " charged. Please do not pay again: look at the invoice, where we tell you what became of it."
)

pages: Final = Blueprint("pages", __name__)


# --- every page --------------------------------------------------------------


@pages.before_request
def check_form() -> None:
    """Refuse forms that are not of our own pages."""
    if request.method == "POST":
        token = cookie.get("token", "")
        given = request.form.get("token", "").encode()
        if not token or not secrets.compare_digest(token.encode(), given):
            abort(HTTPStatus.FORBIDDEN)


@pages.after_request
def only_our_own(response: Response) -> Response:
    """Let pages load nothing from anywhere else, nor any script."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@pages.app_context_processor
def everywhere() -> dict[str, Any]:
    """The variables of every page."""
    token = cookie.setdefault("token", secrets.token_urlsafe(32))
    field = Markup('<input type="hidden" name="token" value="{}">').format(token)
    return {"erp": ERP, "csrf": field}


# --- reading -----------------------------------------------------------------


@pages.get("/static/erp.css")
def style() -> Response:
    """The only sheet."""
    return send_from_directory(PAGES / "static", "erp.css")


@pages.get("/")
def companies() -> str:
    """All companies."""
    known = session.scalars(select(Company).order_by(Company.slug)).all()
    return render_template("companies.html", companies=known)


@pages.get("/<slug>/")
def invoices(slug: str) -> str:
    """The invoices of a company."""
    found = _invoices(company_slug=slug)
    context = {"company": _company_by_id(slug), "invoices": found, "here": "invoices"}
    return render_template("invoices.html", **context)


@pages.get("/<slug>/customers/")
def customers(slug: str) -> str:
    """The customers of a company."""
    known = select(Customer).filter_by(company_slug=slug).order_by(Customer.name)
    found = session.scalars(known).all()
    context = {"company": _company_by_id(slug), "customers": found, "here": "customers"}
    return render_template("customers.html", **context)


@pages.get("/<slug>/customers/<int(max=999999999):key>/")
def customer(slug: str, key: int) -> str:
    """A customer and their unpaid invoices."""
    found = session.scalar(select(Customer).filter_by(company_slug=slug, id=key)) or abort(404)
    context = {"company": found.company, "customer": found, "here": "customers"}
    return render_template("customer.html", invoices=_invoices(customer_id=key), **context)


@pages.get("/<slug>/log/")
def log(slug: str) -> str:
    """The calls to vendors that were made for a company."""
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
    return render_template("log.html", company=_company_by_id(slug), entries=entries, here="log")


@pages.get("/<slug>/invoices/<number>/")
def invoice(slug: str, number: str) -> str:
    """An invoice, and all that can be done with it."""
    found = _invoice(slug, number)
    following = found.following
    context = {
        "company": found.company,
        "invoice": found,
        "attempt": found.last,
        "number": following,
        "means": desk.means(found) if following else (),
        "parcel": session.query(Parcel).filter_by(invoice_id=found.id).first(),
        "here": "invoices",
    }
    return render_template("invoice.html", **context)


# --- paying ------------------------------------------------------------------


@pages.post("/<slug>/invoices/<number>/pay")
def pay(slug: str, number: str) -> BaseResponse:
    """Pay once, however often the form is sent: its attempt has one key."""
    found = _invoice(slug, number)
    attempt = _start_attempt(found)
    if attempt is not None and attempt.state in {"open", "unknown"}:
        desk.pay(attempt)
    if attempt is not None and attempt.state == "waiting":
        return _see(attempt.next_url)
    return _see(_home_page(found))


def _start_attempt(found: Invoice) -> Attempt | None:
    """The attempt that a form is for, written down before anything else is done."""
    wanted, chosen = (whole(request.form.get(name)) for name in ("attempt", "means"))
    means = next((value for value in desk.means(found) if value.id == chosen), None)
    session.scalar(select(Invoice).filter_by(id=found.id).with_for_update(of=Invoice))
    known = session.query(Attempt).filter_by(invoice_id=found.id, number=wanted).first()
    if means is not None and wanted == found.following:
        known = found.begin(means, f"{request.host_url.rstrip('/')}{_home_page(found)}")
    session.commit()
    return known


@pages.get("/<slug>/invoices/<number>/back/<int(max=999999999):attempt>/")
def back(slug: str, number: str, attempt: int) -> BaseResponse:
    """The buyer is back from the bank."""
    found = _invoice(slug, number)
    value = session.query(Attempt).filter_by(invoice_id=found.id, number=attempt)
    known = value.first() or abort(404)
    if known.held and known.ref:
        desk.come_back(known, request.args.to_dict())
    return _see(_home_page(found))


@pages.post("/<slug>/invoices/<number>/look-up")
def look_up(slug: str, number: str) -> BaseResponse:
    """Look up the outcome of the last attempt."""
    found = _invoice(slug, number)
    last = found.last
    if last is not None and last.held:
        desk.look_up(last)
    return _see(_home_page(found))


# --- shipping and mail ---------------------------------------------------------


@pages.get("/<slug>/invoices/<number>/shipping/")
def shipping(slug: str, number: str) -> str:
    """The rates of carriers."""
    found = _invoice(slug, number)
    context = {"company": found.company, "invoice": found, "here": "invoices"}
    return render_template("shipping.html", offers=_offers(found), **context)


@pages.post("/<slug>/invoices/<number>/ship")
def ship(slug: str, number: str) -> BaseResponse:
    """Buy a label."""
    found = _invoice(slug, number)
    if session.query(Parcel).filter_by(invoice_id=found.id).first() is None:
        desk.ship(found, request.form.get("offer", ""))
    session.commit()
    return _see(_home_page(found))


@pages.post("/<slug>/invoices/<number>/track")
def track(slug: str, number: str) -> BaseResponse:
    """Find out where the parcel is."""
    found = _invoice(slug, number)
    desk.track(session.query(Parcel).filter_by(invoice_id=found.id).first() or abort(404))
    session.commit()
    return _see(_home_page(found))


@pages.get("/<slug>/invoices/<number>/label.pdf")
def label(slug: str, number: str) -> Response:
    """The label, to be printed."""
    sent = session.query(Parcel).filter_by(invoice_id=_invoice(slug, number).id)
    parcel = sent.first() or abort(404)
    return Response(parcel.label, mimetype="application/pdf")


@pages.post("/<slug>/invoices/<number>/mail")
def mail(slug: str, number: str) -> BaseResponse:
    """Mail the invoice, once this is committed."""
    found = _invoice(slug, number)
    unsent = update(Invoice).where(Invoice.id == found.id, Invoice.mailed.is_(False))
    if session.execute(unsent.values(mailed=True)).rowcount:
        desk.mail(found, f"Invoice {number}", f"{found.title}: {found.price}.")
    session.commit()
    return _see(_home_page(found))


# --- what went wrong -----------------------------------------------------------


@pages.app_errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    """The page for an unknown address."""
    text = "There is nothing at this address."
    shown = render_template("trouble.html", title="Nothing here", mood="failed", text=text)
    return shown, HTTPStatus.NOT_FOUND


@pages.app_errorhandler(ConnectorError)
def trouble(error: ConnectorError) -> tuple[str, int]:
    """Explain a vendor's failure in plain words."""
    if request.path.endswith(("/pay", "/look-up")) or "/back/" in request.path:
        return broken(error)
    name = type(error).__name__
    text = f"A vendor could not do it just now ({name}). Please try again later."
    shown = render_template("trouble.html", title="Not now", mood="unknown", text=text)
    return shown, HTTPStatus.BAD_GATEWAY


@pages.app_errorhandler(500)
def broken(error: Exception) -> tuple[str, int]:
    """The page for an error of the ERP itself, without details."""
    session.rollback()
    back = request.path.rpartition("/")[0] + "/"
    context = {"title": "Something went wrong", "mood": "unknown", "text": _BROKEN, "back": back}
    return render_template("trouble.html", **context), HTTPStatus.INTERNAL_SERVER_ERROR


def _company_by_id(slug: str) -> Company:
    return session.get(Company, slug) or abort(404)


def _invoice(slug: str, number: str) -> Invoice:
    asked = select(Invoice).filter_by(company_slug=slug, number=number)
    return session.scalar(asked) or abort(404)


def _invoices(**about: Any) -> Any:
    return session.scalars(select(Invoice).filter_by(**about).order_by(Invoice.number)).all()


def _offers(found: Invoice) -> list[dict[str, Any]]:
    return [
        {
            "ref": str(value.ref),
            "service": in_words(value.service),
            "days": value.delivery_days,
            "total": value.total,
        }
        for value in desk.offers(found)
    ]


def _home_page(one: Invoice) -> str:
    return f"/{one.company_slug}/invoices/{one.number}/"


def _see(url: str) -> BaseResponse:
    return redirect(url, HTTPStatus.SEE_OTHER)
