"""Conversion of Xero's responses and events to values of the contract."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import (
    AccountClass,
    AccountingEvent,
    BookChange,
    BookRecord,
    ContactRecord,
    DocumentRecord,
    InvoiceKind,
    InvoiceRecord,
    InvoiceState,
    JournalRecord,
    JournalState,
    LedgerAccount,
    PaymentRecord,
    TaxRate,
)
from moorage.vendors.accounting._common import (
    CUSTOMER,
    FILE,
    INVOICE,
    INVOICE_TYPES,
    JOURNAL,
    PAYMENT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.accounting import InvoicePayment

_MICROSOFT_DATE: Final = re.compile(r"/Date\((-?[0-9]{1,15})(?:[+-][0-9]{4})?\)/")
_KINDS: Final = {"ACCREC": InvoiceKind.SALES, "ACCPAY": InvoiceKind.BILL}
_STATES: Final = {
    "DRAFT": InvoiceState.DRAFT,
    "SUBMITTED": InvoiceState.DRAFT,
    "AUTHORISED": InvoiceState.OPEN,
    "PAID": InvoiceState.PAID,
    "VOIDED": InvoiceState.VOID,
    "DELETED": InvoiceState.VOID,
}
_JOURNAL_STATES: Final = {
    "DRAFT": JournalState.DRAFT,
    "POSTED": JournalState.POSTED,
    "VOIDED": JournalState.VOID,
    "DELETED": JournalState.VOID,
}
_CLASSES: Final = {
    "ASSET": AccountClass.ASSET,
    "LIABILITY": AccountClass.LIABILITY,
    "EQUITY": AccountClass.EQUITY,
    "REVENUE": AccountClass.REVENUE,
    "EXPENSE": AccountClass.EXPENSE,
}
_ACTIVE: Final = {"ACTIVE": True, "ARCHIVED": False, "GDPRREQUEST": False}
_CATEGORIES: Final = {
    "INVOICE": (BookRecord.INVOICE, INVOICE),
    "CONTACT": (BookRecord.CONTACT, CUSTOMER),
}
_CHANGES: Final = {"CREATE": BookChange.CREATED, "UPDATE": BookChange.UPDATED}
_STATUSES: Final[Mapping[int, Any]] = {
    400: sdk.InvalidRequest,
    401: sdk.AuthenticationFailed,
    403: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}
"""The class of error for each HTTP status; any other status below 500 is a `VendorRejected`."""
_LISTS: Final = ("Invoices", "Contacts", "Payments", "ManualJournals")


def classify(request: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Xero sends validation errors with status 400 or 200."""
    if response.status >= 500 or response.status == 408:
        return None
    body = sdk.error_answer(response)
    if sdk.is_success(response.status):
        return None if request.method.safe else _record_refusal(body, response)
    problems = [text for item in body.objects("Elements") for text in _problems(item)]
    words = sdk.masked_words(
        " ".join(problems) or body.text("Message") or body.text("Detail") or body.text("Title")
    )
    reason = response.headers.get("x-rate-limit-problem") or body.text("Type") or body.text("Title")
    if response.status == 409 and not reason and not words:
        return None  # An earlier request with the same key may be under way.
    code = reason or str(response.status)
    kind = _STATUSES.get(response.status, sdk.VendorRejected)
    return sdk.refusal(kind, "Xero", response, code, words)


def _record_refusal(body: sdk.Answer, response: sdk.Response) -> sdk.ConnectorError | None:
    for name in _LISTS:
        for item in body.objects(name):
            is_refused = item.text("StatusAttributeString") == "ERROR" or any(
                item.flag(field) for field in ("HasErrors", "HasValidationErrors")
            )
            if is_refused:
                words = sdk.masked_words(" ".join(_problems(item)))
                return sdk.refusal(
                    sdk.InvalidRequest, "Xero", response, "ValidationException", words
                )
    return None


def _problems(item: sdk.Answer) -> list[str]:
    return [
        text for problem in item.objects("ValidationErrors") if (text := problem.text("Message"))
    ]


def moment(text: str | None) -> datetime | None:
    """The UTC time of a string in Xero's format, such as /Date(1552327126164+0000)/."""
    match = _MICROSOFT_DATE.fullmatch(text or "")
    if match is None:
        return None
    try:
        return datetime.fromtimestamp(int(match[1]) / 1_000, UTC)
    except (OSError, OverflowError, ValueError):
        return None


def first_of(response: sdk.Response, name: str) -> sdk.Answer:
    """The only record in a response's list."""
    for item in sdk.read_answer(response).objects(name):
        return item
    raise sdk.malformed(response, name)


def listed(response: sdk.Response, name: str) -> list[sdk.Answer]:
    """The records in a response's list."""
    return sdk.required_objects(sdk.read_answer(response), name, response)


