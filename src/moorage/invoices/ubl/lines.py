"""The lines of a UBL document."""

from __future__ import annotations

from typing import Final

from moorage.invoices.binding import (
    CURRENCY_AMOUNT,
    CURRENCY_PRICE,
    IDENTIFIER,
    NUMBER,
    Box,
    Constant,
    Group,
    Leaf,
)
from moorage.invoices.ubl.elements import (
    CATEGORY,
    PERIOD,
    allowances,
    is_vat,
    object_reference,
    reference,
)
from moorage.invoices.values import InvoiceLine, ItemClass, ItemProperty, Period

_ITEM: Final = Box(
    "cac:Item",
    (
        Leaf("cbc:Description", "description"),
        Leaf("cbc:Name", "name"),
        reference("cac:BuyersItemIdentification", "buyer_item_id"),
        reference("cac:SellersItemIdentification", "seller_item_id"),
        Box("cac:StandardItemIdentification", (Leaf("cbc:ID", "standard_item_id", IDENTIFIER),)),
        Box("cac:OriginCountry", (Leaf("cbc:IdentificationCode", "origin"),)),
        Group(
            "cac:CommodityClassification",
            "classes",
            ItemClass,
            (
                Leaf(
                    "cbc:ItemClassificationCode",
                    "code",
                    attributes={"listID": "scheme", "listVersionID": "version"},
                ),
            ),
            many=True,
        ),
        Box("cac:ClassifiedTaxCategory", CATEGORY, only=is_vat),
        Group(
            "cac:AdditionalItemProperty",
            "properties",
            ItemProperty,
            (Leaf("cbc:Name", "name"), Leaf("cbc:Value", "value")),
            many=True,
        ),
    ),
)
_PRICE: Final = Box(
    "cac:Price",
    (
        Leaf("cbc:PriceAmount", "net_price", CURRENCY_PRICE),
        Leaf("cbc:BaseQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}),
        Box(
            "cac:AllowanceCharge",
            (
                Constant("cbc:ChargeIndicator", "false"),
                Leaf("cbc:Amount", "price_discount", CURRENCY_PRICE),
                Leaf("cbc:BaseAmount", "gross_price", CURRENCY_PRICE),
            ),
        ),
    ),
)


def lines(root: str) -> Group:
    """Return the table entry of the lines of a document with this root element."""
    quantity = "InvoicedQuantity" if root == "Invoice" else "CreditedQuantity"
    return Group(
        f"cac:{root}Line",
        "lines",
        InvoiceLine,
        (
            Leaf("cbc:ID", "id"),
            Leaf("cbc:Note", "note"),
            Leaf(f"cbc:{quantity}", "quantity", NUMBER, {"unitCode": "unit"}),
            Leaf("cbc:LineExtensionAmount", "stated_net", CURRENCY_AMOUNT),
            Leaf("cbc:AccountingCost", "accounting_cost"),
            Group("cac:InvoicePeriod", "period", Period, PERIOD),
            Box("cac:OrderLineReference", (Leaf("cbc:LineID", "order_line"),)),
            object_reference("cac:DocumentReference"),
            *allowances(()),
            _ITEM,
            _PRICE,
        ),
        many=True,
    )
