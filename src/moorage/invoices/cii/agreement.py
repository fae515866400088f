"""The agreement of a CII document: its parties, and the documents that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.invoices.binding import BASE64, Constant, ElementEntry, FieldEntry, Group, text_at
from moorage.invoices.cii.elements import has_type, object_reference, reference
from moorage.invoices.cii.parties import PARTY, TAX_REPRESENTATIVE
from moorage.invoices.values import Party, SupportingDocument

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement


def _is_document(element: XmlElement) -> bool:
    return text_at(element, "TypeCode") not in {"50", "130"}


AGREEMENT: Final = ElementEntry(
    "ram:ApplicableHeaderTradeAgreement",
    (
        FieldEntry("ram:BuyerReference", "buyer_reference"),
        Group("ram:SellerTradeParty", "seller", Party, PARTY),
        Group("ram:BuyerTradeParty", "buyer", Party, PARTY),
        Group(
            "ram:SellerTaxRepresentativeTradeParty",
            "tax_representative",
            Party,
            TAX_REPRESENTATIVE,
        ),
        reference("ram:SellerOrderReferencedDocument", "sales_order"),
        reference("ram:BuyerOrderReferencedDocument", "purchase_order"),
        reference("ram:ContractReferencedDocument", "contract"),
        ElementEntry(
            "ram:AdditionalReferencedDocument",
            (FieldEntry("ram:IssuerAssignedID", "tender"), Constant("ram:TypeCode", "50")),
            only=has_type("50"),
        ),
        object_reference("object_id"),
        Group(
            "ram:AdditionalReferencedDocument",
            "documents",
            SupportingDocument,
            (
                FieldEntry("ram:IssuerAssignedID", "id"),
                FieldEntry("ram:URIID", "url"),
                Constant("ram:TypeCode", "916"),
                FieldEntry("ram:Name", "description"),
                FieldEntry(
                    "ram:AttachmentBinaryObject",
                    "content",
                    BASE64,
                    {"mimeCode": "media_type", "filename": "filename"},
                ),
            ),
            many=True,
            only=_is_document,
        ),
        ElementEntry(
            "ram:SpecifiedProcuringProject",
            (FieldEntry("ram:ID", "project"), Constant("ram:Name", "Project reference")),
        ),
    ),
)