def read_contact(
    ref: sdk.MakeRef, role: str, item: sdk.Answer, response: sdk.Response
) -> ContactRecord:
    """A contact in a response."""
    id_ = sdk.required(item.text("ContactID"), response, "ContactID")
    return ContactRecord(
        ref=ref(id_, type=role),
        name=item.text("Name"),
        number=item.text("ContactNumber"),
        email=item.text("EmailAddress"),
        active=_ACTIVE.get(item.text("ContactStatus") or ""),
        raw=item.raw,
    )


def read_account(item: sdk.Answer) -> LedgerAccount | None:
    """An account in a response; None if it is archived or has no id."""
    id_ = item.text("Code") or item.text("AccountID")
    if id_ is None or item.text("Status") not in (None, "ACTIVE"):
        return None
    return LedgerAccount(
        id=id_,
        name=item.text("Name") or id_,
        code=item.text("Code"),
        account_class=_CLASSES.get(item.text("Class") or "", AccountClass.UNKNOWN),
        vendor_type=item.text("Type"),
        currency=item.text("CurrencyCode"),
        raw=item.raw,
    )


def read_tax_rate(item: sdk.Answer) -> TaxRate | None:
    """A tax rate in a response; None if it has no id."""
    id_ = item.text("TaxType")
    if id_ is None:
        return None
    return TaxRate(
        id=id_,
        name=item.text("Name") or id_,
        percent=item.decimal("EffectiveRate"),
        on_sales=item.flag("CanApplyToRevenue"),
        on_purchases=item.flag("CanApplyToExpenses"),
        active=item.text("Status") == "ACTIVE",
        raw=item.raw,
    )


def read_invoice(wire: sdk.Wire, response: sdk.Response) -> InvoiceRecord:
    """The invoice or bill in a response."""
    item = first_of(response, "Invoices")
    kind, word = _KINDS.get(item.text("Type") or ""), item.text("Status")
    id_ = sdk.required(item.text("InvoiceID"), response, "InvoiceID")
    currency = item.text("CurrencyCode")
    return InvoiceRecord(
        ref=wire.ref(id_, type=INVOICE if kind is None else INVOICE_TYPES[kind]),
        kind=kind,
        state=_STATES.get(word or "", InvoiceState.UNKNOWN),
        vendor_state=word,
        number=item.text("InvoiceNumber"),
        total=sdk.as_money(item.value("Total"), currency),
        due_amount=sdk.as_money(item.value("AmountDue"), currency),
        updated_at=moment(item.text("UpdatedDateUTC")),
        raw=item.raw,
    )


def read_payment(
    wire: sdk.Wire, invoice: sdk.Ref, payment: InvoicePayment, response: sdk.Response
) -> PaymentRecord:
    """The payment in a response, after checking that its amount is the sent one."""
    item = first_of(response, "Payments")
    id_ = sdk.required(item.text("PaymentID"), response, "PaymentID")
    if item.decimal("Amount") != payment.amount.amount:
        raise sdk.malformed(response, "Amount equal to the amount that was sent")
    return PaymentRecord(
        ref=wire.ref(id_, type=PAYMENT), invoice=invoice, amount=payment.amount, raw=item.raw
    )


def read_journal(wire: sdk.Wire, response: sdk.Response) -> JournalRecord:
    """The journal entry in a response."""
    item = first_of(response, "ManualJournals")
    id_ = sdk.required(item.text("ManualJournalID"), response, "ManualJournalID")
    vendor_state = item.text("Status")
    return JournalRecord(
        ref=wire.ref(id_, type=JOURNAL),
        state=_JOURNAL_STATES.get(vendor_state or "", JournalState.UNKNOWN),
        vendor_state=vendor_state,
        raw=item.raw,
    )


def read_attachment(wire: sdk.Wire, response: sdk.Response) -> DocumentRecord:
    """The attached file in a response."""
    item = first_of(response, "Attachments")
    id_ = sdk.required(item.text("AttachmentID"), response, "AttachmentID")
    return DocumentRecord(ref=wire.ref(id_, type=FILE), name=item.text("FileName"), raw=item.raw)


def read_events(
    event: sdk.WebhookEvent, ref: sdk.MakeRef, tenant_id: str
) -> tuple[AccountingEvent, ...]:
    """The change in a webhook; empty for another organisation or category."""
    fields = sdk.as_answer(event.payload)
    category = fields.text("eventCategory") or ""
    id_, word = fields.text("resourceId"), fields.text("eventType") or ""
    if fields.text("tenantId") != tenant_id or category not in _CATEGORIES or id_ is None:
        return ()
    record, kind = _CATEGORIES[category]
    return (
        AccountingEvent(
            id=event.id,
            ref=ref(id_, type=kind),
            record=record,
            change=_CHANGES.get(word, BookChange.UNKNOWN),
            vendor_type=f"{category}.{word}",
            at=fields.time("eventDateUtc"),
            raw=fields.raw,
        ),
    )
