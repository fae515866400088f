"""The lines of a CII document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.invoices.binding import (
    AMOUNT,
    IDENTIFIER,
    NUMBER,
    TEXT,
    Constant,
    ElementEntry,
    ElementPlace,
    FieldEntry,
    Fields,
    Group,
    Node,
    SpecialElement,
    write_nothing,
)
from moorage.invoices.cii.elements import CATEGORY, PERIOD, allowances, is_vat, object_reference
from moorage.invoices.values import ItemClass, ItemProperty

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement


def _read_gross_quantity(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read the base quantity from the gross price if the net price states none."""
    element = next(parent.all("GrossPriceProductTradePrice"), None)
    if element is not None and fields.get("base_quantity") is None:
        _BASE_QUANTITY.read(element, fields, place.inside("GrossPriceProductTradePrice"))


_BASE_QUANTITY: Final = FieldEntry(
    "ram:BasisQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}
)
_PRODUCT: Final = ElementEntry(
    "ram:SpecifiedTradeProduct",
    (
        FieldEntry("ram:GlobalID", "standard_item_id", IDENTIFIER),
        FieldEntry("ram:SellerAssignedID", "seller_item_id"),
        FieldEntry("ram:BuyerAssignedID", "buyer_item_id"),
        FieldEntry("ram:Name", "name"),
        FieldEntry("ram:Description", "description"),
        Group(
            "ram:ApplicableProductCharacteristic",
            "properties",
            ItemProperty,
            (FieldEntry("ram:Description", "name"), FieldEntry("ram:Value", "value")),
            many=True,
        ),
        Group(
            "ram:DesignatedProductClassification",
            "classes",
            ItemClass,
            (
                FieldEntry(
                    "ram:ClassCode", "code", TEXT, {"listID": "scheme", "listVersionID": "version"}
                ),
            ),
            many=True,
        ),
        ElementEntry("ram:OriginTradeCountry", (FieldEntry("ram:ID", "origin"),)),
    ),
)
LINE: Final[tuple[Node, ...]] = (
    ElementEntry(
        "ram:AssociatedDocumentLineDocument",
        (
            FieldEntry("ram:LineID", "id"),
            ElementEntry("ram:IncludedNote", (FieldEntry("ram:Content", "note"),)),
        ),
    ),
    _PRODUCT,
    ElementEntry(
        "ram:SpecifiedLineTradeAgreement",
        (
            ElementEntry(
                "ram:BuyerOrderReferencedDocument", (FieldEntry("ram:LineID", "order_line"),)
            ),
            ElementEntry(
                "ram:GrossPriceProductTradePrice",
                (
                    FieldEntry("ram:ChargeAmount", "gross_price", NUMBER),
                    ElementEntry(
                        "ram:AppliedTradeAllowanceCharge",
                        (
                            Constant("ram:ChargeIndicator", "<udt:Indicator>false</udt:Indicator>"),
                            FieldEntry("ram:ActualAmount", "price_discount", NUMBER),
                        ),
                    ),
                ),
            ),
            ElementEntry(
                "ram:NetPriceProductTradePrice",
                (FieldEntry("ram:ChargeAmount", "net_price", NUMBER), _BASE_QUANTITY),
            ),
            SpecialElement(_read_gross_quantity, write_nothing),
        ),
    ),
    ElementEntry(
        "ram:SpecifiedLineTradeDelivery",
        (FieldEntry("ram:BilledQuantity", "quantity", NUMBER, {"unitCode": "unit"}),),
    ),
    ElementEntry(
        "ram:SpecifiedLineTradeSettlement",
        (
            ElementEntry("ram:ApplicableTradeTax", CATEGORY, only=is_vat),
            PERIOD,
            *allowances(()),
            ElementEntry(
                "ram:SpecifiedTradeSettlementLineMonetarySummation",
                (FieldEntry("ram:LineTotalAmount", "stated_net", AMOUNT),),
            ),
            object_reference("object_id"),
            ElementEntry(
                "ram:ReceivableSpecifiedTradeAccountingAccount",
                (FieldEntry("ram:ID", "accounting_cost"),),
            ),
        ),
    ),
)
