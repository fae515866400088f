"""The ERP's vendor calls; only `moorage.toml` chooses the vendors.

No transaction is open during a call; a separate transaction stores the outcome.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from ledger.models import Attempt, Invoice, Means, Parcel, session, state_of
from moorage.contracts.email import EmailMessage
from moorage.contracts.payments import (
    BuyerOutcome,
    Charge,
    Money,
    PaymentEvent,
    Unsettled,
    buyer_notice,
)
from moorage.contracts.shipping import Parcel as Box
from moorage.contracts.shipping import RateRequest
from moorage.errors import ConnectorError, PaymentDeclined, VendorRejected
from moorage_flask import Moorage, current_moorage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.payments import Payment
    from moorage.contracts.shipping import Rate

moorage: Final = Moorage()


def means(invoice: Invoice) -> list[Means]:
    """Return the payment methods that the invoice's payment account accepts."""
    company = invoice.company
    accounts = moorage.hub.chosen("payments", company.slug, currency=company.currency)
    return session.query(Means).filter_by(account=accounts[0].name).all()


def pay(attempt: Attempt) -> None:
    """Make the payment of an attempt; a repeat does not charge again."""
    payments = moorage.hub.payments(attempt.invoice.company.slug)
    charge, key = _charge(attempt), attempt.reference
    _store_outcome(attempt, lambda: payments.charge(charge, idempotency_key=key))


def complete(attempt: Attempt, returned: Mapping[str, str]) -> None:
    """Continue an attempt after the buyer has returned from the bank."""
    payments = moorage.hub.payments(attempt.invoice.company.slug)
    key = f"{attempt.reference}/back"
    _store_outcome(attempt, lambda: payments.complete(attempt.ref, returned, idempotency_key=key))


def look_up(attempt: Attempt) -> None:
    """Look up an attempt's outcome."""
    since = attempt.begun_at - timedelta(minutes=1)
    payment = Unsettled(charge=_charge(attempt), idempotency_key=attempt.reference, since=since)
    payments = moorage.hub.payments(attempt.invoice.company.slug)
    payment_refs = [attempt.ref or payment]
    session.commit()
    [result] = payments.settle(payment_refs)
    _store_outcome(attempt, result.unwrap)


def offers(invoice: Invoice) -> tuple[Rate, ...]:
    """Return the carriers' rates for an invoice."""
    box = Box(weight="1.5", length="30", width="20", height="10")
    sender, recipient = invoice.company.address, invoice.customer.address
    query = RateRequest(sender=sender, recipient=recipient, parcels=[box], reference=invoice.number)
    session.commit()
    return moorage.hub.shipping(invoice.company.slug).get_rates(query).rates


def buy_label(invoice: Invoice, offer: str) -> None:
    """Buy the shipping label for a chosen rate, once only."""
    session.commit()
    shipping = moorage.hub.shipping(invoice.company.slug)
    shipment = shipping.create_shipment(offer, idempotency_key=f"{invoice.number}/label")
    session.scalar(select(Invoice.id).filter_by(id=invoice.id).with_for_update())
    if session.query(Parcel).filter_by(invoice_id=invoice.id).first() is None:
        label = (shipment.labels[0].content if shipment.labels else None) or b""
        numbers = ", ".join(shipment.tracking_numbers)
        parcel_fields = {"ref": str(shipment.ref), "tracking_number": numbers, "label": label}
        service, cost = shipment.service or "", str(shipment.cost)
        session.add(Parcel(invoice_id=invoice.id, service=service, cost=cost, **parcel_fields))


def track(parcel: Parcel) -> None:
    """Look up a parcel's location."""
    session.commit()
    shipping = moorage.hub.shipping(parcel.invoice.company.slug)
    parcel.status = shipping.track_shipment(parcel.ref).status


def mail(invoice: Invoice, about: str, text: str) -> None:
    """Send an email when the current transaction commits; if it rolls back, send no email."""
    message = EmailMessage(to=invoice.customer.email, subject=about, text=text)
    tenant, key = invoice.company.slug, f"{invoice.number}/{about}"[:64]
    current_moorage.outbox.put("email", "send_transactional", message, tenant=tenant, key=key)


@moorage.on("payments")
def store_payment_event(event: PaymentEvent, entry: object) -> None:
    """Store a payment event; events of unknown payments are ignored."""
    event = moorage.hub.payments().follow_up(event)
    attempt = Attempt.of(event.ref.account, event.ref.id, event.reference)
    if attempt is not None and event.state is not None:
        state = state_of(event.state)
        if state == "paid":
            event.expect(_charge(attempt).amount)
        _advance(attempt, state, payment_id=event.ref.id)
    session.commit()


def _charge(attempt: Attempt) -> Charge:
    invoice = attempt.invoice
    amount = Money(str(invoice.amount), invoice.company.currency)
    attempt_fields = {"reference": attempt.reference, "return_url": attempt.back_url}
    return Charge(amount, attempt.token, description=invoice.title, **attempt_fields)


def _store_outcome(attempt: Attempt, call: Callable[[], Payment]) -> None:
    """Store an attempt's outcome, with a text for the buyer."""
    session.commit()
    try:
        payment = call()
    except ConnectorError as error:
        notice = buyer_notice(error)
        # If the vendor already has a payment of this attempt, only a decline is final.
        final_error = PaymentDeclined if attempt.ref else VendorRejected
        end = "declined" if isinstance(error, final_error) and not error.retryable else "failed"
        is_unknown = notice.outcome is BuyerOutcome.UNKNOWN
        attempt.advance("unknown" if is_unknown else end, message=notice.text)
    else:
        state, ref = state_of(payment.state), payment.ref
        url = (payment.next_action and payment.next_action.url) or ""
        payment_fields = {"ref": str(ref), "account": ref.account, "payment_id": ref.id}
        _advance(attempt, state, next_url=url, **payment_fields)
    session.commit()


def _advance(attempt: Attempt, state: str, **fields: str) -> None:
    if attempt.advance(state, **fields) and state == "paid":
        number = attempt.invoice.number
        mail(attempt.invoice, f"Receipt {number}", f"Invoice {number} is paid. Thank you.")
