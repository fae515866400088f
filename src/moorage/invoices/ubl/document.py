"""Reads and writes whole UBL documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.contracts.validators import check_kind
from moorage.errors import InvalidData
from moorage.invoices.binding import (
    DAY,
    IDENTIFIER,
    Constant,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Group,
    Node,
    read_root,
    read_value,
    text_at,
    unreadable_element_error,
    write_nodes,
)
from moorage.invoices.codes import CREDIT_NOTE_TYPES, INVOICE_TYPES
from moorage.invoices.profiles import EN16931, Profile
from moorage.invoices.ubl.elements import (
    CATEGORY,
    UNNAMED,
    allowances,
    is_object,
    is_vat,
    object_reference,
    reference,
    root_of,
)
from moorage.invoices.ubl.header import NOTES, PERIOD_AND_TAX_POINT, SUPPORTING_DOCUMENT
from moorage.invoices.ubl.lines import lines
from moorage.invoices.ubl.parties import (
    NAME,
    PAYEE,
    TAX_REPRESENTATIVE,
    address,
    check_single_ids,
    is_sepa,
    without_sepa,
    wrapped_party,
)
from moorage.invoices.ubl.payment import PAYMENT
from moorage.invoices.ubl.totals import TOTALS
from moorage.invoices.values import (
    Identifier,
    Invoice,
    InvoiceDelivery,
    Party,
    PrecedingInvoice,
    SupportingDocument,
)

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement

_COMMON_NAMESPACE: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
NAMESPACES: Final = {
    f"{_COMMON_NAMESPACE}Invoice-2": "Invoice",
    f"{_COMMON_NAMESPACE}CreditNote-2": "CreditNote",
}
"""The namespace of each document's root."""


def _is_project(element: XmlElement) -> bool:
    return text_at(element, "DocumentTypeCode") == "50"


def _document(root: str) -> tuple[Node, ...]:
    """Return the element table of an Invoice or a CreditNote, in the order of its schema."""
    invoice = root == "Invoice"
    tax_point = FieldEntry("cbc:TaxPointDate", "tax_point_date", DAY)
    due_date = FieldEntry("cbc:DueDate", "due_date", DAY)
    type_code = FieldEntry(f"cbc:{root}TypeCode", "type_code")
    originator = reference("cac:OriginatorDocumentReference", "tender")
    contract = reference("cac:ContractDocumentReference", "contract")
    invoiced_object = object_reference("cac:AdditionalDocumentReference")
    project: Node = (
        reference("cac:ProjectReference", "project")
        if invoice
        else ElementEntry(
            "cac:AdditionalDocumentReference",
            (FieldEntry("cbc:ID", "project"), Constant("cbc:DocumentTypeCode", "50")),
            only=_is_project,
        )
    )
    documents = Group(
        "cac:AdditionalDocumentReference",
        "documents",
        SupportingDocument,
        SUPPORTING_DOCUMENT,
        many=True,
        only=lambda element: not is_object(element) and (invoice or not _is_project(element)),
    )
    return (
        FieldEntry("cbc:CustomizationID", "specification"),
        FieldEntry("cbc:ProfileID", "process"),
        FieldEntry("cbc:ID", "number"),
        FieldEntry("cbc:IssueDate", "issue_date", DAY),
        *((due_date, type_code, NOTES, tax_point) if invoice else (tax_point, type_code, NOTES)),
        FieldEntry("cbc:DocumentCurrencyCode", "currency"),
        FieldEntry("cbc:TaxCurrencyCode", "tax_currency"),
        FieldEntry("cbc:AccountingCost", "accounting_cost"),
        FieldEntry("cbc:BuyerReference", "buyer_reference"),
        PERIOD_AND_TAX_POINT,
        ElementEntry(
            "cac:OrderReference",
            (FieldEntry("cbc:ID", "purchase_order"), FieldEntry("cbc:SalesOrderID", "sales_order")),
        ),
        Group(
            "cac:BillingReference",
            "preceding",
            PrecedingInvoice,
            (
                ElementEntry(
                    "cac:InvoiceDocumentReference",
                    (
                        FieldEntry("cbc:ID", "number"),
                        FieldEntry("cbc:IssueDate", "issue_date", DAY),
                    ),
                ),
            ),
            many=True,
        ),
        reference("cac:DespatchDocumentReference", "despatch_advice"),
        reference("cac:ReceiptDocumentReference", "receiving_advice"),
        *(
            (originator, contract, invoiced_object, documents, project)
            if invoice
            else (contract, invoiced_object, project, documents, originator)
        ),
        wrapped_party("cac:AccountingSupplierParty", "seller"),
        wrapped_party("cac:AccountingCustomerParty", "buyer"),
        Group("cac:PayeeParty", "payee", Party, PAYEE),
        Group("cac:TaxRepresentativeParty", "tax_representative", Party, TAX_REPRESENTATIVE),
        Group(
            "cac:Delivery",
            "delivery",
            InvoiceDelivery,
            (
                FieldEntry("cbc:ActualDeliveryDate", "date", DAY),
                ElementEntry(
                    "cac:DeliveryLocation",
                    (FieldEntry("cbc:ID", "location", IDENTIFIER), address("cac:Address")),
                ),
                ElementEntry("cac:DeliveryParty", (NAME,)),
            ),
        ),
        PAYMENT,
        ElementEntry("cac:PaymentTerms", (FieldEntry("cbc:Note", "payment_terms"),)),
        *allowances((ElementEntry("cac:TaxCategory", CATEGORY, only=is_vat),)),
        TOTALS,
        lines(root),
    )


