"""The vendor calls of the back office; only `moorage.toml` chooses the vendors.

What becomes of a document that is sent is an `Outcome`, whose state the ERP stores. A document is
sent under the key of its row, so that a second click sends nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from back_office.documents import contract, electronic_invoice
from moorage import ConfigurationError
from moorage.contracts.bank import ConsentRequest, Money, OpenItem, TransactionQuery, match
from moorage.contracts.inference import FinishReason, GenerationRequest
from moorage.contracts.shops import OrderQuery
from moorage.errors import (
    ConnectorError,
    ConsentRequired,
    IdempotencyInProgress,
    InvalidData,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.hub.service_status import service_statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from back_office.documents import InvoiceRow, PartyRow
    from moorage import Hub
    from moorage.contracts.bank import AccountTransaction
    from moorage.contracts.shops import ShopOrder

UNSENT: Final = ("open", "not_sent")
"""The states of a row that may be sent now, with its key."""
ENDED: Final = (
    *("refused", "failed", "declined", "expired", "voided", "revoked", "suspended"),
    *("in_use", "not_in_use", "not_checked"),
    *("drafted", "no_draft", "no_tokens"),
)
"""The final states, after which a document may be sent again as a new row with a new key."""

TEXTS: Final = {
    "open": "It is being sent.",
    "unknown": "We do not know whether it arrived, so it is not sent again. Please ask the"
    " recipient.",
    "not_sent": "It was not sent. You can try again.",
    "accepted": "It was accepted and will be delivered.",
    "delivered": "It was delivered.",
    "refused": "It was refused.",
    "failed": "It could not be delivered.",
    "sent": "It is waiting for the signature.",
    "viewed": "It was opened, and is waiting for the signature.",
    "completed": "It is signed.",
    "declined": "The signature was declined.",
    "pending": "The account's owner has not agreed at the bank yet.",
    "granted": "The account is connected.",
    "expired": "The consent has ended. Please connect the account again.",
    "voided": "It was voided.",
    "revoked": "The consent was revoked.",
    "suspended": "The bank has stopped the access. Please connect the account again.",
    "no_draft": "No draft was written. You can try again.",
    "no_tokens": "Too few of today's tokens are left for a draft. Please try again tomorrow, or"
    " with a shorter message.",
    "not_checked": "The register did not answer. Charge VAT, or check the number again later.",
}
"""The text that people see, by the state."""


INSTRUCTIONS: Final = (
    "You work in the office of {company}, which sells lamps and chairs. Draft a short and polite"
    " reply to the customer's message. Promise nothing: a person checks your draft before it is"
    " sent."
)
"""The instructions for the model that drafts replies."""
LONGEST_MESSAGE: Final = 2_000
"""The number of characters of a customer's message that the model reads."""
_LONGEST_DRAFT: Final = 400
"""The most tokens that the model may write for a draft."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The state of a sent document, of a consent or of a draft.

    Attributes:
        state: a word of the contract, or "open", "unknown" or "not_sent".
        message: the text for people.
        ref: the reference at the vendor, if there is one.
        link: the page to continue at, if there is one.
    """

    state: str
    message: str
    ref: str = ""
    link: str = ""


@attrs.frozen(kw_only=True)
class Line:
    """A booked transaction of a bank account.

    Attributes:
        id: its identifier, which is the same whenever it is read.
        day: the day of the booking, such as "2031-05-06"; empty if the bank gives none.
        amount: its amount with its currency.
        text: the text of the payer.
        invoices: the numbers of the invoices that it pays; empty if a person must decide.
    """

    id: str
    day: str
    amount: str
    text: str
    invoices: tuple[str, ...] = ()


def accounts(hub: Hub, kind: str, slug: str) -> list[str]:
    """Return the names of a company's vendor accounts for one contract."""
    try:
        return [account.name for account in hub.chosen(kind, slug)]
    except ConfigurationError:
        return []


