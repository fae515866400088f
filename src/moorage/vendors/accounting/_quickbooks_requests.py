"""The bodies of requests to QuickBooks Online."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.accounting import ContactRole, InvoiceKind
from moorage.vendors.accounting._common import (
    BILL,
    INVOICE,
    filled_fields,
    json_number,
    lines_of,
    money_number,
    type_at,
)
from moorage.vendors.accounting._quickbooks_answers import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.accounting import (
        BookInvoice,
        BookInvoiceLine,
        Contact,
        InvoicePayment,
        Journal,
        JournalLine,
    )
    from moorage.vendor_sdk import Answer, Ref

    MakePayment = Callable[[Ref, InvoicePayment, Answer], dict[str, Any]]

_LONGEST_REFERENCE: Final = 21
_INVOICE_TYPES: Final = (INVOICE, BILL)


def escaped_text(text: str) -> str:
    r"""A string escaped for QuickBooks' query language, with \ before an apostrophe."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def contact_body(contact: Contact) -> dict[str, Any]:
    """The fields of a customer or vendor, from the details that a contact sets."""
    address = contact.address
    place = {f"Line{number}": line for number, line in enumerate(lines_of(address), 1)}
    if address is not None:
        place |= filled_fields(
            {
                "City": address.city,
                "CountrySubDivisionCode": address.region,
                "PostalCode": address.postal_code,
                "Country": address.country,
            }
        )
    is_customer = contact.role is ContactRole.CUSTOMER
    return filled_fields(
        {
            "DisplayName": contact.name,
            "PrimaryEmailAddr": contact.email and {"Address": contact.email},
            "PrimaryPhone": contact.phone and {"FreeFormNumber": contact.phone},
            "PrimaryTaxIdentifier" if is_customer else "TaxIdentifier": contact.tax_number,
            "BillAddr": place or None,
        }
    )


def invoice_body(contact: Ref, invoice: BookInvoice) -> dict[str, Any]:
    """The fields of an invoice or bill; its stated total of tax replaces the calculated one."""
    is_sale = invoice.kind is InvoiceKind.SALES
    lines = [_line_body(line, invoice.currency, is_sale=is_sale) for line in invoice.lines]
    has_taxes = any(line.tax_rate for line in invoice.lines)
    return filled_fields(
        {
            "CustomerRef" if is_sale else "VendorRef": {"value": contact.id},
            "DocNumber": invoice.number,
            "TxnDate": invoice.date.isoformat(),
            "DueDate": invoice.due.isoformat(),
            "CurrencyRef": {"value": invoice.currency},
            "GlobalTaxCalculation": "TaxExcluded" if has_taxes else None,
            "TxnTaxDetail": {"TotalTax": money_number(invoice.tax)} if has_taxes else None,
            "Line": lines,
        }
    )


def _line_body(line: BookInvoiceLine, currency: str, *, is_sale: bool) -> dict[str, Any]:
    tax = None if line.tax_rate is None else {"value": line.tax_rate}
    detail: dict[str, Any] = {"TaxCodeRef": tax}
    if line.item is None:
        name = "AccountBasedExpenseLineDetail"
        detail["AccountRef"] = {"value": line.account}
    else:
        name = "SalesItemLineDetail" if is_sale else "ItemBasedExpenseLineDetail"
        detail |= {
            "ItemRef": {"value": line.item},
            "Qty": json_number(line.quantity),
            "UnitPrice": json_number(line.unit_price),
        }
    return {
        "Amount": money_number(line.net(currency)),
        "Description": line.description,
        "DetailType": name,
        name: filled_fields(detail),
    }


def _customer_payment(ref: Ref, payment: InvoicePayment, invoice: Answer) -> dict[str, Any]:
    return {
        "CustomerRef": {"value": invoice.text("CustomerRef.value")},
        "DepositToAccountRef": {"value": payment.account},
        "PaymentRefNum": payment.reference and payment.reference[:_LONGEST_REFERENCE],
        **_amounts(ref, payment),
    }


def _bill_payment(ref: Ref, payment: InvoicePayment, bill: Answer) -> dict[str, Any]:
    return {
        "VendorRef": {"value": bill.text("VendorRef.value")},
        "PayType": "Check",
        "CheckPayment": {"BankAccountRef": {"value": payment.account}},
        "DocNumber": payment.reference and payment.reference[:_LONGEST_REFERENCE],
        **_amounts(ref, payment),
    }


PAYMENTS: Final[Mapping[str, tuple[str, MakePayment]]] = {
    INVOICE: ("Payment", _customer_payment),
    BILL: ("BillPayment", _bill_payment),
}


def _amounts(ref: Ref, payment: InvoicePayment) -> dict[str, Any]:
    amount = money_number(payment.amount)
    linked = {"TxnId": ref.id, "TxnType": ENTITIES[type_at(ref, *_INVOICE_TYPES)]}
    return {
        "TxnDate": payment.date.isoformat(),
        "CurrencyRef": {"value": payment.amount.currency},
        "TotalAmt": amount,
        "Line": [{"Amount": amount, "LinkedTxn": [linked]}],
    }


def journal_body(journal: Journal) -> dict[str, Any]:
    """The fields of a journal entry."""
    return {
        "TxnDate": journal.date.isoformat(),
        "PrivateNote": journal.narration,
        "Line": [_journal_line(line) for line in journal.lines],
    }


def _journal_line(line: JournalLine) -> dict[str, Any]:
    detail = {
        "PostingType": "Debit" if line.debit else "Credit",
        "AccountRef": {"value": line.account},
    }
    return filled_fields(
        {
            "Amount": json_number(line.debit or line.credit),
            "Description": line.description,
            "DetailType": "JournalEntryLineDetail",
            "JournalEntryLineDetail": detail,
        }
    )
