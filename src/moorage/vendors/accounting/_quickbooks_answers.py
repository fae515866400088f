"""Conversion of QuickBooks Online's responses and events to values of the contract."""

from __future__ import annotations

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
    BILL,
    CUSTOMER,
    FILE,
    INVOICE,
    JOURNAL,
    PAYMENT,
    SUPPLIER,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal


STALE: Final = "5010"
"""The code of a change that names an old version of the record."""
GONE: Final = "610"
"""The code of a record that does not exist, or is inactive."""
_MISSING: Final = "2500"
"""The code of a request whose reference names no record."""
ENTITIES: Final = {
    INVOICE: "Invoice",
    BILL: "Bill",
    JOURNAL: "JournalEntry",
    CUSTOMER: "Customer",
    SUPPLIER: "Vendor",
}
"""The name of each kind of record; its path has the name in small letters."""
_KINDS: Final = {INVOICE: InvoiceKind.SALES, BILL: InvoiceKind.BILL}
_VOIDED: Final = "Voided"
_CLASSES: Final = {
    "Asset": AccountClass.ASSET,
    "Liability": AccountClass.LIABILITY,
    "Equity": AccountClass.EQUITY,
    "Revenue": AccountClass.REVENUE,
    "Expense": AccountClass.EXPENSE,
}
_CODES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("100", "110", "120", "3100", "3200"), sdk.AuthenticationFailed),
    **dict.fromkeys(("3001", "003001"), sdk.RateLimitExceeded),
    **dict.fromkeys((STALE, GONE, _MISSING, "6140", "6190", "6210", "6240"), sdk.VendorRejected),
    "10000": sdk.VendorFailed,
}
"""The class of error for each fault code; for any other code, the type of the fault decides."""
_TYPES: Final[Mapping[str, Any]] = {
    "validationfault": sdk.InvalidRequest,
    **dict.fromkeys(
        ("authenticationfault", "authentication", "authorizationfault", "authorizatonfault"),
        sdk.AuthenticationFailed,
    ),
    "systemfault": sdk.VendorFailed,
}
_STATUSES: Final[Mapping[int, Any]] = {
    401: sdk.AuthenticationFailed,
    403: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}
_EVENTS: Final = {
    "invoice": (BookRecord.INVOICE, INVOICE),
    "bill": (BookRecord.BILL, BILL),
    "customer": (BookRecord.CONTACT, CUSTOMER),
    "vendor": (BookRecord.CONTACT, SUPPLIER),
    "payment": (BookRecord.PAYMENT, PAYMENT),
    "billpayment": (BookRecord.PAYMENT, PAYMENT),
    "journalentry": (BookRecord.JOURNAL, JOURNAL),
}
_CHANGES: Final = {
    "created": BookChange.CREATED,
    "updated": BookChange.UPDATED,
    "voided": BookChange.VOIDED,
    "deleted": BookChange.DELETED,
}
_EVENT_PARTS: Final = 4
"""The parts of an event's type, such as qbo.invoice.created.v1."""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a fault response; QuickBooks may send it with a success status."""
    if response.status >= 500 or response.status == 408:
        return None
    body = sdk.error_answer(response)
    attachment = next(body.objects("AttachableResponse"), sdk.Answer({}))
    fault = body.object("Fault") or body.object("fault") or attachment.object("Fault")
    if not fault and sdk.is_success(response.status):
        return None
    problems = [*fault.objects("Error"), *fault.objects("error")]
    problem = problems[0] if problems else sdk.Answer({})
    code = problem.text("code") or fault.text("type")
    texts = (_any_case_text(problem, "Message"), _any_case_text(problem, "Detail"))
    words = sdk.masked_words(": ".join(dict.fromkeys(filter(None, texts))))
    if response.status == 409 and not code and not words:
        return None  # An earlier request with the same key may be under way.
    kind = (
        _CODES.get(code or "")
        or _STATUSES.get(response.status)
        or _TYPES.get((fault.text("type") or "").lower(), sdk.VendorRejected)
    )
    return sdk.refusal(
        kind, "QuickBooks", response, code, words, otherwise=code or f"HTTP {response.status}"
    )


def _any_case_text(problem: sdk.Answer, name: str) -> str | None:
    return problem.text(name) or problem.text(name.lower())


def entity_of(response: sdk.Response, name: str) -> sdk.Answer:
    """The only record in a response."""
    item = sdk.read_answer(response).object(name)
    sdk.required(item.text("Id"), response, f"{name}.Id")
    return item


def queried(response: sdk.Response, name: str) -> list[sdk.Answer]:
    """The records in a query's response; empty if the response has no such list."""
    body = sdk.read_answer(response)
    if not sdk.is_object(body.value("QueryResponse")):
        raise sdk.malformed(response, "QueryResponse")
    return list(body.object("QueryResponse").objects(name))


def read_contact(ref: sdk.MakeRef, role: str, item: sdk.Answer) -> ContactRecord:
    """A customer or vendor in a response."""
    return ContactRecord(
        ref=ref(item.text("Id") or "", type=role),
        name=item.text("DisplayName"),
        email=item.text("PrimaryEmailAddr.Address"),
        active=item.flag("Active"),
        raw=item.raw,
    )


