"""Helpers of accounting vendors: exact numbers, kinds of records, and comparison of totals."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.accounting import BookInvoice, InvoiceKind, InvoicePayment, InvoiceRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.contracts.address import Address

TYPE: Final = "type"
"""The name of the related id by which a reference states the kind of its record."""
INVOICE: Final = "invoice"
BILL: Final = "bill"
JOURNAL: Final = "journal"
CUSTOMER: Final = "customer"
SUPPLIER: Final = "supplier"
PAYMENT: Final = "payment"
FILE: Final = "file"
INVOICE_TYPES: Final[Mapping[InvoiceKind, str]] = {
    InvoiceKind.SALES: INVOICE,
    InvoiceKind.BILL: BILL,
}
_ROLES: Final[Mapping[InvoiceKind, str]] = {
    InvoiceKind.SALES: CUSTOMER,
    InvoiceKind.BILL: SUPPLIER,
}
_DIFFERENT: Final = "total_differs"
_HAS_PAYMENTS: Final = "has_payments"


def json_number(value: Decimal) -> int | float:
    """Return a number that JSON shows as exactly this decimal.

    Raises:
        InvalidData: no such number exists, because the decimal has too many digits.
    """
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    if Decimal(repr(number)) != value:
        raise sdk.InvalidData(
            "The amount has more digits than can be sent exactly.",
            field="amount",
            remedy="Check that the amount is not in a smaller unit, such as cents instead of"
            " euros.",
        )
    return number


def money_number(amount: sdk.Money) -> int | float:
    """An amount in major units, as a JSON number."""
    return json_number(amount.amount)


def type_at(ref: sdk.Ref, *types: str) -> str:
    """Return the kind of record that a reference names; it must be one of `types`.

    Raises:
        InvalidData: the reference names another kind of record, or none.
    """
    kind = ref.other(TYPE)
    if kind in types:
        return kind
    raise sdk.InvalidData(
        f"The reference does not name a record of the type {' or '.join(types)}.",
        field="ref",
        remedy="Pass the `ref` of a record or an event, or the text that str(ref) returned.",
    )


def check_contact(contact: sdk.Ref, invoice: BookInvoice) -> None:
    """Refuse a sales invoice for a supplier, and a bill from a customer."""
    role = _ROLES[invoice.kind]
    if contact.other(TYPE) != role:
        raise sdk.InvalidData(
            f"The reference does not name a {role}.",
            field="ref",
            remedy=f"Pass the `ref` of a contact with the role {role}.",
        )


def check_currency(record: InvoiceRecord, payment: InvoicePayment) -> None:
    """Refuse a payment whose currency differs from the invoice's.

    Raises:
        InvalidData: the currencies differ.
        VendorFailed: the vendor does not state the currency of the invoice.
    """
    if record.total is None:
        raise sdk.VendorFailed(
            "The vendor returned no total or no currency of the invoice, so moorage cannot tell"
            " whether the payment is in its currency, and did not record it.",
            remedy="Record the payment at the vendor.",
        )
    if record.total.currency != payment.amount.currency:
        raise sdk.InvalidData(
            f"The payment is in {payment.amount.currency}, but the invoice is in"
            f" {record.total.currency}.",
            field="amount",
            remedy="Pass the amount in the currency of the invoice.",
        )


def check_unpaid(record: InvoiceRecord, total: str, due: str) -> None:
    """Refuse to void an invoice that has payments or credits.

    The amounts in the response are compared as bare numbers, because the response may state no
    currency.

    Args:
        record: invoice at the vendor.
        total: name of the field with its total.
        due: name of the field with the amount that is still to be paid.

    Raises:
        VendorRejected: the invoice has payments or credits.
        VendorFailed: the vendor does not state one of the two amounts.
    """
    fields = sdk.as_answer(record.raw)
    amounts = [fields.decimal(name) for name in (total, due)]
    if None in amounts:
        raise sdk.VendorFailed(
            f"The vendor returned no {total} or no {due} of the invoice, so moorage cannot tell"
            " whether it has payments, and did not void it.",
            remedy="Void the invoice at the vendor.",
        )
    if amounts[0] != amounts[1]:
        raise sdk.VendorRejected(
            "The invoice has payments or credits, so it cannot be voided.",
            vendor_code=_HAS_PAYMENTS,
            remedy="First remove the invoice's payments and credits at the vendor.",
        )


def lines_of(address: Address | None) -> list[str]:
    """The lines of an address before the city."""
    if address is None:
        return []
    return [line for line in (address.line1, address.line2, address.line3) if line]


def filled_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def check_has_new_records(
    items: Iterable[sdk.Answer], id_name: str, earlier_ids: set[str], response: sdk.Response
) -> None:
    """Refuse a page without new records, because the vendor would send such pages forever.

    Args:
        items: records of the page.
        id_name: name of the field with the id of a record.
        earlier_ids: ids on earlier pages, to which those of this page are added.
        response: the response that the page is in.

    Raises:
        VendorFailed: the page has no new record.
    """
    ids = {item.text(id_name) or "" for item in items}
    if ids and ids <= earlier_ids:
        raise sdk.malformed(response, "new record on this page")
    earlier_ids |= ids


async def with_equal_total(
    record: InvoiceRecord,
    invoice: BookInvoice,
    vendor: str,
    undo: Callable[[], Awaitable[object]],
) -> InvoiceRecord:
    """Compare the vendor's total with the invoice's; if they differ, undo the invoice.

    Args:
        record: invoice at the vendor.
        invoice: invoice that was sent.
        vendor: the vendor's name as people write it.
        undo: voids or deletes the invoice at the vendor.

    Raises:
        VendorRejected: the totals differ, and the invoice was undone.
        OutcomeUnknown: the vendor stated no total; or the totals differ, and the invoice could not
            be undone.
    """
    if record.total is None:
        raise sdk.OutcomeUnknown(
            f"The response of {vendor} contains no total of the invoice, so moorage did not"
            " compare the totals.",
            remedy=f"Compare the total of {record.ref} at {vendor}.",
        )
    if record.total == invoice.total:
        return record
    problem = f"{vendor} calculated a total of {record.total} instead of {invoice.total}"
    try:
        await undo()
    except sdk.ConnectorError as error:
        raise sdk.OutcomeUnknown(
            f"{problem}, and the invoice could not be voided.",
            remedy=f"Void {record.ref} at {vendor}, then compare the taxes of its lines.",
        ) from error
    raise sdk.VendorRejected(
        f"{problem}, so the invoice was voided or deleted.",
        vendor_code=_DIFFERENT,
        remedy="Compare the taxes of the lines with tax_rates(), and use another idempotency key.",
    )
