"""Conversion of Odoo's records to values of the contract, and the reverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import (
    AccountClass,
    ContactRecord,
    ContactRole,
    InvoiceKind,
    InvoiceRecord,
    InvoiceState,
    JournalRecord,
    JournalState,
    LedgerAccount,
    TaxRate,
)
from moorage.vendors.accounting._common import (
    INVOICE,
    INVOICE_TYPES,
    JOURNAL,
    filled_fields,
    json_number,
    lines_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.accounting import BookInvoice, BookInvoiceLine, Contact, Journal

MOVE_FIELDS: Final = (
    *("name", "move_type", "state", "payment_state", "amount_total", "amount_residual"),
    *("currency_id", "write_date"),
)
PARTNER_FIELDS: Final = ("name", "ref", "email", "active")
RANKS: Final[Mapping[ContactRole, str]] = {
    ContactRole.CUSTOMER: "customer_rank",
    ContactRole.SUPPLIER: "supplier_rank",
}
"""The fields that make a partner a customer or supplier; Odoo raises them with each invoice."""
ACCOUNT_FIELDS: Final = ("code", "name", "account_type", "currency_id")
TAX_FIELDS: Final = ("name", "amount", "amount_type", "type_tax_use", "active")
_NO_NUMBER: Final = ("/", "False")
_KINDS: Final = {"out_invoice": InvoiceKind.SALES, "in_invoice": InvoiceKind.BILL}
_MOVE_TYPES: Final = {kind: word for word, kind in _KINDS.items()}
_STATES: Final = {"draft": InvoiceState.DRAFT, "cancel": InvoiceState.VOID}
_PAYMENT_STATES: Final = {
    **dict.fromkeys(("not_paid", "partial", "blocked"), InvoiceState.OPEN),
    **dict.fromkeys(("in_payment", "paid", "reversed"), InvoiceState.PAID),
}
"""The invoice state for each of Odoo's payment states of a posted invoice. Odoo says `in_payment`
when a payment is recorded in the books but not yet matched with the bank.
"""
_JOURNAL_STATES: Final = {
    "draft": JournalState.DRAFT,
    "posted": JournalState.POSTED,
    "cancel": JournalState.VOID,
}
_CLASSES: Final = {
    "asset": AccountClass.ASSET,
    "liability": AccountClass.LIABILITY,
    "equity": AccountClass.EQUITY,
    "income": AccountClass.REVENUE,
    "expense": AccountClass.EXPENSE,
}
_PERCENTAGE: Final = "percent"
_USES: Final = {"sale": (True, False), "purchase": (False, True), "none": (False, False)}


def whole_id(text: str, field: str) -> int:
    """Return the id of an Odoo record from a reference.

    Raises:
        InvalidData: the reference has no whole number as its id.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    raise sdk.InvalidData(
        f"The {field} is not the id of a record in Odoo.",
        field=field,
        remedy="Pass the id from a result of this account, which is a whole number.",
    )


def contact_values(contact: Contact, country: int | None) -> dict[str, Any]:
    """The fields of a partner, from the details that a contact sets."""
    address, lines = contact.address, lines_of(contact.address)
    return filled_fields(
        {
            "name": contact.name,
            "ref": contact.number,
            "email": contact.email,
            "phone": contact.phone,
            "vat": contact.tax_number,
            "street": lines[0] if lines else None,
            "street2": ", ".join(lines[1:]) or None,
            "city": None if address is None else address.city,
            "zip": None if address is None else address.postal_code,
            "country_id": country,
            RANKS[contact.role]: 1,
        }
    )


def invoice_values(partner: int, invoice: BookInvoice, currency: int) -> dict[str, Any]:
    """The fields of a draft invoice or bill."""
    return filled_fields(
        {
            "move_type": _MOVE_TYPES[invoice.kind],
            "partner_id": partner,
            "currency_id": currency,
            "ref": invoice.number,
            "invoice_date": invoice.date.isoformat(),
            # Otherwise the partner's payment terms would replace the date.
            "invoice_payment_term_id": False,
            "invoice_date_due": invoice.due.isoformat(),
            "invoice_line_ids": [[0, 0, _line_values(line)] for line in invoice.lines],
        }
    )


