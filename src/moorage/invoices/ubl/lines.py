"""The lines of a UBL document."""

from __future__ import annotations

from typing import Final

from moorage.invoices.binding import (
    CURRENCY_AMOUNT,
    CURRENCY_PRICE,
    IDENTIFIER,
    NUMBER,
    Constant,
    ElementEntry,
    FieldEntry,
    Group,
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

_ITEM: Final = ElementEntry(
    "cac:Item",
    (
        FieldEntry("cbc:Description", "description"),
        FieldEntry("cbc:Name", "name"),
        reference("cac:BuyersItemIdentification", "buyer_item_id"),
        reference("cac:SellersItemIdentification", "seller_item_id"),
        ElementEntry(
            "cac:StandardItemIdentification",
            (FieldEntry("cbc:ID", "standard_item_id", IDENTIFIER),),
        ),
        ElementEntry("cac:OriginCountry", (FieldEntry("cbc:IdentificationCode", "origin"),)),
        Group(
            "cac:CommodityClassification",
            "classes",
            ItemClass,
            (
                FieldEntry(
                    "cbc:ItemClassificationCode",
                    "code",
                    attributes={"listID": "scheme", "listVersionID": "version"},
                ),
            ),
            many=True,
        ),
        ElementEntry("cac:ClassifiedTaxCategory", CATEGORY, only=is_vat),
        Group(
            "cac:AdditionalItemProperty",
            "properties",
            ItemProperty,
            (FieldEntry("cbc:Name", "name"), FieldEntry("cbc:Value", "value")),
            many=True,
        ),
    ),
)
_PRICE: Final = ElementEntry(
    "cac:Price",
    (
        FieldEntry("cbc:PriceAmount", "net_price", CURRENCY_PRICE),
        FieldEntry("cbc:BaseQuantity", "base_quantity", NUMBER, {"unitCode": "base_unit"}),
        ElementEntry(
            "cac:AllowanceCharge",
            (
                Constant("cbc:ChargeIndicator", "false"),
                FieldEntry("cbc:Amount", "price_discount", CURRENCY_PRICE),
                FieldEntry("cbc:BaseAmount", "gross_price", CURRENCY_PRICE),
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
            FieldEntry("cbc:ID", "id"),
            FieldEntry("cbc:Note", "note"),
            FieldEntry(f"cbc:{quantity}", "quantity", NUMBER, {"unitCode": "unit"}),
            FieldEntry("cbc:LineExtensionAmount", "stated_net", CURRENCY_AMOUNT),
            FieldEntry("cbc:AccountingCost", "accounting_cost"),
            Group("cac:InvoicePeriod", "period", Period, PERIOD),
            ElementEntry("cac:OrderLineReference", (FieldEntry("cbc:LineID", "order_line"),)),
            object_reference("cac:DocumentReference"),
            *allowances(()),
            _ITEM,
            _PRICE,
        ),
        many=True,
    )