def read_account(item: sdk.Answer) -> LedgerAccount | None:
    """An account in a response; None without an id."""
    id_ = item.text("Id")
    if id_ is None:
        return None
    return LedgerAccount(
        id=id_,
        name=item.text("FullyQualifiedName") or item.text("Name") or id_,
        code=item.text("AcctNum"),
        account_class=_CLASSES.get(item.text("Classification") or "", AccountClass.UNKNOWN),
        vendor_type=item.text("AccountType"),
        currency=item.text("CurrencyRef.value"),
        raw=item.raw,
    )


def read_tax_codes(codes: Iterable[sdk.Answer], rates: Iterable[sdk.Answer]) -> tuple[TaxRate, ...]:
    """The tax codes, with the percentage of each code's only rate."""
    percents = {rate.text("Id"): rate.decimal("RateValue") for rate in rates}
    return tuple(
        TaxRate(
            id=id_,
            name=code.text("Name") or id_,
            percent=_percent(code, percents),
            on_sales=_has_rates(code, "SalesTaxRateList"),
            on_purchases=_has_rates(code, "PurchaseTaxRateList"),
            active=code.flag("Active") is not False,
            raw=code.raw,
        )
        for code in codes
        if (id_ := code.text("Id")) is not None
    )


def _has_rates(code: sdk.Answer, name: str) -> bool | None:
    return None if code.value(name) is None else bool(_rates_of(code, name))


def _rates_of(code: sdk.Answer, name: str) -> list[str | None]:
    return [item.text("TaxRateRef.value") for item in code.objects(f"{name}.TaxRateDetail")]


def _percent(code: sdk.Answer, percents: Mapping[str | None, Decimal | None]) -> Decimal | None:
    rates = _rates_of(code, "SalesTaxRateList") or _rates_of(code, "PurchaseTaxRateList")
    return percents.get(rates[0]) if len(rates) == 1 else None


def read_invoice(wire: sdk.Wire, kind: str, response: sdk.Response) -> InvoiceRecord:
    """The invoice or bill in a response; without amounts if the response states no currency."""
    item = entity_of(response, ENTITIES[kind])
    currency = item.text("CurrencyRef.value")
    total = sdk.required(item.decimal("TotalAmt"), response, "TotalAmt")
    balance = item.decimal("Balance")
    state = InvoiceState.UNKNOWN
    if not total and (item.text("PrivateNote") or "").startswith(_VOIDED):
        state = InvoiceState.VOID
    elif balance is not None:
        state = InvoiceState.PAID if not balance else InvoiceState.OPEN
    return InvoiceRecord(
        ref=wire.ref(item.text("Id") or "", type=kind),
        kind=_KINDS[kind],
        state=state,
        number=item.text("DocNumber"),
        total=sdk.as_money(total, currency),
        due_amount=sdk.as_money(balance, currency),
        updated_at=item.time("MetaData.LastUpdatedTime"),
        raw=item.raw,
    )


def read_payment(
    wire: sdk.Wire, invoice: sdk.Ref, amount: sdk.Money, name: str, response: sdk.Response
) -> PaymentRecord:
    """The payment in a response, after checking that its amount is the sent one."""
    item = entity_of(response, name)
    if item.decimal("TotalAmt") != amount.amount:
        raise sdk.malformed(response, "TotalAmt equal to the amount that was sent")
    return PaymentRecord(
        ref=wire.ref(item.text("Id") or "", type=PAYMENT),
        invoice=invoice,
        amount=amount,
        raw=item.raw,
    )


def read_journal(wire: sdk.Wire, response: sdk.Response) -> JournalRecord:
    """The journal entry in a response; it is always final, because QuickBooks has no drafts."""
    item = entity_of(response, ENTITIES[JOURNAL])
    return JournalRecord(
        ref=wire.ref(item.text("Id") or "", type=JOURNAL),
        state=JournalState.POSTED,
        number=item.text("DocNumber"),
        raw=item.raw,
    )


def read_attachment(wire: sdk.Wire, response: sdk.Response) -> DocumentRecord:
    """The uploaded file in a response."""
    for part in sdk.read_answer(response).objects("AttachableResponse"):
        item = part.object("Attachable")
        id_ = sdk.required(item.text("Id"), response, "Attachable.Id")
        return DocumentRecord(
            ref=wire.ref(id_, type=FILE), name=item.text("FileName"), raw=item.raw
        )
    raise sdk.malformed(response, "AttachableResponse")


def read_events(
    event: sdk.WebhookEvent, ref: sdk.MakeRef, realm_id: str
) -> tuple[AccountingEvent, ...]:
    """The change in a CloudEvent; empty for another company or an unknown kind of record."""
    fields = sdk.as_answer(event.payload)
    parts = (fields.text("type") or "").lower().split(".")
    id_ = fields.text("intuitentityid")
    if (
        fields.text("intuitaccountid") != realm_id
        or len(parts) != _EVENT_PARTS
        or parts[1] not in _EVENTS
        or id_ is None
    ):
        return ()
    record, kind = _EVENTS[parts[1]]
    return (
        AccountingEvent(
            id=event.id,
            ref=ref(id_, type=kind),
            record=record,
            change=_CHANGES.get(parts[2], BookChange.UNKNOWN),
            vendor_type=fields.text("type"),
            at=event.time,
            raw=fields.raw,
        ),
    )
