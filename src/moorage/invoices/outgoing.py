"""Conversion of invoices to values that a vendor of electronic invoices can send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.contracts.einvoices import ElectronicAddress, OutgoingInvoice
from moorage.contracts.vendor import no_options
from moorage.errors import InvalidData
from moorage.invoices.checking import Syntax, read_invoice, write_invoice
from moorage.invoices.profiles import PEPPOL, Profile
from moorage.invoices.values import Invoice

if TYPE_CHECKING:
    from collections.abc import Mapping


def outgoing_invoice(
    invoice: Invoice | bytes,
    *,
    recipient: ElectronicAddress | str | None = None,
    profile: Profile = PEPPOL,
    syntax: Syntax | str = Syntax.UBL,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
) -> OutgoingInvoice:
    """Check an invoice, and return the value to pass to `hub.einvoices().send`.

    Args:
        invoice: the invoice, or its XML document, which is sent unchanged.
        recipient: electronic address of the recipient; by default that of the buyer.
        profile: profile whose rules are checked.
        syntax: syntax of the document to write; an XML document keeps its own.
        extra: options of single vendors by the vendor's name, as the vendor defines them.

    Raises:
        InvalidData: the invoice violates rules of the profile, the document cannot be read, or
            neither the buyer nor the arguments have an electronic address.
    """
    if isinstance(invoice, Invoice):
        content, document = invoice, write_invoice(invoice, profile, syntax=syntax)
    else:
        content, document = read_invoice(invoice, profile), bytes(invoice)
    return OutgoingInvoice(
        document=document,
        recipient=_buyer(content) if recipient is None else recipient,
        extra=no_options() if extra is None else extra,
    )


def _buyer(invoice: Invoice) -> ElectronicAddress:
    endpoint = None if invoice.buyer is None else invoice.buyer.endpoint
    if endpoint is None or endpoint.value is None or endpoint.scheme is None:
        raise InvalidData(
            "The buyer has no electronic address.",
            field="buyer.endpoint",
            remedy="Set the buyer's endpoint, or give a recipient.",
        )
    return ElectronicAddress(endpoint.scheme, endpoint.value)