def outcome_of(send: Callable[[], Any]) -> Outcome:
    """Call a sending function and return its outcome, "unknown" if it may have succeeded."""
    try:
        result = send()
    except IdempotencyInProgress:
        return _outcome_of_state("open")
    except VendorRejected as refusal:
        return Outcome(
            state="refused", message=f"{TEXTS['refused']} {refusal.vendor_message or ''}"
        )
    except ConnectorError as error:
        may_have_arrived = error.may_have_been_processed
        return _outcome_of_state("unknown" if may_have_arrived else "not_sent")
    return _read(result)


def send_invoice(hub: Hub, key: str, invoice: InvoiceRow, day: str) -> Outcome:
    """Send an invoice to the customer's electronic address, once per idempotency key."""
    einvoices, document = hub.einvoices(invoice.company.slug), electronic_invoice(invoice, day)
    return outcome_of(lambda: einvoices.send(document, idempotency_key=key))


def send_contract(hub: Hub, key: str, company: Any, customer: PartyRow) -> Outcome:
    """Send a contract for signature to the customer, once per key."""
    signatures, request = hub.signatures(company.slug), contract(company, customer)
    return outcome_of(lambda: signatures.send(request, idempotency_key=key))


def connect_bank(hub: Hub, key: str, slug: str, ip_address: str | None) -> Outcome:
    """Ask the bank account's owner for consent, once per idempotency key."""
    home = os.environ.get("ERP_PUBLIC_URL", "https://erp.example")
    request = ConsentRequest(return_url=f"{home}/{slug}/bank/back", ip_address=ip_address)
    bank = hub.bank(slug)
    return outcome_of(lambda: bank.start_consent(request, idempotency_key=key))


def check_vat_number(hub: Hub, slug: str, number: str) -> Outcome:
    """Ask the VAT register whether a customer's VAT number is valid.

    If the register is unavailable, do not report the number as wrong.
    """
    own_number = os.environ.get("ERP_VAT_NUMBER")
    try:
        check = hub.tax(slug).check_vat_number(number, requester=own_number)
    except (InvalidData, VendorRejected):
        return Outcome(state="refused", message="This is not a VAT number.")
    except ConnectorError:
        return _outcome_of_state("not_checked")
    if not check.valid:
        return Outcome(state="not_in_use", message=f"{check.number} is not in use. Charge VAT.")
    sentence = f"{check.number} is in use by {check.name or 'a business'}."
    proof = f" Proof {check.proof} of {check.checked_at:%Y-%m-%d}." if check.proof else ""
    return Outcome(state="in_use", message=sentence + proof)


def draft_reply(hub: Hub, key: str, company: Any, message: str) -> Outcome:
    """Return a language model's draft of a reply to a message, once per idempotency key."""
    request = GenerationRequest(
        message[:LONGEST_MESSAGE],
        instructions=INSTRUCTIONS.format(company=company.name),
        max_tokens=_LONGEST_DRAFT,
    )
    try:
        answer = hub.inference(company.slug).generate(request, idempotency_key=key)
    except RateLimitExceeded as error:
        return _outcome_of_state("no_draft" if error.by_vendor else "no_tokens")
    except ConnectorError:
        return _outcome_of_state("no_draft")
    if answer.finish is not FinishReason.COMPLETE:
        return _outcome_of_state("no_draft")
    # PostgreSQL stores no NUL.
    return Outcome(state="drafted", message=answer.text.replace("\0", ""))


def tokens_left(hub: Hub, slug: str) -> int | None:
    """Return how many of today's tokens are left; None without a budget, or if it is not known."""
    budgets = tuple(f"{account}.budget" for account in accounts(hub, "inference", slug))
    try:
        statuses = service_statuses(hub, slug, budgets)
    except ConnectorError:
        return None
    amounts = [limit.left for status in statuses for limit in status.limits]
    return min((amount for amount in amounts if amount is not None), default=None)


