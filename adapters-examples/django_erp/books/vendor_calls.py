"""The ERP's vendor calls; only `moorage.toml` chooses the vendors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from books.models import Attempt, Invoice, Means, Parcel, state_of
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
from moorage_django import hub, on, outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.contracts.payments import Payment
    from moorage.contracts.shipping import Rate


def means(invoice: Invoice) -> Iterable[Means]:
    """Return the payment methods that the invoice's payment account accepts."""
    company = invoice.company
    accounts = hub().chosen("payments", company.slug, currency=company.currency)
    return Means.objects.filter(account=accounts[0].name)


def pay(attempt: Attempt) -> None:
    """Make the payment of an attempt; a repeat does not charge again."""
    payments = hub().payments(attempt.invoice.company.slug)
    _store_outcome(
        attempt, lambda: payments.charge(_charge(attempt), idempotency_key=attempt.reference)
    )


def complete(attempt: Attempt, returned: Mapping[str, str]) -> None:
    """Continue an attempt after the buyer has returned from the bank."""
    payments = hub().payments(attempt.invoice.company.slug)
    key = f"{attempt.reference}/back"
    _store_outcome(attempt, lambda: payments.complete(attempt.ref, returned, idempotency_key=key))


def look_up(attempt: Attempt) -> None:
    """Look up an attempt's outcome."""
    earliest_time = attempt.begun_at - timedelta(minutes=1)
    lost_payment = Unsettled(
        charge=_charge(attempt), idempotency_key=attempt.reference, since=earliest_time
    )
    [result] = hub().payments(attempt.invoice.company.slug).settle([attempt.ref or lost_payment])
    _store_outcome(attempt, result.unwrap)


def offers(invoice: Invoice) -> tuple[Rate, ...]:
    """Return the carriers' rates for an invoice."""
    box = Box(weight="1.5", length="30", width="20", height="10")
    rate_request = RateRequest(
        sender=invoice.company.address,
        recipient=invoice.customer.address,
        parcels=[box],
        reference=invoice.number,
    )
    return hub().shipping(invoice.company.slug).get_rates(rate_request).rates


def buy_label(invoice: Invoice, offer: str) -> None:
    """Buy the shipping label for a chosen rate, once only."""
    shipping = hub().shipping(invoice.company.slug)
    shipment = shipping.create_shipment(offer, idempotency_key=f"{invoice.number}/label")
    parcel_fields = {
        "ref": str(shipment.ref),
        "service": shipment.service or "",
        "tracking_number": ", ".join(shipment.tracking_numbers),
        "cost": str(shipment.cost),
        "label": (shipment.labels[0].content if shipment.labels else None) or b"",
    }
    Parcel.objects.get_or_create(invoice=invoice, defaults=parcel_fields)


def track(parcel: Parcel) -> None:
    """Look up a parcel's location."""
    tracking = hub().shipping(parcel.invoice.company.slug).track_shipment(parcel.ref)
    Parcel.objects.filter(pk=parcel.pk).update(status=tracking.status)


def mail(invoice: Invoice, about: str, text: str) -> None:
    """Send an email when the current transaction commits; if it rolls back, send no email."""
    message = EmailMessage(to=invoice.customer.email, subject=about, text=text)
    tenant, key = invoice.company.slug, f"{invoice.number}/{about}"[:64]
    outbox().put("email", "send_transactional", message, tenant=tenant, key=key)


@on("payments")
def store_payment_event(event: PaymentEvent, entry: object) -> None:
    """Store a payment event; events of unknown payments are ignored."""
    event = hub().payments().follow_up(event)
    attempt = Attempt.of(event.ref.account, event.ref.id, event.reference)
    if attempt is not None and event.state is not None:
        state = state_of(event.state)
        if state == "paid":
            event.expect(_charge(attempt).amount)
        _advance(attempt, state, payment_id=event.ref.id)


def _charge(attempt: Attempt) -> Charge:
    invoice = attempt.invoice
    amount = Money(str(invoice.amount), invoice.company.currency)
    reference, return_url = attempt.reference, attempt.back_url
    return Charge(
        amount, attempt.token, reference=reference, return_url=return_url, description=invoice.title
    )


def _store_outcome(attempt: Attempt, call: Callable[[], Payment]) -> None:
    """Store an attempt's outcome, with a text for the buyer."""
    try:
        payment = call()
    except ConnectorError as error:
        notice = buyer_notice(error)
        # If the vendor already has a payment of this attempt, only a decline is final.
        final_error = PaymentDeclined if attempt.ref else VendorRejected
        end_state = (
            "declined" if isinstance(error, final_error) and not error.retryable else "failed"
        )
        is_unknown = notice.outcome is BuyerOutcome.UNKNOWN
        attempt.advance("unknown" if is_unknown else end_state, message=notice.text)
    else:
        state, ref = state_of(payment.state), payment.ref
        url = (payment.next_action and payment.next_action.url) or ""
        payment_fields = {"ref": str(ref), "account": ref.account, "payment_id": ref.id}
        _advance(attempt, state, next_url=url, **payment_fields)


def _advance(attempt: Attempt, state: str, **fields: str) -> None:
    with transaction.atomic():
        if attempt.advance(state, **fields) and state == "paid":
            number = attempt.invoice.number
            mail(attempt.invoice, f"Receipt {number}", f"Invoice {number} is paid. Thank you.")