def _line_values(line: BookInvoiceLine) -> dict[str, Any]:
    taxes = [] if line.tax_rate is None else [whole_id(line.tax_rate, "tax_rate")]
    return filled_fields(
        {
            "name": line.description,
            "quantity": json_number(line.quantity),
            "price_unit": json_number(line.unit_price),
            "account_id": line.account and whole_id(line.account, "account"),
            "product_id": line.item and whole_id(line.item, "item"),
            "tax_ids": [[6, 0, taxes]],
        }
    )


def journal_values(journal: Journal) -> dict[str, Any]:
    """The fields of a draft journal entry."""
    return {
        "move_type": "entry",
        "date": journal.date.isoformat(),
        "ref": journal.narration,
        "line_ids": [
            [
                0,
                0,
                {
                    "account_id": whole_id(line.account, "account"),
                    "name": line.description or journal.narration,
                    "debit": json_number(line.debit),
                    "credit": json_number(line.credit),
                },
            ]
            for line in journal.lines
        ],
    }


def read_move(ref: sdk.MakeRef, item: sdk.Answer) -> InvoiceRecord:
    """Return the invoice or bill in a record of Odoo."""
    kind = _KINDS.get(item.text("move_type") or "")
    vendor_state, payments = item.text("state") or "", item.text("payment_state") or ""
    state = _STATES.get(vendor_state, InvoiceState.UNKNOWN)
    if vendor_state == "posted":
        state = _PAYMENT_STATES.get(payments, InvoiceState.UNKNOWN)
        vendor_state = payments
    currency = item.text("currency_id.1")
    return InvoiceRecord(
        ref=ref(item.text("id") or "", type=INVOICE if kind is None else INVOICE_TYPES[kind]),
        kind=kind,
        state=state,
        vendor_state=vendor_state or None,
        number=_number(item),
        total=sdk.as_money(item.value("amount_total"), currency),
        due_amount=sdk.as_money(item.value("amount_residual"), currency),
        updated_at=item.time("write_date"),
        raw=item.raw,
    )


def read_entry(ref: sdk.MakeRef, item: sdk.Answer) -> JournalRecord:
    """Return the journal entry in a record of Odoo."""
    vendor_state = item.text("state")
    return JournalRecord(
        ref=ref(item.text("id") or "", type=JOURNAL),
        state=_JOURNAL_STATES.get(vendor_state or "", JournalState.UNKNOWN),
        vendor_state=vendor_state,
        number=_number(item),
        raw=item.raw,
    )


def _number(item: sdk.Answer) -> str | None:
    number = item.text("name")
    return None if number in _NO_NUMBER else number


def read_partner(ref: sdk.MakeRef, role: str, item: sdk.Answer) -> ContactRecord:
    """Return the contact in a partner record of Odoo."""
    return ContactRecord(
        ref=ref(item.text("id") or "", type=role),
        name=item.text("name"),
        number=item.text("ref"),
        email=item.text("email"),
        active=item.flag("active"),
        raw=item.raw,
    )


def read_account(item: sdk.Answer) -> LedgerAccount:
    """Return the account in a record of Odoo."""
    id_, word = item.text("id") or "", item.text("account_type") or ""
    return LedgerAccount(
        id=id_,
        name=item.text("name") or id_,
        code=item.text("code"),
        account_class=_CLASSES.get(word.partition("_")[0], AccountClass.UNKNOWN),
        vendor_type=word or None,
        currency=item.text("currency_id.1"),
        raw=item.raw,
    )


def read_tax(item: sdk.Answer) -> TaxRate:
    """Return the tax in a record of Odoo."""
    id_ = item.text("id") or ""
    on_sales, on_purchases = _USES.get(item.text("type_tax_use") or "", (None, None))
    is_percentage = item.text("amount_type") == _PERCENTAGE
    return TaxRate(
        id=id_,
        name=item.text("name") or id_,
        percent=item.decimal("amount") if is_percentage else None,
        on_sales=on_sales,
        on_purchases=on_purchases,
        active=item.flag("active") is not False,
        raw=item.raw,
    )