def follow(hub: Hub, kind: str, slug: str, ref: str) -> Outcome:
    """Ask the vendor for the current state of a sent document or consent.

    Raises:
        ConnectorError: the vendor does not answer, and the state is as it was.
    """
    match kind:
        case "einvoices":
            result: Any = hub.einvoices(slug).get(ref)
        case "signatures":
            result = hub.signatures(slug).get(ref)
        case _:
            result = hub.bank(slug).get_consent(ref)
    return _read(result)


def signed_contract(hub: Hub, slug: str, ref: str) -> bytes:
    """Return the signed contract as a PDF."""
    return hub.signatures(slug).download(ref).content


def read_account(
    hub: Hub,
    slug: str,
    consent: str,
    open_invoices: Iterable[InvoiceRow],
    used_lines: Collection[str],
) -> list[Line] | None:
    """Return a bank account's booked transactions, each with the invoices that it pays.

    Args:
        hub: the hub.
        slug: the company.
        consent: reference of the consent.
        open_invoices: the invoices that are to be paid.
        used_lines: the identifiers of the lines that have paid invoices already.

    Returns:
        The lines; None if the consent has ended.
    """
    try:
        transactions = list(_transactions(hub, slug, consent))
    except ConsentRequired:
        return None
    items = [
        OpenItem(
            id=row.number,
            amount=Money(str(row.amount), row.company.currency),
            invoice_number=row.number,
        )
        for row in open_invoices
    ]
    entries = [item.entry for item in transactions if _line_id(item) not in used_lines]
    paid = {id(payment.entry): payment.items for payment in match(entries, items).matched}
    return [_line(item, paid.get(id(item.entry), ())) for item in transactions]


def orders(hub: Hub, slug: str, since: datetime | None) -> Iterator[ShopOrder]:
    """Yield the shop's orders changed since a time, in order of their last change."""
    query, shops = OrderQuery(updated_since=since), hub.shops(slug)
    page = shops.orders(query)
    yield from page.items
    while page.next is not None:
        page = shops.orders(query, after=page.next)
        yield from page.items


def order_fields(order: ShopOrder) -> dict[str, Any]:
    """Return the values to store in an order's table row, except its reference."""
    address = order.shipping_address or order.billing_address
    return {
        "number": order.number or order.ref.id,
        "buyer": (address.name if address else None) or order.email or "",
        "total": "" if order.total is None else str(order.total),
        "state": order.payment.value,
        "updated_at": order.updated_at,
    }


def _transactions(hub: Hub, slug: str, consent: str) -> Iterator[AccountTransaction]:
    bank, query = hub.bank(slug), TransactionQuery()
    for account in bank.accounts(consent)[:1]:
        page = bank.transactions(account.ref, query)
        yield from page.booked
        while page.next is not None:
            page = bank.transactions(account.ref, query, after=page.next)
            yield from page.booked


def _line(item: AccountTransaction, paid: Iterable[OpenItem]) -> Line:
    return Line(
        id=_line_id(item),
        day="" if item.entry.booked_on is None else item.entry.booked_on.isoformat(),
        amount=str(item.entry.amount),
        text=_text_of(item),
        invoices=tuple(invoice.id for invoice in paid),
    )


def _line_id(item: AccountTransaction) -> str:
    return item.id or f"{item.entry.booked_on} {item.entry.amount} {_text_of(item)}"


def _text_of(item: AccountTransaction) -> str:
    return "; ".join(payment.remittance for payment in item.entry.transactions)


def _read(result: Any) -> Outcome:
    state = str(result.status or "sent")
    words = [TEXTS.get(state, f"Its state is {state}."), getattr(result, "reason", None)]
    reasons = [signer.reason for signer in getattr(result, "signers", ())]
    return Outcome(
        state=state,
        message=" ".join(filter(None, dict.fromkeys([*words, *reasons]))),
        ref=str(result.ref),
        link=getattr(result, "link", None) or "",
    )


def _outcome_of_state(state: str) -> Outcome:
    return Outcome(state=state, message=TEXTS[state])
