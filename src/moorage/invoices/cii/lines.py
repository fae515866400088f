"""The lines of a CII document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.invoices.binding import (
    AMOUNT,
    IDENTIFIER,
    NUMBER,
    TEXT,
    Box,
    Constant,
    ElementPlace,
    Fields,
    Group,
    Leaf,
    Node,
    Special,
    write_nothing,
)
from moorage.invoices.cii.elements import CATEGORY, PERIOD, allowances, is_vat, object_reference
from moorage.invoices.values import ItemClass, ItemProperty

if TYPE_CHECKING:
    from moorage.vendor_sdk.xml_text import XmlElement


def _read_gross_quantity(parent: XmlElement, fields: Fields, place: ElementPlace) -> None:
    """Read the base quantity of the gross price if the net price has none."""
    element = next(parent.all("GrossPriceProductTradePrice"), None)
    if element is not None and fields.get("base_quantity") is None:
        _BASE_QUANTITY.read(element, fields, place.inside("GrossPriceProductTradePrice"))


_BASE_QUANTITY: Final = Leaf(
    "ram:BasisQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}
)
_PRODUCT: Final = Box(
    "ram:SpecifiedTradeProduct",
    (
        Leaf("ram:GlobalID", "standard_item_id", IDENTIFIER),
        Leaf("ram:SellerAssignedID", "seller_item_id"),
        Leaf("ram:BuyerAssignedID", "buyer_item_id"),
        Leaf("ram:Name", "name"),
        Leaf("ram:Description", "description"),
        Group(
            "ram:ApplicableProductCharacteristic",
            "properties",
            ItemProperty,
            (Leaf("ram:Description", "name"), Leaf("ram:Value", "value")),
            many=True,
        ),
        Group(
            "ram:DesignatedProductClassification",
            "classes",
            ItemClass,
            (
                Leaf(
                    "ram:ClassCode", "code", TEXT, {"listID": "scheme", "listVersionID": "version"}
                ),
            ),
            many=True,
        ),
        Box("ram:OriginTradeCountry", (Leaf("ram:ID", "origin"),)),
    ),
)
LINE: Final[tuple[Node, ...]] = (
    Box(
        "ram:AssociatedDocumentLineDocument",
        (
            Leaf("ram:LineID", "id"),
            Box("ram:IncludedNote", (Leaf("ram:Content", "note"),)),
        ),
    ),
    _PRODUCT,
    Box(
        "ram:SpecifiedLineTradeAgreement",
        (
            Box("ram:BuyerOrderReferencedDocument", (Leaf("ram:LineID", "order_line"),)),
            Box(
                "ram:GrossPriceProductTradePrice",
                (
                    Leaf("ram:ChargeAmount", "gross_price", NUMBER),
                    Box(
                        "ram:AppliedTradeAllowanceCharge",
                        (
                            Constant("ram:ChargeIndicator", "<udt:Indicator>false</udt:Indicator>"),
                            Leaf("ram:ActualAmount", "price_discount", NUMBER),
                        ),
                    ),
                ),
            ),
            Box(
                "ram:NetPriceProductTradePrice",
                (Leaf("ram:ChargeAmount", "net_price", NUMBER), _BASE_QUANTITY),
            ),
            Special(_read_gross_quantity, write_nothing),
        ),
    ),
    Box(
        "ram:SpecifiedLineTradeDelivery",
        (Leaf("ram:BilledQuantity", "quantity", NUMBER, {"unitCode": "unit"}),),
    ),
    Box(
        "ram:SpecifiedLineTradeSettlement",
        (
            Box("ram:ApplicableTradeTax", CATEGORY, only=is_vat),
            PERIOD,
            *allowances(()),
            Box(
                "ram:SpecifiedTradeSettlementLineMonetarySummation",
                (Leaf("ram:LineTotalAmount", "stated_net", AMOUNT),),
            ),
            object_reference("object_id"),
            Box(
                "ram:ReceivableSpecifiedTradeAccountingAccount",
                (Leaf("ram:ID", "accounting_cost"),),
            ),
        ),
    ),
)
