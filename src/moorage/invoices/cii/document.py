"""Reads and writes whole CII documents."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.amounts import exact_sum
from moorage.invoices.binding import (
    DAY_102,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Group,
    Node,
    read_root,
    read_value,
    text_at,
    write_nodes,
)
from moorage.invoices.cii.agreement import AGREEMENT
from moorage.invoices.cii.delivery import DELIVERY
from moorage.invoices.cii.elements import CATEGORY, PERIOD, allowances, is_vat, moment
from moorage.invoices.cii.lines import LINE
from moorage.invoices.cii.parties import PAYEE
from moorage.invoices.cii.payment import PAYMENT, PAYMENT_TERMS
from moorage.invoices.cii.totals import BREAKDOWN, TOTALS
from moorage.invoices.profiles import EN16931, Profile
from moorage.invoices.values import Invoice, InvoiceLine, Note, Party, PrecedingInvoice, Totals

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement

_STANDARD_NAMESPACE: Final = "urn:un:unece:uncefact:data:standard:"
NAMESPACE: Final = f"{_STANDARD_NAMESPACE}CrossIndustryInvoice:100"
"""The namespace of the root element."""
_SETTLEMENT: Final = ElementEntry(
    "ram:ApplicableHeaderTradeSettlement",
    (
        FieldEntry("ram:CreditorReferenceID", "creditor_id"),
        FieldEntry("ram:PaymentReference", "payment_reference"),
        FieldEntry("ram:TaxCurrencyCode", "tax_currency"),
        FieldEntry("ram:InvoiceCurrencyCode", "currency"),
        Group("ram:PayeeTradeParty", "payee", Party, PAYEE),
        PAYMENT,
        BREAKDOWN,
        PERIOD,
        *allowances((ElementEntry("ram:CategoryTradeTax", CATEGORY, only=is_vat),)),
        PAYMENT_TERMS,
        TOTALS,
        Group(
            "ram:InvoiceReferencedDocument",
            "preceding",
            PrecedingInvoice,
            (
                FieldEntry("ram:IssuerAssignedID", "number"),
                ElementEntry(
                    "ram:FormattedIssueDateTime",
                    (FieldEntry("qdt:DateTimeString", "issue_date", DAY_102),),
                ),
            ),
            many=True,
        ),
        ElementEntry(
            "ram:ReceivableSpecifiedTradeAccountingAccount",
            (FieldEntry("ram:ID", "accounting_cost"),),
        ),
    ),
)
_DOCUMENT: Final[tuple[Node, ...]] = (
    ElementEntry(
        "rsm:ExchangedDocumentContext",
        (
            ElementEntry(
                "ram:BusinessProcessSpecifiedDocumentContextParameter",
                (FieldEntry("ram:ID", "process"),),
            ),
            ElementEntry(
                "ram:GuidelineSpecifiedDocumentContextParameter",
                (FieldEntry("ram:ID", "specification"),),
            ),
        ),
    ),
    ElementEntry(
        "rsm:ExchangedDocument",
        (
            FieldEntry("ram:ID", "number"),
            FieldEntry("ram:TypeCode", "type_code"),
            moment("ram:IssueDateTime", "issue_date"),
            Group(
                "ram:IncludedNote",
                "notes",
                Note,
                (FieldEntry("ram:Content", "text"), FieldEntry("ram:SubjectCode", "subject")),
                many=True,
            ),
        ),
    ),
    ElementEntry(
        "rsm:SupplyChainTradeTransaction",
        (
            Group("ram:IncludedSupplyChainTradeLineItem", "lines", InvoiceLine, LINE, many=True),
            AGREEMENT,
            DELIVERY,
            _SETTLEMENT,
        ),
    ),
)


def read_cii(body: bytes) -> Invoice:
    """Return the invoice in a CII document without checking it; `check` applies the business rules.

    Elements outside the semantic model of EN 16931 are left out.

    Raises:
        InvalidData: the document is not safe XML or not a CII invoice, or an element is unreadable;
            the error's field names the element.
    """
    return read_cii_root(read_root(body, "The CII invoice"))


def read_cii_root(root: XmlElement) -> Invoice:
    """Return the invoice in the root element of a CII document."""
    if root.namespace != NAMESPACE or root.name != "CrossIndustryInvoice":
        raise InvalidData(
            f"The document is not a CII invoice: its root element is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give a UN/CEFACT CrossIndustryInvoice of D16B.",
        )
    transaction = next(root.all("SupplyChainTradeTransaction"), root)
    settlement = next(transaction.all("ApplicableHeaderTradeSettlement"), transaction)
    place = ElementPlace(f"/{root.name}", text_at(settlement, "InvoiceCurrencyCode"))
    invoice: Invoice = read_value(Invoice, _DOCUMENT, root, place)
    totals = invoice.stated_totals or Totals()
    # CII may omit a total VAT of zero, but UBL requires it. Any other missing total is the sender's
    # mistake, which rule BR-CO-15 reports.
    if (
        totals.vat is None
        and totals.breakdown
        and not exact_sum(part.tax for part in totals.breakdown)
    ):
        totals = attrs.evolve(totals, vat=Decimal("0.00"))
    return attrs.evolve(
        invoice,
        lines=tuple(line.with_prices() for line in invoice.lines),
        notes=tuple(note for note in invoice.notes if note != Note()),
        stated_totals=totals,
    )


def write_cii(invoice: Invoice, profile: Profile = EN16931) -> bytes:
    """Return the invoice as a CII document; equal invoices give equal bytes.

    Missing totals are computed. The business rules are not checked; `write_invoice` does that.
    The network of a payment card is left out, because CII has no element for it.

    Raises:
        InvalidData: the invoice has several preceding invoices, but CII has an element for only
            one.
    """
    check_kind(invoice, Invoice, "invoice")
    check_kind(profile, Profile, "profile")
    invoice = invoice.completed(profile)
    if len(invoice.preceding) > 1:
        raise InvalidData(
            f"CII D16B can contain one preceding invoice, not {len(invoice.preceding)}.",
            field="preceding",
            remedy="Write the invoice in UBL, or give one preceding invoice.",
        )
    content = write_nodes(_DOCUMENT, invoice, invoice.currency)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<rsm:CrossIndustryInvoice xmlns:rsm="{NAMESPACE}"'
        f' xmlns:qdt="{_STANDARD_NAMESPACE}QualifiedDataType:100"'
        f' xmlns:ram="{_STANDARD_NAMESPACE}ReusableAggregateBusinessInformationEntity:100"'
        f' xmlns:udt="{_STANDARD_NAMESPACE}UnqualifiedDataType:100">{content}'
        "</rsm:CrossIndustryInvoice>\n"
    ).encode()
