"""The documents that an ERP sends: electronic invoices and contracts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.invoices import (
    Identifier,
    Invoice,
    InvoiceDelivery,
    InvoiceLine,
    Party,
    PayeeAccount,
    PaymentInstructions,
    PostalAddress,
    VatExemption,
    outgoing_invoice,
)

if TYPE_CHECKING:
    from moorage.contracts.einvoices import OutgoingInvoice

_IBAN: Final = "DE89370400440532013000"
_DUE: Final = timedelta(days=14)
_PAGE: Final = (
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
    " /Resources << /Font << /F1 5 0 R >> >> >>"
)
"""The page of a contract as an object of PDF."""


class PartyRow(Protocol):
    """A table row of a company or customer.

    Attributes:
        endpoint: electronic address, such as "0088:7300010000001"; empty if there is none.
    """

    name: Any
    email: Any
    line1: Any
    city: Any
    region: Any
    postal_code: Any
    country: Any
    endpoint: Any


class InvoiceRow(Protocol):
    """A table row of an invoice."""

    number: Any
    title: Any
    amount: Any
    company: Any
    customer: Any


def electronic_invoice(row: InvoiceRow, day: str) -> OutgoingInvoice:
    """Return a row's electronic invoice; calls with the same row and day return the same document.

    Args:
        row: the invoice.
        day: the date of the invoice, such as "2031-05-06".
    """
    issue_date, amount = date.fromisoformat(day), _amount(row)
    line = InvoiceLine(
        id="1", name=row.title, quantity=Decimal(1), unit="C62", net_price=amount, vat_category="O"
    )
    invoice = Invoice(
        number=row.number,
        issue_date=issue_date,
        due_date=issue_date + _DUE,
        type_code="380",
        currency=row.company.currency,
        buyer_reference=row.number,
        seller=_party(row.company),
        buyer=_party(row.customer),
        delivery=InvoiceDelivery(date=issue_date),
        payment=PaymentInstructions(code="30", accounts=(PayeeAccount(iban=_IBAN),)),
        lines=(line,),
        exemptions=(VatExemption(category="O", reason="Not subject to VAT"),),
    )
    return outgoing_invoice(invoice)


def contract(company: PartyRow, customer: PartyRow) -> SignatureRequest:
    """Return a contract between a company and a customer, for the customer to sign."""
    text = f"{company.name} delivers, and {customer.name} pays."
    return SignatureRequest(
        subject=f"Contract with {company.name}",
        message="Please read and sign.",
        documents=[SignatureDocument(name="contract.pdf", content=_pdf(text))],
        signers=[Signer(name=customer.name, email=customer.email)],
    )


def _amount(row: InvoiceRow) -> Decimal:
    amount: Decimal = row.amount
    return amount


def _party(place: PartyRow) -> Party:
    scheme, _, value = place.endpoint.partition(":")
    identifier = Identifier(value, scheme)
    return Party(
        name=place.name,
        ids=(identifier,),
        endpoint=identifier,
        address=PostalAddress(
            line1=place.line1,
            city=place.city,
            region=place.region,
            postal_code=place.postal_code,
            country=place.country,
        ),
    )


def _pdf(text: str) -> bytes:
    """Return a one-page PDF with a line of text."""
    drawing = f"BT /F1 14 Tf 72 720 Td ({_escape(text)}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE,
        f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    content, offsets = "%PDF-1.4\n", list[int]()
    for number, entry in enumerate(objects, 1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{entry}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    content += (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    )
    return content.encode("latin-1")


def _escape(text: str) -> str:
    plain_text = text.encode("latin-1", "replace").decode("latin-1")
    return plain_text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