_DOCUMENTS: Final = {root: _document(root) for root in NAMESPACES.values()}


def read_ubl(body: bytes) -> Invoice:
    """Return the invoice in a UBL document without checking it; `check` applies the business rules.

    Elements outside the semantic model of EN 16931 are left out.

    Raises:
        InvalidData: the document is not safe XML or not a UBL invoice, or an element is unreadable;
            the error's field names the element.
    """
    return read_ubl_root(read_root(body, "The UBL invoice"))


def read_ubl_root(root: XmlElement) -> Invoice:
    """Return the invoice in the root element of a UBL document."""
    if NAMESPACES.get(root.namespace) != root.name:
        raise InvalidData(
            f"The document is not a UBL invoice: its root element is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give a UBL 2.1 Invoice or CreditNote.",
        )
    place = ElementPlace(f"/{root.name}", text_at(root, "DocumentCurrencyCode"))
    _check_type(root, place)
    invoice: Invoice = read_value(Invoice, _DOCUMENTS[root.name], root, place)
    order = invoice.purchase_order
    if order == UNNAMED and invoice.sales_order is not None:
        order = None
    sepa = [
        identifier.value
        for party in (invoice.seller, invoice.payee)
        for identifier in (() if party is None else party.ids)
        if is_sepa(identifier)
    ]
    payment = invoice.payment
    if payment is not None and payment.card is not None and payment.card.network == UNNAMED:
        payment = attrs.evolve(payment, card=attrs.evolve(payment.card, network=None))
    return attrs.evolve(
        invoice,
        lines=tuple(line.with_prices() for line in invoice.lines),
        payment=payment,
        purchase_order=order,
        creditor_id=sepa[0] if sepa else None,
        seller=without_sepa(invoice.seller),
        payee=without_sepa(invoice.payee),
    )


def _check_type(root: XmlElement, place: ElementPlace) -> None:
    code = text_at(root, f"{root.name}TypeCode")
    fitting_types, other_types = INVOICE_TYPES, CREDIT_NOTE_TYPES
    if root.name == "CreditNote":
        fitting_types, other_types = other_types, fitting_types
    if code in other_types and code not in fitting_types:
        raise unreadable_element_error(
            place.inside(f"{root.name}TypeCode"),
            f"The type code {code!r} is not allowed in this document (BR-CL-01).",
        )


def write_ubl(invoice: Invoice, profile: Profile = EN16931) -> bytes:
    """Return the invoice as a UBL document; equal invoices give equal bytes.

    Missing totals are computed. The business rules are not checked; `write_invoice` does that.

    Raises:
        InvalidData: UBL has no element for a field of the invoice; the error names the field.
    """
    check_kind(invoice, Invoice, "invoice")
    check_kind(profile, Profile, "profile")
    invoice = invoice.completed(profile)
    check_single_ids(invoice)
    root = root_of(invoice)
    seller = invoice.seller
    if invoice.creditor_id is not None:
        seller = seller or Party()
        seller = attrs.evolve(seller, ids=(*seller.ids, Identifier(invoice.creditor_id, "SEPA")))
    order = invoice.purchase_order
    if order is None and invoice.sales_order is not None:
        order = UNNAMED
    invoice = attrs.evolve(invoice, seller=seller, purchase_order=order)
    content = write_nodes(_DOCUMENTS[root], invoice, invoice.currency)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="{_COMMON_NAMESPACE}{root}-2"'
        f' xmlns:cac="{_COMMON_NAMESPACE}CommonAggregateComponents-2"'
        f' xmlns:cbc="{_COMMON_NAMESPACE}CommonBasicComponents-2">{content}</{root}>\n'
    ).encode()
